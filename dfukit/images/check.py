"""What `dfukit data check` has to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from dfukit.images.index import USED, Index

FEW_PICTURES = 1000
FEW_IN_CLASS = 50
FAR_FROM_SQUARE = 1.5
"""Longer side over shorter side."""

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
    """Pictures that are "square", "wide" or "tall"."""
    formats: Mapping[str, int]
    warnings: Sequence[str]
    cache: str

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
    name: str, classes: Sequence[str], labels: np.ndarray, patients: int, sha256: Sequence[str]
) -> DataCheck:
    """The check of pictures that lie in no folder."""
    exact = len(sha256) - len(set(sha256))
    counts = np.bincount(labels, minlength=len(classes))
    return DataCheck(
        name=name,
        usable=len(labels),
        labels={label: int(count) for label, count in zip(classes, counts, strict=True)},
        excluded=(),
        patients=patients,
        patients_known=True,
        duplicates=exact,
        exact_duplicates=exact,
        sizes={},
        shapes={},
        formats={},
        warnings=(),
        cache="",
    )


def check_index(
    index: Index,
    root: Path,
    folder: Path,
    near: np.ndarray,
    groups: np.ndarray,
    patients: Sequence[str],
    known: bool,
) -> DataCheck:
    """The check of a folder whose pictures are decoded."""
    usable = len(near)
    labels = dict(index.rows(f"SELECT label, count(*) FROM {USED} GROUP BY label ORDER BY label"))
    return DataCheck(
        name=root.name,
        usable=usable,
        labels=labels,
        excluded=tuple(Excluded(path, reason) for path, reason in index.rows(EXCLUDED)),
        patients=len(patients),
        patients_known=known,
        duplicates=usable - len(np.unique(near)),
        exact_duplicates=usable - int(index.one(f"SELECT count(DISTINCT sha256) FROM {USED}")),
        sizes={},
        shapes={},
        formats=dict(index.rows(f"SELECT format, count(*) FROM {USED} GROUP BY format ORDER BY 2 DESC, 1")),
        warnings=(),
        cache=str(folder),
    )
