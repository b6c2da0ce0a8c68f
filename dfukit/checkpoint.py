"""The state of the adversarial loop in the run folder: there whole or not at all, and taken back to the bit.

A checkpoint is a folder `checkpoints/<step>` with state.safetensors, state.json and SHA256SUMS, which `sha256sum -c`
reads. It is staged under a hidden name and renamed when all of it is on the disk. Randomness is a function of (seed,
step, purpose), so none of it is in there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from attrs import field, frozen
from safetensors.torch import load, save
from torch import Tensor

from dfukit import rundir

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
    engine: Mapping[str, Any] = field(factory=dict)
    """What keeps the loop going: skipped steps, roll-backs, and how many pictures are computed at a time."""

    def of(self, owner: str) -> dict[str, Tensor]:
        """The tensors of one owner, by name."""
        prefix = f"{owner}/"
        return {name.removeprefix(prefix): tensor for name, tensor in self.tensors.items() if name.startswith(prefix)}


def write(folder: Path, checkpoint: Checkpoint) -> None:
    """Add a checkpoint to a folder of them and remove all but the last two.

    Raises OSError naming it where it cannot be written; the checkpoints before it are untouched then.
    """
    staged, final = folder / f".{checkpoint.step:08d}.{os.getpid()}.tmp", folder / f"{checkpoint.step:08d}"
    tensors = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in checkpoint.tensors.items()
    }
    table = {"step": checkpoint.step, "judge": dict(checkpoint.judge), "engine": dict(checkpoint.engine)}
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
        raise OSError(error.errno, error.strerror, str(final)) from None


def newest(folder: Path, say: Callable[[str], None]) -> Checkpoint | None:
    """The newest whole checkpoint of a folder; damaged ones are named and passed over."""
    found = _steps(folder)
    for path in reversed(found):
        try:
            return _read(path)
        except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
            then = "there is none before it" if path == found[0] else "using the one before it"
            say(f"warning: the checkpoint {path} is damaged ({' '.join(str(error).split())}): {then}")
    return None


def _read(path: Path) -> Checkpoint:
    contents = {}
    for line in (path / SUMS).read_text("ascii").splitlines():
        digest, name = line.split("  ", 1)
        contents[name] = (path / name).read_bytes()
        if hashlib.sha256(contents[name]).hexdigest() != digest:
            raise ValueError(f"{name} has changed since it was written")
    table = json.loads(contents[TABLE])
    return Checkpoint(table["step"], load(contents[TENSORS]), table["judge"], table["engine"])


def _steps(folder: Path) -> list[Path]:
    """Whole and damaged checkpoints, the newest last."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))


def _tidy(folder: Path, step: int) -> None:
    """Leave the last two checkpoints up to a step, and no litter of saves that were killed."""
    kept = [path for path in _steps(folder) if int(path.name) <= step][-KEPT:]
    for path in folder.iterdir():
        if path not in kept and path.is_dir() and (path.name.isdigit() or path.suffix == ".tmp"):
            _remove(path)


def _remove(path: Path) -> None:
    """Remove a folder, if it is there, such that a kill on the way leaves no half of it under its name."""
    if not path.exists():
        return
    if not path.name.startswith("."):
        path = path.rename(path.with_name(f".{path.name}.old.{os.getpid()}.tmp"))
    shutil.rmtree(path)
