"""How far a picture lies from those that a classifier learnt from, in the classifier's own features.

What is kept of the training pictures is a Gaussian with a few directions of its own and one variance for all others
(probabilistic PCA, Tipping and Bishop 1999): their mean feature, at most 32 directions, and how much they vary along
each. Distances are Mahalanobis's (Lee et al. 2018 do so for each class); the limit comes from held-out real pictures.
No picture is kept and no feature of a single one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from attrs import frozen
from torch import Tensor, nn

from dfukit import fitting
from dfukit.device import Compute
from dfukit.interfaces import Classifier
from dfukit.rows import Pixels

DIRECTIONS = 32
PICTURES = 1000
"""Training and validation pictures that are looked at, at most."""
FEWEST_TRAINING = 20
"""Training pictures below which nothing is kept: their mean would say too much of each of them."""
FEWEST_HELD_OUT = 10
"""Held-out pictures below which there is no limit."""
SHARE = 0.99
"""Of pictures like the held-out ones, so many lie within the limit."""


@frozen(eq=False)
class Likeness:
    """Mean feature [D], orthonormal directions [K, D], the variance along each [K], and that along any other."""

    mean: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    rest: float
    limit: float
    """Distance above which a picture is called unlike the training pictures."""

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Distances float64 [N] of features [N, D], as multiples of the limit: above 1 is unlike."""
        return _mahalanobis(features, self.mean, self.directions, self.variances, self.rest) / self.limit

    def as_tensors(self) -> dict[str, Tensor]:
        """What travels with the weights, float32."""
        values = {
            "mean": self.mean,
            "directions": self.directions,
            "variances": self.variances,
            "rest": self.rest,
            "limit": self.limit,
        }
        return {f"likeness.{name}": torch.tensor(value, dtype=torch.float32) for name, value in values.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Likeness | None:
        """What `as_tensors` gave; None for weights without it."""
        names = ("mean", "directions", "variances", "rest", "limit")
        if any(f"likeness.{name}" not in tensors for name in names):
            return None
        mean, directions, variances, rest, limit = (tensors[f"likeness.{name}"].double().numpy() for name in names)
        return cls(mean, directions, variances, float(rest), float(limit))


def fit(network: Classifier, training: Pixels, held_out: Pixels, compute: Compute) -> Likeness | None:
    """What a classifier's features say of its training pictures, with the limit from real pictures it never saw.

    Both are uint8 [N, S, S, C]. None where they are too few, or the network shows no features.
    """
    if len(training) < FEWEST_TRAINING or len(held_out) < FEWEST_HELD_OUT:
        return None
    (_, known), (_, others) = (judge(network, _some(pixels), compute) for pixels in (training, held_out))
    if known is None or others is None or not (np.isfinite(known).all() and np.isfinite(others).all()):
        return None
    mean = known.mean(0)
    _, singular, directions = np.linalg.svd(known - mean, full_matrices=False)
    variances = singular**2 / (len(known) - 1)
    if variances.sum() <= 0:  # all features are one: nothing can be told by them
        return None
    kept = min(DIRECTIONS, (len(known) - 1) // 2, known.shape[1] - 1)
    # N pictures vary along N - 1 directions at most. A share of the whole keeps out a division by nothing.
    spanned = min(len(known) - 1, known.shape[1])
    rest = float(variances[kept:].sum()) / (spanned - kept) + float(variances.sum()) * 1e-9
    model = (mean, directions[:kept], np.maximum(variances[:kept], rest), rest)
    return Likeness(*model, limit=_limit(_mahalanobis(others, *model)))


def judge(network: Classifier, pixels: Pixels, compute: Compute) -> tuple[np.ndarray, np.ndarray | None]:
    """Uncalibrated logits float64 [N] of pictures uint8 [N, S, S, C], and the features [N, D] behind them.

    Features are what the module named by `network.embedding` reads, else the last linear layer that is called; the mean
    over positions where it reads a sequence. None where there is no such layer. One pass gives both.
    """
    with _watched(network) as seen:
        logits = fitting.logits(network, pixels, compute)
    features = [one.cpu().double().numpy() for one in seen if one is not None]
    return logits, np.concatenate(features) if features and len(features) == len(seen) else None


@contextmanager
def _watched(network: Classifier) -> Iterator[list[Tensor | None]]:
    """A list that grows by the features of each batch that the network sees."""
    seen: list[Tensor | None] = []
    last: list[Tensor] = []
    named = network.embedding
    layers = [network.get_submodule(named)] if named else [m for m in network.modules() if isinstance(m, nn.Linear)]

    def read(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        last[:] = inputs[:1]

    def begin(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        last.clear()

    def end(module: nn.Module, inputs: tuple[Tensor, ...], logits: Tensor) -> None:
        values = last[0].detach().float() if last else None
        fits = values is not None and values.ndim >= 2 and len(values) == len(logits)
        seen.append(values.reshape(len(values), -1, values.shape[-1]).mean(1) if fits and values is not None else None)

    hooks = [layer.register_forward_pre_hook(read) for layer in layers]
    hooks += [network.register_forward_pre_hook(begin), network.register_forward_hook(end)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _some(pixels: Pixels) -> np.ndarray:
    chosen = np.linspace(0, len(pixels) - 1, min(len(pixels), PICTURES)).astype(np.int64)
    return np.asarray(pixels[chosen])


def _mahalanobis(
    features: np.ndarray, mean: np.ndarray, directions: np.ndarray, variances: np.ndarray, rest: float
) -> np.ndarray:
    centred = np.asarray(features, np.float64) - mean
    along = centred @ directions.T
    across = np.maximum((centred**2).sum(1) - (along**2).sum(1), 0)
    return np.asarray(np.sqrt((along**2 / variances).sum(1) + across / rest))


def _limit(distances: np.ndarray) -> float:
    """The distance that a new picture of the same kind exceeds in 1 of 100 cases.

    It is the quantile that holds for any distribution (the conformal one, Vovk et al. 2005). Fewer than 99 held-out
    pictures bear no such limit: then it is the largest of their n distances, exceeded in 1 of n + 1 cases.
    """
    ordered = np.sort(distances)
    return max(float(ordered[min(math.ceil((len(ordered) + 1) * SHARE), len(ordered)) - 1]), 1e-12)
