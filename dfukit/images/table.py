"""Reading the csv files that come with pictures."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from dfukit.errors import DataError


@frozen
class Row:
    """A line of a csv file: its number, and its values by column name in lower case, stripped."""

    line: int
    values: Mapping[str, str]

    @property
    def patient(self) -> str:
        """The patient, under either name of the column; empty where there is none."""
        return self.values.get("patient") or self.values.get("group") or ""


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a csv file (comma, semicolon or tab; UTF-8) that must have these columns.

    Raises DataError, naming the file and where it can the line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            delimiter = max(",;\t", key=header.count)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            names = [name.strip().lower() for name in next(reader, [])]
            if missing := [column for column in columns if column not in names]:
                has = ", ".join(filter(None, names)) or "no columns"
                raise DataError(f"{path} has no column {' and '.join(missing)}; it has {has}")
            for values in reader:
                if any(values):
                    if any(value.strip() for value in values[len(names) :]):
                        raise DataError(
                            f"{path}, line {reader.line_num}: {len(values)} values for {len(names)} columns: put a "
                            f"value that holds {delimiter!r} in quotes"
                        )
                    stripped = (value.strip() for value in values)
                    yield Row(reader.line_num, dict(zip(names, stripped, strict=False)) | _absent(names, values))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error.reason}): save it as UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _absent(names: Sequence[str], values: Sequence[str]) -> dict[str, str]:
    """A short line lacks its last values: they are empty."""
    return dict.fromkeys(names[len(values) :], "")
