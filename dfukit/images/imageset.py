"""The pictures of a run: what every later step reads."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from attrs import evolve, field, frozen

from dfukit import manifest
from dfukit.errors import ConfigError, DataError
from dfukit.images import cache
from dfukit.images.check import DataCheck, check_arrays, check_index
from dfukit.images.columns import Columns, read_columns
from dfukit.images.decode import SIDE
from dfukit.images.duplicates import THUMBNAIL, clusters
from dfukit.images.grouping import group
from dfukit.images.index import USED, Index
from dfukit.images.pool import Job, decode_all
from dfukit.images.prepare import Progress, arrange, decode_missing, root_of, survey
from dfukit.images.resample import resize
from dfukit.images.texts import Texts

if TYPE_CHECKING:
    from dfukit.sections import DataSettings

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
LONGEST = 200
"""Bytes of a label, or of a part of it between slashes: file systems hold names of 255."""

SMALLEST_SET = 3
"""Pictures that a set must have: one for each part of the split."""
CHUNK = 256
"""Pictures resized at a time."""


@frozen(eq=False)
class ImageSet:
    """N usable pictures with their labels and patients, in the order of their paths.

    Attributes
    ----------
    name: the folder's name, or "phantom"; `phantom`: drawn by the program, no patient in it.
    classes: sorted; `positive`: the one that scores are about, None where there is one class only.
    paths: counted from the data folder, with `/`. sha256: of the files, hexadecimal.
    labels: int64 [N], indices into classes. groups: int64 [N], indices into patients.
    patients_known: False where some or all of them are clusters of near-duplicates.
    pixels: uint8 [N, 256, 256, 3], memory-mapped.
    assigned: int64 [N], 0 train, 1 validation, 2 test, -1 free, from a manifest's `split` column; None without one.
    columns: further columns of the manifest that have a few values each.
    """

    name: str
    phantom: bool
    classes: tuple[str, ...]
    positive: str | None
    paths: Sequence[str]
    sha256: Sequence[str]
    labels: np.ndarray
    groups: np.ndarray
    patients: Sequence[str]
    patients_known: bool
    pixels: np.ndarray
    check: DataCheck
    assigned: np.ndarray | None
    stem: Path = field(repr=False)
    """Where files made of these pixels are cached: a folder and the start of their name."""
    columns: Columns = field(factory=Columns, repr=False)

    def at(self, size: int) -> np.ndarray:
        """The pictures at another size, uint8 [N, size, size, 3], memory-mapped and cached."""
        return _at(self.pixels, self.stem, size)


def load(
    settings: DataSettings, progress: Progress | None = None, say: Callable[[str], None] = lambda text: None
) -> ImageSet:
    """The pictures of `settings.path`, decoded or from the cache. `progress(done, total)` is called while decoding,
    and `say(text)` where another process has to be waited for.

    Raises DataError where the folder, its csv files or its pictures cannot be used, and ConfigError where the positive
    class is unknown or must be named.
    """
    with _opened(settings, say) as (index, folder, root, again):
        survey(index, root, settings)
        # Before the pictures are decoded, which may take an hour.
        choose_positive(_classes(index, root), settings.positive)
        decode_missing(index, folder, root, settings, progress, again)
        images = _assemble(index, folder, root)
    return evolve(images, positive=choose_positive(images.classes, settings.positive))


def inspect(
    settings: DataSettings, progress: Progress | None = None, say: Callable[[str], None] = lambda text: None
) -> DataCheck:
    """What would be used and what would not, and why; needs no positive class. The callbacks are those of `load`.

    Raises DataError where the folder or its csv files cannot be used, or nothing usable is left, and ConfigError where
    a positive class is named that is no label.
    """
    with _opened(settings, say) as (index, folder, root, again):
        survey(index, root, settings)
        if settings.positive:
            choose_positive(_classes(index, root), settings.positive)
        decode_missing(index, folder, root, settings, progress, again)
        return _assemble(index, folder, root).check


def decode_picture(path: Path, settings: DataSettings) -> np.ndarray:
    """One foreign picture by the same way, uint8 [256, 256, 3]. Raises DataError with the reason where it fails."""
    (result,) = decode_all([Job(path.absolute())], settings, workers=1)
    if result.pixels is None:
        raise DataError(f"{path}: {result.reason}")
    return result.pixels


def choose_positive(classes: Sequence[str], positive: str) -> str | None:
    """The positive class: as named, else `infected` where it exists, and None where there is one class only.

    Raises ConfigError where the name is unknown, or several classes leave it open.
    """
    if positive:
        if positive not in classes:
            raise ConfigError(f"data.positive {positive!r} is not a label; the labels are: {', '.join(classes)}")
        return positive if len(classes) > 1 else None
    if len(classes) < 2:
        return None
    if "infected" in classes:
        return "infected"
    raise ConfigError(f"data.positive is not set: name the positive class with --positive, one of {', '.join(classes)}")


def from_arrays(
    name: str,
    pixels: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    classes: Sequence[str],
    positive: str | None,
    paths: Sequence[str],
    patients: Sequence[str],
    phantom: bool,
) -> ImageSet:
    """An image set of pictures that lie in no folder: uint8 [N, 256, 256, 3] with labels [N] and groups [N]."""
    sha256 = Texts(hashlib.sha256(picture.tobytes()).hexdigest() for picture in pixels)
    stem = cache.folder_for(name, "arrays", *sha256) / "pixels"
    return ImageSet(
        name=name,
        phantom=phantom,
        classes=tuple(classes),
        positive=positive,
        paths=paths,
        sha256=sha256,
        labels=np.asarray(labels, np.int64),
        groups=np.asarray(groups, np.int64),
        patients=patients,
        patients_known=True,
        pixels=pixels,
        check=check_arrays(name, classes, labels, groups, sha256),
        assigned=None,
        stem=stem,
    )


@contextmanager
def _opened(settings: DataSettings, say: Callable[[str], None]) -> Iterator[tuple[Index, Path, Path, bool]]:
    """The index of the data folder, its cache folder and the data folder itself, for this process alone; and whether
    what failed in passing is worth another try."""
    root = root_of(settings)
    folder = cache.folder_for(root.name, str(root), settings.fit, f"{settings.max_megapixels:g}")
    try:
        with cache.locked(folder, say) as waited, closing(Index(folder)) as index:
            # Processes of one run must hold the same pictures: whoever waited takes what the other found.
            yield index, folder, root, not waited
    except sqlite3.OperationalError as error:
        raise DataError(
            f"the cache {folder} cannot be used ({error}): make room and give leave to write there, or set "
            "DFUKIT_CACHE_DIR"
        ) from None
    except sqlite3.DatabaseError as error:
        raise DataError(f"the cache {folder} is damaged ({error}): empty it with `dfukit data clear`") from None
    except OSError as error:
        raise DataError(f"the cache {folder} cannot be used ({error}): set DFUKIT_CACHE_DIR") from None


def _classes(index: Index, root: Path) -> tuple[str, ...]:
    """The sorted labels. Raises DataError for a label without any file that might be a picture."""
    empty = "SELECT name FROM label EXCEPT SELECT label FROM entry ORDER BY 1"
    for (label,) in index.rows(empty):
        refused = "SELECT path, reason FROM refused WHERE label = ? ORDER BY path"
        example = next((f" (its first file, {path}: {reason})" for path, reason in index.rows(refused, label)), "")
        raise DataError(f"label {label!r} has no picture{example}: fill it or remove it")
    labels = tuple(label for (label,) in index.rows("SELECT name FROM label ORDER BY name")) or (root.name,)
    for label in labels:
        if not _names_a_folder(label):
            raise DataError(f"label {label!r} cannot be the name of a folder, as synthetic pictures need it: rename it")
    return labels


def _names_a_folder(label: str) -> bool:
    """Whether synthetic pictures can lie in a folder called so, below their set's."""
    if manifest.leads_out(label) or CONTROL.search(label):
        return False
    return all(len(part.encode()) <= LONGEST for part in PurePosixPath(label).parts)


def _used_classes(index: Index, root: Path) -> tuple[str, ...]:
    """The labels that have pictures now that they are decoded. Raises DataError for a label that has none."""
    used = {label for (label,) in index.rows(f"SELECT DISTINCT label FROM {USED}")}
    for label in _classes(index, root):
        files = "SELECT path, reason FROM entry JOIN picture USING (path, box) WHERE label = ? ORDER BY path"
        # What lies loose in the root, beside labels that have pictures, was a note or a broken picture.
        if label not in used and label != root.name:
            path, reason = next(index.rows(files, label))
            raise DataError(f"label {label!r} has no usable picture (its first file, {path}: {reason})")
    return tuple(sorted(used))


def _assemble(index: Index, folder: Path, root: Path) -> ImageSet:
    file = arrange(index, folder)
    stem = file.with_suffix("")
    classes = _used_classes(index, root)
    count = int(index.one(f"SELECT count(*) FROM {USED}"))
    if count < SMALLEST_SET:
        raise DataError(f"{root} has {count} usable picture{'s' * (count > 1)}: at least {SMALLEST_SET} are needed")
    pixels = cache.open_pixels(file)
    near = _near(pixels, stem)
    groups, patients, known = group(index, near)
    number = {label: i for i, label in enumerate(classes)}
    texts = index.rows(f"SELECT label FROM {USED} ORDER BY path")
    labels = np.fromiter((number[label] for (label,) in texts), np.int64, count)
    assigned = np.fromiter((part for (part,) in index.rows(f"SELECT part FROM {USED} ORDER BY path")), np.int64, count)
    return ImageSet(
        name=root.name,
        phantom=False,
        classes=classes,
        positive=None,
        paths=Texts(path for (path,) in index.rows(f"SELECT path FROM {USED} ORDER BY path")),
        sha256=Texts(digest.hex() for (digest,) in index.rows(f"SELECT sha256 FROM {USED} ORDER BY path")),
        labels=labels,
        groups=groups,
        patients=patients,
        patients_known=known,
        pixels=pixels,
        check=check_index(index, root, folder, classes, labels, groups, known, near),
        assigned=assigned if (assigned >= 0).any() else None,
        stem=stem,
        columns=read_columns((about for (about,) in index.rows(f"SELECT about FROM {USED} ORDER BY path")), count),
    )


def _near(pixels: np.ndarray, stem: Path) -> np.ndarray:
    """Clusters of near-duplicates int64 [N], from the cache where they were found before."""
    path = stem.with_name(f"{stem.name}-near.npy")
    with suppress(OSError, ValueError, EOFError):  # it is not there, or torn
        kept = np.asarray(np.load(path, allow_pickle=False))
        if kept.shape == (len(pixels),):
            return kept
    found = clusters(_at(pixels, stem, THUMBNAIL))
    _write(path, lambda file: np.save(file, found, allow_pickle=False))
    return found


def _at(pixels: np.ndarray, stem: Path, size: int) -> np.ndarray:
    if size == SIDE:
        return pixels
    path = stem.with_name(f"{stem.name}-{size}.u8")
    if not path.is_file() or path.stat().st_size != len(pixels) * size * size * 3:

        def write(file: BinaryIO) -> None:
            for start in range(0, len(pixels), CHUNK):
                file.write(resize(pixels[start : start + CHUNK], size).tobytes())

        _write(path, write)
    return cache.open_pixels(path, size)


def _write(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Let `write` fill a file that appears whole or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}{cache.PART}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}): set DFUKIT_CACHE_DIR") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
