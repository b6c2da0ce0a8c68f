"""Tables that list synthetic pictures: manifest.csv of a set, flagged.csv of what was taken out of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from dfukit import rundir
from dfukit.errors import DataError

FILE = "manifest.csv"
FLAGGED_FILE = "flagged.csv"
PICTURE = ("path", "label", "sha256", "pixels_sha256", "seed", "number")
COLUMNS = (*PICTURE, "nearest_training_distance", "note")
FLAGGED_COLUMNS = (*PICTURE, "of", "how", "distance")

Row = Mapping[str, str]


def leads_out(path: str) -> bool:
    """Whether a path of a table may lead out of the table's folder, on some system."""
    place = PurePosixPath(path)
    return place.is_absolute() or ".." in place.parts or "\\" in path


def write(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """A table with the columns in this order, whole or not at all."""
    table = io.StringIO()
    writer = csv.DictWriter(table, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    rundir.write_text(path, table.getvalue())


def read(path: Path) -> Sequence[Row]:
    """The rows of a table of synthetic pictures.

    Raises DataError naming it where it cannot be read, has other columns, or names a file outside of its folder.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows: list[dict[str, str]] = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    for column in PICTURE:
        if column not in (reader.fieldnames or ()):
            raise DataError(f"{path} has no column {column}: it was not written by this version of dfukit")
    for row in rows:
        # Rows that are too short have None, too long ones have None for a key.
        if None in row or None in row.values():
            raise DataError(f"{path} has a row of another length than its header: {row['path']}")
        if leads_out(row["path"]):
            raise DataError(f"{path} names a file outside of its folder: {row['path']}")
    return rows
