"""The index of a cache folder: what lies in the data folder, and what decoding made of it.

It is a SQLite file, so that 100,000 pictures need no more memory than ten.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dfukit.errors import DataError
from dfukit.images.find import MANIFEST, Entry
from dfukit.images.pool import Decoded

SCHEMA = """
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS picture (
    path TEXT NOT NULL, box TEXT NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL,
    sha256 BLOB NOT NULL, reason TEXT, limits TEXT NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, format TEXT NOT NULL, text INTEGER NOT NULL,
    file TEXT, row INTEGER, PRIMARY KEY (path, box)
) WITHOUT ROWID;
CREATE TEMP TABLE entry (
    path TEXT PRIMARY KEY, label TEXT NOT NULL, patient TEXT NOT NULL, part INTEGER NOT NULL,
    box TEXT NOT NULL, about TEXT NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TEMP TABLE refused (path TEXT NOT NULL, label TEXT NOT NULL, reason TEXT NOT NULL);
CREATE INDEX temp.refused_path ON refused (path);
CREATE TEMP TABLE label (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""
"""`entry`, `refused` and `label` are what was found this time; `picture` is what decoding made of each file, kept."""

PART_NAMES = ("train", "validation", "test", "")
"""By number; the last one is that of -1."""
PASSING = ""
"""The limits of what failed for a passing reason."""
USED = "entry JOIN picture USING (path, box) WHERE picture.reason IS NULL"
"""The pictures that are used; ordered by path they are the rows of the pixel file."""


class Index:
    """An open index. It is used within the cache's lock."""

    def __init__(self, folder: Path) -> None:
        self._db = sqlite3.connect(folder / "index.sqlite", isolation_level=None)
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        self._db.close()

    def rows(self, query: str, *values: Any) -> Iterator[Any]:
        """The rows of a query, as they come."""
        return self._db.execute(query, values)

    def one(self, query: str, *values: Any) -> Any:
        """The first value of the first row."""
        return self._db.execute(query, values).fetchone()[0]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What happens inside is kept as a whole."""
        self._db.execute("BEGIN")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:  # a full disk has ended it
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def knows(self, path: str) -> bool:
        """Whether an entry with this path was added."""
        query = "SELECT EXISTS (SELECT 1 FROM entry WHERE path = ?1) OR EXISTS (SELECT 1 FROM refused WHERE path = ?1)"
        return bool(self.one(query, path))

    def add(self, entry: Entry) -> None:
        """Take in what was found."""
        if not entry.path:
            self._db.execute("INSERT OR IGNORE INTO label VALUES (?)", (_text(entry.label),))
            return
        if entry.reason is not None:
            self.refuse(entry.path, entry.label, entry.reason)
            return
        texts = (json.dumps(entry.box), json.dumps(dict(entry.about)))
        values = (entry.path, entry.label, entry.patient, entry.part, *texts, entry.size, entry.mtime)
        if not self._db.execute("INSERT OR IGNORE INTO entry VALUES (?,?,?,?,?,?,?,?)", values).rowcount:
            before = next(self.rows("SELECT label, patient, part, box, about FROM entry WHERE path = ?", entry.path))
            _check_alike(entry.path, _told(*before), _told(entry.label, entry.patient, entry.part, *texts))
            self.refuse(entry.path, entry.label, "listed a second time in the manifest")

    def refuse(self, path: str, label: str, reason: str) -> None:
        """Note a file that is not worth decoding."""
        self._db.execute("INSERT INTO refused VALUES (?,?,?)", (_text(path), _text(label), reason))

    def assign(self, path: str, patient: str) -> bool:
        """Say whose a picture is; False where there is no such picture."""
        return bool(self._db.execute("UPDATE entry SET patient = ? WHERE path = ?", (patient, path)).rowcount)

    def list_missing(self, limits: str, again: bool) -> int:
        """Fill the table `missing` with the entries that must be decoded, in the order of their paths; their number.

        What failed under other limits is tried again, and with `again` what failed for a passing reason, too.
        """
        self._db.execute(
            """CREATE TEMP TABLE missing AS SELECT entry.path, entry.box, entry.size, entry.mtime FROM entry
            LEFT JOIN picture ON picture.path = entry.path AND picture.box = entry.box AND picture.size = entry.size
                AND picture.mtime = entry.mtime AND (picture.reason IS NULL OR picture.limits IN (?, ?))
            WHERE picture.path IS NULL ORDER BY entry.path""",
            (limits, limits if again else PASSING),
        )
        return int(self.one("SELECT count(*) FROM missing"))

    def put(self, missing: tuple[str, str, int, int], result: Decoded, limits: str, file: str, row: int) -> None:
        """Keep what decoding made of an entry: a row of a pixel file, or a reason."""
        limits = PASSING if result.passing else limits
        place = (file, row) if result.reason is None else (None, None)
        about = (result.width, result.height, result.format, int(result.text))
        self._db.execute(
            "INSERT OR REPLACE INTO picture VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (*missing, result.sha256, result.reason, limits, *about, *place),
        )

    def forget_file(self, file: str) -> None:
        """Drop the pictures of a pixel file that is gone."""
        self._db.execute("DELETE FROM picture WHERE file = ?", (file,))

    def move_all(self, file: str) -> None:
        """The used pictures are now the rows of `file`, in the order of their paths; the others are forgotten."""
        with self.transaction():
            self._db.execute(f"CREATE TEMP TABLE kept AS SELECT path, box FROM {USED} ORDER BY path")
            self._db.execute("CREATE UNIQUE INDEX temp.kept_path ON kept (path, box)")
            self._db.execute(
                "UPDATE picture SET file = ?, row = (SELECT kept.rowid - 1 FROM kept WHERE kept.path = picture.path "
                "AND kept.box = picture.box) WHERE file IS NOT NULL",
                (file,),
            )
            self._db.execute("DELETE FROM picture WHERE file IS NOT NULL AND row IS NULL")
            self._db.execute("DROP TABLE kept")


def _told(label: str, patient: str, part: int, box: str, about: str) -> dict[str, Any]:
    """What a row of the manifest tells of its picture, by column."""
    return {"label": label, "patient": patient, "split": PART_NAMES[part], "box": json.loads(box), **json.loads(about)}


def _check_alike(path: str, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise DataError where two rows of a picture differ."""
    for column, value in now.items():
        if value != before[column]:
            raise DataError(
                f"{MANIFEST} lists {path} twice, with {column} {before[column]!r} and {value!r}: keep the row that is "
                "right"
            )


def _text(name: str) -> str:
    """A name that SQLite can hold, even if it is not UTF-8."""
    return name.encode(errors="backslashreplace").decode()
