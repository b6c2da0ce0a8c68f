"""The phantom set as a folder of pictures, and as the image set of a run."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dfukit import rundir
from dfukit.config import DataSettings
from dfukit.errors import DataError
from dfukit.phantom.drawing import CLASSES, Progress, draw_into, draw_patient, labels_and_groups

if TYPE_CHECKING:
    from dfukit.images import ImageSet

Pixels = NDArray[np.uint8]

SIZE = 256

DRAWING = 1
"""Raised with every change of what is drawn, so that no older cache is read."""


def write_folder(folder: Path, patients: int, pictures: int, seed: int, size: int = SIZE) -> None:
    """Write a set as `<label>/patient_0001_1.png` with a manifest.csv (path, label, patient)."""
    rows = []
    for patient in range(patients):
        photographs, label = draw_patient(seed, patient, pictures, size)
        for picture, pixels in enumerate(photographs):
            path = _path(label, patient, picture)
            png = io.BytesIO()
            Image.fromarray(pixels).save(png, "PNG")
            rundir.write_bytes(folder / path, png.getvalue())
            rows.append((path, label, _name(patient)))
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([("path", "label", "patient"), *rows])
    rundir.write_text(folder / "manifest.csv", table.getvalue())


def image_set(settings: DataSettings, progress: Progress | None = None) -> ImageSet:
    """The phantom set of a run, 256 pixels wide, drawn with the seed of the split.

    A second start reads the pixels from the cache.

    Raises DataError where the cache cannot be written.
    """
    # dfukit.images opens the phantom set where no folder is given, so that neither can import the other first.
    from dfukit.images import cache_dir, from_arrays

    patients, pictures, seed = settings.phantom_patients, settings.phantom_pictures, settings.split_seed
    labels, groups = labels_and_groups(patients, pictures, seed)
    return from_arrays(
        name="phantom",
        pixels=_cached_pixels(cache_dir(), patients, pictures, seed, progress),
        labels=labels,
        groups=groups,
        classes=CLASSES,
        positive="infected",
        paths=[_path(CLASSES[labels[i]], int(groups[i]), i % pictures) for i in range(len(labels))],
        patients=[_name(int(group)) for group in groups],
        phantom=True,
    )


def _cached_pixels(folder: Path, patients: int, pictures: int, seed: int, progress: Progress | None) -> Pixels:
    """Pixels [N, SIZE, SIZE, 3] of a set, memory-mapped; drawn first where the cache does not hold them whole."""
    shape = (patients * pictures, SIZE, SIZE, 3)
    path = folder / f"phantom-{patients}x{pictures}-seed{seed}-drawing{DRAWING}.npy"
    if not _holds(path, shape):
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            pixels = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
            draw_into(pixels, patients, seed, progress)
            pixels.flush()
            del pixels
            temporary.replace(path)
        except OSError as error:
            raise DataError(
                f"{path}: cannot be written ({error.strerror or error}); set DFUKIT_CACHE_DIR to a folder with room"
            ) from None
        finally:
            temporary.unlink(missing_ok=True)
    drawn: Pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    return drawn


def _holds(path: Path, shape: tuple[int, ...]) -> bool:
    """Whether a file is an array of that shape, all of it."""
    try:
        pixels: Pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return pixels.shape == shape and pixels.dtype == np.uint8


def _name(patient: int) -> str:
    return f"patient_{patient + 1:04d}"


def _path(label: str, patient: int, picture: int) -> str:
    return f"{label}/{_name(patient)}_{picture + 1}.png"
