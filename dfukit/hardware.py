"""What the machine has, found without torch."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path


def cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def cpu_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware: AMX (5 to 8 times float32) or AVX-512 (about 1.7 times)."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return False
    text = info.read_text()
    return "amx_bf16" in text or "avx512_bf16" in text


def resident_memory() -> int:
    """Bytes of private memory that this process holds now; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0
    for line in status.read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def give_back_memory() -> None:
    """Return freed memory to the system, which glibc would keep: tens of MiB after each evaluation."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library has no such function
            ctypes.CDLL(None).malloc_trim(0)


def nvidia_gpus() -> list[str]:
    """Names and memory of NVIDIA GPUs, as the driver tells."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (subprocess.SubprocessError, OSError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]
