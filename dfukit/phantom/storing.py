"""The phantom set as a folder of pictures, and as the image set of a run."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dfukit import rundir
from dfukit.errors import DataError
from dfukit.images import ImageSet, cache, choose_positive, from_arrays
from dfukit.phantom.drawing import CLASSES, Progress, draw_patients, labels_and_groups
from dfukit.sections import DataSettings

SIZE = 256

DRAWING = 2
"""Raised with every change of what is drawn, so that no older cache is read."""


def write_folder(folder: Path, patients: int, pictures: int, seed: int, size: int = SIZE) -> None:
    """Write a set as `<label>/patient_0001_1.png` with a manifest.csv (path, label, patient).

    Raises DataError where the folder cannot be written.
    """
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(("path", "label", "patient"))
    info = PngInfo()
    info.add_text("Description", "Drawn by dfukit: it shows no patient.")
    try:
        for patient, (photographs, label) in enumerate(draw_patients(patients, pictures, seed, size, None)):
            for picture, pixels in enumerate(photographs):
                path = _path(label, patient, picture)
                png = io.BytesIO()
                Image.fromarray(pixels).save(png, "PNG", pnginfo=info)
                rundir.write_bytes(folder / path, png.getvalue())
                rows.writerow((path, label, _name(patient)))
        rundir.write_text(folder / "manifest.csv", table.getvalue())
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror}): name another folder") from None


def image_set(settings: DataSettings, progress: Progress | None = None) -> ImageSet:
    """The phantom set of a run, 256 pixels wide, drawn with the seed of the split.

    A second start reads the pixels from the cache. `progress(done, of)` is called while drawing, after each patient.
    Raises DataError where the cache cannot be written, and ConfigError where the positive class is unknown.
    """
    patients, pictures, seed = settings.phantom_patients, settings.phantom_pictures, settings.split_seed
    positive = choose_positive(CLASSES, settings.positive)
    labels, groups = labels_and_groups(patients, pictures, seed)
    return from_arrays(
        name="phantom",
        pixels=_cached_pixels(patients, pictures, seed, progress),
        labels=labels,
        groups=groups,
        classes=CLASSES,
        positive=positive,
        paths=[_path(CLASSES[label], i // pictures, i % pictures) for i, label in enumerate(labels)],
        patients=[_name(patient) for patient in range(patients)],
        phantom=True,
    )


def _cached_pixels(patients: int, pictures: int, seed: int, progress: Progress | None) -> np.ndarray:
    """Pixels [N, SIZE, SIZE, 3] of a set, memory-mapped; drawn first where the cache does not hold them whole."""
    count = patients * pictures
    folder = cache.folder_for("phantom", f"drawing {DRAWING}", f"{patients} x {pictures}", f"seed {seed}")
    path = folder / "pixels.u8"
    with cache.locked(folder):
        if not path.is_file() or path.stat().st_size != count * cache.PICTURE_BYTES:
            cache.check_space(folder, count)
            temporary = path.with_suffix(".part")
            try:
                with temporary.open("wb") as file:
                    for photographs, _ in draw_patients(patients, pictures, seed, SIZE, progress):
                        file.write(photographs.tobytes())
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            except OSError as error:
                raise DataError(f"{path} cannot be written ({error.strerror}): set DFUKIT_CACHE_DIR") from None
            finally:
                temporary.unlink(missing_ok=True)
    return cache.open_pixels(path)


def _name(patient: int) -> str:
    return f"patient_{patient + 1:04d}"


def _path(label: str, patient: int, picture: int) -> str:
    return f"{label}/{_name(patient)}_{picture + 1}.png"
