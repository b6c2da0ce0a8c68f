"""What `dfukit data check` has to say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from dfukit.images.decode import SIDE
from dfukit.images.index import USED, Index

FEW_PICTURES = 1000
FEW_IN_CLASS = 50
FEW_PATIENTS = 3
"""Patients that a class needs to be in each part of the split."""
IMBALANCE = 5.0
"""Largest class over smallest, from which it is worth a warning."""
FAR_FROM_SQUARE = 1.6
"""Longer side over shorter side; above 3:2, the shape of most cameras."""
MANY = 0.2
"""Share of the pictures that counts as many."""
EXAMPLES = 3
"""Paths named in a warning."""
ALWAYS, TRAINING = False, True
"""Whether a warning is about a training and its split alone."""

Warnings = Iterator[tuple[bool, str]]

EXCLUDED = """
SELECT path, reason FROM refused
UNION ALL SELECT path, picture.reason FROM entry JOIN picture USING (path, box) WHERE picture.reason IS NOT NULL
ORDER BY 1
"""


@frozen
class Excluded:
    """A visible file that is not used."""

    path: str
    reason: str


@frozen
class DataCheck:
    """The state of a set of pictures; `as_table` is its JSON form."""

    name: str
    usable: int
    labels: Mapping[str, int]
    excluded: Sequence[Excluded]
    patients: int
    patients_known: bool
    duplicates: int
    """Pictures that repeat another one, exactly or nearly."""
    exact_duplicates: int
    sizes: Mapping[str, Sequence[int]]
    """"width" and "height": smallest, median and largest, in pixels."""
    shapes: Mapping[str, int]
    """Pictures that are "square" (5:4 at most), "wide" or "tall"."""
    formats: Mapping[str, int]
    warnings: Sequence[str]
    cache: str
    of_training: Sequence[str] = ()
    """Those of the warnings that are about a training and its split alone."""

    def as_table(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "usable": self.usable,
            "labels": dict(self.labels),
            "excluded": [{"path": one.path, "reason": one.reason} for one in self.excluded],
            "patients": self.patients,
            "patients_known": self.patients_known,
            "duplicates": self.duplicates,
            "exact_duplicates": self.exact_duplicates,
            "sizes": {side: list(values) for side, values in self.sizes.items()},
            "shapes": dict(self.shapes),
            "formats": dict(self.formats),
            "warnings": list(self.warnings),
            "cache": self.cache,
        }


def check_arrays(
    name: str, classes: Sequence[str], labels: np.ndarray, groups: np.ndarray, sha256: Sequence[str]
) -> DataCheck:
    """The check of pictures that lie in no folder."""
    exact = len(sha256) - len(set(sha256))
    numbers = _numbers(classes, labels)
    warnings = list(_of_counts(numbers))
    return DataCheck(
        name=name,
        usable=len(labels),
        labels=numbers,
        excluded=(),
        patients=len(np.unique(groups)),
        patients_known=True,
        duplicates=exact,
        exact_duplicates=exact,
        sizes={"width": (SIDE,) * 3, "height": (SIDE,) * 3},
        shapes={"square": len(labels)},
        formats={},
        warnings=tuple(text for _, text in warnings),
        cache="",
        of_training=tuple(text for of_training, text in warnings if of_training),
    )


def check_index(
    index: Index,
    root: Path,
    folder: Path,
    classes: Sequence[str],
    labels: np.ndarray,
    groups: np.ndarray,
    known: bool,
    near: np.ndarray,
) -> DataCheck:
    """The check of a folder whose pictures are decoded; `near` are clusters of near-duplicates [N]."""
    usable = len(near)
    numbers = _numbers(classes, labels)
    exact = usable - int(index.one(f"SELECT count(DISTINCT sha256) FROM {USED}"))
    excluded = tuple(Excluded(path, reason) for path, reason in index.rows(EXCLUDED))
    warnings = [
        *_of_counts(numbers),
        *_of_patients(index, root, classes, labels, groups, known),
        *_of_copies(index, near, groups, exact),
        *_of_pixels(index, usable),
    ]
    if len(excluded) > MANY * (usable + len(excluded)):
        warnings.append((ALWAYS, f"{len(excluded)} of {usable + len(excluded)} files are excluded"))
    wide, tall = (
        int(index.one(f"SELECT count(*) FROM {USED} AND {longer} > 1.25 * {shorter}"))
        for longer, shorter in (("width", "height"), ("height", "width"))
    )
    return DataCheck(
        name=root.name,
        usable=usable,
        labels=numbers,
        excluded=excluded,
        patients=len(np.unique(groups)),
        patients_known=known,
        duplicates=usable - len(np.unique(near)),
        exact_duplicates=exact,
        sizes={side: _spread(index, side, usable) for side in ("width", "height")},
        shapes={"square": usable - wide - tall, "wide": wide, "tall": tall},
        formats=dict(index.rows(f"SELECT format, count(*) FROM {USED} GROUP BY format ORDER BY 2 DESC, 1")),
        warnings=tuple(text for _, text in warnings),
        cache=str(folder),
        of_training=tuple(text for of_training, text in warnings if of_training),
    )


def _numbers(classes: Sequence[str], labels: np.ndarray) -> dict[str, int]:
    counts = np.bincount(labels, minlength=len(classes))
    return {label: int(count) for label, count in zip(classes, counts, strict=True)}


def _spread(index: Index, side: str, usable: int) -> tuple[int, int, int]:
    query = f"SELECT {side} FROM {USED} ORDER BY {side} LIMIT 1 OFFSET ?"
    return int(index.one(query, 0)), int(index.one(query, usable // 2)), int(index.one(query, usable - 1))


def _of_counts(labels: Mapping[str, int]) -> Warnings:
    usable = sum(labels.values())
    if usable < FEW_PICTURES:
        few = f"{usable} pictures are fewer than {FEW_PICTURES}"
        yield TRAINING, f"{few}: expect wide intervals and a generator that copies"
    for label, number in labels.items():
        if number < FEW_IN_CLASS:
            yield ALWAYS, f"label {label!r} has {number} pictures, fewer than {FEW_IN_CLASS}"
    if len(labels) == 1:
        yield TRAINING, f"one label only ({next(iter(labels))!r}): a generator can be trained, a classifier cannot"
    elif max(labels.values()) > IMBALANCE * min(labels.values()):
        counts = ", ".join(f"{label} {number}" for label, number in labels.items())
        yield ALWAYS, f"the labels are out of balance: {counts}"


def _of_patients(
    index: Index, root: Path, classes: Sequence[str], labels: np.ndarray, groups: np.ndarray, known: bool
) -> Warnings:
    if not known:
        unknown = int(index.one(f"SELECT count(*) FROM {USED} AND patient = ''"))
        which = "no picture's patient is known" if unknown == len(groups) else f"{unknown} pictures have no patient"
        yield (
            TRAINING,
            f"{which}: near-duplicates count as one patient, but two visits of a patient may lie on both sides of the "
            "split; give --patients CSV or --patient-pattern REGEX",
        )
    for number, label in enumerate(classes):
        owners = len(np.unique(groups[labels == number]))
        if owners < FEW_PATIENTS:
            yield TRAINING, f"label {label!r} has {owners} patients: some part of the split goes without it"
    in_root = "instr(path, '/') = 0"
    loose = int(index.one(f"SELECT count(*) FROM {USED} AND {in_root} AND label = ?", root.name))
    if loose and len(classes) > 1:
        where = "in the folder itself, beside the label folders"
        yield ALWAYS, f"{loose} pictures lie {where}: they count as {root.name!r}"


def _of_copies(index: Index, near: np.ndarray, groups: np.ndarray, exact: int) -> Warnings:
    if exact:
        yield ALWAYS, f"{exact} files repeat another file byte by byte"
    twice = f"SELECT sha256 FROM {USED} GROUP BY sha256 HAVING min(label) != max(label) ORDER BY min(path)"
    contradictions = list(index.rows(twice))
    if contradictions:
        of_each_label = f"SELECT min(path) FROM {USED} AND sha256 = ? GROUP BY label ORDER BY 1"
        (first,), (second,) = islice(index.rows(of_each_label, *contradictions[0]), 2)
        yield ALWAYS, f"{len(contradictions)} pictures lie there under two labels, for instance {first} and {second}"
    pairs = np.unique(np.stack([near, groups]), axis=1)
    clusters, owners = np.unique(pairs[0], return_counts=True)
    shared = int((owners > 1).sum())
    if shared:
        position = int(np.flatnonzero(near == clusters[np.argmax(owners > 1)])[0])
        path = index.one(f"SELECT path FROM {USED} ORDER BY path LIMIT 1 OFFSET ?", position)
        yield ALWAYS, f"{shared} photographs lie there, nearly alike, under several patients, for instance {path}"


def _of_pixels(index: Index, usable: int) -> Warnings:
    far = int(index.one(f"SELECT count(*) FROM {USED} AND max(width, height) > {FAR_FROM_SQUARE} * min(width, height)"))
    if far > MANY * usable:
        yield TRAINING, f"{far} pictures are far from square: look at what data.fit = crop cuts away, or choose pad"
    small = int(index.one(f"SELECT count(*) FROM {USED} AND min(width, height) < {SIDE // 2}"))
    if small > MANY * usable:
        yield ALWAYS, f"{small} pictures are smaller than {SIDE // 2} pixels: they are blown up to {SIDE}"
    text = [path for (path,) in index.rows(f"SELECT path FROM {USED} AND text ORDER BY path")]
    if text:
        examples = ", ".join(text[:EXAMPLES])
        yield (
            TRAINING,
            f"{len(text)} pictures seem to carry a date or other print, for instance {examples}: "
            "a date identifies, and a generator learns to draw it",
        )
