"""Pictures of a part of the split: where they live, and that it makes no difference to what is computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dfukit.resident import DevicePictures, fits
from dfukit.rows import Rows

CPU = torch.device("cpu")


@pytest.fixture
def mapped(tmp_path: Path) -> np.ndarray:
    """Twelve pictures in a file."""
    np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8).tofile(tmp_path / "pixels.u8")
    return np.memmap(tmp_path / "pixels.u8", np.uint8, "r", shape=(12, 8, 8, 3))


@pytest.mark.parametrize("resident", [False, True])
def test_a_batch_is_the_same_wherever_the_pictures_live(mapped: np.ndarray, resident: bool) -> None:
    labels = np.arange(6) % 2
    pictures = DevicePictures(Rows(mapped, np.arange(1, 12, 2)), labels, CPU, resident)
    images, taken = pictures.take(torch.tensor([5, 0, 5]))
    assert torch.equal(images, torch.from_numpy(mapped[[11, 1, 11]]).permute(0, 3, 1, 2))
    assert images.dtype == torch.uint8
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert taken.tolist() == [1, 0, 1]
    assert len(pictures) == 6


def test_on_a_cpu_pictures_stay_in_the_memory_map(mapped: np.ndarray) -> None:
    assert not DevicePictures(mapped, np.zeros(12), CPU).resident


def test_pictures_move_to_a_device_where_they_take_half_of_its_free_memory_at_most() -> None:
    gib = 2**30
    assert fits(3 * gib, free=80 * gib)
    assert fits(4 * gib, free=8 * gib)
    assert not fits(4 * gib + 1, free=8 * gib)
    assert not fits(1, free=0)


def test_rows_are_what_an_array_of_them_would_be(mapped: np.ndarray) -> None:
    index = np.array([7, 2, 9, 4])
    rows, copied = Rows(mapped, index), np.array(mapped[index])
    assert (rows.shape, rows.dtype, len(rows)) == (copied.shape, copied.dtype, len(copied))
    for chosen in (slice(1, 3), np.array([3, 0, 0]), copied[:, 0, 0, 0] > 0):
        assert np.array_equal(rows[chosen], copied[chosen])
    assert np.array_equal(np.asarray(rows), copied)
    assert np.array_equal(rows.transpose(0, 3, 1, 2)[1:], copied.transpose(0, 3, 1, 2)[1:])
    assert np.array_equal(Rows(rows, np.array([2, 0]))[:], copied[[2, 0]])


def test_what_is_read_of_rows_can_be_changed_and_the_file_stays(mapped: np.ndarray) -> None:
    rows = Rows(mapped, np.arange(3))
    before = rows[:]
    rows[:][...] = 0
    assert np.array_equal(rows[:], before)
