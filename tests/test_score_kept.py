"""Features that a run keeps, from which its scores are computed again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import evolve
from safetensors import safe_open
from scoring_parts import R64, pictures, scores_of

from dfukit import registry as registries
from dfukit.errors import DataError
from dfukit.rundir import RunDir
from dfukit.scoring import rescore
from dfukit_fidelity.r64 import RandomVgg16


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("DFUKIT_OFFLINE", "1")


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path)


HOW = {
    "labels": {"train": np.arange(48) % 2, "test": np.arange(24) % 2, "synthetic": np.arange(40) % 2},
    "classes": ("a", "b"),
    "groups": {"train": np.arange(48) // 3, "test": np.arange(24) // 3},
    "names": {"train": [f"secret/{i}.jpg" for i in range(48)]},
    "pictures": 44,
}
PARTS = {"train": pictures(0, 48), "test": pictures(1, 24)}


def test_figures_are_computed_again_to_the_bit(run: RunDir) -> None:
    scores = scores_of(PARTS, pictures(2, 40), ["psnr", "fid", "kid"], keep=run.features, **HOW)
    again = rescore(run)
    assert set(again) == {"fd[r64]", "fd[r64]@test", "kd[r64]", "kd[r64]@test"}
    assert "classes" in again["kd[r64]"]
    assert json.loads(json.dumps(again)) == json.loads(json.dumps({name: scores[name] for name in again}))


def test_metrics_that_are_not_installed_are_passed_over(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    scores_of(PARTS, pictures(2, 40), ["fid", "kid"], keep=run.features, **HOW)
    installed = registries.load()
    left = evolve(installed, offers=tuple(one for one in installed.offers if one.component.name != "kd"))
    monkeypatch.setattr(registries, "load", lambda: left)
    assert set(rescore(run)) == {"fd[r64]", "fd[r64]@test"}


def test_what_is_kept_names_no_picture_and_no_patient(run: RunDir) -> None:
    scores_of(PARTS, pictures(2, 40), ["kd"], keep=run.features, **HOW)
    (file,) = run.features.iterdir()
    assert file.name == "r64.safetensors"
    assert b"secret" not in file.read_bytes()
    with safe_open(file, framework="numpy") as tensors:
        assert list(tensors.metadata()) == ["dfukit"]
        assert tensors.get_tensor("train.groups").dtype == np.int64
        assert len(tensors.get_tensor("train.features")) == 44


def test_files_of_an_earlier_scoring_are_removed(run: RunDir) -> None:
    run.features.mkdir()
    (run.features / "older.safetensors").write_bytes(b"")
    scores_of(PARTS, pictures(2, 40), ["kd"], keep=run.features)
    assert [file.name for file in run.features.iterdir()] == ["r64.safetensors"]


def test_features_of_an_extractor_that_failed_are_not_kept(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: RandomVgg16, images: torch.Tensor) -> dict[str, torch.Tensor]:
        raise RuntimeError("no features today")

    monkeypatch.setattr(RandomVgg16, "forward", fail)
    scores = scores_of(PARTS, pictures(2, 40), ["kd"], keep=run.features, **HOW)
    assert scores["kd[r64]"]["failed"]
    assert rescore(run) == {}


def test_nothing_kept_is_nothing_computed(run: RunDir) -> None:
    assert rescore(run) == {}


def test_a_damaged_file_is_named(run: RunDir) -> None:
    scores_of(PARTS, pictures(2, 40), ["kd"], keep=run.features, extractor_settings=R64)
    (file,) = run.features.iterdir()
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"r64\.safetensors is damaged \(its content is not what it was written with\)"):
        rescore(run)
    file.write_bytes(b"no safetensors")
    with pytest.raises(DataError, match=r"r64\.safetensors is damaged"):
        rescore(run)
