"""Patients and sets of them, as arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dfukit.phantom.camera import photograph
from dfukit.phantom.surface import EXTENT, paint
from dfukit.phantom.traits import draw_traits, is_infected

CLASSES = ("infected", "non_infected")

Progress = Callable[[int, int], None]


def draw_patient(seed: int, patient: int, pictures: int, size: int = 256) -> tuple[NDArray[np.uint8], str]:
    """The pictures [pictures, size, size, 3] of one patient, and its class. A function of its arguments to the byte.

    Neither the other patients nor how many pictures are drawn changes a picture.
    """
    infected = is_infected(seed, patient)
    rng = np.random.default_rng([seed, 1, patient])
    surface = paint(rng, draw_traits(rng, infected), round(size * EXTENT))
    photographs = [
        photograph(np.random.default_rng([seed, 2, patient, picture]), surface, size) for picture in range(pictures)
    ]
    return np.stack(photographs), CLASSES[0] if infected else CLASSES[1]


def draw_set(
    patients: int, pictures: int, seed: int, size: int = 256, progress: Progress | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Pixels [N, size, size, 3], labels [N] into CLASSES and patients [N], for N = patients x pictures.

    `progress(done, of)` is called after each patient.
    """
    pixels = np.empty((patients * pictures, size, size, 3), np.uint8)
    draw_into(pixels, patients, seed, progress)
    return pixels, *labels_and_groups(patients, pictures, seed)


def draw_into(pixels: NDArray[np.uint8], patients: int, seed: int, progress: Progress | None) -> None:
    """Fill pixels [N, size, size, 3], N being a multiple of `patients`, patient after patient."""
    pictures, size = len(pixels) // patients, pixels.shape[1]
    for patient in range(patients):
        pixels[patient * pictures : (patient + 1) * pictures], _ = draw_patient(seed, patient, pictures, size)
        if progress is not None:
            progress(patient + 1, patients)


def labels_and_groups(patients: int, pictures: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels [N] into CLASSES and patients [N] of a set, without drawing it."""
    labels = np.array([0 if is_infected(seed, patient) else 1 for patient in range(patients)], np.int64)
    return np.repeat(labels, pictures), np.repeat(np.arange(patients, dtype=np.int64), pictures)
