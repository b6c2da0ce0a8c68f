"""Copies in feature space: pictures that are much nearer to one training picture than to all others, and whether
synthetic pictures lie nearer to the training part than to pictures that the generator never saw."""

from __future__ import annotations

import numpy as np
from attrs import frozen

NEIGHBOURS = 50
"""Training pictures behind the nearest one, whose mean distance it is measured by (Carlini et al. 2023, section 5)."""
BLOCK = 512
PICTURES = 2000
"""Synthetic pictures at most behind the ratio of nearest distances."""
EXCHANGES = 200
LARGEST = 1e6
"""A ratio of nearest distances: that of a picture which is a held-out one, and no number that JSON has not."""
ENOUGH = 20
"""A nearest picture of a subset lies among the first ENOUGH / share nearest of all, but for e**-ENOUGH."""


def distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Euclidean distances [M, N] of features [M, D] and [N, D]."""
    squared = (one**2).sum(1)[:, None] - 2 * one @ other.T + (other**2).sum(1)
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)))


def relative_nearest(
    one: np.ndarray, other: np.ndarray, groups: np.ndarray | None = None, others: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The distance [M] to the nearest of the features `other` [N, D], in units of the mean distance of the next 50,
    and the place [M] of that one. 0 for a copy, near 1 where the nearest is no nearer than the rest.

    With `groups` [M] and `others` [N] pairs of an equal group are left out.
    """
    ratios, places = np.empty(len(one)), np.empty(len(one), np.int64)
    few = min(NEIGHBOURS + 1, len(other))
    for start in range(0, len(one), BLOCK):
        rows = slice(start, start + BLOCK)
        apart = distances(one[rows], other)
        if groups is not None and others is not None:
            apart[groups[rows, None] == others[None]] = np.inf
        near = np.argpartition(apart, few - 1, axis=1)[:, :few]
        near = np.take_along_axis(near, np.take_along_axis(apart, near, 1).argsort(1, kind="stable"), 1)
        values = np.take_along_axis(apart, near, 1)
        rest = np.where(np.isfinite(values[:, 1:]), values[:, 1:], np.nan)
        counted = np.isfinite(rest).any(1)
        mean = np.where(counted, np.nansum(rest, 1) / np.maximum(np.isfinite(rest).sum(1), 1), 0.0)
        ratios[rows] = np.where(counted & (mean > 0), values[:, 0] / np.where(mean > 0, mean, 1.0), 1.0)
        places[rows] = near[:, 0]
    return ratios, places


@frozen
class NearestRatio:
    """The median over synthetic pictures of (distance to the nearest training picture) / (to the nearest held-out
    one), both among equally many: 1 where training pictures are no nearer, less where they were learnt by heart."""

    value: float
    interval: tuple[float, float]
    """By bootstrap over the synthetic pictures."""
    expected: tuple[float, float]
    """The middle 95% of the value when training and held-out patients are exchanged at random."""
    n: int


def nearest_ratio(
    fake: np.ndarray,
    train: np.ndarray,
    held_out: np.ndarray,
    train_groups: np.ndarray,
    held_out_groups: np.ndarray,
    rng: np.random.Generator,
) -> NearestRatio:
    """The ratio for features [M, D], [N, D] and [H, D], H <= N.

    The distance to the nearest of a random subset of H training pictures is taken in expectation over all subsets.
    """
    if len(fake) > PICTURES:
        fake = fake[rng.choice(len(fake), PICTURES, replace=False)]
    everything = np.concatenate([train, held_out])
    first = min(len(everything), int(np.ceil(ENOUGH * len(everything) / len(held_out))))
    near, order = _nearest(fake, everything, first)
    _, group = np.unique(np.concatenate([train_groups, held_out_groups]), return_inverse=True)
    held = np.arange(len(everything)) >= len(train)
    ratios = _ratios(near, order, held)
    resampled = np.median(ratios[rng.integers(0, len(ratios), (EXCHANGES, len(ratios)))], 1)
    exchanged = [np.median(_ratios(near, order, _exchanged(group, int(held.sum()), rng))) for _ in range(EXCHANGES)]
    return NearestRatio(
        float(np.median(ratios)),
        (float(np.quantile(resampled, 0.025)), float(np.quantile(resampled, 0.975))),
        (float(np.quantile(exchanged, 0.025)), float(np.quantile(exchanged, 0.975))),
        len(fake),
    )


def _nearest(fake: np.ndarray, everything: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    """The `first` smallest distances [M, first] in ascending order, and whose they are."""
    values, places = [], []
    for start in range(0, len(fake), BLOCK):
        apart = distances(fake[start : start + BLOCK], everything)
        order = apart.argsort(1, kind="stable")[:, :first]
        values.append(np.take_along_axis(apart, order, 1))
        places.append(order)
    return np.concatenate(values), np.concatenate(places)


def _exchanged(group: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """bool [N]: random whole groups until they hold `count` pictures, or a few more."""
    order = rng.permutation(int(group.max()) + 1)
    sizes = np.bincount(group)[order]
    taken = order[: int(np.searchsorted(np.cumsum(sizes), count)) + 1]
    return np.isin(group, taken)


def _ratios(near: np.ndarray, order: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Ratios of one division into held-out and training pictures; a copy's 0 / 0 counts as 1."""
    is_held = held[order]
    to_held = np.where(is_held.any(1), np.take_along_axis(near, is_held.argmax(1)[:, None], 1)[:, 0], near[:, -1])
    total, chosen = int((~held).sum()), min(int(held.sum()), int((~held).sum()))
    # The nearest of a subset is the k-th nearest of all with the chance that it is in the subset and none before is.
    chance, left = np.empty(near.shape[1]), 1.0
    for k in range(near.shape[1]):
        chance[k] = left * min(1.0, chosen / max(total - k, 1))
        left -= chance[k]
    seen = np.cumsum(~is_held, 1) - 1
    weight = np.where(is_held, 0.0, chance[np.maximum(seen, 0)])
    to_train = (weight * near).sum(1) / np.maximum(weight.sum(1), np.finfo(float).tiny)
    both = (to_held > 0) | (to_train > 0)
    return np.where(both, to_train, 1.0) / np.where(both, np.maximum(to_held, to_train / LARGEST), 1.0)
