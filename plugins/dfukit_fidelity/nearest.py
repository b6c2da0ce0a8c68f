"""PSNR and SSIM to the nearest real picture: unpaired samples have no other partner, and a high figure means a copy."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch
from kornia.metrics import psnr, ssim
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from dfukit.interfaces import Metric, Score, View

THUMBNAIL = 16
BATCH = 64
WINDOW = 11
"""Width of the Gaussian window of SSIM (sigma 1.5), as Wang et al. have it."""
IDENTICAL_DB = 100.0
"""PSNR of identical pictures, which has no finite value. One grey level in one pixel of 128x128 gives 95."""
NORMAL_95 = 1.959964


def nearest(real: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """For each fake picture the index [M] of the real one with the smallest mean squared error on 16x16 thumbnails.

    Both are uint8 [N, C, S, S] of one size.
    """
    candidates = _thumbnails(real)
    lengths = (candidates**2).sum(1)
    thumbnails = torch.split(_thumbnails(fake), BATCH)
    return torch.cat([(lengths - 2 * part @ candidates.T).argmin(1) for part in thumbnails]).numpy()


class NearestPicture(Metric):
    """The mean similarity of a fake picture to its nearest real one, with the interval of that mean."""

    reads = "pixels"
    better = "neither"
    floor = False
    name: ClassVar[str]
    smallest: ClassVar[int] = 1

    def __init__(self, settings: object) -> None:
        pass

    @abstractmethod
    def similarity(self, image: Tensor, target: Tensor) -> Tensor:
        """Similarities [N] of pictures and their partners [N, C, S, S] in [0, 1]."""

    def measure(self, real: View, fake: View, rng: np.random.Generator) -> dict[str, Score]:
        if real.pixels is None or fake.pixels is None:
            raise ValueError(f"{self.name} needs the pixels of both sets")
        n = (real.n, fake.n)
        if real.pixels.shape[-1] < self.smallest:
            reason = f"{self.name} needs pictures of at least {self.smallest}x{self.smallest} pixels"
            return {self.name: Score(None, n, reason=reason)}
        partner = nearest(real.pixels, fake.pixels)
        values = np.concatenate(
            [
                self.similarity(_unit(fake.pixels[i : i + BATCH]), _unit(real.pixels[partner[i : i + BATCH]])).numpy()
                for i in range(0, fake.n, BATCH)
            ]
        ).astype(np.float64)
        value, margin = float(values.mean()), NORMAL_95 * float(values.std(ddof=1)) / np.sqrt(len(values))
        return {self.name: Score(value, n, (value - margin, value + margin))}


class NearestPsnr(NearestPicture):
    """In dB, over all channels together; independent photographs lie near 9 dB, 35 dB is a copy."""

    name = "psnr"

    def similarity(self, image: Tensor, target: Tensor) -> Tensor:
        # kornia takes the error of a whole batch together.
        pairs = zip(image, target, strict=True)
        return torch.stack([psnr(one, other, 1.0) for one, other in pairs]).clamp(max=IDENTICAL_DB)


class NearestSsim(NearestPicture):
    """Mean over channels and over the pixels whose whole window lies inside; identical pictures have 1."""

    name = "ssim"
    smallest = WINDOW

    def similarity(self, image: Tensor, target: Tensor) -> Tensor:
        return ssim(image, target, WINDOW, padding="valid").mean((1, 2, 3))


def _thumbnails(pixels: np.ndarray) -> Tensor:
    """Thumbnails as rows [N, C * 16 * 16] in float64, whose products are exact enough to tell near pictures apart."""
    width = min(THUMBNAIL, pixels.shape[-1])
    parts = [
        adaptive_avg_pool2d(_unit(pixels[start : start + BATCH]).double(), width).flatten(1)
        for start in range(0, len(pixels), BATCH)
    ]
    return torch.cat(parts)


def _unit(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels)).float() / 255
