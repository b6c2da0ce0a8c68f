"""From a folder to an index and one file of pixels: find, decode what is new, put in order."""

from __future__ import annotations

import contextlib
import json
import re
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import PIL
from PIL import features

from dfukit.errors import ConfigError, DataError
from dfukit.images import cache, patients
from dfukit.images.decode import has_heic
from dfukit.images.find import MANIFEST, check_root, find
from dfukit.images.index import USED, Index
from dfukit.images.pool import Job, decode_all

if TYPE_CHECKING:
    from dfukit.sections import DataSettings

Progress = Callable[[int, int], None]
COMMIT = 64
"""Pictures decoded between two commits: what a kill can cost."""


def root_of(settings: DataSettings) -> Path:
    """The data folder, absolute. Raises DataError where it cannot be one, ConfigError where none is named."""
    if not settings.path:
        raise ConfigError("data.path is not set: give the folder of pictures")
    root = _expanded("data.path", settings.path)
    check_root(root)
    root = root.resolve()
    if (readable := str(root).encode(errors="backslashreplace").decode()) != str(root):
        raise DataError(f"data.path {readable}: its name is not UTF-8: rename that folder")
    return root


def patients_of(settings: DataSettings) -> Path | None:
    """The csv that says whose the pictures are, absolute; None where none is named."""
    return _expanded("data.patients", settings.patients).resolve() if settings.patients else None


def _expanded(setting: str, path: str) -> Path:
    """Raises DataError for the home folder of nobody."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise DataError(f"{setting} {path}: there is no such user: write the folder's whole path") from None


def refuse_inside(out: Path, settings: DataSettings) -> None:
    """Raise ConfigError where run folders would lie among label folders: the next run would take them for one.

    Raises what `root_of` does, too.
    """
    if not settings.path:
        return
    root = root_of(settings)
    labelled_by_manifest = (root / MANIFEST).is_file() and patients_of(settings) != root / MANIFEST
    if out.resolve().is_relative_to(root) and not labelled_by_manifest:
        raise ConfigError(
            f"--out {out} lies in data.path {root}, whose folders are labels: name a folder outside of it"
        )


def survey(index: Index, root: Path, settings: DataSettings) -> None:
    """Fill the index with what lies in the folder, and whose it is."""
    pattern = patients.pattern(settings)
    table = patients_of(settings)
    with index.transaction():
        for entry in find(root, index.knows, table):
            index.add(entry)
        if table:
            _patients_from_csv(index, root, table)
        if pattern:
            _patients_from_pattern(index, pattern)
    if not index.one("SELECT count(*) FROM entry"):
        if index.one("SELECT count(*) FROM refused"):
            raise DataError(_nothing_usable(index))
        raise DataError(f"{root} holds no file: expected {root.name}/LABEL/picture.jpg")


def decode_missing(
    index: Index, folder: Path, root: Path, settings: DataSettings, progress: Progress | None, again: bool
) -> None:
    """Decode what the index does not know yet, into a pixel file of its own; `again`, what failed in passing, too."""
    _forget_lost_files(index, folder)
    limits = json.dumps([settings.seconds_per_picture, has_heic(), PIL.__version__, features.version("jpg")])
    total = index.list_missing(limits, again)
    if not total:
        return
    cache.check_space(folder, total)
    waiting: deque[tuple[str, str, int, int]] = deque()

    def jobs() -> Iterator[Job]:
        for missing in index.rows("SELECT * FROM missing ORDER BY rowid"):
            waiting.append(missing)
            yield Job(root / missing[0], json.loads(missing[1]))

    name = f"pixels-{uuid.uuid4().hex[:12]}.u8"
    with (
        contextlib.ExitStack() as block,
        (folder / name).open("wb") as file,
        contextlib.closing(decode_all(jobs(), settings)) as results,
    ):
        row = 0
        for done, result in enumerate(results, 1):
            if done % COMMIT == 1:
                block.enter_context(index.transaction())
            index.put(waiting.popleft(), result, limits, name, row)
            if result.pixels is not None:
                file.write(result.pixels.tobytes())
                row += 1
            if done % COMMIT == 0:
                file.flush()
                block.close()
            if progress:
                progress(done, total)
        file.flush()


def arrange(index: Index, folder: Path) -> Path:
    """The one pixel file whose rows are the used pictures in the order of their paths; others are deleted."""
    place = f"SELECT file, row FROM {USED} ORDER BY path"
    first: str = next(index.rows(place), ("", 0))[0]
    count = 0
    in_order = True
    for file, row in index.rows(place):
        in_order = in_order and file == first and row == count
        count += 1
    if not count:
        raise DataError(_nothing_usable(index))
    if not in_order or (folder / first).stat().st_size != count * cache.PICTURE_BYTES:
        first = _merge(index, folder, place, count)
    stem = first.removesuffix(".u8")
    for path in folder.glob("pixels-*"):
        if not path.name.startswith(stem):
            with contextlib.suppress(OSError):  # another process may hold it open on Windows
                path.unlink()
    return folder / first


def _merge(index: Index, folder: Path, place: str, count: int) -> str:
    cache.check_space(folder, count)
    name = f"pixels-{uuid.uuid4().hex[:12]}.u8"
    opened = {file: cache.open_pixels(folder / file) for (file,) in index.rows(f"SELECT DISTINCT file FROM {USED}")}
    with (folder / name).open("wb") as target:
        for file, row in index.rows(place):
            target.write(opened[file][row].tobytes())
    index.move_all(name)
    return name


def _forget_lost_files(index: Index, folder: Path) -> None:
    last = "SELECT file, max(row) FROM picture WHERE file IS NOT NULL GROUP BY file"
    for file, row in list(index.rows(last)):
        path = folder / file
        if not path.is_file() or path.stat().st_size < (row + 1) * cache.PICTURE_BYTES:
            index.forget_file(file)


def _patients_from_csv(index: Index, root: Path, table: Path) -> None:
    list(index.rows("UPDATE entry SET patient = ''"))
    example, matched = "", 0
    for path, patient in patients.from_csv(root, table):
        example = example or path
        for (before,) in list(index.rows("SELECT patient FROM entry WHERE path = ?", path)):
            if before not in ("", patient):
                raise DataError(f"{table} gives {path} to {before!r} and to {patient!r}: a picture is of one patient")
        matched += index.assign(path, patient)
    if not example:
        raise DataError(f"{table} has no row with a path and a patient: fill it, or leave it out")
    if not matched:
        raise DataError(
            f"{table} names no picture of {root} (its first path reads {example!r}): its paths count from the csv or "
            "from the data folder"
        )


def _patients_from_pattern(index: Index, pattern: re.Pattern[str]) -> None:
    list(index.rows("UPDATE entry SET patient = ''"))
    matched = 0
    for (path,) in list(index.rows("SELECT path FROM entry")):
        match = pattern.search(path)
        if match and match[1]:
            matched += index.assign(path, match[1])
    if not matched:
        example = index.one("SELECT min(path) FROM entry")
        raise ConfigError(f"data.patient_pattern {pattern.pattern!r} matches no path, for instance {example!r}")


def _nothing_usable(index: Index) -> str:
    excluded = "SELECT path, reason FROM refused UNION ALL SELECT path, picture.reason FROM entry JOIN picture "
    excluded += "USING (path, box) WHERE picture.reason IS NOT NULL"
    path, reason = next(index.rows(f"{excluded} ORDER BY 1"))
    return f"no picture can be used; the first of {index.one(f'SELECT count(*) FROM ({excluded})')}: {path}: {reason}"
