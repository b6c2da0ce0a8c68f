"""Do the synthetic pictures help? The experiment, from folds to an answer, as one function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dfukit import labels as audits
from dfukit import rundir
from dfukit.component import ImageSpec
from dfukit.config import RunConfig
from dfukit.device import Compute
from dfukit.errors import DataError, WeightsError
from dfukit.lift import arms, result
from dfukit.lift.arms import Arm, Outcome
from dfukit.lift.folds import Fold, Real, make_folds
from dfukit.lift.records import LiftDir
from dfukit.lift.result import Dealt
from dfukit.lift.sources import Given, Source, Synthetic
from dfukit.pairing import check_classifier_augmentation
from dfukit.progress import Progress
from dfukit.provenance import file_sha256


def run(
    config: RunConfig,
    real: Real,
    image: ImageSpec,
    source: Source,
    folder: Path,
    compute: Compute,
    progress: Progress,
    count_look: Callable[[str], Mapping[str, Any]] = lambda digest: {},
) -> dict[str, Any]:
    """Train all arms in all folds, compare them on patients whom none of them saw, and answer.

    Writes lift.json, whose content comes back, settings.toml, lift-predictions.csv and lift-patients.csv into the
    folder. Each network that is done is written down there: in the same folder, the experiment goes on. `count_look` is
    told the digest of all scores before they are judged, and returns what is written down of that look. Raises
    DataError for pictures that cannot carry it, ConfigError where the folder holds another experiment, DivergedError
    where scores are no numbers.
    """
    if image.positive is None:
        raise DataError(f"there is one class only ({image.classes[0]}): there is nothing to classify")
    wanted = arms.arms_of(config)
    if any(arm.augmented for arm in wanted):
        check_classifier_augmentation(config.classifier_augmentation, config.classifier_augmentation.build(image))
    folds = make_folds(real, image, config.lift, config.data.split_seed)
    if isinstance(source, Given):
        source.refuse_lacking(folds, image.classes)
    records = LiftDir(folder)
    records.begin(_design(config, real, image, source))
    rundir.write_toml(folder / "settings.toml", config.as_table())
    test_of = np.empty(len(real.labels), np.int64)
    for number, parts in enumerate(folds):
        test_of[parts.test] = number
    records.write_patients(result.patients(real, image, test_of))

    # Labels that look wrong, by classifiers of other folds.
    progress.say("looking for labels that look wrong")
    colours = audits.colours(real.pixels)
    doubts = audits.audit_real(colours, real.labels, real.units, test_of, len(image.classes))

    # Train.
    done: list[Dealt] = []
    outcomes: dict[tuple[int, str, int], Outcome] = {}
    trainings = len(folds) * len(wanted) * config.lift.seeds
    for number, parts in enumerate(folds, 1):
        by_ratio = _with_synthetic(config, image, wanted, number, parts, real, colours, source, progress)
        answering = by_ratio[config.lift.ratio]
        done.append(answering)
        for seed, arm, network_seed in _trainings(config, number, wanted):
            note = f"fold {number} of {len(folds)}, {arm.name}, seed {seed + 1}"
            outcome = records.read(number, arm.name, seed)
            if outcome is None:
                progress.update("Lift: trainings", len(outcomes), trainings, note)
                drawn = by_ratio.get(arm.ratio, answering).synthetic
                outcome = arms.train(config, image, arm, parts, real, drawn, network_seed, compute, progress)
                records.write(number, arm.name, seed, outcome)
            outcomes[number, arm.name, seed] = outcome
            progress.update("Lift: trainings", len(outcomes), trainings, note)
    prepared = sorted({str(one.facts["prepared"]) for one in outcomes.values()})
    if len(prepared) > 1:
        raise WeightsError(
            f"the networks started from different weights ({'; '.join(prepared)}): set classifier.pretrained to true "
            f"or false and remove {folder}"
        )

    # Compare.
    records.write_predictions(result.rows(real, image, wanted, done, outcomes, config.lift.seeds))
    look = count_look(file_sha256(records.predictions))
    answered = {
        "look": dict(look),
        "patients_known": real.known,
        **result.compared(config, wanted, result.tested(config, real, image, wanted, done, outcomes), real.known),
        "positive": image.positive,
        "design": result.design(config, real, image, done, source.about, prepared[0]),
        "labels": result.labels(real, image, doubts, done),
        "leaked": source.leaked() if isinstance(source, Given) else [],
    }
    rundir.write_json(records.result, answered)
    return answered


def _design(config: RunConfig, real: Real, image: ImageSpec, source: Source) -> dict[str, Any]:
    """Everything that a network of the experiment depends on, as JSON."""
    table = config.as_table()
    sections = ("classifier", "classifier_augmentation", "classify", "lift")
    return {
        **{name: table[name] for name in sections},
        "seeds of the run and the split": [config.run.seed, config.data.split_seed],
        "pictures": real.fingerprint(),
        "image": image.as_table(),
        "synthetic": dict(source.facts()),
    }


def _with_synthetic(
    config: RunConfig,
    image: ImageSpec,
    wanted: Sequence[Arm],
    number: int,
    fold: Fold,
    real: Real,
    colours: np.ndarray,
    source: Source,
    progress: Progress,
) -> dict[float, Dealt]:
    """The synthetic pictures of a fold for each ratio, without those that do not look like their class."""
    drawn = source.of(number, fold, [arm.ratio for arm in wanted if arm.ratio])
    sets = {id(one): one for one in drawn.values()}  # several ratios may share one
    dealt = {key: _looked_at(config, image, number, fold, real, colours, one, progress) for key, one in sets.items()}
    return {ratio: dealt[id(one)] for ratio, one in drawn.items()}


def _looked_at(
    config: RunConfig,
    image: ImageSpec,
    number: int,
    fold: Fold,
    real: Real,
    colours: np.ndarray,
    synthetic: Synthetic,
    progress: Progress,
) -> Dealt:
    """Synthetic pictures of a fold, without those that do not look like their class."""
    for label in np.unique(real.labels[fold.train]):
        if not (synthetic.labels == label).any():
            raise DataError(
                f"fold {number} has no synthetic picture of {image.classes[label]}: being synthetic would give the "
                "label away"
            )
    train = fold.train
    doubts = audits.audit_synthetic(
        colours[train],
        real.labels[train],
        real.units[train],
        audits.colours(synthetic.pixels),
        synthetic.labels,
        len(image.classes),
    )
    flagged, aside = int(doubts.flagged.sum()), doubts.flagged
    whole = [image.classes[n] for n in np.unique(synthetic.labels) if doubts.flagged[synthetic.labels == n].all()]
    if whole or flagged > config.lift.max_set_aside * len(synthetic):
        why = f"all of {whole[0]} among them" if whole else "more than lift.max_set_aside"
        progress.say(
            f"fold {number}: {flagged} of {len(synthetic)} synthetic pictures do not look like their class, {why}: "
            "the set is judged as it came"
        )
        aside = np.zeros(len(synthetic), bool)
    return Dealt(number, fold, synthetic.take(~aside), synthetic.take(aside), doubts, flagged)


def _trainings(config: RunConfig, number: int, wanted: Sequence[Arm]) -> Iterator[tuple[int, Arm, int]]:
    """The trainings of a fold: the seed's number, the arm, and the seed."""
    for seed, network_seed in enumerate(arms.seeds_of(config, number)):
        for arm in wanted:
            yield seed, arm, network_seed
