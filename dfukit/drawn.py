"""Pictures that a generator drew: as numbers, as a grid, as a file that says what it is."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dfukit import provenance
from dfukit.provenance import Origin

GRID = 8
"""Columns of a grid."""


def to_uint8(images: Tensor) -> Tensor:
    """[-1, 1] -> uint8, rounded."""
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def grid(pictures: np.ndarray, columns: int = GRID) -> np.ndarray:
    """uint8 [N, S, S, C] -> one picture [rows*S, columns*S, C]; N is a multiple of `columns`."""
    n, size, _, channels = pictures.shape
    rows = n // columns
    tiled = pictures.reshape(rows, columns, size, size, channels).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(tiled.reshape(rows * size, columns * size, channels))


def note(phantom: bool) -> str:
    """What is written into every synthetic picture."""
    trained_on = " Its model was trained on drawings of no patient." if phantom else ""
    return f"Synthetic picture made by dfukit: it shows no patient. Research use only.{trained_on}"


def png(pixels: np.ndarray, text: str, origin: Origin | None = None, **about: Any) -> bytes:
    """A PNG file of uint8 [H, W, C] that says what it is (`dfukit.provenance.marks`)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(buffer, "PNG", pnginfo=provenance.marks(text, origin, **about))
    return buffer.getvalue()
