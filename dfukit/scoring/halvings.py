"""Random halves of a real set: what a perfect generator would get, and how much a figure moves by chance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from attrs import field, frozen

from dfukit.clinical.intervals import student
from dfukit.interfaces import View

HALVINGS = 10
"""Random halvings behind a real-against-real value and an interval."""


@frozen(eq=False)
class Halving:
    """Positions of one halving's pictures."""

    one: np.ndarray
    other: np.ndarray
    """Of both halves as many pictures as there are fakes, where that is fewer."""
    equal: np.ndarray
    """As many fakes."""
    half_real: np.ndarray
    """The whole of the first half."""
    half: np.ndarray
    """Half of the fakes."""


def halvings(real: View, fake: View, smallest: int, rng: np.random.Generator) -> Iterator[Halving]:
    """HALVINGS random halvings, by patient where they are known; none where there is an `obstacle`."""
    if obstacle(real, fake, smallest) is not None:
        return
    half = real.n // 2
    n = min(half, fake.n)
    for _ in range(HALVINGS):
        order, fakes = _by_group(real, rng), rng.permutation(fake.n)
        yield Halving(order[:n], order[-n:], fakes[:n], order[:half], fakes[: max(fake.n // 2, 2)])


def obstacle(real: View, fake: View, smallest: int) -> str | None:
    """Why the real pictures cannot be halved: a half has fewer than `smallest`, or shows one patient alone."""
    n = min(real.n // 2, fake.n)
    if n < smallest:
        return f"no halves to compare, which would have {n} pictures, fewer than {smallest}"
    if real.groups is not None and degrees_of(real) < 1:
        return "one patient only: no halves to compare"
    return None


def degrees_of(real: View) -> int:
    """Degrees of freedom of what varies between halvings."""
    return min(HALVINGS, real.n if real.groups is None else len(np.unique(real.groups))) - 1


def _by_group(view: View, rng: np.random.Generator) -> np.ndarray:
    """A random order of the pictures that keeps those of one patient together, so that halves share at most one."""
    if view.groups is None:
        return rng.permutation(view.n)
    group = np.unique(view.groups, return_inverse=True)[1]
    return np.argsort(rng.permutation(int(group.max()) + 1)[group], kind="stable")


@frozen(eq=False)
class Halved:
    """The values of one figure over the halvings, `n` pictures in a half."""

    n: int
    degrees: int = HALVINGS - 1
    floors: list[float] = field(factory=list)
    """One half against the other."""
    fakes: list[float] = field(factory=list)
    """As many fakes against one half."""
    spread: list[float] = field(factory=list)
    """Half of the fakes against one half."""

    @property
    def whole(self) -> bool:
        """Whether every halving gave its values."""
        return all(len(values) == HALVINGS for values in (self.floors, self.fakes, self.spread))

    @property
    def margin(self) -> float:
        """Half the width of the interval. Deleting halves of both sets spreads a figure as sampling them whole does."""
        return student(self.degrees) * float(np.std(self.spread, ddof=1))
