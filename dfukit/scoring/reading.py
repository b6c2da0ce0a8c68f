"""Sets of pictures to be scored: a folder, an array, a run's synthetic set, or the real pictures behind a run.

First it is known what a set holds, by content, and only what must be computed is decoded: into a memory-mapped file, so
that 20,000 pictures need no more memory than ten.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen

from dfukit import phantom
from dfukit.absent import reopen
from dfukit.errors import DataError
from dfukit.images import load, read_split, resize, scores_dir
from dfukit.images.cache import check_space
from dfukit.images.decode import SIDE
from dfukit.images.find import MANIFEST, SUFFIXES, TABLES, Entry, find
from dfukit.images.pool import Job, decode_all
from dfukit.images.table import read_rows
from dfukit.progress import Progress, counter
from dfukit.registry import Registry
from dfukit.rows import Pixels, Rows
from dfukit.rundir import RunDir, open_run
from dfukit.sections import DataSettings

CHUNK = 256
"""Pictures resized at a time."""


@frozen(eq=False)
class Decoded:
    """How to have n pictures, uint8 [n, S, S, 3], at any size S, the width that half of them have at least, their
    places in the set that they are of, and a line about each that could not be used. `passing`: one of these may be
    usable another time."""

    at: Callable[[int], Pixels]
    width: int
    kept: np.ndarray
    left_out: Sequence[str] = ()
    passing: bool = False


@frozen(eq=False)
class Source:
    """A set of pictures that nobody has decoded yet.

    `digests` are SHA-256 of the files, or of the pixels of arrays; `labels` and `patients` are None where they are not
    known for all; `how` is what else decides what the pixels will be.
    """

    place: str
    names: Sequence[str]
    digests: Sequence[str]
    labels: Sequence[str] | None
    patients: Sequence[str] | None
    how: Mapping[str, Any]
    read: Callable[[np.ndarray, Progress], Decoded]
    """Of the pictures at some positions."""
    positions: np.ndarray

    def of_label(self, label: str) -> Source:
        """The pictures of one class. Raises DataError where the set has none, or no labels."""
        if self.labels is None:
            raise DataError(f"--label {label}: {self.place} has no labels: it needs {MANIFEST}, or a folder a label")
        if label not in self.labels:
            known = ", ".join(sorted(set(self.labels)))
            raise DataError(f"--label {label}: {self.place} has no such label; it has: {known}")
        index = [place for place, own in enumerate(self.labels) if own == label]
        return evolve(
            self,
            names=[self.names[i] for i in index],
            digests=[self.digests[i] for i in index],
            labels=None,
            patients=None if self.patients is None else [self.patients[i] for i in index],
            positions=self.positions[index],
        )

    def decode(self, progress: Progress) -> Decoded:
        return self.read(self.positions, progress)


def real_parts(source: str | Path | np.ndarray, registry: Registry, progress: Progress) -> dict[str, Source]:
    """The real set: `real`, or the training and test part of the pictures behind a run folder."""
    if isinstance(source, np.ndarray) or not (run := _place(source)).config.is_file():
        return {"real": pictures(source, "real")}
    return _of_run(run, registry, progress)


def pictures(source: str | Path | np.ndarray, what: str) -> Source:
    """A folder, an array, or the synthetic set of a run folder. Raises DataError where it is none of these."""
    if isinstance(source, np.ndarray):
        return _of_array(source, what)
    run = _place(source)
    folder = run.path
    if run.config.is_file():
        folder = run.synthetic if run.synthetic.is_dir() or not run.held_back.is_dir() else run.held_back
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder of pictures")
    return _of_folder(folder, what)


def _place(source: str | Path) -> RunDir:
    """A folder, or the run of that name, or the `latest`."""
    if Path(source).is_dir():
        return RunDir(Path(source))
    try:
        return open_run(source)
    except DataError:
        return RunDir(Path(source))


def _of_array(pixels: np.ndarray, what: str) -> Source:
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] != pixels.shape[2] or pixels.shape[3] != 3:
        raise DataError(f"{what} pictures must be uint8 [N, S, S, 3], got {pixels.dtype} {list(pixels.shape)}")

    def read(positions: np.ndarray, progress: Progress) -> Decoded:
        return Decoded(lambda size: resize(pixels[positions], size), pixels.shape[1], np.arange(len(positions)))

    return Source(
        place=f"the array of {what} pictures",
        names=[str(place) for place in range(len(pixels))],
        digests=[hashlib.sha256(np.ascontiguousarray(picture).data).hexdigest() for picture in pixels],
        labels=None,
        patients=None,
        how={"width": pixels.shape[1]},
        read=read,
        positions=np.arange(len(pixels)),
    )


def _of_run(run: RunDir, registry: Registry, progress: Progress) -> dict[str, Source]:
    settings = reopen(run, registry)
    if earlier := settings.gan.start_from:
        progress.say(
            f"warning: {run.path} began with the weights of {earlier}: whether pictures copy one that these learnt "
            f"from is another question (dfukit score {earlier} FOLDER --metric copies)"
        )
    config = settings.data
    report = counter(progress, "reading real pictures")
    images = load(config, report) if config.path else phantom.image_set(config, report)
    split = read_split(run.split, images)

    def read(positions: np.ndarray, progress: Progress) -> Decoded:
        return Decoded(lambda size: Rows(images.at(size), positions), SIDE, np.arange(len(positions)))

    return {
        part: Source(
            place=f"the {part} part of {run.path}",
            names=[images.paths[i] for i in index],
            digests=[images.sha256[i] for i in index],
            labels=[images.classes[images.labels[i]] for i in index],
            patients=[images.patients[images.groups[i]] for i in index],
            # The boxes of a manifest are in the pixels, and in no digest: the file of pixels has a new name with them.
            how={"fit": config.fit, "phantom": images.phantom, "pixels": images.stem.name},
            read=read,
            positions=index,
        )
        for part, index in (("train", split.train), ("test", split.test))
    }


def _of_folder(folder: Path, what: str) -> Source:
    entries, left_out = _find(folder)
    config = DataSettings()

    def read(positions: np.ndarray, progress: Progress) -> Decoded:
        some = [entries[i] for i in positions]
        return _decode(folder, some, config, f"reading {what} pictures", left_out, progress)

    loose = [entry for entry in entries if "/" not in entry.path]
    labelled = _listed(folder) or not loose
    return Source(
        place=str(folder),
        names=[entry.path for entry in entries],
        digests=[_digest(folder / entry.path) for entry in entries],
        labels=[entry.label for entry in entries] if labelled else None,
        patients=[entry.patient for entry in entries] if all(entry.patient for entry in entries) else None,
        how={"fit": config.fit, "boxes": [entry.box for entry in entries]},
        read=read,
        positions=np.arange(len(entries)),
    )


def _find(folder: Path) -> tuple[list[Entry], list[str]]:
    """Files that may be pictures, by path, and a line about each of the others that should not go unsaid."""
    found: dict[str, Entry] = {}
    left_out: list[str] = []
    listed = _listed(folder)
    for entry in find(folder, found.__contains__, None if listed else folder / MANIFEST):
        suffix = Path(entry.path).suffix.lower()
        reason = entry.reason
        if not entry.path or ((reason is not None or not listed) and suffix in TABLES):
            continue
        if reason is None and entry.path in found:
            reason = f"listed a second time in {MANIFEST}"
        if reason is None and not listed and "/" not in entry.path and suffix not in SUFFIXES:
            reason = "not called like a picture"
        if reason is None:
            found[entry.path] = entry
        else:
            left_out.append(f"left out {folder / entry.path}: {reason}")
    return [found[path] for path in sorted(found)], sorted(left_out)


def _listed(folder: Path) -> bool:
    """Whether the folder's manifest says which label each picture has."""
    if not (folder / MANIFEST).is_file():
        return False
    row = next(read_rows(folder / MANIFEST, ()), None)
    return row is not None and row.values.keys() >= {"path", "label"}


def _digest(path: Path) -> str:
    """Empty where the file cannot be read: decoding will say why."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _decode(
    folder: Path, entries: Sequence[Entry], config: DataSettings, task: str, left_out: Sequence[str], progress: Progress
) -> Decoded:
    kept, widths, lines, passing = [], [], list(left_out), False
    jobs = (Job((folder / entry.path).absolute(), entry.box) for entry in entries)
    # Pictures that all have one small size are taken as they are at that size: as a run takes its synthetic ones.
    native: set[int] = set()
    with _scratch(len(entries)) as file, _scratch(len(entries)) as own:
        for place, decoded in enumerate(decode_all(jobs, config)):
            if decoded.pixels is None:
                lines.append(f"left out {folder / entries[place].path}: {decoded.reason}")
                passing = passing or decoded.passing
            else:
                file.write(decoded.pixels.data)
                native.add(0 if decoded.native is None else decoded.width)
                if decoded.native is not None and len(native) == 1:
                    own.write(decoded.native.data)
                kept.append(place)
                widths.append(min(decoded.width, decoded.height))
            progress.update(task, place + 1, len(entries))
        at_sizes = {SIDE: _mapped(file, len(kept), SIDE)}
        if len(native) == 1 and (width := next(iter(native))):
            at_sizes[width] = _mapped(own, len(kept), width)
    width = int(np.median(widths)) if widths else SIDE
    return Decoded(
        lambda size: at_sizes[size] if size in at_sizes else _resized(at_sizes[SIDE], size),
        width,
        np.array(kept, np.int64),
        lines,
        passing,
    )


def _resized(pixels: np.ndarray, size: int) -> np.ndarray:
    if size == pixels.shape[1]:
        return pixels
    with _scratch(len(pixels)) as file:
        for start in range(0, len(pixels), CHUNK):
            file.write(resize(pixels[start : start + CHUNK], size).data)
        return _mapped(file, len(pixels), size)


def _scratch(n: int) -> Any:
    """A file for n pictures that has no name and ends with what maps it."""
    folder = scores_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_space(folder, n)
        return tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror}): set DFUKIT_CACHE_DIR") from None


def _mapped(file: Any, n: int, size: int) -> np.ndarray:
    """The pictures in a file, uint8 [n, size, size, 3]."""
    file.flush()
    if not n:
        return np.empty((0, size, size, 3), np.uint8)
    return np.memmap(file, np.uint8, "r", shape=(n, size, size, 3))
