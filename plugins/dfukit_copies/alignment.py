"""How alike two pictures are once they are laid upon each other: mirrored, cropped, brightened as fits best.

The similarity is the normalised correlation of two small colour pictures (WIDTH x WIDTH), which no change of gain or
level touches, and recompression hardly. A picture is compared with every training picture, as it is and mirrored,
through a fixed set of crops of that; the best candidates are then aligned more finely.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import torch
from attrs import frozen
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, affine_grid, avg_pool2d, grid_sample, interpolate

from dfukit.rows import Pixels

WIDTH = 16
"""Width of the pictures that are correlated: fine enough to tell photographs of one kind apart, coarse enough to
forgive what a generator or a JPEG file does to detail."""
BASE = 64
"""Width of the pictures that crops are cut from."""
SCALES = (1.0, 0.95, 0.9, 0.85, 0.8)
"""Widths of the crops, as shares of the picture."""
SHIFT = 0.05
"""Distance of two neighbouring crops of one scale."""
FINER = (0.025, 0.0125)
"""Steps in which a candidate's crop is aligned more finely."""
CANDIDATES = 2
SMALLEST_CROP = 0.7
BLOCK = 256
FEW = 64
"""Pictures aligned more finely at a time."""
NOBODY = 2.0
"""The distance of a picture that may be compared with none."""
NOTHING = 1e-3
"""Length below which a picture has no structure to compare."""


@frozen(eq=False)
class Matches:
    """The nearest training picture of each of M pictures."""

    similarity: np.ndarray
    """Normalised correlation [M] after alignment: 1 for the same picture, about 0 for unrelated ones."""
    index: np.ndarray
    """Position [M] in the gallery."""
    mirrored: np.ndarray
    """bool [M]"""
    scale: np.ndarray
    """Width [M] of the part of the training picture that matches, 1 for the whole."""
    corner: np.ndarray
    """Top and left [M, 2] of that part, as shares of the width."""

    @property
    def distance(self) -> np.ndarray:
        """1 - similarity."""
        return 1 - self.similarity


@frozen(eq=False)
class _Best:
    """The CANDIDATES best training pictures of each picture so far, each tensor [M, CANDIDATES]."""

    similarity: Tensor
    index: Tensor
    crop: Tensor
    mirrored: Tensor

    @classmethod
    def none(cls, n: int) -> _Best:
        """Nothing yet, for n pictures."""
        empty = torch.zeros(n, CANDIDATES, dtype=torch.long)
        return cls(torch.full((n, CANDIDATES), -1.0), empty, empty, empty)

    def better(self, other: _Best) -> _Best:
        """The best of both."""
        similarity, place = torch.cat([self.similarity, other.similarity], 1).topk(CANDIDATES, 1)

        def taken(one: Tensor, two: Tensor) -> Tensor:
            return torch.cat([one, two], 1).gather(1, place)

        return _Best(
            similarity,
            taken(self.index, other.index),
            taken(self.crop, other.crop),
            taken(self.mirrored, other.mirrored),
        )


class Gallery:
    """Training pictures uint8 [N, C, S, S], to each of which others can be compared."""

    def __init__(self, pixels: Pixels) -> None:
        self._pictures = torch.cat([_reduced(block) for block in _blocks(pixels)])
        self._width = min(WIDTH, pixels.shape[-1])
        self._crops = torch.tensor(_crops())

    def __len__(self) -> int:
        return len(self._pictures)

    def match(self, pixels: Pixels, groups: np.ndarray | None = None, others: np.ndarray | None = None) -> Matches:
        """The nearest training picture of each of the pictures uint8 [M, C, S, S].

        With `groups` [M] of them and `others` [N] of the gallery, pictures of an equal group are not compared. A
        picture that nothing is left to compare with has similarity -1.
        """
        wanted = torch.cat([self._wanted(block) for block in _blocks(pixels)], 1)
        bests = [_Best.none(min(BLOCK, len(pixels) - start)) for start in range(0, len(pixels), BLOCK)]
        for start in range(0, len(self), BLOCK):
            templates = self._templates(start)
            for number, best in enumerate(bests):
                rows = slice(number * BLOCK, (number + 1) * BLOCK)
                excluded = None
                if groups is not None and others is not None:
                    excluded = torch.from_numpy(groups[rows, None] == others[None, start : start + BLOCK])
                bests[number] = best.better(_coarsely(wanted[:, rows], templates, start, excluded))
        found = [self._finely(vectors, best) for vectors, best in zip(wanted.split(BLOCK, 1), bests, strict=True)]
        return Matches(*(np.concatenate(parts) for parts in zip(*found, strict=True)))

    def _wanted(self, pixels: np.ndarray) -> Tensor:
        """Vectors [2, n, D] of pictures, as they are and mirrored."""
        pictures = self._small(_reduced(pixels))
        return torch.stack([_vectors(pictures), _vectors(pictures.flip(-1))])

    def _small(self, pictures: Tensor) -> Tensor:
        """[..., C, BASE, BASE] to [..., C, WIDTH, WIDTH]."""
        return interpolate(pictures, (self._width, self._width), mode="bilinear", antialias=True)

    def _templates(self, start: int) -> Tensor:
        """Vectors [n, crops, D] of all crops of a block of training pictures."""
        pictures, width = self._pictures[start : start + BLOCK], self._pictures.shape[-1]
        cut = []
        for scale, top, left in self._crops.tolist():
            side, y, x = (round(share * width) for share in (scale, top, left))
            y, x = min(y, width - side), min(x, width - side)
            cut.append(_vectors(self._small(pictures[:, :, y : y + side, x : x + side])))
        return torch.stack(cut, 1)

    def _finely(self, wanted: Tensor, best: _Best) -> tuple[np.ndarray, ...]:
        n, rows = wanted.shape[1], torch.arange(wanted.shape[1])
        similarity, index, mirrored = best.similarity[:, 0].clone(), best.index[:, 0], best.mirrored[:, 0]
        place = self._crops[best.crop[:, 0]]
        offsets = torch.tensor(list(product((0.0, -1.0, 1.0), repeat=3)))
        for candidate in range(CANDIDATES):
            which, turned = best.index[:, candidate], best.mirrored[:, candidate]
            vectors, here = wanted[turned, rows], self._crops[best.crop[:, candidate]]
            allowed = best.similarity[:, candidate] > -1  # a picture of the same group is no candidate
            for step in FINER:
                tried = here[:, None] + offsets * step
                scale = tried[..., 0].clamp(SMALLEST_CROP, 1.0)
                corner = torch.minimum(tried[..., 1:].clamp(min=0.0), 1 - scale[..., None])
                tried = torch.cat([scale[..., None], corner], -1)
                alike = torch.cat(
                    [
                        self._aligned(vectors[i : i + FEW], which[i : i + FEW], tried[i : i + FEW])
                        for i in range(0, n, FEW)
                    ]
                )
                highest, at = alike.max(1)
                here = tried[rows, at]
                higher = allowed & (highest > similarity)
                similarity = torch.where(higher, highest, similarity)
                index, mirrored = torch.where(higher, which, index), torch.where(higher, turned, mirrored)
                place = torch.where(higher[:, None], here, place)
        return tuple(
            values.numpy()
            for values in (similarity.double().clamp(max=1.0), index, mirrored.bool(), place[:, 0], place[:, 1:])
        )

    def _aligned(self, vectors: Tensor, which: Tensor, crops: Tensor) -> Tensor:
        """Similarities [n, K] of pictures [n, D] to K crops [n, K, 3] of the training pictures `which` [n]."""
        n, tried = crops.shape[:2]
        scale, top, left = crops.unbind(-1)
        change = torch.zeros(n, tried, 2, 3)
        change[..., 0, 0] = change[..., 1, 1] = scale
        change[..., 0, 2], change[..., 1, 2] = 2 * left + scale - 1, 2 * top + scale - 1
        pictures = self._pictures[which][:, None].expand(-1, tried, -1, -1, -1).flatten(0, 1)
        side = 2 * self._width
        grid = affine_grid(change.flatten(0, 1), [n * tried, pictures.shape[1], side, side], align_corners=False)
        cut = avg_pool2d(grid_sample(pictures, grid, padding_mode="border", align_corners=False), 2)
        return (_vectors(cut).view(n, tried, -1) * vectors[:, None]).sum(-1)


def _coarsely(wanted: Tensor, templates: Tensor, start: int, excluded: Tensor | None) -> _Best:
    """The best of a block of training pictures, which begins at `start`, for vectors [2, n, D]."""
    n, size = wanted.shape[1], len(templates)
    best = _Best.none(n)
    for mirrored, vectors in enumerate(wanted):
        alike, crop = (vectors @ templates.flatten(0, 1).T).view(n, size, -1).max(-1)
        if excluded is not None:
            alike = alike.masked_fill(excluded, -1.0)
        similarity, place = alike.topk(min(CANDIDATES, size), 1)
        here = _Best(similarity, place + start, crop.gather(1, place), torch.full_like(place, mirrored))
        best = best.better(here)
    return best


def _crops() -> list[tuple[float, float, float]]:
    """Scale, top and left of every crop that is compared; the whole picture first."""
    crops = []
    for scale in SCALES:
        corners = [SHIFT * place for place in range(round((1 - scale) / SHIFT) + 1)]
        crops += [(scale, top, left) for top in corners for left in corners]
    return crops


def _blocks(pixels: Pixels) -> Iterator[np.ndarray]:
    for start in range(0, len(pixels), BLOCK):
        yield np.ascontiguousarray(pixels[start : start + BLOCK])


def _reduced(pixels: np.ndarray) -> Tensor:
    """uint8 [n, C, S, S] to float32 [n, C, BASE, BASE]."""
    return adaptive_avg_pool2d(torch.from_numpy(pixels).float(), min(BASE, pixels.shape[-1]))


def _vectors(pictures: Tensor) -> Tensor:
    """[..., C, W, W] to rows [..., D] of mean zero and length one, so that a product of two is their correlation."""
    flat = pictures.flatten(-3)
    flat = flat - flat.mean(-1, keepdim=True)
    length = flat.norm(dim=-1, keepdim=True)
    # Pictures of one colour are like nothing: rounding alone would make them alike.
    return torch.where(length > NOTHING, flat / length.clamp(min=NOTHING), torch.zeros_like(flat))
