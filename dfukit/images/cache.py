"""Where decoded pictures, and what was computed of them, are kept."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from dfukit import places
from dfukit.errors import DataError
from dfukit.images.decode import SIDE

FORMAT = 1
"""Raised whenever the same file would be decoded to other pixels, or the index is laid out otherwise."""
PICTURE_BYTES = SIDE * SIDE * 3


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
    """Delete every cached picture, feature and score; the bytes set free. The ledgers stay."""
    freed = 0
    for folder in (cache_dir(), scores_dir()):
        for path in folder.rglob("*"):
            if path.is_file():
                freed += path.stat().st_size
        shutil.rmtree(folder, ignore_errors=True)
    return freed


def folder_for(name: str, *identity: str) -> Path:
    """The cache folder of one data folder and fit. Raises DataError where it cannot be made."""
    key = hashlib.sha256("\0".join((str(FORMAT), *identity)).encode(errors="surrogateescape")).hexdigest()[:16]
    readable = "".join(c if c.isalnum() and c.isascii() else "_" for c in name)[:32] or "pictures"
    folder = cache_dir() / f"{readable}-{key}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"the cache {folder} cannot be made ({error.strerror}): set DFUKIT_CACHE_DIR") from None
    return folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time; another waits. The lock ends with the process, however it ends."""
    # SQLite's lock is the one file lock of the standard library that works alike on every system.
    with closing(sqlite3.connect(folder / "lock.sqlite", timeout=24 * 3600, isolation_level=None)) as lock:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            raise DataError(f"the cache {folder} cannot be locked ({error}): set DFUKIT_CACHE_DIR") from None
        yield


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
