"""A GPU trains what a CPU trains. Everything here skips where there is none."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import small_gan
import torch
from small_gan import OTHERS

from dfukit import adversaries, device, plan
from dfukit.errors import Interrupted
from dfukit.interfaces import Step
from dfukit.resident import DevicePictures
from dfukit.rundir import RunDir

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

TRAININGS: dict[str, dict[str, Any]] = {
    "reference": {},
    "diffaugment": {"augmentation.name": "diffaugment"},
    "wound": {"augmentation.name": "wound"},
    **{name: dict(settings) for name, settings in OTHERS.items()},
}
every_training = pytest.mark.parametrize("name", TRAININGS)


def logged(folder: Path) -> list[dict[str, float]]:
    terms = ("critic_loss", "generator_loss", "critic_real", "critic_fake")
    return [{name: event[name] for name in terms} for event in RunDir(folder).events() if "critic_loss" in event]


@every_training
def test_the_first_steps_have_the_losses_of_a_cpu(name: str, tmp_path: Path) -> None:
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for device in ("cpu", "cuda"):
            small_gan.train(tmp_path / device, **{**TRAININGS[name], "run.device": device, "gan.steps": 4})
    on_cpu, on_gpu = logged(tmp_path / "cpu"), logged(tmp_path / "cuda")
    assert len(on_cpu) == len(on_gpu) > 1
    for one, other in zip(on_cpu, on_gpu, strict=True):
        assert one == pytest.approx(other, rel=2e-2, abs=2e-3)


@pytest.mark.parametrize("name", [*TRAININGS, "r3gan without ada"])
def test_replayed_steps_have_the_terms_of_the_steps(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay that drew the numbers of another step would be several times as far off."""
    monkeypatch.setattr(small_gan.Faulty, "capturable", True)  # while it has no fault
    settings = {**TRAININGS.get(name, {"loss.name": "r3gan"}), "run.device": "cuda", "gan.steps": 6}
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        one, other = (
            small_gan.train(tmp_path / str(graphs), **settings, **{"run.graphs": graphs}) for graphs in (False, True)
        )
    assert not one.summary["replayed"]
    assert other.summary["replayed"] == (settings.get("augmentation.name") not in ("wound", "ada"))
    assert len(logged(tmp_path / "True")) == len(logged(tmp_path / "False")) == 6
    for sent, replayed in zip(logged(tmp_path / "False"), logged(tmp_path / "True"), strict=True):
        assert replayed == pytest.approx(sent, rel=2e-2, abs=2e-3)


def test_after_its_first_steps_a_training_is_replayed() -> None:
    """What a plan and a time budget measure comes after those."""
    made = small_gan.small(**OTHERS["fastgan"], **{"run.device": "cuda"})
    compute = device.choose(made.run)
    pictures = small_gan.pictures()
    real = DevicePictures(pictures.training, pictures.training_labels, compute.device)
    training = adversaries.build(made, small_gan.IMAGE, real, compute, print)
    for done in range(training.first_steps):
        assert not training.replayed
        training.step(made.gan, done, 10)
    assert training.replayed
    assert plan.gan_step(made, small_gan.IMAGE, compute, 8) > 0


@every_training
def test_bfloat16_skips_no_step(name: str, tmp_path: Path) -> None:
    settings = {**TRAININGS[name], "run.device": "cuda", "run.precision": "bf16", "gan.steps": 6}
    trained = small_gan.train(tmp_path, **settings)
    assert trained.summary["skipped_steps"] == 0
    assert all(bool(tensor.isfinite().all()) for tensor in trained.generator.state_dict().values())


@every_training
def test_a_resumed_training_goes_on_where_it_was(name: str, tmp_path: Path) -> None:
    """Not to the bit: some gradients are summed in an order that a GPU does not promise."""
    settings = {**TRAININGS[name], "run.device": "cuda"}
    whole = small_gan.train(tmp_path / "whole", **settings)
    stopping = small_gan.Signal(5, lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Interrupted):
        small_gan.train(tmp_path / "cut", stopping, **settings)
    resumed = small_gan.train(tmp_path / "cut", **settings)
    for key, tensor in whole.critic.state_dict().items():
        torch.testing.assert_close(resumed.critic.state_dict()[key], tensor, rtol=5e-2, atol=5e-3)


def test_a_step_whose_numbers_are_not_finite_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(turn: str, step: Step) -> float | None:
        return float("nan") if turn == "critic" and step.index == 2 else None

    monkeypatch.setattr(small_gan.Faulty, "fault", staticmethod(fault))
    trained = small_gan.train(tmp_path, **{"run.device": "cuda"})
    assert trained.summary["skipped_steps"] == 1
    assert all(bool(tensor.isfinite().all()) for tensor in trained.critic.state_dict().values())


def test_out_of_memory_takes_smaller_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fault(turn: str, step: Step) -> float | None:
        asked.append(turn)
        if len(asked) == 1:
            torch.empty(1 << 50, dtype=torch.uint8, device="cuda")
        return None

    monkeypatch.setattr(small_gan.Faulty, "fault", staticmethod(fault))
    assert small_gan.train(tmp_path, **{"run.device": "cuda", "gan.steps": 2}).summary["pictures_at_a_time"] == 4


def test_a_whole_run_on_a_gpu_and_its_commands(tmp_path: Path) -> None:
    def ask(*arguments: str) -> str:
        asked = [sys.executable, "-W", "error::UserWarning:torch", "-m", "dfukit", *arguments]
        ended = subprocess.run(asked, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
        assert "Warning" not in ended.stderr
        return ended.stdout

    made = json.loads(ask("run", "--preset", "smoke", "--device", "cuda", "--name", "run", "--json"))
    assert made
    ask("sample", "runs/run", "--count", "3", "--device", "cuda", "--out", "made")
    ask("predict", "runs/run", "made", "--device", "cuda")
    ask("report", "runs/run")
