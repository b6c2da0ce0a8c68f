"""Which device and which precision a run computes in."""

from __future__ import annotations

import contextlib
import os
from contextlib import AbstractContextManager

import torch
from attrs import evolve, frozen

from dfukit import hardware
from dfukit.errors import ConfigError
from dfukit.sections import RunSettings


@frozen
class Compute:
    """A device and whether the forward passes run in bfloat16."""

    device: torch.device
    bf16: bool

    def autocast(self) -> AbstractContextManager[object]:
        """bfloat16 autocast where it was chosen."""
        if not self.bf16:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def exact(self) -> Compute:
        """The same device in float32, for what is reported."""
        return evolve(self, bf16=False)

    def repeatable(self) -> AbstractContextManager[object]:
        """Kernels that give the same numbers again. TF32 only under bfloat16: it would move features by more than the
        floor of a small set."""
        return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=self.bf16)

    def memory(self) -> int:
        """Bytes that this process holds on the device, at most so far on a GPU; of the host's memory without one."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_reserved(self.device)
        return hardware.resident_memory()

    @property
    def precision(self) -> str:
        """Of the forward passes."""
        return "bfloat16" if self.bf16 else "float32"

    def __str__(self) -> str:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        slow = " (emulated: float32 is many times as fast on this hardware)"
        return f"{name}, {self.precision}{slow if self.bf16 and not _fast_bf16(self.device) else ''}"


def choose(settings: RunSettings) -> Compute:
    """The device and precision of a run. Raises ConfigError for a device that is not there."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    device = _device(settings.device)
    bf16 = settings.precision == "bf16" or (settings.precision == "auto" and _fast_bf16(device))
    torch.backends.cudnn.allow_tf32 = bf16  # whose ten bits are not the float32 that was asked for
    return Compute(device, bf16)


def _device(name: str) -> torch.device:
    if name in ("auto", "cuda") and torch.cuda.is_available():
        # torchrun gives each process of a machine a number: a GPU for each.
        number, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if number >= count:
            raise ConfigError(f"torchrun started more processes than this machine has GPUs: --nproc-per-node {count}")
        return torch.device("cuda", number)
    if name == "auto":
        return torch.device("cpu")
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda", "mps"):
            raise ConfigError(f"run.device must be auto, cpu, cuda, cuda:1 or mps, got {name}")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        raise ConfigError(f"run.device {name} is not available on this machine; auto, cpu always is") from None
    return device


def _fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and hardware.cpu_bf16()
