"""The split into training, validation and test part, made before anything else sees a picture."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from dfukit import rundir
from dfukit.errors import ConfigError, DataError
from dfukit.images.imageset import ImageSet

if TYPE_CHECKING:
    from dfukit.sections import DataSettings

PARTS = ("train", "validation", "test")
COLUMNS = ("path", "sha256", "patient", "label", "part")
UNKNOWN = "where no patient is known, near-duplicates count as one: give --patients CSV or --patient-pattern REGEX"
SWEEPS = 3
"""Times that all patients are tried in other parts."""


@frozen(eq=False)
class Split:
    """Positions of the pictures of each part, int64, ascending."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def part_of(self) -> list[str]:
        """The part of each picture: "train", "validation" or "test"."""
        parts = [""] * (len(self.train) + len(self.validation) + len(self.test))
        for name in PARTS:
            for i in getattr(self, name):
                parts[i] = name
        return parts


def make_split(images: ImageSet, settings: DataSettings) -> Split:
    """By patient and stratified by class; the same for the same pictures, patients and `data.split_seed`.

    Shares are kept for the patients and the pictures of each class. Pictures of one patient stay together, as do files
    with equal content. Each class has a patient in each part where it has three. A manifest's `split` column is
    honoured; pictures without an entry in it fill up the parts. Raises DataError where a patient is assigned to two
    parts or a part stays empty, ConfigError where the shares leave nothing to a part.
    """
    shares = _shares(settings)
    units = units_of(images)
    count = int(units.max()) + 1
    fixed = _fixed(images, units, count)
    weights = _weights(images, units, count)
    order = _order(images, units, count, settings.split_seed)
    parts = distribute(weights, shares, fixed, order)
    per_picture = parts[units]
    split = Split(*(np.flatnonzero(per_picture == part) for part in range(3)))
    for name in PARTS:
        if not len(getattr(split, name)):
            raise DataError(
                f"the {name} part of the split stays empty: {count} patients cannot be split into three parts"
                if images.assigned is None
                else f"the split column of the manifest leaves the {name} part empty: leave the split of some rows "
                "empty, and they fill up the parts"
            )
    _assert_no_leak(images, per_picture)
    return split


def write_split(table: Path, images: ImageSet, split: Split) -> None:
    """Write split.csv: path, sha256, patient, label and part of each picture.

    Raises DataError where the table is there already and says something else: the run began with other pictures.
    """
    lines = io.StringIO()
    rows = csv.writer(lines, lineterminator="\n")
    rows.writerow(COLUMNS)
    for place, part in enumerate(split.part_of()):
        patient, label = images.patients[images.groups[place]], images.classes[images.labels[place]]
        rows.writerow((images.paths[place], images.sha256[place], patient, label, part))
    if table.is_file() and table.read_bytes() != lines.getvalue().encode("utf-8"):
        raise DataError(f"{images.name} is not what {table} lists: put its pictures back, or start a new run")
    rundir.write_text(table, lines.getvalue())


def read_table(table: Path) -> list[dict[str, str]]:
    """The rows of split.csv. Raises DataError where it cannot be read, lacks a column, or names a part that is none."""
    try:
        with table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            _ = [row[column] for column in COLUMNS]
            if row["part"] not in PARTS:
                raise ValueError(f"it puts {row['path']} into {row['part']!r}, which is none of {', '.join(PARTS)}")
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise DataError(f"{table} cannot be read ({error}): start a new run") from None
    return rows


def read_split(table: Path, images: ImageSet, relabelled: bool = False) -> Split:
    """The split that a run wrote down (split.csv), on the same pictures.

    Raises DataError where pictures came, went or changed since: a new split would move pictures that the generator saw
    into the test part; and where their labels changed, unless they may be `relabelled`.
    """
    written = {row["path"]: row for row in read_table(table)}
    labels = (images.classes[label] for label in images.labels)
    known = dict(zip(images.paths, zip(images.sha256, labels, strict=True), strict=True))
    for path in sorted(written.keys() | known.keys()):
        if path not in known or path not in written or known[path][0] != written[path]["sha256"]:
            what = "is gone" if path not in known else "is new" if path not in written else "has changed"
            remedy = "restore the pictures" if path in written else "take it out of the folder"
            raise DataError(f"{path} {what} since {table.parent.name} was made: {remedy}, or start a new run")
        label, before = known[path][1], written[path]["label"]
        if label != before and not relabelled:
            raise DataError(
                f"{path} was labelled {before!r} when {table.parent.name} was made, and is {label!r} now: "
                "restore the labels, or start a new run"
            )
    parts = np.array([PARTS.index(written[path]["part"]) for path in images.paths])
    return Split(*(np.flatnonzero(parts == part) for part in range(3)))


def distribute(weights: np.ndarray, shares: np.ndarray, fixed: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The part int64 [U] of each unit, a unit being what must stay together.

    weights [U, K]: pictures that a unit has of each class; shares [3]; fixed [U]: a part or -1; order [U]: a
    permutation of the units that decides between equals.
    """
    present = weights > 0
    # Each class counts twice, by its patients and by its pictures, each time as shares of its total. A split costs
    # the squared distance of what the parts hold from what they should, relative to their share.
    values = np.concatenate([present / present.sum(0), weights / weights.sum(0)], 1)
    squares = (values**2).sum(1)
    parts = fixed.copy()
    filled = np.stack([values[parts == part].sum(0) for part in range(3)])
    free = order[parts[order] < 0]
    # The largest first: small units can still level out what they leave.
    for unit in free[np.argsort(-values[free].max(1), kind="stable")]:
        part = int(np.argmin((2 * (filled - shares[:, None]) @ values[unit] + squares[unit]) / shares))
        parts[unit] = part
        filled[part] += values[unit]
    _level(parts, free, values, filled, shares)
    _fill_gaps(parts, free, present)
    return parts


def _level(parts: np.ndarray, free: np.ndarray, values: np.ndarray, filled: np.ndarray, shares: np.ndarray) -> None:
    """Move single units, in place, as long as that makes the split cheaper."""
    squares = (values**2).sum(1)
    for _ in range(SWEEPS):
        moved = False
        for unit in free:
            here = parts[unit]
            filled[here] -= values[unit]
            part = int(np.argmin((2 * (filled - shares[:, None]) @ values[unit] + squares[unit]) / shares))
            filled[part] += values[unit]
            parts[unit] = part
            moved = moved or part != here
        if not moved:
            return


def _fill_gaps(parts: np.ndarray, free: np.ndarray, present: np.ndarray) -> None:
    """Move or swap units, in place, until each part has a unit and one of each class, where there are enough of them.

    With two of a class, training and test part come first.
    """
    # A part with nothing at all counts as lacking one more class, which every unit has.
    has = np.concatenate([np.ones((len(parts), 1), bool), present], 1)
    held = np.stack([has[parts == part].sum(0) for part in range(3)])
    for label, part in ((label, part) for label in range(has.shape[1]) for part in (0, 2, 1)):
        if held[part, label]:
            continue
        for unit in free[has[free, label]]:
            after = _swap(parts, has, held, unit, part, free)
            if after is not None:
                held = after
                break


def _swap(
    parts: np.ndarray, has: np.ndarray, held: np.ndarray, unit: int, part: int, free: np.ndarray
) -> np.ndarray | None:
    """Move a unit to a part, alone or against another one, if that leaves less missing; what the parts hold then."""
    here = parts[unit]
    for other in (None, *free[parts[free] == part]):
        after = held.copy()
        after[here] -= has[unit]
        after[part] += has[unit]
        if other is not None:
            after[part] -= has[other]
            after[here] += has[other]
        if _missing(after) < _missing(held):
            if other is not None:
                parts[other] = here
            parts[unit] = part
            return after
    return None


def _missing(held: np.ndarray) -> float:
    """How much is missing where a part has no unit, or none of a class; the validation part counts least."""
    weights = np.ones(held.shape[1])
    weights[0] = 10.0 * held.shape[1]
    return float(np.array([1.2, 1.0, 1.1]) @ (held == 0) @ weights)


def _shares(settings: DataSettings) -> np.ndarray:
    test = 1.0 - settings.train - settings.validation
    if settings.validation <= 0 or test < 1e-9:
        raise ConfigError(
            f"data.train = {settings.train:g} and data.validation = {settings.validation:g} must both leave something "
            "to the other parts: the rest is the test part"
        )
    return np.array([settings.train, settings.validation, test])


def units_of(images: ImageSet) -> np.ndarray:
    """Numbers int64 [N] of what must stay together: patients, joined where they share a file of equal content."""
    parent = np.arange(int(images.groups.max()) + 1)

    def find(group: int) -> int:
        while parent[group] != group:
            parent[group] = group = parent[parent[group]]
        return group

    first: dict[bytes, int] = {}
    for sha256, owner in zip(images.sha256, images.groups, strict=True):
        other = first.setdefault(bytes.fromhex(sha256), int(owner))
        parent[find(int(owner))] = find(other)
    roots = np.array([find(group) for group in range(len(parent))])
    return np.unique(roots[images.groups], return_inverse=True)[1].reshape(-1)


def _fixed(images: ImageSet, units: np.ndarray, count: int) -> np.ndarray:
    fixed = np.full(count, -1, np.int64)
    if images.assigned is None:
        return fixed
    for i in np.flatnonzero(images.assigned >= 0):
        part, before = int(images.assigned[i]), int(fixed[units[i]])
        if before not in (-1, part):
            patient, path = images.patients[int(images.groups[i])], images.paths[int(i)]
            other = int(np.flatnonzero((units == units[i]) & (images.assigned == before))[0])
            if images.groups[other] != images.groups[i]:
                raise DataError(
                    f"the split column puts {images.paths[other]} into {PARTS[before]} and {path} into {PARTS[part]}, "
                    "whose patients share a file of equal content: leave the split of one patient empty, and it "
                    "follows the other"
                )
            raise DataError(
                f"the split column puts patient {patient!r} into {PARTS[before]} and {PARTS[part]} ({path}): "
                + ("a patient belongs to one part" if images.patients_known else UNKNOWN)
            )
        fixed[units[i]] = part
    return fixed


def _weights(images: ImageSet, units: np.ndarray, count: int) -> np.ndarray:
    weights = np.zeros((count, len(images.classes)))
    np.add.at(weights, (units, images.labels), 1)
    return weights


def _order(images: ImageSet, units: np.ndarray, count: int, seed: int) -> np.ndarray:
    """A shuffle of the units that depends on the seed and the patients' names alone, on any machine and version."""
    names = [""] * count
    for unit, owner in zip(units, images.groups, strict=True):
        name = images.patients[int(owner)]
        names[unit] = min(names[unit] or name, name)
    digests = [hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest() for name in names]
    return np.array(sorted(range(count), key=digests.__getitem__), np.int64)


def check_apart(images: ImageSet, split: Split) -> None:
    """Raise DataError, naming it, for a patient or a file's content that lies in more than one part.

    `make_split` makes no such split; a split.csv that was edited may be one.
    """
    seen: dict[str, tuple[str, int]] = {}
    for part in PARTS:
        for place in getattr(split, part):
            patient = images.patients[int(images.groups[place])]
            for key, what in (
                (f"patient {patient}", f"patient {patient!r}"),
                (f"file {images.sha256[place]}", f"the content of {images.paths[place]}"),
            ):
                before, other = seen.setdefault(key, (part, place))
                if before != part:
                    raise DataError(
                        f"{what} lies in the {before} and the {part} part ({images.paths[other]}, "
                        f"{images.paths[place]}): figures of that test part mean nothing; start a new run"
                    )


def _assert_no_leak(images: ImageSet, parts: np.ndarray) -> None:
    pairs = np.unique(np.stack([images.groups, parts]), axis=1)
    if len(np.unique(pairs[0])) != pairs.shape[1]:
        raise AssertionError("a patient lies on two sides of the split")
