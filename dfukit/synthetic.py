"""The synthetic set of a run: drawn, audited, cleared of what copies, written down and scored."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dfukit import ancestry, registry, release, rundir, scoring
from dfukit.ancestry import Earlier
from dfukit.component import Chosen
from dfukit.config import RunConfig
from dfukit.device import Compute
from dfukit.gan import TrainedGan
from dfukit.images import ImageSet, Split
from dfukit.interfaces import Step
from dfukit.progress import Progress
from dfukit.provenance import file_sha256
from dfukit.release import Release
from dfukit.rows import Pixels, Rows
from dfukit.rundir import RunDir
from dfukit.sample import LoadedGenerator, Samples
from dfukit.scoring.entries import Entry
from dfukit.world import ALONE, World


def draw_samples(config: RunConfig, folder: RunDir, trained: TrainedGan, split: Split) -> Samples:
    """The synthetic set: its classes as often as in the training part, so that being synthetic tells no class."""
    digest = file_sha256(folder.generator_weights)
    generator = LoadedGenerator(trained.generator, trained.generator_description, digest)
    # A seed of its own, so that `dfukit sample RUN` draws other pictures than these.
    seed = Step(config.run.seed, 0).seed_of("synthetic set")
    count = config.sample.count or len(split.train)
    return generator.sample(count, seed=seed, truncation=config.sample.truncation)


def save_samples(folder: RunDir, samples: Samples, distances: np.ndarray | None = None) -> None:
    """Write the synthetic set in the place of an earlier one and of what was found out about that.

    `distances` [N] are those to the nearest training picture, where the set was audited.
    """
    folder.manifest.unlink(missing_ok=True)  # first: it says that the set is whole
    for place in (folder.synthetic, folder.held_back, folder.flagged):
        shutil.rmtree(place, ignore_errors=True)
    folder.release.unlink(missing_ok=True)
    samples.save(folder.synthetic, distances=distances)


def measure_samples(
    config: RunConfig,
    images: ImageSet,
    split: Split,
    samples: Samples,
    metrics: Sequence[Chosen],
    compute: Compute,
    progress: Progress,
    world: World = ALONE,
    keep: Path | None = None,
    change: Callable[[Pixels], Pixels] = lambda pixels: pixels,
) -> dict[str, Entry]:
    """Metrics of synthetic pictures against the training and the test part, as `dfukit.scoring.score` gives them.

    `change` is applied to the pictures of each set, real and synthetic alike, before they are measured.
    """
    pixels, parts = images.at(config.gan.size), {"train": split.train, "test": split.test}
    return scoring.score(
        {name: change(Rows(pixels, index)) for name, index in parts.items()},
        change(samples.pixels),
        metrics,
        registry.load(),
        extractor=config.score.extractor,
        extractor_settings=config.extractors,
        groups={name: images.groups[index] for name, index in parts.items()},
        labels={**{name: images.labels[index] for name, index in parts.items()}, "synthetic": samples.labels},
        classes=images.classes,
        names={**{name: [images.paths[i] for i in index] for name, index in parts.items()}, "synthetic": samples.paths},
        pictures=config.score.pictures,
        compute=compute,
        seed=config.run.seed,
        progress=progress,
        world=world,
        keep=keep,
    )


def score_samples(
    config: RunConfig,
    folder: RunDir,
    compute: Compute,
    images: ImageSet,
    split: Split,
    samples: Samples,
    progress: Progress,
    world: World = ALONE,
) -> tuple[Samples, Release]:
    """Audit the synthetic set, take out what copies, and score the rest against the training and the test part.

    The pictures that are left come back, with the verdict of the release check. Those taken out go to `flagged/`.
    """

    # Audit.
    audits = [metric for metric in config.metrics if metric.name == release.AUDIT]
    before = ancestry.earlier(config, images, split, progress)
    audit = _audit(config, images, split, before, samples, audits, compute, progress, world).get(release.AUDIT)
    found: Sequence[Mapping[str, Any]] = (audit or {}).get("pictures", ())
    copied = np.isin(samples.paths, [one["path"] for one in found])
    left = samples.take(~copied)
    distances = np.asarray(audit["distances"])[~copied] if audit and "distances" in audit else None
    if audit is not None:
        progress.say(f"copies: {audit.get('statement') or audit['reason']}")

    # Write down what is left, and apart from it what is not.
    if world.first:
        save_samples(folder, left, distances)
        if found:
            samples.take(copied).save_flagged(folder.flagged, found)

    # Score what is left.
    others = [metric for metric in config.metrics if metric not in audits]
    scores = measure_samples(config, images, split, left, others, compute, progress, world, folder.features)
    if audit is not None:
        scores[release.AUDIT] = audit
    for entry in scores.values():
        entry.pop("distances", None)
    if world.first:
        rundir.write_json(folder.scores, scores)
    return left, release.judge(config.release, audit, len(left), before.missing)


def _audit(
    config: RunConfig,
    images: ImageSet,
    split: Split,
    before: Earlier,
    samples: Samples,
    audits: Sequence[Chosen],
    compute: Compute,
    progress: Progress,
    world: World,
) -> dict[str, Entry]:
    """Audits against all that the generator learnt from: the training part, and what its first weights did."""
    pixels, train, test = images.at(config.gan.size), split.train, split.test
    learnt: Pixels = Rows(pixels, train)
    if len(before.names):
        progress.say(f"{len(before.names)} training pictures of earlier runs are audited, too")
        learnt = np.concatenate([learnt[:], before.pixels])
    names = [*(images.paths[i] for i in train), *before.names]
    return scoring.score(
        {"train": learnt, "test": Rows(pixels, test)},
        samples.pixels,
        audits,
        registry.load(),
        extractor=config.score.extractor,
        extractor_settings=config.extractors,
        groups={"train": np.concatenate([images.groups[train], before.groups]), "test": images.groups[test]},
        names={"train": names, "test": [images.paths[i] for i in test], "synthetic": samples.paths},
        pictures=config.score.pictures,
        compute=compute,
        seed=config.run.seed,
        progress=progress,
        world=world,
    )
