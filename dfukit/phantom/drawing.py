"""Patients and sets of them, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from dfukit.phantom.camera import photograph
from dfukit.phantom.surface import EXTENT, paint
from dfukit.phantom.traits import draw_traits, is_infected

CLASSES = ("infected", "non_infected")

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
Progress = Callable[[int, int], None]


def draw_patient(seed: int, patient: int, pictures: int, size: int = 256) -> tuple[Pixels, str]:
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


def draw_patients(
    patients: int, pictures: int, seed: int, size: int, progress: Progress | None
) -> Iterator[tuple[Pixels, str]]:
    """What `draw_patient` returns, one patient after another. `progress(done, of)` is called after each."""
    for patient in range(patients):
        yield draw_patient(seed, patient, pictures, size)
        if progress is not None:
            progress(patient + 1, patients)


def draw_set(
    patients: int, pictures: int, seed: int, size: int = 256, progress: Progress | None = None
) -> tuple[Pixels, Labels, Labels]:
    """Pixels [N, size, size, 3], labels [N] into CLASSES and patients [N], for N = patients x pictures.

    `progress(done, of)` is called after each patient.
    """
    pixels = np.concatenate([drawn for drawn, _ in draw_patients(patients, pictures, seed, size, progress)])
    return pixels, *labels_and_groups(patients, pictures, seed)


def labels_and_groups(patients: int, pictures: int, seed: int) -> tuple[Labels, Labels]:
    """Labels [N] into CLASSES and patients [N] of a set, without drawing it."""
    labels = np.array([0 if is_infected(seed, patient) else 1 for patient in range(patients)], np.int64)
    return np.repeat(labels, pictures), np.repeat(np.arange(patients, dtype=np.int64), pictures)
