"""The state of the adversarial loop in the run folder: there whole or not at all, and taken back to the bit.

A checkpoint is a folder `checkpoints/<step>` with state.safetensors, state.json and SHA256SUMS, which `sha256sum -c`
reads. It is staged under a hidden name and renamed when all of it is on the disk. Randomness is a function of (seed,
step, purpose), so none of it is in there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from attrs import frozen
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import Optimizer

from dfukit import rundir
from dfukit.errors import DataError, DfukitError, Interrupted
from dfukit.interfaces import Augmentation
from dfukit.interrupt import StopRequest
from dfukit.judge import Judge
from dfukit.progress import Progress
from dfukit.rundir import RunDir

KEPT = 2
"""Checkpoints in a run folder: the newest, and the one before it in case that the newest is damaged."""
TENSORS, TABLE, SUMS = "state.safetensors", "state.json", "SHA256SUMS"


@frozen(eq=False)
class Checkpoint:
    """Everything that the loop knows after `step` steps, on the CPU."""

    step: int
    tensors: Mapping[str, Tensor]
    """By `<owner>/<name>`."""
    judge: Mapping[str, Any]

    def of(self, owner: str) -> dict[str, Tensor]:
        """The tensors of one owner, by name."""
        prefix = f"{owner}/"
        return {name.removeprefix(prefix): tensor for name, tensor in self.tensors.items() if name.startswith(prefix)}


@frozen(eq=False)
class Recovery:
    """Keeps the loop's state in the run folder, takes it back, and ends the loop where the user asks for it."""

    run: RunDir
    networks: Mapping[str, nn.Module]
    optimisers: Mapping[str, Optimizer]
    augmentation: Augmentation
    judge: Judge
    stop: StopRequest
    progress: Progress

    def resume(self) -> int:
        """Take back the newest whole checkpoint. The step it was made after; 0 where there is none."""
        rundir.sweep(self.run)
        checkpoint = newest(self.run.checkpoints, self.progress.say)
        step = checkpoint.step if checkpoint else 0
        if self.run.metrics.is_file():
            self.judge.forget_after(step)
        if checkpoint is None:
            return 0
        try:
            self._take(checkpoint)
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise DataError(
                f"{self.run.checkpoints}: step {step} does not fit the settings in {self.run.config.name}: {reason}; "
                "put those settings back, or start a new run"
            ) from None
        self.progress.say(f"going on after step {step}")
        return step

    def save(self, step: int) -> None:
        """Save the state after an evaluation; where the user asked to stop, at any step, and raise Interrupted."""
        if not (self.stop.asked or self.judge.due(step)):
            return
        tensors = {
            f"{owner}/{name}": tensor
            for owner, found in (
                *((name, network.state_dict()) for name, network in self.networks.items()),
                *((name, _optimiser_state(optimiser)) for name, optimiser in self.optimisers.items()),
                ("augmentation", self.augmentation.state()),
            )
            for name, tensor in found.items()
        }
        write(self.run.checkpoints, Checkpoint(step, tensors, self.judge.state()))
        if self.stop.asked:
            raise Interrupted(f"interrupted after step {step}, which is saved")

    def _take(self, checkpoint: Checkpoint) -> None:
        for name, network in self.networks.items():
            network.load_state_dict(checkpoint.of(name))
        for name, optimiser in self.optimisers.items():
            _restore_optimiser(optimiser, checkpoint.of(name))
        if learnt := checkpoint.of("augmentation"):
            self.augmentation.restore(learnt)
        self.judge.restore(checkpoint.judge)


def write(folder: Path, checkpoint: Checkpoint) -> None:
    """Add a checkpoint to a folder of them and remove all but the last two.

    Raises DfukitError where it cannot be written; the checkpoints before it are untouched then.
    """
    staged, final = folder / f".{checkpoint.step:08d}.{os.getpid()}.tmp", folder / f"{checkpoint.step:08d}"
    tensors = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in checkpoint.tensors.items()
    }
    table = {"step": checkpoint.step, "judge": dict(checkpoint.judge)}
    contents = {
        TENSORS: save(tensors, {"dfukit": "checkpoint"}),
        TABLE: (json.dumps(table, indent=2, sort_keys=True) + "\n").encode(),
    }
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in contents.items())
    try:
        for name, content in {**contents, SUMS: sums.encode()}.items():
            rundir.write_bytes(staged / name, content)
        rundir.sync(staged)
        _remove(final)
        staged.rename(final)
        rundir.sync(folder)
        _tidy(folder, checkpoint.step)
    except OSError as error:
        shutil.rmtree(staged, ignore_errors=True)
        raise DfukitError(
            f"{folder}: step {checkpoint.step} cannot be saved ({error.strerror or error}); earlier checkpoints are "
            f"untouched: make room or give leave to write, then dfukit run --resume {shlex.quote(str(folder.parent))}"
        ) from None


def newest(folder: Path, say: Callable[[str], None]) -> Checkpoint | None:
    """The newest whole checkpoint of a folder; damaged ones are named and passed over."""
    for path in reversed(_steps(folder)):
        try:
            return _read(path)
        except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
            say(f"warning: the checkpoint {path} is damaged ({' '.join(str(error).split())}): using the one before it")
    return None


def _read(path: Path) -> Checkpoint:
    contents = {}
    for line in (path / SUMS).read_text("ascii").splitlines():
        digest, name = line.split("  ", 1)
        contents[name] = (path / name).read_bytes()
        if hashlib.sha256(contents[name]).hexdigest() != digest:
            raise ValueError(f"{name} has changed since it was written")
    table = json.loads(contents[TABLE])
    return Checkpoint(table["step"], load(contents[TENSORS]), table["judge"])


def _steps(folder: Path) -> list[Path]:
    """Whole and damaged checkpoints, the newest last."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))


def _tidy(folder: Path, step: int) -> None:
    """Leave the last two checkpoints up to a step, and no litter of saves that were killed."""
    kept = [path for path in _steps(folder) if int(path.name) <= step][-KEPT:]
    for path in folder.iterdir():
        if path not in kept:
            _remove(path)


def _remove(path: Path) -> None:
    """Remove a folder, if it is there, such that a kill on the way leaves no half of it under its name."""
    if not path.exists():
        return
    if not path.name.startswith("."):
        path = path.rename(path.with_name(f".{path.name}.old.{os.getpid()}.tmp"))
    shutil.rmtree(path)


def _optimiser_state(optimiser: Optimizer) -> dict[str, Tensor]:
    """By `<number of the parameter>/<name>`."""
    state = optimiser.state_dict()["state"]
    return {f"{number}/{name}": value for number, values in state.items() for name, value in values.items()}


def _restore_optimiser(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    for key, value in tensors.items():
        number, name = key.split("/", 1)
        parameter = parameters[int(number)]
        # Fused kernels walk the memory of both: moments must lie in memory as their parameter does.
        as_parameter = value.shape == parameter.shape
        optimiser.state[parameter][name] = (
            torch.empty_like(parameter, dtype=value.dtype).copy_(value) if as_parameter else value.to(parameter.device)
        )
