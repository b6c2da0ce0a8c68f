"""Experiments that take a second: phantom pictures, a linear classifier of colours, and synthetic sets of each kind."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor, nn

from dfukit import Component, ImageSpec, config, frozen, phantom, registry
from dfukit.component import Chosen
from dfukit.config import RunConfig
from dfukit.device import Compute
from dfukit.interfaces import Classifier
from dfukit.lift import experiment
from dfukit.lift.folds import Fold, Real
from dfukit.lift.sources import Synthetic
from dfukit.progress import Silent

SIZE = 16
POOL = 900
FEW = 160
PATIENTS, POSITIVES = 400, 80
CELLS = 4
CPU = Compute(torch.device("cpu"), bf16=False)
IMAGE = ImageSpec(SIZE, 3, phantom.CLASSES, "infected")


@frozen
class NoSettings:
    """Nothing to set."""


class Colours(Classifier):
    """Logistic regression on the hues of a 4x4 grid."""

    def __init__(self, settings: NoSettings, image: ImageSpec) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3 * CELLS**2, affine=False)
        self.logit = nn.Linear(3 * CELLS**2, 1)
        nn.init.normal_(self.logit.weight, std=0.01)
        nn.init.zeros_(self.logit.bias)

    def forward(self, images: Tensor) -> Tensor:
        red, green, blue = (nn.functional.adaptive_avg_pool2d(images, CELLS) + 0.02).log().unbind(1)
        hues = torch.stack((red - green, green - blue, red + green + blue), 1).flatten(1)
        logits: Tensor = self.logit(self.norm(hues))
        return logits[:, 0]


COLOURS = Chosen("classifier", Component("colours", NoSettings, f"{__name__}:Colours", ""), NoSettings(), "test", "1")


def settings(**changed: Any) -> RunConfig:
    """A configuration for these cases: two folds, so that each is tested on many patients."""
    told = {
        "classify.lr": 0.03,
        "classify.batch_size": 32,
        "lift.folds": 2,
        "lift.seeds": 3,
        "lift.steps": 60,
        "lift.training_share": 1.0,
        "lift.ratio": 9.0,
        "lift.arms": [],
        "lift.bootstrap": 400,
        **changed,
    }
    return attrs.evolve(config.resolve(registry.load(), preset="smoke", settings=told), classifier=COLOURS)


@functools.cache
def pool() -> tuple[np.ndarray, np.ndarray]:
    """One picture each of many phantom patients, and their labels."""
    pixels, labels, _ = phantom.draw_set(POOL, 1, 7, SIZE)
    return pixels, labels


@attrs.frozen(eq=False)
class Case:
    """Real pictures with a rare class, and pictures of other patients by the same program."""

    real: Real
    others: tuple[np.ndarray, np.ndarray]

    def others_mixed(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The others in random order."""
        pixels, labels = self.others
        order = np.random.default_rng(seed).permutation(len(labels))
        return pixels[order], labels[order]


def rare_class(seed: int) -> Case:
    """An experiment's pictures; the positive class is rare in the real ones and as rare in the others."""
    pixels, labels = pool()
    rng = np.random.default_rng(seed)
    positive, negative = (rng.permutation(np.flatnonzero(labels == label)) for label in (0, 1))
    chosen = rng.permutation(np.concatenate([positive[:POSITIVES], negative[: PATIENTS - POSITIVES]]))
    rest = np.concatenate([positive[POSITIVES:], negative[PATIENTS - POSITIVES :]])
    names = [f"patient {i}" for i in chosen]
    real = Real(pixels[chosen], labels[chosen], np.arange(len(chosen)), [f"{i}.png" for i in chosen], names)
    return Case(real, (pixels[rest], labels[rest]))


@attrs.frozen(eq=False)
class Made:
    """A source whose pictures a function makes of the fold."""

    make: Callable[[Fold], tuple[np.ndarray, np.ndarray]]
    about: str = "made by a test"

    def of(self, number: int, fold: Fold, ratios: Sequence[float]) -> dict[float, Synthetic]:
        pixels, labels = self.make(fold)
        names = [f"fold-{number}/{i}.png" for i in range(len(labels))]
        return dict.fromkeys(ratios, Synthetic(pixels, labels, names))

    def facts(self) -> Mapping[str, Any]:
        return {}


def true_program(case: Case, seed: int) -> Made:
    """A perfect generator: the phantom program itself."""
    return Made(lambda fold: case.others)


def shuffled_labels(case: Case, seed: int) -> Made:
    """As many pictures as a training part has, with each other's labels, the classes as often as before."""
    pixels, labels = (values[:FEW] for values in case.others_mixed(seed))
    return Made(lambda fold: (pixels, np.random.default_rng(seed).permutation(labels)))


def copies(case: Case, seed: int) -> Made:
    """A generator that repeats its training pictures."""
    return Made(lambda fold: (case.real.pixels[fold.train], case.real.labels[fold.train]))


def ask(
    folder: Path, seed: int, source: Callable[[Case, int], Made], progress: Any = None, **changed: Any
) -> dict[str, Any]:
    """The result of one experiment."""
    case = rare_class(seed)
    told = settings(**{"run.seed": seed, **changed})
    return experiment.run(told, case.real, IMAGE, source(case, seed), folder, CPU, progress or Silent())
