"""Which pictures a folder holds: its manifest.csv, or its label folders."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from attrs import field, frozen

from dfukit.errors import DataError
from dfukit.images.decode import Box
from dfukit.images.table import Row, read_rows
from dfukit.rundir import RunDir

MANIFEST = "manifest.csv"
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".heic", ".heif")
"""What makes loose files in the root a label of their own; whether a file is a picture is seen from its content."""
TABLES = (".csv", ".json", ".txt", ".md")
"""Files that may lie among pictures and are none."""
KNOWN_COLUMNS = ("path", "label", "patient", "group", "split", "x", "y", "w", "h")
"""Columns of a manifest that say how a picture is used; further ones say something about the picture."""
PARTS = {"train": 0, "validation": 1, "val": 1, "test": 2, "": -1}


@frozen
class Entry:
    """A file that may be a picture. `path` counts from the root, with `/`; `part` is 0 to 2, or -1 for any.

    `about` holds the manifest's further columns. `reason` says why it is not used, and names no path: it is printed
    where paths are not. None where the file is worth decoding.
    """

    path: str
    label: str = ""
    patient: str = ""
    part: int = -1
    box: Box | None = None
    about: Mapping[str, str] = field(factory=dict)
    size: int = 0
    mtime: int = 0
    reason: str | None = None


def find(root: Path, known: Callable[[str], bool], ignore: Path | None = None) -> Iterator[Entry]:
    """Every visible file below `root`, and every row of its manifest, in no particular order. Runs are not looked into.

    `known(path)` tells whether an entry that was handed out before had this path. `ignore` is a csv that is no picture,
    which may be the manifest itself: then label folders count.
    A label comes as an entry without a path: a folder, even an empty one, a word of the manifest, or the root's own
    name where something in the root itself is called like a picture. Raises DataError for an unusable manifest.
    """
    manifest = root / MANIFEST
    other = ignore.relative_to(root).as_posix() if ignore and ignore.is_relative_to(root) else ""
    if not manifest.is_file() or manifest == ignore:
        yield from _walk(root, "", lambda path: path == other)
        return
    labels: set[str] = set()
    links: dict[str, bool] = {}
    for row in read_rows(manifest, ("path", "label")):
        entry = _from_row(root, manifest, row, links)
        if entry.label and entry.label not in labels:
            labels.add(entry.label)
            yield Entry("", entry.label)
        yield entry
    for entry in _walk(root, "", lambda path: path in (MANIFEST, other) or known(path)):
        if entry.path:
            yield Entry(entry.path, entry.label, reason=entry.reason or f"not listed in {MANIFEST}")


def below(folder: Path) -> Iterator[Entry]:
    """Every visible file below a folder whose pictures need no label, by path; links come with the reason against them.

    Tables and notes beside the pictures are passed over.
    """
    found = (entry for entry in _walk(folder, "", lambda path: False) if entry.path)
    yield from sorted(
        (entry for entry in found if PurePosixPath(entry.path).suffix.lower() not in TABLES),
        key=lambda entry: entry.path,
    )


def check_root(root: Path) -> None:
    """Raise DataError where `root` is no folder that can be read."""
    try:
        mode = root.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if root.is_absolute():
            raise DataError(f"data.path {root} does not exist") from None
        raise DataError(
            f"data.path {root} does not exist here: it counts from the folder where dfukit is started (a run has it "
            "in its config.toml): go there, or write the whole path"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"data.path {root} cannot be reached: {getattr(error, 'strerror', error)}") from None
    if not stat.S_ISDIR(mode):
        raise DataError(f"data.path {root} is a file: give the folder that holds the pictures")
    if not os.access(root, os.R_OK | os.X_OK):
        raise DataError(f"data.path {root} cannot be read: check its permissions")


def relative(root: Path, base: Path, text: str) -> str | None:
    """`text`, a path in a csv that lies in `base`, counted from `root`; None where it leads out of root.

    It may count from the csv or from root: whichever exists, the csv first. An absolute one may come to root by a link.
    """
    text = _straight(root, text)
    first: str | None = None
    for start in (base, root):
        path = os.path.relpath(os.path.normpath(os.path.join(start, text)), root)
        if path.split(os.sep)[0] != os.pardir and path != os.curdir:
            posix = path.replace(os.sep, "/")
            if os.path.isfile(os.path.join(root, path)):
                return posix
            first = first or posix
    return first


def _straight(root: Path, text: str) -> str:
    """An absolute path that comes to root by a link, spelt without it; any other one as it is."""
    if not os.path.isabs(text) or Path(text).is_relative_to(root):
        return text
    for folder in reversed(Path(text).parents):  # the outermost first: links below root are refused
        with suppress(OSError, ValueError):
            if os.path.samefile(folder, root):
                return str(root / Path(text).relative_to(folder))
    return text


def _is_run(folder: Path) -> bool:
    """Whether a folder is one; False where it cannot be looked into."""
    run = RunDir(folder)
    return os.path.isfile(run.config) and (os.path.isfile(run.split) or os.path.isfile(run.environment))


def _walk(root: Path, folder: str, skip: Callable[[str], bool]) -> Iterator[Entry]:
    """What lies in a folder below root, links not followed; files that `skip(path)` says so of are not looked at."""
    label = folder.split("/")[0] or root.name
    try:
        with os.scandir(os.path.join(root, folder)) as children:
            for child in children:
                if child.name.startswith("."):
                    continue
                path = f"{folder}/{child.name}" if folder else child.name
                if child.is_dir(follow_symlinks=False):
                    if _is_run(Path(child.path)):
                        yield Entry(_text(path), label, reason="a run: move it out of the folder of photographs")
                        continue
                    if not folder:
                        yield Entry("", label=child.name)
                    yield from _walk(root, path, skip)
                elif not skip(_text(path)):
                    if not folder and PurePosixPath(path).suffix.lower() in SUFFIXES:
                        yield Entry("", label)
                    yield _entry(root, path, label)
    except OSError as error:
        yield Entry(folder or ".", label, reason=f"folder cannot be read: {error.strerror}")


def _text(path: str) -> str:
    """A path that can be written down, even if it is not UTF-8."""
    return path.encode(errors="backslashreplace").decode()


def _entry(root: Path, path: str, label: str, **known: Any) -> Entry:
    """The entry of one file, looked at without opening it."""
    if path != _text(path):
        return Entry(_text(path), label, reason="its name is not UTF-8")
    try:
        status = os.lstat(os.path.join(root, path))
    except OSError as error:
        return Entry(path, label, reason=f"cannot be read: {error.strerror}")
    if stat.S_ISLNK(status.st_mode):
        return Entry(path, label, reason="a symbolic link: copy the file instead")
    if not stat.S_ISREG(status.st_mode):
        return Entry(path, label, reason="not a regular file")
    return Entry(path, label, size=status.st_size, mtime=status.st_mtime_ns, **known)


def _by_link(root: Path, folder: str, links: dict[str, bool]) -> bool:
    """Whether the way from root to a folder below it leads over a symbolic link; `links` are answers of before."""
    if folder not in links:
        parts = folder.split("/")
        steps = ("/".join(parts[: i + 1]) for i in range(len(parts)))
        links[folder] = any(os.path.islink(os.path.join(root, step)) for step in steps)
    return links[folder]


def _from_row(root: Path, manifest: Path, row: Row, links: dict[str, bool]) -> Entry:
    label = row.values["label"]
    path = relative(root, manifest.parent, row.values["path"]) if row.values["path"] else None
    if path is None:
        return Entry(
            row.values["path"] or f"line {row.line}", label, reason="its path in the manifest leads nowhere in root"
        )
    if not label:
        return Entry(path, reason=f"no label in line {row.line} of {MANIFEST}")
    part = row.values.get("split", "").lower()
    if part not in PARTS:
        raise DataError(f"{manifest}, line {row.line}: split must be train, validation or test, got {part!r}")
    box = _box(manifest, row)
    if not os.path.lexists(os.path.join(root, path)):
        return Entry(path, label, reason="listed in the manifest, but there is no such file")
    if _by_link(root, os.path.dirname(path), links):
        return Entry(path, label, reason="a folder on its way is a symbolic link: copy the folder instead")
    about = {name: value for name, value in row.values.items() if name and name not in KNOWN_COLUMNS}
    return _entry(root, path, label, patient=row.patient, part=PARTS[part], box=box, about=about)


def _box(manifest: Path, row: Row) -> Box | None:
    texts = [row.values.get(column, "") for column in ("x", "y", "w", "h")]
    if not any(texts):
        return None
    try:
        x, y, w, h = (float(text) for text in texts)
    except ValueError:
        raise DataError(f"{manifest}, line {row.line}: x,y,w,h must be four numbers, got {','.join(texts)!r}") from None
    if not (w > 0 and h > 0 and abs(x) < 1e9 and abs(y) < 1e9 and w < 1e9 and h < 1e9):
        raise DataError(f"{manifest}, line {row.line}: a box needs a width and a height, got {','.join(texts)!r}")
    return x, y, w, h
