"""Scores of two folders, or two arrays, of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen

from dfukit import device as devices
from dfukit import registry as registries
from dfukit.config import DataSettings, RunSettings, ScoreSettings
from dfukit.errors import DataError
from dfukit.images import resize
from dfukit.images.decode import SIDE
from dfukit.images.pool import Job, decode_all
from dfukit.progress import Progress, Silent
from dfukit.rundir import RunDir
from dfukit.scoring.measuring import MIN_PICTURES, score

TABLES = (".csv", ".json", ".txt", ".md")
"""Files that may lie among pictures and are none."""


@frozen(eq=False)
class _Pictures:
    """uint8 [N, S, S, 3], and the width that half of them have at least."""

    pixels: np.ndarray
    width: int


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

    A set is a folder of pictures of any size, a run folder (its synthetic pictures), or an array uint8 [N, S, S, 3].
    Both come to one size by one path: the smaller of the two sets' median widths, at most 256. Whatever is left empty
    is as in the configuration's defaults. Raises DataError where a set has fewer than 10 usable pictures.
    """
    settings = ScoreSettings()
    registry = registries.load()
    progress = progress or Silent()
    names = dict.fromkeys(metrics or settings.metrics)
    chosen = [registry.choose("metric", name, {}, f"metric.{name}") for name in names]
    compute = devices.choose(evolve(RunSettings(), device=device or RunSettings().device))
    sets = {"real": _read(real, "real", progress), "synthetic": _read(fake, "synthetic", progress)}
    size = min(SIDE, *(pictures.width for pictures in sets.values()))
    resized = {name: resize(pictures.pixels, size) for name, pictures in sets.items()}
    return score(
        {"real": resized["real"]},
        resized["synthetic"],
        chosen,
        registry,
        extractor=extractor or settings.extractor,
        extractor_settings=extractor_settings or {},
        groups={},
        pictures=settings.pictures,
        compute=compute,
        seed=seed,
        progress=progress,
    )


def _read(source: str | Path | np.ndarray, what: str, progress: Progress) -> _Pictures:
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 4 or source.shape[1] != source.shape[2] or source.shape[3] != 3:
            raise DataError(f"{what} pictures must be uint8 [N, S, S, 3], got {source.dtype} {list(source.shape)}")
        pictures, place = _Pictures(source, source.shape[1]), f"the array of {what} pictures"
    else:
        folder = Path(source)
        if (folder / "config.toml").is_file():
            folder = RunDir(folder).synthetic
        pictures, place = _decode(folder, what, progress), str(folder)
    if len(pictures.pixels) < MIN_PICTURES:
        n = len(pictures.pixels)
        raise DataError(f"{place} has {n} usable pictures; a score needs at least {MIN_PICTURES}")
    return pictures


def _decode(folder: Path, what: str, progress: Progress) -> _Pictures:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder of pictures")
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
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
        return _Pictures(np.empty((0, SIDE, SIDE, 3), np.uint8), SIDE)
    return _Pictures(np.stack(pixels), int(np.median(widths)))
