"""The runs whose weights a training began with (`gan.start_from`), and the pictures that these learnt from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
from attrs import frozen

from dfukit import absent, registry
from dfukit.config import RunConfig, read_toml
from dfukit.errors import ConfigError, DataError, DfukitError
from dfukit.images import ImageSet, Split, read_split
from dfukit.images.split import read_table
from dfukit.pictures import load_images
from dfukit.progress import Progress
from dfukit.rundir import RunDir

LEARNT = {"validation": ("train",), "test": ("train", "validation")}
"""For these parts of a run, the parts of an earlier one that none of their pictures may have been in."""
NAMED = 3
"""Examples in a message."""


@frozen(eq=False)
class Earlier:
    """K training pictures of earlier runs that are not among those of this one."""

    pixels: np.ndarray
    """uint8 [K, S, S, 3]"""
    groups: np.ndarray
    """int64 [K], patients; those that are called like one of this run's have that one's number."""
    names: list[str]
    """The run, and the path in its data folder."""
    missing: int
    """Earlier runs whose training pictures could not be had."""


def ancestors(start_from: str) -> list[RunDir]:
    """The run that a training began with, the one that this began with, and so on."""
    found: list[RunDir] = []
    while start_from and all(run.path != Path(start_from) for run in found):
        run = RunDir(Path(start_from))
        found.append(run)
        try:
            start_from = str(read_toml(run.config).get("gan", {}).get("start_from", ""))
        except ConfigError:  # it is gone, or no run
            break
    return found


def check(config: RunConfig, images: ImageSet, split: Split, progress: Progress) -> None:
    """Raise DataError where pictures of the validation or test part are, byte for byte, among those that the first
    weights learnt from, or their patients are. In another data folder patients may be called alike by chance: they are
    warned of."""
    for run in ancestors(config.gan.start_from):
        if not run.split.is_file():
            progress.say(
                f"warning: {run.path} has no {run.split.name}: whether it learnt from pictures of this run's "
                "validation and test part cannot be told"
            )
            continue
        rows, shared, namesakes = read_table(run.split), list[str](), set[str]()
        for part, learnt in LEARNT.items():
            before = [row for row in rows if row["part"] in learnt]
            known = {row["sha256"]: row["path"] for row in before}
            index = getattr(split, part)
            shared += [f"{images.paths[i]} is {known[images.sha256[i]]}" for i in index if images.sha256[i] in known]
            namesakes |= {row["patient"] for row in before} & {images.patients[images.groups[i]] for i in index}
        if shared:
            _refuse(run, "pictures", shared)
        # Drawn patients are numbered alike, whoever they are.
        if not namesakes or not images.patients_known or images.phantom:
            continue
        if _same_folder(run, config):
            _refuse(run, "patients", sorted(namesakes))
        progress.say(
            f"warning: {len(namesakes)} patients of this run's validation and test part are called like patients that "
            f"{run.path} learnt from ({_some(sorted(namesakes))}): if they are the same, leave them out"
        )


def _refuse(run: RunDir, what: str, shared: Sequence[str]) -> NoReturn:
    raise DataError(
        f"gan.start_from: {run.path} learnt from {len(shared)} {what} of this run's validation and test part "
        f"({_some(shared)}): leave out all pictures of these patients, or give the data settings of that run "
        "(data.split_seed, the shares)"
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + " and so on" * (len(names) > NAMED)


def _same_folder(run: RunDir, config: RunConfig) -> bool:
    """Whether an earlier run read the data folder of this one."""
    try:
        path = str(read_toml(run.config).get("data", {}).get("path", ""))
    except ConfigError:
        return False
    here, there = (os.path.realpath(os.path.expanduser(one)) for one in (config.data.path, path))
    return bool(path) and here == there


def earlier(config: RunConfig, images: ImageSet, split: Split, progress: Progress) -> Earlier:
    """What the first weights learnt from, at the run's size."""
    seen = {images.sha256[i] for i in split.train}
    number = {patient: i for i, patient in enumerate(images.patients)} if images.patients_known else {}
    count = int(images.groups.max()) + 1
    size, missing = config.gan.size, 0
    pixels, groups, names = [np.empty((0, size, size, 3), np.uint8)], list[int](), list[str]()
    for run in ancestors(config.gan.start_from):
        try:
            known = load_images(absent.reopen(run, registry.load()), progress)
            part = read_split(run.split, known, relabelled=True).train
            learnt = [int(i) for i in part if known.sha256[i] not in seen]
        except DfukitError as error:
            progress.say(f"warning: the training pictures of {run.path} are not audited: {error}")
            missing += 1
            continue
        seen |= {known.sha256[i] for i in learnt}
        pixels.append(known.at(size)[learnt])
        names += [f"{run.name}: {known.paths[i]}" for i in learnt]
        own: dict[int, int] = {}
        for i in learnt:
            patient = known.patients[known.groups[i]] if known.patients_known else None
            if patient in number:
                groups.append(number[patient])
                continue
            if (group := int(known.groups[i])) not in own:
                own[group], count = count, count + 1
            groups.append(own[group])
    return Earlier(np.concatenate(pixels), np.array(groups, np.int64), names, missing)
