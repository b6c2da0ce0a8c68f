"""How a synthetic and a real set lie among each other: precision, recall, density and coverage, all of one table.

A picture's neighbourhood is the ball, in feature space, that reaches to its k-th nearest picture of its own set.
Kynkäänniemi et al. (Improved Precision and Recall Metric, NeurIPS 2019, equations 1 to 3) ask whether a picture of one
set lies in any neighbourhood of the other; Naeem et al. (ICML 2020, equations 4 and 5) ask in how many, and whether a
real picture's neighbourhood holds any synthetic one.
"""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakKeyDictionary

import numpy as np
from attrs import frozen

from dfukit.interfaces import View

ROWS = 512
MOST = 50
"""The largest k: the distances to so many neighbours are kept of each picture."""


@frozen(eq=False)
class Neighbourhoods:
    """Who lies in whose neighbourhood of k, a real set [N] and a synthetic one [M]."""

    precise: np.ndarray
    """bool [M]: the synthetic picture lies in a real neighbourhood, its edge included."""
    recalled: np.ndarray
    """bool [N]: the real picture lies in a synthetic neighbourhood, its edge included."""
    around: np.ndarray
    """int64 [M]: the real neighbourhoods that the synthetic picture lies in, without their edges."""
    covered: np.ndarray
    """bool [N]: a synthetic picture lies in the real neighbourhood, without its edge."""


_nearest: WeakKeyDictionary[View, np.ndarray] = WeakKeyDictionary()
_between: WeakKeyDictionary[View, WeakKeyDictionary[View, dict[int, Neighbourhoods]]] = WeakKeyDictionary()


def neighbourhoods(real: View, fake: View, k: int) -> Neighbourhoods:
    """The neighbourhoods of two views with features; each needs more than k pictures.

    Kept as long as both views live, so that all four metrics look once.
    """
    known = _between.setdefault(real, WeakKeyDictionary()).setdefault(fake, {})
    if k not in known:
        known[k] = _look(real, fake, k)
    return known[k]


def _look(real: View, fake: View, k: int) -> Neighbourhoods:
    real_radius, fake_radius = _radii(real)[:, k - 1], _radii(fake)[:, k - 1]
    precise, recalled = np.zeros(fake.n, bool), np.empty(real.n, bool)
    around, covered = np.zeros(fake.n, np.int64), np.empty(real.n, bool)
    for rows, squares in _squared_distances(_features(real), _features(fake)):
        radius = real_radius[rows, None]
        precise |= (squares <= radius).any(0)
        recalled[rows] = (squares <= fake_radius).any(1)
        inside = squares < radius
        around += inside.sum(0)
        covered[rows] = inside.any(1)
    return Neighbourhoods(precise, recalled, around, covered)


def _radii(view: View) -> np.ndarray:
    """The squared distances of each picture to its nearest others, the nearest first."""
    if view not in _nearest:
        features = _features(view)
        most = min(MOST, view.n - 1)
        radii = np.empty((view.n, most))
        for rows, squares in _squared_distances(features, features):
            # However it was rounded, nobody is nearer to a picture than itself.
            squares[np.arange(len(squares)), np.arange(view.n)[rows]] = -1.0
            radii[rows] = np.sort(np.partition(squares, most, 1)[:, : most + 1], 1)[:, 1:]
        _nearest[view] = radii
    return _nearest[view]


def _squared_distances(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of the table [N, M] of squared distances between features [N, D] and [M, D]."""
    # Seen from the middle of a set, lengths are of the size of distances, and little is lost in the difference.
    middle = y.mean(0)
    x, y = x - middle, y - middle
    lengths = (y**2).sum(1)
    for start in range(0, len(x), ROWS):
        part = x[start : start + ROWS]
        squares = (part**2).sum(1)[:, None] + lengths - 2 * part @ y.T
        yield slice(start, start + ROWS), np.maximum(squares, 0.0, out=squares)


def _features(view: View) -> np.ndarray:
    if view.features is None:
        raise ValueError("neighbourhoods need features of both sets")
    return view.features
