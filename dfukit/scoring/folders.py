"""Scores of two folders, or two arrays, of pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen

from dfukit import device as devices
from dfukit import phantom
from dfukit import registry as registries
from dfukit.config import DataSettings, RunSettings, ScoreSettings, resolve
from dfukit.errors import DataError
from dfukit.images import load, read_split, resize
from dfukit.images.decode import SIDE
from dfukit.images.pool import Job, decode_all
from dfukit.progress import Progress, Silent, counter
from dfukit.registry import Registry
from dfukit.rows import Pixels, Rows
from dfukit.rundir import RunDir
from dfukit.scoring.measuring import score
from dfukit.scoring.trial import MIN_PICTURES

TABLES = (".csv", ".json", ".txt", ".md")
"""Files that may lie among pictures and are none."""


@frozen(eq=False)
class _Pictures:
    """How to have n pictures, uint8 [n, S, S, 3], at any size S, the width that half of them have at least, and their
    patients [n] where they are known."""

    at: Callable[[int], Pixels]
    n: int
    width: int
    groups: np.ndarray | None = None


def score_folders(
    real: str | Path | np.ndarray,
    fake: str | Path | np.ndarray,
    *,
    metrics: Sequence[str] = (),
    extractor: str = "",
    extractor_settings: Mapping[str, Mapping[str, Any]] | None = None,
    device: str = "",
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, dict[str, Any]]:
    """Scores of synthetic pictures against real ones, in the shape of scores.json (`dfukit.scoring.score`).

    A set is a folder of pictures of any size, an array uint8 [N, S, S, 3], or a run folder, which stands for its
    synthetic pictures, and as `real` for the training and the test part of the pictures that it was made of. All come
    to one size by one path: the smallest of the sets' median widths, at most 256. Whatever is left empty is as in the
    configuration's defaults. Raises DataError where a set has fewer than 10 usable pictures.
    """
    settings = ScoreSettings()
    registry = registries.load()
    progress = progress or Silent()
    names = dict.fromkeys(metrics or settings.metrics)
    chosen = [registry.choose("metric", name, {}, f"metric.{name}") for name in names]
    compute = devices.choose(evolve(RunSettings(), device=device or RunSettings().device))
    parts, synthetic = _read_real(real, registry, progress), _read(fake, "synthetic", progress)
    size = min(SIDE, synthetic.width, *(part.width for part in parts.values()))
    return score(
        {name: part.at(size) for name, part in parts.items()},
        synthetic.at(size),
        chosen,
        registry,
        extractor=extractor or settings.extractor,
        extractor_settings=extractor_settings or {},
        groups={name: part.groups for name, part in parts.items() if part.groups is not None},
        pictures=settings.pictures,
        compute=compute,
        seed=seed,
        progress=progress,
    )


def _read_real(source: str | Path | np.ndarray, registry: Registry, progress: Progress) -> dict[str, _Pictures]:
    if isinstance(source, np.ndarray) or not RunDir(Path(source)).config.is_file():
        return {"real": _read(source, "real", progress)}
    settings = resolve(registry, file=RunDir(Path(source)).config).data
    report = counter(progress, "reading real pictures")
    images = load(settings, report) if settings.path else phantom.image_set(settings, report)
    split = read_split(RunDir(Path(source)).split, images)

    def part(index: np.ndarray) -> _Pictures:
        return _Pictures(lambda size: Rows(images.at(size), index), len(index), SIDE, images.groups[index])

    return {"train": part(split.train), "test": part(split.test)}


def _read(source: str | Path | np.ndarray, what: str, progress: Progress) -> _Pictures:
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 4 or source.shape[1] != source.shape[2] or source.shape[3] != 3:
            raise DataError(f"{what} pictures must be uint8 [N, S, S, 3], got {source.dtype} {list(source.shape)}")
        pictures, place = _held(source, source.shape[1]), f"the array of {what} pictures"
    else:
        folder = Path(source)
        run = RunDir(folder)
        if run.config.is_file():
            folder = run.synthetic
        pictures, place = _decode(folder, what, progress), str(folder)
    if pictures.n < MIN_PICTURES:
        raise DataError(f"{place} has {pictures.n} usable pictures; a score needs at least {MIN_PICTURES}")
    return pictures


def _held(pixels: np.ndarray, width: int) -> _Pictures:
    """Pictures that lie in memory."""
    return _Pictures(lambda size: resize(pixels, size), len(pixels), width)


def _decode(folder: Path, what: str, progress: Progress) -> _Pictures:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder of pictures")
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.resolve().is_relative_to(folder.resolve())  # links that leave the folder are refused
        and path.suffix.lower() not in TABLES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    pixels, widths = [], []
    for done, (path, decoded) in enumerate(
        zip(files, decode_all((Job(path.absolute()) for path in files), DataSettings()), strict=True), 1
    ):
        if decoded.pixels is None:
            progress.say(f"left out {path}: {decoded.reason}")
        else:
            pixels.append(decoded.pixels)
            widths.append(min(decoded.width, decoded.height))
        progress.update(f"reading {what} pictures", done, len(files))
    if not pixels:
        return _held(np.empty((0, SIDE, SIDE, 3), np.uint8), SIDE)
    return _held(np.stack(pixels), int(np.median(widths)))
