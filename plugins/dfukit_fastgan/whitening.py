"""Pictures for a look at their grain: brightness, colour differences and the fine detail of each, equally strong."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

JPEG_COLOURS = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
"""Brightness and the differences of blue and red from it, of red, green and blue (ITU-T T.871)."""
SPREAD = (0.42, 0.055, 0.09)
"""Of the order of their standard deviations, pictures being in [-1, 1]: 0.44, 0.08 and 0.11 in wound crops."""
FINE_SPREAD = (0.05, 0.01, 0.01)
"""The same of their fine detail: 0.040, 0.003 and 0.004 there, of colours what JPEG has left."""
MOST = 3.0
"""Fine detail is bent to stay below this: edges and the borders of shifted pictures would drown the rest."""


class Whitening(nn.Module):
    """Pictures [N, 3, S, S] in [-1, 1] -> [N, 6, S, S]: three colours and their fine detail, in float32 at least.

    In photographs the fine detail of colours is a hundredth of the brightness. A critic that is shown red, green and
    blue hardly sees it, and the generator's colours are left with ten times that grain (docs/studies.md).
    """

    CHANNELS = 6

    matrix: Tensor
    """[3, 3]"""
    gains: Tensor
    """[3, 1, 1]"""

    def __init__(self) -> None:
        super().__init__()
        spread = torch.tensor(SPREAD)
        self.register_buffer("matrix", torch.tensor(JPEG_COLOURS) / spread[:, None], persistent=False)
        self.register_buffer("gains", (spread / torch.tensor(FINE_SPREAD))[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        exact = images.to(torch.promote_types(images.dtype, torch.float32))
        # bfloat16 has not the digits for fine detail, nor has the TF32 of a GPU's convolutions.
        with torch.autocast(images.device.type, enabled=False):
            colours = functional.linear(exact.movedim(1, 3), self.matrix.to(exact.dtype)).movedim(3, 1)
        fine = colours - functional.avg_pool2d(colours, 3, stride=1, padding=1, count_include_pad=False)
        return torch.cat([colours, MOST * torch.tanh(fine * (self.gains / MOST))], dim=1)
