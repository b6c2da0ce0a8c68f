"""Whose a picture is: a csv, a pattern on the path, or the manifest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dfukit.errors import ConfigError, DataError
from dfukit.images.find import relative
from dfukit.images.table import read_rows

if TYPE_CHECKING:
    from dfukit.sections import DataSettings


def from_csv(root: Path, table: Path) -> Iterator[tuple[str, str]]:
    """(path counted from root, patient) for each row of a csv with path and patient (or group).

    A path that leads out of root is as it was written. Raises DataError for a csv that cannot be read or has neither
    column.
    """
    for row in read_rows(table, ("path",)):
        if "patient" not in row.values and "group" not in row.values:
            raise DataError(f"{table} has no column patient (or group); it has {', '.join(row.values)}")
        path = relative(root, table.parent, row.values["path"]) or row.values["path"]
        if path and row.patient:
            yield path, row.patient


def pattern(settings: DataSettings) -> re.Pattern[str] | None:
    """The compiled `data.patient_pattern`, or None. Raises ConfigError where it is no pattern with a group."""
    if not settings.patient_pattern:
        return None
    if settings.patients:
        raise ConfigError("data.patients and data.patient_pattern are both set: give one of them")
    try:
        compiled = re.compile(settings.patient_pattern)
    except re.error as error:
        raise ConfigError(
            f"data.patient_pattern {settings.patient_pattern!r} is no regular expression: {error}"
        ) from None
    if not compiled.groups:
        raise ConfigError(
            f"data.patient_pattern {settings.patient_pattern!r} has no group: put the patient's part in brackets, "
            "for instance (p\\d+)_"
        )
    return compiled
