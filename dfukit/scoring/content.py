"""Digests of what a score depends on: pixels, weights and code. SHA-256 in hexadecimal."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dfukit.rows import Pixels

ROWS = 256
"""Pictures read at a time."""


def of_pixels(pixels: Pixels) -> str:
    """Of pictures [N, ...], read a few at a time."""
    digest = hashlib.sha256(f"{pixels.dtype} {tuple(pixels.shape)}\n".encode())
    for start in range(0, len(pixels), ROWS):
        digest.update(np.ascontiguousarray(pixels[start : start + ROWS]).data)
    return digest.hexdigest()


def of_network(network: nn.Module) -> str:
    """Of all that a network holds: parameters and buffers, also those that are not saved with it."""
    tensors: dict[str, Tensor] = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return of_tensors({name: tensor.detach().cpu() for name, tensor in tensors.items()})


def of_tensors(tensors: Mapping[str, Tensor | np.ndarray]) -> str:
    """Of names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        values = tensors[name]
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        flat = torch.as_tensor(values).contiguous().reshape(-1).view(torch.uint8)
        digest.update(flat.numpy().data)
    return digest.hexdigest()


@functools.cache
def of_code(module: str) -> str:
    """Of the source of the package that a module is in: a version says little while a plugin is being written."""
    spec = importlib.util.find_spec(module.partition(".")[0])
    digest = hashlib.sha256()
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for file in sorted(Path(folder).rglob("*.py")):
            digest.update(file.relative_to(folder).as_posix().encode() + b"\n" + file.read_bytes())
    if spec is not None and not spec.submodule_search_locations and spec.origin is not None:
        digest.update(Path(spec.origin).read_bytes())
    return digest.hexdigest()


def of_table(table: Any) -> str:
    """Of what JSON can hold."""
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()
