"""Patients dealt into folds, so that each is in the test part once and in no two parts of a fold."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from attrs import field, frozen

from dfukit.component import ImageSpec
from dfukit.errors import DataError
from dfukit.fitting import Pictures
from dfukit.images import ImageSet
from dfukit.images.split import units_of
from dfukit.rows import Pixels, Rows
from dfukit.sections import LiftSettings

CHUNK = 256
HANDS = 20
"""Hands that are dealt at most for a validation part of a twentieth or more."""


@frozen(eq=False)
class Real:
    """The real pictures of an experiment: pixels uint8 [N, S, S, C] at its one size, labels and units int64 [N].

    A unit is what must stay together: a patient, or patients that share a file.
    """

    pixels: Pixels
    labels: np.ndarray
    units: np.ndarray
    paths: Sequence[str]
    patients: Sequence[str]
    """Names of the units."""
    owners: Sequence[str] = field()
    """The patient of each picture: of a unit of several patients, `patients` names one."""
    known: bool = True
    """Whether the patients are known; else they are groups of near-duplicates, and one may be in several."""

    @owners.default
    def _(self) -> Sequence[str]:
        return [self.patients[int(unit)] for unit in self.units]

    @classmethod
    def of(cls, images: ImageSet, size: int) -> Real:
        units = units_of(images)
        names = [""] * (int(units.max()) + 1)
        for unit, group in zip(units, images.groups, strict=True):
            names[unit] = min(names[unit] or images.patients[int(group)], images.patients[int(group)])
        owners = [images.patients[int(group)] for group in images.groups]
        known = images.patients_known
        return cls(images.at(size), images.labels, units, images.paths, names, owners, known)

    def fingerprint(self) -> str:
        """A digest of everything here but the patients' names."""
        return digest_of(self.pixels, self.labels, self.units)

    def part(self, index: np.ndarray) -> Pictures:
        return Pictures(Rows(self.pixels, index), self.labels[index], self.units[index])


@frozen(eq=False)
class Fold:
    """Positions of the pictures of each part, int64, ascending. Some patients of no part may be left out."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def digest_of(pixels: Pixels, *numbers: np.ndarray) -> str:
    """A digest of pictures and what is known of them."""
    digest = hashlib.blake2b(digest_size=16)
    for start in range(0, len(pixels), CHUNK):
        digest.update(np.ascontiguousarray(pixels[start : start + CHUNK]).tobytes())
    for values in numbers:
        digest.update(np.asarray(values, np.int64).tobytes())
    return digest.hexdigest()


def make_folds(real: Real, image: ImageSpec, settings: LiftSettings, seed: int) -> list[Fold]:
    """`settings.folds` folds by patient, stratified by class; the same for the same patients and seed.

    Raises DataError where a part of a fold would lack the positive class or any other, by name.
    """
    units = len(real.patients)
    counts = np.zeros((units, len(image.classes)))
    np.add.at(counts, (real.units, real.labels), 1)
    test_of = deal(counts, real.patients, np.arange(units), settings.folds, seed)
    folds = []
    for number in range(settings.folds):
        outside = np.flatnonzero(test_of != number)
        # Patients outside the test part are dealt once more, and a share of these hands becomes the validation part.
        hands, chosen = validation_hands(settings.validation)
        hand_of = deal(counts, real.patients, outside, hands, seed + 1 + number)
        in_validation = np.isin(hand_of[outside], chosen)
        training = outside[~in_validation]
        if settings.training_share < 1:
            training = _some(counts, real.patients, training, settings.training_share, seed + 1 + number)
        parts = [training, outside[in_validation], np.flatnonzero(test_of == number)]
        folds.append(Fold(*(np.flatnonzero(np.isin(real.units, part)) for part in parts)))
    check_folds(real, image, folds)
    return folds


def validation_hands(share: float) -> tuple[int, list[int]]:
    """How many hands are dealt, and which of them are the validation part: the share itself, or nearly.

    The chosen ones begin with the first and are spread evenly, since a rare class may reach the first few hands alone.
    """
    nearest = Fraction(share).limit_denominator(HANDS) if share >= 1 / HANDS else Fraction(1, round(1 / share))
    wanted, hands = nearest.numerator, nearest.denominator
    return hands, [-(-place * hands // wanted) for place in range(wanted)]


def deal(counts: np.ndarray, names: Sequence[str], units: np.ndarray, hands: int, seed: int) -> np.ndarray:
    """The hand of each unit, int64 [U], -1 for those not among `units`; counts [U, K]: its pictures of each class.

    Units with the rarest class are dealt first, each to the hand that holds least of what the unit brings.
    """
    present = counts > 0
    totals = np.maximum(np.concatenate([present[units].sum(0), counts[units].sum(0), [len(units)]]), 1)
    value = np.concatenate([present, counts, np.ones((len(counts), 1))], 1) / totals
    order = sorted(units, key=lambda unit: _digest(seed, names[unit]))
    order.sort(key=lambda unit: -value[unit].max())
    held = np.zeros((hands, value.shape[1]))
    hand_of = np.full(len(counts), -1, np.int64)
    for unit in order:
        cost = held @ value[unit] + 1e-9 * held[:, -1]
        hand_of[unit] = int(np.argmin(cost))
        held[hand_of[unit]] += value[unit]
    return hand_of


def _some(counts: np.ndarray, names: Sequence[str], units: np.ndarray, share: float, seed: int) -> np.ndarray:
    """A share of the units, at least one of each class that they hold, stratified by class."""
    chosen: list[int] = []
    for label in np.argsort(counts[units].sum(0)):
        having = sorted(
            (unit for unit in units if counts[unit, label] > 0), key=lambda unit: _digest(seed, names[unit])
        )
        wanted = max(1, round(share * len(having))) - sum(counts[unit, label] > 0 for unit in chosen)
        chosen += [unit for unit in having if unit not in chosen][: max(0, wanted)]
    return np.array(sorted(chosen), np.int64)


def _digest(seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()


def check_folds(real: Real, image: ImageSpec, folds: Sequence[Fold]) -> None:
    """Raises DataError for a part without one side of the question, and for a patient in two parts of a fold."""
    positive = real.labels == image.classes.index(str(image.positive))
    sides = {str(image.positive): positive, f"anything but {image.positive}": ~positive}
    for number, fold in enumerate(folds, 1):
        owner: dict[int, str] = {}
        for part, index in (("training", fold.train), ("validation", fold.validation), ("test", fold.test)):
            for unit in np.unique(real.units[index]):
                if (other := owner.setdefault(int(unit), part)) != part:
                    raise DataError(
                        f"fold {number}: patient {real.patients[unit]!r} is in the {other} and the {part} part: "
                        "a patient belongs to one"
                    )
            for name, members in sides.items():
                if not members[index].any():
                    having = len(np.unique(real.units[members]))
                    raise DataError(
                        f"fold {number} of {len(folds)} has no picture of {name} in its {part} part: {having} patients "
                        f"have one; lower lift.folds ({len(folds)}), or bring more patients"
                    )
