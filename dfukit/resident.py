"""Where the pictures of the adversarial loop live: on the device, or memory-mapped on the host."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dfukit.rows import Pixels

SHARE = 0.5
"""Share of a device's free memory that the pictures of a part may take: the rest is for networks and activations."""
CHUNK = 1024
"""Pictures copied to a device at a time."""


class DevicePictures:
    """The pictures of one part of the split, uint8, from which batches reach the device without touching a file.

    `pixels` are uint8 [N, S, S, C], `labels` class indices [N]. On a GPU all of them live in its memory where they fit
    (`resident`); elsewhere they stay where they are, and a batch is copied when it is taken.
    """

    def __init__(self, pixels: Pixels, labels: np.ndarray, device: torch.device, resident: bool | None = None) -> None:
        self.labels = torch.from_numpy(np.asarray(labels, np.int64)).to(device)
        """int64 [N], on the device."""
        self.resident = fits(int(np.prod(pixels.shape)), free_memory(device)) if resident is None else resident
        self._pixels, self._device = pixels, device
        self._on_device = _copied(pixels, device) if self.resident else None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures uint8 [n, C, S, S] in channels_last memory and labels [n], both on the device.

        `index` [n] lies on the CPU, or on the device where the pictures are resident.
        """
        on_device = _send(index, self._device)
        if self._on_device is None:
            images = _send(torch.from_numpy(self._pixels[index.numpy()]), self._device)
        else:
            images = self._on_device[on_device]
        return images.permute(0, 3, 1, 2), self.labels[on_device]


def fits(needed: int, free: int) -> bool:
    """Whether pictures of `needed` bytes are to live on a device with `free` bytes."""
    return needed <= SHARE * free


def free_memory(device: torch.device) -> int:
    """Bytes that a device has to itself and free; 0 for a CPU, whose memory the memory map lies in already."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return 0


def _copied(pixels: Pixels, device: torch.device) -> Tensor:
    """All pictures [N, S, S, C] on the device, without a second copy of them on the host."""
    copied = torch.empty(pixels.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(pixels), CHUNK):
        copied[start : start + CHUNK] = _send(torch.from_numpy(np.array(pixels[start : start + CHUNK])), device)
    return copied


def _send(values: Tensor, device: torch.device) -> Tensor:
    if device.type != "cuda" or values.is_cuda:
        return values.to(device)
    # From pinned memory the copy goes on while the host queues what comes after it.
    return values.pin_memory().to(device, non_blocking=True)
