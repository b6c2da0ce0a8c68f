"""The scripts in examples/ run as they stand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {**os.environ, "DFUKIT_CACHE_DIR": str(tmp_path_factory.mktemp("cache")), "DFUKIT_OFFLINE": "1"}


def example(environment: dict[str, str], name: str, *arguments: object, asked: str = "") -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    result = subprocess.run(command, env=environment, input=asked, capture_output=True, text=True, timeout=1200)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_phantom_folder_is_trained_on_and_its_parts_are_used(environment: dict[str, str], tmp_path: Path) -> None:
    assert "12 made-up patients" in example(environment, "phantom_folder.py", tmp_path / "pictures", 12)
    told = example(environment, "train_and_use.py", tmp_path / "pictures", tmp_path / "runs", "smoke")
    assert "8 pictures of infected" in told
    assert told.count("infected 0.") == 2
    run = next(path for path in (tmp_path / "runs").iterdir() if (path / "config.toml").is_file())
    told = example(environment, "score_two_folders.py", tmp_path / "pictures", run / "synthetic")
    assert "kd[r64]" in told
    assert "psnr" in told
    told = example(environment, "draw_for_training.py", run, 40)
    assert "(32, 3, 16, 16) classes [0, 1]\n" in told
    assert "(8, 3, 16, 16)" in told
    picture = next((tmp_path / "pictures").rglob("*.png"))
    lines = example(environment, "predict_as_a_service.py", run, asked=f"{picture}\nabsent.png\n").splitlines()
    answers = [json.loads(line) for line in lines]
    assert 0 < answers[0]["score"] < 1
    assert "absent.png: cannot be read" in answers[1]["error"]
