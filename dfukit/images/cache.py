"""Where decoded pictures, and what was computed of them, are kept."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import numpy as np

from dfukit import places
from dfukit.errors import DataError
from dfukit.images.decode import SIDE

FORMAT = 1
"""Raised whenever the same file would be decoded to other pixels, or the index is laid out otherwise."""
PICTURE_BYTES = SIDE * SIDE * 3
PART = ".part"
"""How the name of a file ends that is being written."""
FORSAKEN = 3600.0
"""Seconds that nobody wrote to such a file, from which on whoever began it was killed."""
TURN = 0.1
"""Seconds between two looks at a lock that another process holds."""
TOLD_AFTER = 1.0
"""Seconds of waiting from which on it is worth a line."""


def cache_dir() -> Path:
    """The folder of all caches of pictures: `pictures` in DFUKIT_CACHE_DIR, or in the system's cache folder."""
    return places.cache() / "pictures"


def scores_dir() -> Path:
    """The folder of computed features and scores, beside that of pictures."""
    return places.cache() / "scores"


def ledger_dir() -> Path:
    """The folder of the ledgers of looks at test parts. It is no cache: nothing here deletes it."""
    return places.cache() / "ledger"


def clear_cache() -> int:
    """Delete every cached picture, feature and score; the bytes set free. The ledgers stay.

    Raises DataError naming what could not be deleted.
    """
    freed, failed = 0, dict[str, OSError]()

    def note(error: OSError) -> None:
        # A folder that is not empty holds what was noted before, or what another process has written just now.
        if error.errno != errno.ENOTEMPTY or not failed:
            failed[str(error.filename)] = error

    for folder in (cache_dir(), scores_dir()):
        # The folder itself stays: it may be a link to a larger disk.
        for parent, folders, files in os.walk(folder.resolve(), topdown=False, onerror=note):
            for name in (*files, *folders):
                try:
                    freed += _delete(os.path.join(parent, name))
                except OSError as error:
                    note(error)
    left = [path for path in failed if _remains(path)]
    if left:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        raise DataError(f"{left[0]}{more} cannot be deleted ({failed[left[0]].strerror}): delete by hand what is left")
    return freed


def _delete(path: str) -> int:
    """Delete a file, a link or an empty folder; the bytes set free."""
    if os.path.isdir(path) and not os.path.islink(path):
        os.rmdir(path)
        return 0
    size = os.lstat(path).st_size
    os.unlink(path)
    return size


def _remains(path: str) -> bool:
    """Whether something is there, or may be; another process may have deleted it."""
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno != errno.ENOENT
    return True


def folder_for(name: str, *identity: str) -> Path:
    """The cache folder of one data folder and fit. Raises DataError where it cannot be made."""
    key = hashlib.sha256("\0".join((str(FORMAT), *identity)).encode(errors="surrogateescape")).hexdigest()[:16]
    readable = "".join(c if c.isalnum() and c.isascii() else "_" for c in name)[:32] or "pictures"
    folder = cache_dir() / f"{readable}-{key}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"the cache {folder} cannot be made ({error.strerror}): set DFUKIT_CACHE_DIR") from None
    _sweep(folder)
    return folder


def _sweep(folder: Path) -> None:
    """Remove what writes that were killed left; others may be writing there now."""
    for path in folder.glob(f"*{PART}"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > FORSAKEN:
                path.unlink()


@contextmanager
def locked(folder: Path, say: Callable[[str], None] = lambda text: None) -> Iterator[bool]:
    """One process at a time; another waits, and says so. Gives whether it had to wait.

    The lock ends with the process, however it ends.
    """
    with ExitStack() as block:
        # SQLite's lock is the one file lock of the standard library that works alike on every system.
        try:
            lock = block.enter_context(
                closing(sqlite3.connect(folder / "lock.sqlite", timeout=0, isolation_level=None))
            )
            waited = _wait_for(lock, say)
        except sqlite3.Error as error:
            raise DataError(f"the cache {folder} cannot be locked ({error}): set DFUKIT_CACHE_DIR") from None
        yield waited


def _wait_for(lock: sqlite3.Connection, say: Callable[[str], None]) -> bool:
    """Take the lock; whether another process had it. SQLite could wait by itself, but hears no Ctrl-C then."""
    started, waited, told = time.monotonic(), False, False
    while True:
        try:
            lock.execute("BEGIN EXCLUSIVE")
            return waited
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
        waited = True
        if not told and time.monotonic() - started >= TOLD_AFTER:
            say("another dfukit reads these pictures: waiting")
            told = True
        time.sleep(TURN)


def check_space(folder: Path, pictures: int) -> None:
    """Raise DataError where the disk cannot hold so many pictures."""
    needed, free = pictures * PICTURE_BYTES, shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"the cache of {pictures} pictures needs {needed / 1e9:.1f} GB and {folder} has {free / 1e9:.1f} GB free: "
            "set DFUKIT_CACHE_DIR to a larger disk"
        )


def open_pixels(path: Path, size: int = SIDE) -> np.ndarray:
    """The pictures of a cache file, uint8 [N, size, size, 3], memory-mapped and read-only."""
    count = path.stat().st_size // (size * size * 3)
    return np.memmap(path, np.uint8, "r", shape=(count, size, size, 3))
