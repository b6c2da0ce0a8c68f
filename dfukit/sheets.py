"""What a trained generator does with its classes and between its pictures, as two sheets in the run folder."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dfukit import rundir
from dfukit.drawn import GRID, grid, png, to_uint8
from dfukit.interfaces import Generator, Step
from dfukit.rundir import RunDir

ROWS = 4
"""Interpolations."""
CLASSES = 8
"""Rows of the class sheet, at most."""


def write(run: RunDir, generator: Generator, classes: int, seed: int, note: str) -> None:
    """Write `samples/classes.png`, a row for each class, and `samples/interpolation.png`; latents are the seed's."""
    step, size = Step(seed, 0), generator.latent_size
    columns = torch.randn(GRID, size, generator=step.rng("class sheet"))
    ends = torch.randn(2, ROWS, size, generator=step.rng("interpolation sheet"))
    ways = interpolated(ends[0], ends[1], GRID)
    of_class = [_row(generator, columns, label) for label in range(min(classes, CLASSES))]
    between = [_row(generator, way, place % classes) for place, way in enumerate(ways)]
    for path, rows in ((run.class_sheet, of_class), (run.interpolation_sheet, between)):
        rundir.write_bytes(path, png(grid(torch.cat(rows).numpy()), note))


def interpolated(first: Tensor, last: Tensor, n: int) -> Tensor:
    """Latents [rows, n, Z] on the way from `first` to `last` [rows, Z]: each as standard normal as these are."""
    angle = torch.linspace(0, math.pi / 2, n).view(1, n, 1)
    return angle.cos() * first[:, None] + angle.sin() * last[:, None]


@torch.no_grad()
def _row(generator: Generator, latent: Tensor, label: int) -> Tensor:
    """uint8 [N, S, S, C] on the CPU, of one class."""
    device = next(generator.parameters()).device
    pictures = generator(latent.to(device), torch.full((len(latent),), label, device=device))
    return to_uint8(pictures.float()).permute(0, 2, 3, 1).cpu()
