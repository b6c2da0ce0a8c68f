"""Near-duplicates: one photograph that lies there twice, recompressed, resized, brightened, mirrored or turned."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

THUMBNAIL = 32
"""Width of the pictures that are compared."""
COARSE = 8
ALIKE = 0.97
"""Normalised correlation of two grey thumbnails from which they count as one photograph.

Chosen by looking. Copies of 106 wound photographs scored at least 0.98 (JPEG quality 10, contrast and gamma x1.6,
blur, a quarter of the size); pairs of different photographs at most 0.954 among 1,788. Other photographs of one wound
start at 0.94 and lower: they are not found. Neither is a copy that was cropped or turned by some degrees.
"""
COARSE_ALIKE = 0.96
"""The same on 8x8 thumbnails, where the copies scored at least 0.98 too: a cheap first look."""
FLAT = 2.0
"""Grey levels of spread below which a thumbnail has no structure to compare."""
BLOCK = 1024


def clusters(thumbnails: np.ndarray) -> np.ndarray:
    """Cluster numbers int64 [N], ascending by first member, of thumbnails uint8 [N, 32, 32, 3].

    Near-duplicates share a number. All pairs are compared, but only a block of them is held at a time.
    """
    parent = np.arange(len(thumbnails))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    for i, j in _pairs(thumbnails):
        low, high = sorted((root(i), root(j)))
        parent[high] = low
    roots = [root(i) for i in range(len(parent))]
    return np.unique(roots, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _pairs(thumbnails: np.ndarray) -> Iterator[tuple[int, int]]:
    """Positions of near-duplicates."""
    starts = range(0, len(thumbnails), BLOCK)
    coarse = np.concatenate([_coarse(thumbnails[start : start + BLOCK]) for start in starts])
    for start in starts:
        here = coarse[start : start + BLOCK]
        turned = [_vectors(one).T for one in _turns(here)]
        for other in range(0, start + 1, BLOCK):
            there = _vectors(coarse[other : other + BLOCK])
            for turn, vectors in enumerate(turned):
                alike = there @ vectors
                rows = np.flatnonzero(alike.max(1) > COARSE_ALIKE)  # several times faster than looking at each value
                first, second = np.nonzero(alike[rows] > COARSE_ALIKE)
                first = rows[first]
                later = first + other < second + start
                yield from _verified(thumbnails, first[later] + other, second[later] + start, turn)


def _verified(thumbnails: np.ndarray, first: np.ndarray, second: np.ndarray, turn: int) -> Iterator[tuple[int, int]]:
    for start in range(0, len(first), BLOCK):
        a, b = first[start : start + BLOCK], second[start : start + BLOCK]
        unturned = _vectors(_grey(thumbnails[a]))
        turned = _vectors(_turns(_grey(thumbnails[b]))[turn])
        alike = (unturned * turned).sum(1) > ALIKE
        yield from zip(a[alike].tolist(), b[alike].tolist(), strict=True)


def _grey(pixels: np.ndarray) -> np.ndarray:
    """Luma float32 [N, S, S]."""
    return pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)


def _coarse(pixels: np.ndarray) -> np.ndarray:
    step = THUMBNAIL // COARSE
    return np.asarray(_grey(pixels).reshape(-1, COARSE, step, COARSE, step).mean((2, 4)))


def _turns(grey: np.ndarray) -> list[np.ndarray]:
    """The eight ways to turn and mirror squares [N, S, S]."""
    mirrored = grey[:, :, ::-1]
    return [np.rot90(one, quarters, (1, 2)) for one in (grey, mirrored) for quarters in range(4)]


def _vectors(grey: np.ndarray) -> np.ndarray:
    """Rows of length one and mean zero, so that a product of two is their correlation; zero without structure."""
    flat = grey.reshape(len(grey), -1)
    flat = flat - flat.mean(1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.where(length > FLAT * np.sqrt(flat.shape[1]), flat / np.maximum(length, 1e-6), np.float32(0))
