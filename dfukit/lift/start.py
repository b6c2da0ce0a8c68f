"""The two ways to begin an experiment: with a run, or with a folder of synthetic pictures."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from dfukit import device, ledger, pipeline, registry, report, rundir, sums
from dfukit.component import ImageSpec
from dfukit.config import RunConfig, resolve
from dfukit.images import load, read_split
from dfukit.images.decode import SIDE
from dfukit.images.prepare import refuse_inside
from dfukit.lift import experiment
from dfukit.lift.folds import Real
from dfukit.lift.records import LiftDir
from dfukit.lift.sources import Retrained, given, read_labelled
from dfukit.lift.table import Lift
from dfukit.pictures import image_spec, load_images
from dfukit.progress import Progress, counter
from dfukit.rundir import RunDir


def lift_run(run: RunDir, config: RunConfig, folder: Path, progress: Progress) -> Lift:
    """Train the generator of a run anew inside each fold of its patients, and compare.

    `config` is the run's, with what was changed for the experiment. It tests on all patients, the run's test part among
    them: the ledger counts that as a look. The report of the run is written anew with the answer.
    Raises DataError where the pictures are no longer those of the run, and ConfigError for a folder among the pictures,
    one that holds something else, and where another command is at work in it, or in the run's folder, if the experiment
    lies there.
    """
    refuse_inside(folder, config.data)
    own = folder.resolve() == run.lift.resolve()
    with rundir.at_work(run) if own else nullcontext(), LiftDir(folder).at_work():
        return _lift_run(run, config, folder, progress)


def _lift_run(run: RunDir, config: RunConfig, folder: Path, progress: Progress) -> Lift:
    compute = device.choose(config.run)
    images = load_images(config, progress)
    for warning in images.check.warnings:
        progress.say(f"warning: {warning}")
    tested = [images.sha256[int(place)] for place in read_split(run.split, images).test]
    image = image_spec(config, images)
    different = changed(resolve(registry.load(), file=run.config), config)
    source = Retrained(config, images, image, compute, folder, progress, different)

    def count_look(digest: str) -> Mapping[str, Any]:
        return ledger.record(run, tested, [digest], "lift").as_table()

    real = Real.of(images, image.size)
    result = experiment.run(config, real, image, source, folder, compute, progress, count_look)
    if run.report.is_file() and folder.resolve() == run.lift.resolve():
        sums.strike(run.path, (run.lift.name,))  # the sums take in what the experiment wrote
        pipeline.execute_report(run, report.is_shared(run), progress)
    return Lift(folder, result)


def lift_folders(config: RunConfig, synthetic: Path, vouched: bool, folder: Path, progress: Progress) -> Lift:
    """Compare with a labelled set of synthetic pictures from any generator; the real ones are `config.data`'s.

    `vouched`: the user says that its generator saw none of these real pictures.
    Raises DataError where the labels of the two sets are not the same by name, and ConfigError for a folder among the
    real pictures, one that holds something else, and where another experiment is at work in it.
    """
    refuse_inside(folder, config.data)
    with LiftDir(folder).at_work():
        return _lift_folders(config, synthetic, vouched, folder, progress)


def _lift_folders(config: RunConfig, synthetic: Path, vouched: bool, folder: Path, progress: Progress) -> Lift:
    compute = device.choose(config.run)
    images = load(config.data, counter(progress, "Reading pictures"), progress.say)
    for warning in images.check.warnings:
        progress.say(f"warning: {warning}")
    drawn = read_labelled(synthetic, config.data, images.classes, progress)
    widths = (min(one.check.sizes["width"][1], one.check.sizes["height"][1]) for one in (images, drawn))
    size = config.lift.size or min(SIDE, *widths)
    image = ImageSpec(size, 3, images.classes, images.positive)
    real = Real.of(images, size)
    source = given(drawn, real, images.classes, size, vouched)

    def count_look(digest: str) -> Mapping[str, Any]:
        return ledger.record(None, images.sha256, [digest], "lift").as_table()

    return Lift(folder, experiment.run(config, real, image, source, folder, compute, progress, count_look))


def changed(before: RunConfig, now: RunConfig) -> list[str]:
    """The settings of the generator that differ: "gan.steps 700 -> 300"."""
    tables = before.as_table(), now.as_table()
    return [
        f"{section}.{key} {tables[0].get(section, {}).get(key)} -> {value}"
        for section in ("generator", "critic", "loss", "augmentation", "gan", "sample")
        for key, value in tables[1].get(section, {}).items()
        if tables[0].get(section, {}).get(key) != value
    ]
