"""The new lines of a file that another process appends to."""

from __future__ import annotations

import os
from pathlib import Path

from attrs import define, frozen

from dfukit.errors import DataError

SEAM = 512
"""Bytes before the place of the next reading that must still be what they were, or the file is another one."""


@frozen
class News:
    """Whole lines since the last reading; `anew` where nothing that was read before counts any more."""

    anew: bool
    lines: list[bytes]


@define
class Tail:
    """Reads a file on from where it last stopped. A last line without its end is left for the next reading."""

    path: Path
    _file: tuple[int, int] = (0, 0)
    _offset: int = 0
    _seam: bytes = b""

    def read(self) -> News:
        """What is new; nothing where the file is absent. Raises DataError where it cannot be read."""
        try:
            with self.path.open("rb") as file:
                about = os.fstat(file.fileno())
                file.seek(max(self._offset - len(self._seam), 0))
                same = (about.st_dev, about.st_ino) == self._file and file.read(len(self._seam)) == self._seam
                anew = self._offset > 0 and not same
                if anew or not self._offset:
                    self._begin((about.st_dev, about.st_ino))
                file.seek(self._offset)
                found = file.read()
        except FileNotFoundError:
            anew = self._offset > 0
            self._begin((0, 0))
            return News(anew, [])
        except OSError as error:
            raise DataError(f"{self.path}: {error.strerror or error}") from None
        whole = found[: found.rfind(b"\n") + 1]
        self._offset += len(whole)
        self._seam = (self._seam + whole)[-SEAM:]
        return News(anew, [line for line in whole.splitlines() if line.strip()])

    def _begin(self, file: tuple[int, int]) -> None:
        self._file, self._offset, self._seam = file, 0, b""
