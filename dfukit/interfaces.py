"""What dfukit asks of a plugin's parts: the seven abstract classes, and the small objects that they are handed.

Pictures are square, N pictures being one tensor [N, C, S, S]. Generators and critics see them in [-1, 1], classifiers
and augmentations in [0, 1], extractors as uint8. Labels are class indices [N], int64.
"""

from __future__ import annotations

import functools
import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from attrs import evolve, field, frozen
from torch import Tensor, nn

from dfukit.rows import Pixels

Scorer = Callable[[Tensor, Tensor], Tensor]


@frozen
class Step:
    """One step of training. All randomness is a function of (seed, index, purpose), so none of it needs saving."""

    seed: int
    index: int
    progress: float | Tensor = 0.0
    """How much of the training is done, 0 to 1."""
    first: int = 0
    """Where the pictures at hand begin in the batch, which may be computed in parts or by several processes."""
    total: int = 0
    """Pictures of the whole batch; 0 where each part draws for itself, as augmentations do."""

    def seed_of(self, purpose: str) -> int:
        """A 63-bit seed for one purpose of this step."""
        digest = hashlib.blake2b(f"{self.seed}/{self.index}/{purpose}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") >> 1

    def turn(self, purpose: str) -> Step:
        """The same step for one of its turns (a critic step), which draws apart from the others."""
        return evolve(self, seed=self.seed_of(purpose))

    def part(self, first: int, total: int) -> Step:
        """The same step for some pictures of its batch of `total`, from the one numbered `first` on."""
        return evolve(self, first=first, total=total)

    def rng(self, purpose: str) -> torch.Generator:
        """A fresh generator on the CPU for one purpose of this step; each part of a batch has one of its own."""
        return torch.Generator().manual_seed(self.seed_of(f"{purpose} from {self.first}" if self.first else purpose))

    def uniform(self, purpose: str, n: int, *shape: int) -> Tensor:
        """Numbers in [0, 1) for `n` pictures, [n, *shape] on the CPU: the same however the batch is divided."""
        return self._rows(torch.rand, purpose, n, *shape)

    def normal(self, purpose: str, n: int, *shape: int) -> Tensor:
        """Standard normal numbers for `n` pictures, [n, *shape] on the CPU: the same however the batch is divided."""
        return self._rows(torch.randn, purpose, n, *shape)

    def integers(self, purpose: str, high: int, n: int) -> Tensor:
        """Whole numbers from 0 to below `high` for `n` pictures, int64 [n] on the CPU: the same however the batch is
        divided."""
        return self._rows(functools.partial(torch.randint, high), purpose, n)

    def _rows(self, draw: Callable[..., Tensor], purpose: str, n: int, *shape: int) -> Tensor:
        if not self.total:
            return draw((n, *shape), generator=self.rng(purpose))
        if n > self.total - self.first:
            raise ValueError(f"{n} pictures from {self.first} on are more than a batch of {self.total} has")
        rng = torch.Generator().manual_seed(self.seed_of(purpose))
        return draw((self.total, *shape), generator=rng)[self.first : self.first + n]


@frozen
class Batch:
    """Pictures of one step in [-1, 1], in float32 under bfloat16 too, and so are gradients by them.

    Real and fake share one label, so that relativistic losses can pair them.
    """

    real: Tensor
    fake: Tensor
    label: Tensor


class Generator(nn.Module, ABC):
    """Draws pictures from noise and a class."""

    latent_size: int
    """Length of the noise vector."""
    capturable: bool = False
    """A GPU may replay it: it runs the same operations at every step, looks at no number of a tensor, makes tensors on
    the device alone, and draws with torch there. Steps are replayed, several times faster, where all four parts of a
    GAN say so."""

    @abstractmethod
    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        """Pictures [N, C, S, S] in [-1, 1] from latents [N, latent_size] (standard normal) and labels [N]."""


class Critic(nn.Module, ABC):
    """Scores how real pictures look."""

    per_picture: ClassVar[bool] = True
    """A picture's score ignores the rest of the batch. False where batch statistics are used inside."""
    capturable: bool = False
    """As a generator's; `auxiliary` draws with step.uniform(), step.normal() or step.integers()."""

    @abstractmethod
    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        """Realism scores of pictures [N, C, S, S] in [-1, 1]; higher is more real; unbounded.

        [N], or [N, K] where it scores K > 1 places of each picture, of which losses may take the mean.
        """

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """A label-free feature map [N, C', H, W] of pictures in [-1, 1]."""

    def auxiliary(self, real: Tensor, step: Step) -> Tensor | None:
        """A further task on real pictures [N, C, S, S] in [-1, 1]: a scalar added to the critic's loss, or None."""
        return None


def of_pictures(scores: Tensor) -> Tensor:
    """Scores [N] of pictures, from a critic's scores: the means of those of places [N, K].

    In float32 or the higher precision that they have: bfloat16 is too coarse for sums.
    """
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    return scores.mean(1) if scores.dim() == 2 else scores


class Loss(ABC):
    """An adversarial loss. It is handed `critic(augment(pictures), label)` as one callable.

    Both methods return a dict: "loss" is minimised; "real" and "fake", the scores [N] of the batch, feed adaptive
    augmentation and the curve of their difference; every other entry is a scalar that is logged.
    """

    critic_steps: int = 1
    """Critic steps for each generator step."""
    per_picture: ClassVar[bool] = False
    """Whether it takes gradients of single pictures' scores, so that critics with batch statistics are refused."""
    capturable: bool = False
    """As a generator's; of a step it reads `progress`, as a tensor, and what step.uniform(), step.normal() and
    step.integers() draw, on any device."""

    @abstractmethod
    def critic(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms of the critic's step. `batch.fake` carries no gradient to the generator."""

    @abstractmethod
    def generator(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms of the generator's step. The critic's parameters are frozen."""


class Augmentation(ABC):
    """Random changes of pictures, each picture drawn separately; differentiable where it is used on a critic."""

    differentiable: ClassVar[bool] = True
    """False where no gradient passes, so that it is for classifiers only."""
    adapts: ClassVar[bool] = False
    """True where it follows what it observes of a critic, so that it is for critics only."""
    capturable: bool = False
    """As a loss's: `draw` returns what step.uniform(), step.normal() or step.integers() drew, on any device."""

    @abstractmethod
    def draw(self, n: int, step: Step, purpose: str = "augment") -> Any:
        """The changes for `n` pictures: the same for the same step and purpose."""

    @abstractmethod
    def forward(self, images: Tensor, params: Any) -> Tensor:
        """Changed pictures in [0, 1] from pictures in [0, 1] and what `draw` returned."""

    def observe(self, terms: Mapping[str, Tensor]) -> None:  # noqa: B027 - most augmentations do not adapt
        """The terms of the last critic step, for augmentations that adapt. Called once for each critic step."""

    def state(self) -> dict[str, Tensor]:
        """What an adaptive augmentation has learnt, to be saved with a checkpoint. Scalars among it are logged."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027 - nor have anything to restore
        """Take back what `state` returned."""


@frozen
class Parts:
    """Other networks of the run that a classifier may build on."""

    critic: Critic | None = None


class Classifier(nn.Module, ABC):
    """Tells the positive class from the rest."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Names of `Parts` that it is built on. Their descriptions travel in its weights, so that it can be rebuilt."""
    embedding: ClassVar[str] = ""
    """Name of the submodule whose input [N, ..., D] best says what a picture looks like, for the warning of pictures
    unlike the training set. Empty: the last linear layer that is called."""

    def attach(self, parts: Parts) -> None:
        """Take the structure (and weights) of the parts it needs. Called when built, and again when rebuilt."""

    def prepare(self, parts: Parts) -> str:
        """Once before training, never on rebuild: load pretrained weights. Returns one line saying what was used."""
        return "random initial weights"

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Log-odds [N] of the positive class, from pictures [N, C, H, W] in [0, 1] of any size.

        Resizing and normalising happen inside.
        """

    def for_prediction(self) -> Classifier:
        """The same function for eval mode alone, faster where it can be: folded batch norms and the like."""
        return self


class Extractor(nn.Module, ABC):
    """A fixed network that turns pictures into features."""

    source: str
    """Where its weights come from, for the report: "random, seed 0" or a file's name and SHA-256."""

    @abstractmethod
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """{"features": [N, D] float32} from uint8 pictures [N, 3, H, W], and "logits" [N, K] where it has them."""


@frozen
class Found:
    """A synthetic picture that an audit objects to, and the real one behind that, by their places in the views."""

    fake: int
    real: int
    how: str
    """In a word or two: "mirrored", "cropped"."""
    distance: float


@frozen
class Score:
    """One figure with what is needed to read it. `value` is None where it could not be had, for the `reason` given."""

    value: float | None
    n: tuple[int, int]
    """Real and synthetic pictures behind the value."""
    interval: tuple[float, float] | None = None
    real_vs_real: float | None = None
    """The same figure between two halves of the real set: what a perfect generator would get at N/2."""
    reason: str | None = None
    """Beside a value: why it has no interval, where none is to be made of halves of the sets."""
    details: Mapping[str, Any] = field(factory=dict)
    """More of what stands beside the value in scores.json: JSON values by keys of the metric's own."""
    found: tuple[Found, ...] = ()
    """The synthetic pictures that an audit objects to."""
    distances: np.ndarray | None = field(default=None, eq=False)
    """Of each synthetic picture [M] to the nearest real one, where the metric measures that; for the manifest."""
    error: float | None = None
    """The standard error of the value, where the metric knows it: for the choice of weights while a GAN trains."""


@frozen(eq=False)
class View:
    """A set of pictures as a metric reads it. What the metric does not ask for may be None.

    features [N, D] and logits [N, K] float64; labels int64 [N]; groups (patients) int64 [N]; pixels uint8 [N, C, S, S],
    which may be rows of a memory map: index them a batch at a time, or `numpy.asarray` copies them all.
    """

    features: np.ndarray | None = None
    logits: np.ndarray | None = None
    pixels: Pixels | None = None
    labels: np.ndarray | None = None
    groups: np.ndarray | None = None
    held_out: View | None = None
    """Of the real view, where a metric asks for it: real pictures that the generator never saw."""
    n: int = field(init=False)

    @n.default
    def _count(self) -> int:
        for values in (self.features, self.logits, self.pixels, self.labels, self.groups):
            if values is not None:
                return len(values)
        return 0

    def take(self, index: Sequence[int] | np.ndarray) -> View:
        """The pictures at `index` (positions or a boolean mask)."""

        def at(values: Pixels | None) -> np.ndarray | None:
            return None if values is None else values[index]

        return View(
            at(self.features), at(self.logits), at(self.pixels), at(self.labels), at(self.groups), self.held_out
        )


class Metric(ABC):
    """A score of a synthetic set against a real one."""

    reads: ClassVar[str]
    """"features", "logits", "pixels", or "pixels+features": what it needs of a View."""
    extractor: str | None = None
    """The extractor that features and logits must come from; None: whichever the run uses."""
    better: ClassVar[str] = "lower"
    """"lower", "higher", or "neither" where the figure is no quality (a copy alarm)."""
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    """The values that its figures can have: intervals end there."""
    floor: ClassVar[bool] = True
    """Whether real-against-real halves mean something for it."""
    audit: ClassVar[bool] = False
    """Whether it judges each synthetic picture: then it sees all of them, once, whatever `score.pictures` and the
    classes are, and `real.held_out` beside the training part."""

    @abstractmethod
    def measure(self, real: View, fake: View, rng: np.random.Generator) -> dict[str, Score]:
        """Named scores. The core adds floors and intervals by calling it on parts of the views."""
