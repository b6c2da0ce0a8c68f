"""Pictures of the page: as data URIs, in the order in which they lie, and beside the training picture they resemble."""

from __future__ import annotations

import base64
import io
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from attrs import frozen
from PIL import Image

from dfukit.images import ImageSet, Split, resize
from dfukit.report.facts import Facts, Made, read_pixels
from dfukit.report.numbers import figure
from dfukit.rundir import RunDir

SHOWN = 6
"""Real, and as many synthetic, pictures on the first screen."""
T = TypeVar("T")

GRIDS = 6
"""Sample grids at most."""
GRID_WIDTH = 560
WIDTH = 160
"""Pictures are shown at most this wide, in pixels."""
THUMBNAIL = 32
HELD_OUT = 64
"""Test pictures at most, whose nearest training picture is looked up for comparison."""
CHUNK = 256
FLAGGED = 24
"""Flagged pictures at most."""


@frozen
class Shown:
    """A picture with what stands under it and what it is for those who cannot see it."""

    uri: str
    alt: str
    caption: str = ""


@frozen
class Pair:
    """A synthetic picture, the training picture beside it (None where it is not in the data any more), and a text."""

    sample: Shown
    nearest: Shown | None
    caption: str


@frozen
class Neighbours:
    """Samples of one grid beside their nearest training pictures."""

    step: int
    pairs: Sequence[Pair]
    held_out: float | None
    """Median PSNR of test pictures to their nearest training picture, at the same size; None without a test part."""
    held_out_count: int


def real_pictures(images: ImageSet, split: Split, size: int) -> list[Shown]:
    """Of the test part the first picture of each patient, then the second, the classes in turn, `SHOWN` at most."""
    before: Counter[int] = Counter()
    ranked: list[tuple[int, int]] = []
    for i in split.test:
        ranked.append((before[int(images.groups[i])], int(i)))
        before[int(images.groups[i])] += 1
    order = [i for _, i in sorted(ranked)]
    by_class = [[i for i in order if images.labels[i] == label] for label in range(len(images.classes))]
    word = "Drawing" if images.phantom else "Real picture"
    pixels = images.at(size)
    return [
        Shown(
            uri(pixels[i]),
            f"{word} {place} of the test part: {images.classes[images.labels[i]]}",
            images.classes[images.labels[i]],
        )
        for place, i in enumerate(_in_turn(by_class, SHOWN), 1)
    ]


def synthetic_pictures(facts: Facts, classes: Sequence[str]) -> list[Shown]:
    """The first of each class in the manifest, the classes in turn, `SHOWN` at most."""
    by_class: list[list[Made]] = [[made for made in facts.synthetic if made.label == label] for label in classes]
    return [
        Shown(uri(made.pixels()), f"Synthetic picture {place}: {made.label}", made.label)
        for place, made in enumerate(_in_turn(by_class, SHOWN), 1)
    ]


def sample_grids(folder: RunDir) -> list[Shown]:
    """Sample grids from the first to the last, `GRIDS` at most, evenly spaced."""
    steps = grid_steps(folder)
    chosen = sorted({steps[round(place)] for place in np.linspace(0, len(steps) - 1, GRIDS)}) if steps else []
    return [
        Shown(
            uri(read_pixels(folder.sample_grid(step)), GRID_WIDTH), f"Grid of samples at step {step}", f"step {step:,}"
        )
        for step in chosen
    ]


def sheets(folder: RunDir) -> list[Shown]:
    """What the kept generator makes of a latent in each class, and on the way from one latent to another."""
    both = (
        (folder.class_sheet, "Each row a class, each column a latent"),
        (folder.interpolation_sheet, "Each row a way from one latent to another"),
    )
    return [Shown(uri(read_pixels(path), GRID_WIDTH), text, text.lower()) for path, text in both if path.is_file()]


def grid_steps(folder: RunDir) -> list[int]:
    return sorted(int(path.stem) for path in folder.samples.glob("*.png") if path.stem.isdigit())


def flagged(facts: Facts, images: ImageSet, size: int) -> list[Pair]:
    """What was taken out of the synthetic set beside what it copies, `FLAGGED` at most."""
    places = {path: i for i, path in enumerate(images.paths)}
    pixels = images.at(size)
    word = "drawing" if images.phantom else "picture"
    pairs = []
    for place, one in enumerate(facts.flagged[:FLAGGED], 1):
        i = places.get(one.of)
        real = None if i is None else Shown(uri(pixels[i]), f"Training {word} that flagged picture {place} copies")
        distance = f", distance {figure(one.distance, 2)}" if math.isfinite(one.distance) else ""
        sample = Shown(uri(one.made.pixels()), f"Flagged synthetic picture {place}: {one.made.label}")
        pairs.append(Pair(sample, real, f"{one.how}{distance}: {one.of}"))
    return pairs


def neighbours(folder: RunDir, images: ImageSet, split: Split, size: int, step: int) -> Neighbours | None:
    """Each sample of the grid of a step with its nearest training picture; None where there is no such grid."""
    if step not in grid_steps(folder):
        return None
    grid = read_pixels(folder.sample_grid(step))
    rows, columns = grid.shape[0] // size, grid.shape[1] // size
    samples = grid[: rows * size, : columns * size].reshape(rows, size, columns, size, 3).swapaxes(1, 2)
    samples = np.ascontiguousarray(samples.reshape(rows * columns, size, size, 3))
    pixels, thumbnails = images.at(size), images.at(THUMBNAIL)
    found = split.train[nearest(resize(samples, THUMBNAIL), thumbnails, split.train)]
    # Evenly spaced: pictures are in the order of their paths, and so of their classes.
    held_out = split.test[np.linspace(0, len(split.test) - 1, min(HELD_OUT, len(split.test))).astype(int)]
    distances = [
        psnr(pixels[i], pixels[split.train[j]])
        for i, j in zip(held_out, nearest(thumbnails[held_out], thumbnails, split.train), strict=True)
    ]
    word = "drawing" if images.phantom else "picture"
    pairs = []
    for place, (sample, i) in enumerate(zip(samples, found, strict=True), 1):
        label = images.classes[images.labels[i]]
        real = Shown(uri(pixels[i]), f"Nearest training {word} to sample {place}: {label}")
        likeness = psnr(sample, pixels[i])
        caption = f"{likeness:.1f} dB" if math.isfinite(likeness) else "identical"
        pairs.append(Pair(Shown(uri(sample), f"Sample {place} at step {step}"), real, caption))
    return Neighbours(step, pairs, float(np.median(distances)) if distances else None, len(distances))


def nearest(pictures: np.ndarray, candidates: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """For each picture uint8 [M, S, S, 3] the position in `rows` of the candidate of smallest mean squared error."""
    flat = pictures.reshape(len(pictures), -1).astype(np.float64)
    best = np.full(len(pictures), np.inf)
    found = np.zeros(len(pictures), np.int64)
    for start in range(0, len(rows), CHUNK):
        part = candidates[rows[start : start + CHUNK]].reshape(-1, flat.shape[1]).astype(np.float64)
        squared = (flat**2).sum(1)[:, None] - 2 * flat @ part.T + (part**2).sum(1)
        position = squared.argmin(1)
        value = squared[np.arange(len(flat)), position]
        found = np.where(value < best, start + position, found)
        best = np.minimum(value, best)
    return found


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    """In dB, of two pictures uint8 of one size; infinite where they are identical."""
    error = float(((first.astype(np.float64) - second.astype(np.float64)) ** 2).mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


def uri(pixels: np.ndarray, width: int = WIDTH) -> str:
    """A picture uint8 [H, W, 3] as the data URI of a JPEG, at most `width` wide."""
    picture = Image.fromarray(np.asarray(pixels))
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _in_turn(lists: Sequence[Sequence[T]], count: int) -> Iterator[T]:
    """The first of each list, then the second of each, and so on, up to `count`."""
    taken = 0
    for place in range(max((len(values) for values in lists), default=0)):
        for values in lists:
            if place < len(values) and taken < count:
                taken += 1
                yield values[place]
