"""Whether pictures are among those that a run learnt from: by content, and near-duplicates where its own are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import frozen

from dfukit import absent, registry
from dfukit.errors import DataError, DfukitError
from dfukit.images import ImageSet, read_split
from dfukit.images.duplicates import THUMBNAIL, clusters
from dfukit.images.split import read_table
from dfukit.pictures import load_images
from dfukit.progress import Progress
from dfukit.rundir import RunDir

LEARNT = ("train", "validation")
"""Parts that training, calibration, stopping or the choice of a classifier saw."""
NAMED = 3
"""Examples in a message."""


@frozen
class Overlap:
    """How it was looked for what pictures share with a run's, and what was found and may stay."""

    checked: tuple[str, ...]
    """Of "content" and "near-duplicates": what was compared."""
    in_test: int
    """Pictures that the run's own test part holds, too."""
    warnings: tuple[str, ...]

    def as_table(self) -> dict[str, Any]:
        return {"checked": list(self.checked), "in_test": self.in_test}


def check(run: RunDir, images: ImageSet, progress: Progress) -> Overlap:
    """Compare pictures with those of a run.

    Raises DataError naming pictures that the run learnt from, byte for byte or near-duplicates of one that it learnt
    from. What could not be compared is among the warnings.
    """
    if not run.split.is_file():
        return Overlap((), 0, ("no split.csv beside the weights: whether it learnt from these cannot be told",))
    table = read_table(run.split)
    part = {row["sha256"]: row["part"] for row in table}
    of = {row["sha256"]: row["path"] for row in table if row["part"] in LEARNT}
    same = [(path, of[sha256]) for path, sha256 in zip(images.paths, images.sha256, strict=True) if sha256 in of]
    _refuse(images, same, "the same file as")
    in_test = sum(part.get(sha256) == "test" for sha256 in images.sha256)
    warnings = [f"{in_test} of these pictures are in the run's own test part"] if in_test else []
    warnings += _namesakes(images, table)
    checked = ["content"]
    try:
        learnt = absent.reopen(run, registry.load())
        known = load_images(learnt, progress)
        split = read_split(run.split, known, relabelled=True)
    except DfukitError as error:
        warnings.append(f"near-duplicates of training pictures were not looked for: {error}")
    else:
        _refuse(images, _near(images, known, np.concatenate([split.train, split.validation])), "looks like")
        checked.append("near-duplicates")
    return Overlap(tuple(checked), in_test, tuple(warnings))


def _near(images: ImageSet, known: ImageSet, learnt: np.ndarray) -> list[tuple[str, str]]:
    """Pairs of near-duplicates: a picture, and one that was learnt from."""
    number = clusters(np.concatenate([known.at(THUMBNAIL)[learnt], images.at(THUMBNAIL)]))
    first = {int(cluster): known.paths[int(learnt[place])] for place, cluster in enumerate(number[: len(learnt)])}
    others = enumerate(number[len(learnt) :])
    return [(images.paths[place], first[int(cluster)]) for place, cluster in others if int(cluster) in first]


def _namesakes(images: ImageSet, table: Sequence[dict[str, str]]) -> list[str]:
    """A warning of patients who are called like patients that were learnt from."""
    if not images.patients_known:
        return []
    names = sorted({row["patient"] for row in table if row["part"] in LEARNT} & set(images.patients))
    if not names:
        return []
    some = ", ".join(names[:NAMED]) + ", ..." * (len(names) > NAMED)
    return [f"{len(names)} patients are called like patients of the training ({some}): if they are the same, leave out"]


def _refuse(images: ImageSet, pairs: Sequence[tuple[str, str]], how: str) -> None:
    if not pairs:
        return
    some = "; ".join(f"{path} {how} {other}" for path, other in pairs[:NAMED]) + "; ..." * (len(pairs) > NAMED)
    raise DataError(
        f"{len(pairs)} of {len(images.paths)} pictures of {images.name} are among those that the classifier learnt "
        f"from ({some}): take out all pictures of their patients"
    )
