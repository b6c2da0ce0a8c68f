"""Where the synthetic pictures of a fold come from: a generator trained inside it, or a folder that was given."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from attrs import evolve, field, frozen

from dfukit import pipeline, rundir, settings, synthetic
from dfukit.component import ImageSpec
from dfukit.config import RunConfig, read_toml
from dfukit.device import Compute
from dfukit.errors import ConfigError, DataError
from dfukit.fitting import Pictures
from dfukit.images import ImageSet, Split, load, resize
from dfukit.images.duplicates import THUMBNAIL, clusters
from dfukit.interfaces import Parts
from dfukit.lift.folds import Fold, Real, digest_of
from dfukit.progress import Progress, counter
from dfukit.rows import Pixels
from dfukit.rundir import RunDir
from dfukit.sections import DataSettings, GanSettings

RETRAINED = "the generator was trained anew inside each fold: no test patient touched it"
RETRAINED_ON_GROUPS = (
    "the generator was trained anew inside each fold: no test picture, and none nearly like it, touched it; patients "
    "are not known"
)
VOUCHED = "that the generator saw none of these real pictures is the user's word"
NAMED = 5
"""Pictures that an error names, at most."""
UNKNOWN = "the generator may have seen test patients, which cannot be checked: the difference may be too good"


def refuse_first_weights(gan: GanSettings) -> None:
    """Raises ConfigError for a generator that does not begin with random weights."""
    if gan.start_from:
        raise ConfigError(
            f"gan.start_from = {gan.start_from}: those weights may have seen the test patients of a fold; ask "
            "`dfukit lift` about that run, or train from random weights (--set gan.start_from=)"
        )


@frozen(eq=False)
class Synthetic:
    """Synthetic pictures: pixels uint8 [M, S, S, C], labels int64 [M], and paths that name them."""

    pixels: Pixels
    labels: np.ndarray
    paths: Sequence[str]
    parts: Parts = field(factory=Parts)
    """Networks that came with them; a classifier may be built on these."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: np.ndarray) -> Synthetic:
        chosen = np.flatnonzero(index) if index.dtype == bool else index
        return evolve(
            self, pixels=self.pixels[chosen], labels=self.labels[chosen], paths=[self.paths[int(i)] for i in chosen]
        )

    def pictures(self) -> Pictures:
        """As a classifier takes them: they have no patient."""
        return Pictures(self.pixels, self.labels, np.full(len(self), -1, np.int64))


class Source(Protocol):
    """A way to have synthetic pictures."""

    @property
    def about(self) -> str:
        """Whether test patients may have touched them, as one sentence; asked when all folds have theirs."""

    def of(self, number: int, fold: Fold, ratios: Sequence[float]) -> dict[float, Synthetic]:
        """The synthetic pictures of fold `number`, counted from 1, for arms of these ratios.

        They are the same each time it is asked, whatever the other ratios are.
        """

    def facts(self) -> Mapping[str, Any]:
        """What the pictures depend on, as JSON: an experiment goes on only where that is unchanged."""


@frozen(eq=False)
class Retrained:
    """The generator of a run's configuration, trained anew on the training patients of each fold.

    An arm has `sample.count` pictures, or as many as there are training pictures, and at least its ratio of these; an
    arm with fewer has the first of the others'.
    """

    config: RunConfig
    images: ImageSet
    image: ImageSpec
    compute: Compute
    folder: Path
    progress: Progress
    different: Sequence[str] = ()
    """Settings that are not the run's."""

    def __attrs_post_init__(self) -> None:
        refuse_first_weights(self.config.gan)

    @property
    def about(self) -> str:
        trained = [self._run(number).training for number in range(1, self.config.lift.folds + 1)]
        steps = [rundir.read_json(path)["steps"] for path in trained]  # a training may end early
        fewest, most = min(steps), max(steps)
        return "; ".join(
            (
                RETRAINED if self.images.patients_known else RETRAINED_ON_GROUPS,
                f"it had {f'{fewest:,} to ' if fewest < most else ''}{most:,} steps",
                *([f"its settings are the run's, except {', '.join(self.different)}"] if self.different else []),
            )
        )

    def of(self, number: int, fold: Fold, ratios: Sequence[float]) -> dict[float, Synthetic]:
        run = self._run(number)
        run.path.mkdir(parents=True, exist_ok=True)
        split = Split(fold.train, fold.validation, fold.test)
        config = self.config
        if run.config.is_file():  # a time budget had become steps, of which an interruption left some
            config = evolve(config, gan=settings.build(GanSettings, read_toml(run.config)["gan"], "gan"))
        trained = pipeline.train_gan(config, run, self.compute, self.images, split, self.image, self.progress)
        shutil.rmtree(run.checkpoints, ignore_errors=True)  # the training has ended
        real = len(fold.train)
        counts = {ratio: max(self.config.sample.count or real, math.ceil(ratio * real)) for ratio in ratios}
        drawn: dict[int, Synthetic] = {}
        # Each count is drawn on its own: in other batches a picture is another one by rounding.
        for count in dict.fromkeys(counts.values()):
            told = evolve(self.config, sample=evolve(self.config.sample, count=count))
            samples = synthetic.draw_samples(told, run, trained, split)
            paths = [f"fold-{number}/{path}" for path in samples.paths]
            drawn[count] = Synthetic(samples.pixels, samples.labels, paths, Parts(critic=trained.critic))
        return {ratio: drawn[count] for ratio, count in counts.items()}

    def _run(self, number: int) -> RunDir:
        return RunDir(self.folder / f"gan-of-fold-{number}")

    def facts(self) -> Mapping[str, Any]:
        table = self.config.as_table()
        return {name: table[name] for name in ("generator", "critic", "loss", "augmentation", "gan", "sample")}


@frozen(eq=False)
class Given:
    """A labelled set from any generator, the same in each fold, less what shows a patient outside the training part.

    A synthetic picture that is a near-duplicate of a real one would take that patient into the training part.
    """

    synthetic: Synthetic
    real: Real
    shows: Sequence[frozenset[int]]
    """The units whose photographs each picture nearly is; for most pictures none."""
    about: str = UNKNOWN

    def of(self, number: int, fold: Fold, ratios: Sequence[float]) -> dict[float, Synthetic]:
        return dict.fromkeys(ratios, self.synthetic.take(self._usable(fold)))

    def _usable(self, fold: Fold) -> np.ndarray:
        """Which pictures show no patient outside the training part, bool [M]."""
        training = set(self.real.units[fold.train].tolist())
        return np.array([units <= training for units in self.shows], bool)

    def refuse_lacking(self, folds: Sequence[Fold], classes: Sequence[str]) -> None:
        """Raises DataError, naming the pictures, where a fold is left without any of a class that it trains on."""
        for number, fold in enumerate(folds, 1):
            usable = self._usable(fold)
            for label in np.unique(self.real.labels[fold.train]).tolist():
                having = np.flatnonzero(self.synthetic.labels == label)
                if not usable[having].any():
                    named = [self.synthetic.paths[int(place)] for place in having[:NAMED]]
                    more = f" and {len(having) - NAMED} more" if len(having) > NAMED else ""
                    raise DataError(
                        f"fold {number} has no synthetic picture of {classes[label]}, and being synthetic would give "
                        f"the label away: all that there are nearly show patients whom it does not train on "
                        f"({', '.join(named)}{more}); add pictures of {classes[label]} that copy no photograph"
                    )

    def facts(self) -> Mapping[str, Any]:
        return {"digest": digest_of(self.synthetic.pixels, self.synthetic.labels), "about": self.about}

    def leaked(self) -> list[dict[str, str]]:
        """The pictures that are set aside where a patient of theirs is not in the training part, for each patient."""
        return [
            {"path": path, "patient": self.real.patients[unit]}
            for path, units in zip(self.synthetic.paths, self.shows, strict=True)
            for unit in sorted(units)
        ]


def read_labelled(folder: Path, data: DataSettings, classes: Sequence[str], progress: Progress) -> ImageSet:
    """A labelled folder of synthetic pictures, or that of a run, whose labels must be those of the real set by name.

    Raises DataError for a label that the real set does not know, and for one that is missing.
    """
    run = RunDir(folder)
    place = run.synthetic_set if run.config.is_file() else folder
    settings = evolve(DataSettings(), path=str(place), positive=data.positive, fit=data.fit)
    try:
        images = load(settings, counter(progress, "Reading synthetic pictures"))
    except ConfigError as error:
        raise ConfigError(f"--synthetic {place}: {error}; the real labels are {', '.join(classes)}") from None
    for one in (*images.classes, *classes):
        if one not in classes:
            raise DataError(
                f"--synthetic {place} has the label {one!r}, which the real pictures do not have "
                f"({', '.join(classes)}): rename its folder"
            )
        if one not in images.classes:
            raise DataError(f"--synthetic {place} has no picture of {one}: being synthetic would give the label away")
    return images


def given(images: ImageSet, real: Real, classes: Sequence[str], size: int, vouched: bool) -> Given:
    """A synthetic set, labelled by name as the real one is."""
    labels = np.array([classes.index(name) for name in images.classes])[images.labels]
    synthetic = Synthetic(images.at(size), labels, list(images.paths))
    return Given(synthetic, real, shown(real, synthetic), VOUCHED if vouched else UNKNOWN)


def shown(real: Real, synthetic: Synthetic) -> list[frozenset[int]]:
    """The units of which each synthetic picture is a near-duplicate: several where their photographs are alike."""
    thumbnails = np.concatenate([resize(np.asarray(pixels), THUMBNAIL) for pixels in (real.pixels, synthetic.pixels)])
    cluster = clusters(thumbnails)
    of_real: dict[int, frozenset[int]] = {}
    for one, unit in zip(cluster[: len(real.labels)].tolist(), real.units.tolist(), strict=True):
        of_real[one] = of_real.get(one, frozenset()) | {unit}
    return [of_real.get(one, frozenset()) for one in cluster[len(real.labels) :].tolist()]
