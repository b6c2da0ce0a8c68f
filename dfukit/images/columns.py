"""Further columns of a manifest, such as site, sex or device: what figures of subgroups are made for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import numpy as np
from attrs import field, frozen

MOST_VALUES = 12
"""Values beyond which a column is no grouping but a number, a date or a name."""
NOT_GIVEN = "not given"


@frozen(eq=False)
class Column:
    """The value that each picture has in a column: `codes` int8 [N], indices into `values`."""

    values: tuple[str, ...]
    codes: np.ndarray

    def of(self, index: np.ndarray) -> list[str]:
        """The values of some pictures."""
        return [self.values[code] for code in self.codes[index]]


@frozen(eq=False)
class Columns:
    """The further columns that have a few values each, by name, and why the others are left out."""

    kept: Mapping[str, Column] = field(factory=dict)
    left_out: Mapping[str, str] = field(factory=dict)


def read_columns(rows: Iterable[str], count: int) -> Columns:
    """The columns of `count` pictures from what their rows hold beside the known columns, JSON objects of texts."""
    codes: dict[str, np.ndarray] = {}
    numbers: dict[str, dict[str, int]] = {}
    for place, text in enumerate(rows):
        for name, value in json.loads(text).items():
            if name not in codes:
                codes[name], numbers[name] = np.zeros(count, np.int8), {NOT_GIVEN: 0}
            known = numbers[name]
            if value and value not in known and len(known) <= MOST_VALUES + 1:
                known[value] = len(known)
            codes[name][place] = known.get(value or NOT_GIVEN, 0)
    kept: dict[str, Column] = {}
    left_out: dict[str, str] = {}
    for name, known in numbers.items():
        used = np.bincount(codes[name], minlength=len(known)) > 0
        if len(known) - 1 > MOST_VALUES:
            left_out[name] = f"more than {MOST_VALUES} values"
        elif used.sum() < 2:
            left_out[name] = "one value only"
        else:
            kept[name] = Column(tuple(known), codes[name])
    return Columns(kept, left_out)
