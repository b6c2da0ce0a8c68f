"""What an experiment found, as lift.json and lift-predictions.csv say it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from dfukit.component import ImageSpec
from dfukit.config import RunConfig
from dfukit.interfaces import Step
from dfukit.labels import Doubts
from dfukit.lift import answer, arms, figures
from dfukit.lift.arms import BOTH, MIRROR, REAL, Arm, Outcome
from dfukit.lift.figures import FIGURES, Judged
from dfukit.lift.folds import Fold, Real
from dfukit.lift.sources import Synthetic

COVERS = (
    "the patients who happen to be here, and the seeds of the trainings; not: other training patients than these, "
    "whom the folds share, nor another training of the generator"
)
COVERS_ONE_SEED = "the patients who happen to be here; not the randomness of training: one seed says nothing of it"
GUESSED = (
    "the patients are guessed by near-duplicates: where photographs of one lie in several folds, the interval is too "
    "narrow, and test patients were trained on"
)


@frozen(eq=False)
class Dealt:
    """A fold with the synthetic pictures that its arms are trained on, and those that were set aside."""

    number: int
    parts: Fold
    synthetic: Synthetic
    aside: Synthetic
    doubts: Doubts
    flagged: int


def tested(
    config: RunConfig,
    real: Real,
    image: ImageSpec,
    wanted: Sequence[Arm],
    done: Sequence[Dealt],
    outcomes: Mapping[tuple[int, str, int], Outcome],
) -> dict[str, Judged]:
    """Out-of-fold scores by arm, "mirror" last."""
    seeds = range(config.lift.seeds)
    positive = image.classes.index(str(image.positive))
    index = np.concatenate([fold.parts.test for fold in done])
    folds = np.repeat([fold.number for fold in done], [len(fold.parts.test) for fold in done])

    def scores_of(arm: str, seed: int) -> np.ndarray:
        return np.concatenate([outcomes[fold.number, arm, seed].scores for fold in done])

    found = {
        arm.name: Judged(
            real.labels[index] == positive,
            folds,
            real.units[index],
            np.array([scores_of(arm.name, seed) for seed in seeds]),
        )
        for arm in wanted
    }
    # A given set is the same in each fold, and one picture of it counts as one patient.
    paths = np.concatenate([np.asarray(fold.synthetic.paths) for fold in done])
    found[MIRROR] = Judged(
        np.concatenate([fold.synthetic.labels for fold in done]) == positive,
        np.repeat([fold.number for fold in done], [len(fold.synthetic) for fold in done]),
        np.unique(paths, return_inverse=True)[1],
        np.array([np.concatenate([outcomes[fold.number, REAL, seed].mirrored for fold in done]) for seed in seeds]),
    )
    return found


def compared(config: RunConfig, wanted: Sequence[Arm], tested: Mapping[str, Judged], known: bool) -> dict[str, Any]:
    """The answer, the figures of each arm, and the differences to the arm real; `known` are the patients."""
    covers = COVERS if config.lift.seeds > 1 else COVERS_ONE_SEED
    settings, seed = config.lift, Step(config.run.seed, 0).seed_of("lift bootstrap")
    on_real = {arm.name: tested[arm.name] for arm in wanted}
    counts = figures.count(on_real, settings.specificity, settings.bootstrap, seed)
    counts |= figures.count({MIRROR: tested[MIRROR]}, settings.specificity, settings.bootstrap, seed)
    exploratory = {arm.name: arm.exploratory for arm in wanted}
    patients = len(np.unique(tested[REAL].units))

    def against(arm: str, other: str) -> dict[str, Any]:
        compared = {
            figure: answer.difference_of(counts[other][figure], counts[arm][figure], tested[arm], figure).as_table()
            for figure in FIGURES
        }
        return {"arm": arm, "against": other, "exploratory": exploratory[arm], **compared}

    primary = answer.difference_of(counts[REAL]["auroc"], counts[BOTH]["auroc"], tested[BOTH], "auroc")
    pairs = [(arm.name, REAL) for arm in wanted if arm.name != REAL]
    if arms.AUGMENTED in exploratory:
        pairs.append((BOTH, arms.AUGMENTED))
    by_fold = (counts[BOTH]["auroc"].counted - counts[REAL]["auroc"].counted).mean(1) / counts[REAL]["auroc"].possible
    return {
        **answer.verdict(primary, settings.margin, patients),
        "more_seeds_first": primary.half_of_seeds > primary.half_of_patients,
        "difference": {
            "figure": "auroc",
            "arm": BOTH,
            "against": REAL,
            **primary.as_table(),
            "by_fold": by_fold.tolist(),
            "patients": patients,
            "n": len(tested[REAL].labels),
            "covers": covers if known else f"{covers}; {GUESSED}",
        },
        "arms": {
            arm: {
                "tested_on": "synthetic" if arm == MIRROR else "real",
                "exploratory": exploratory.get(arm, False),
                "n": len(one.labels),
                "patients": None if arm == MIRROR else patients,
                **{figure: answer.figure_of(counts[arm][figure], one, figure).as_table() for figure in FIGURES},
            }
            for arm, one in tested.items()
        },
        "differences": [against(arm, other) for arm, other in pairs],
    }


def patients(real: Real, image: ImageSpec, test_of: np.ndarray) -> Iterator[tuple[Any, ...]]:
    """The rows of lift-patients.csv: each real picture, whose it is, and the fold that tests on it, from 0."""
    numbers = zip(real.units.tolist(), real.labels.tolist(), test_of.tolist(), strict=True)
    for path, owner, (unit, label, fold) in zip(real.paths, real.owners, numbers, strict=True):
        yield (path, owner, unit, image.classes[label], fold + 1)


def rows(
    real: Real,
    image: ImageSpec,
    wanted: Sequence[Arm],
    done: Sequence[Dealt],
    outcomes: Mapping[tuple[int, str, int], Outcome],
    seeds: int,
) -> Iterator[tuple[Any, ...]]:
    """The rows of lift-predictions.csv: patients by number, synthetic pictures without one."""
    for fold in done:
        for seed in range(seeds):
            for arm in wanted:
                scores = outcomes[fold.number, arm.name, seed].scores
                for place, score in zip(fold.parts.test.tolist(), scores, strict=True):
                    label = image.classes[real.labels[place]]
                    trained = (image.positive, arm.name, seed + 1, fold.number)
                    yield (real.paths[place], int(real.units[place]), label, *trained, repr(float(score)))
            mirrored = outcomes[fold.number, REAL, seed].mirrored
            for path, number, score in zip(fold.synthetic.paths, fold.synthetic.labels, mirrored, strict=True):
                trained = (image.positive, MIRROR, seed + 1, fold.number)
                yield (path, "", image.classes[number], *trained, repr(float(score)))


def design(
    config: RunConfig, real: Real, image: ImageSpec, done: Sequence[Dealt], generator: str, prepared: str
) -> dict[str, Any]:
    """How the experiment was made."""
    folds = [fold.parts for fold in done]
    return {
        "classifier": config.classifier.name,
        "prepared": prepared,
        "augmentation": config.classifier_augmentation.name,
        "folds": len(folds),
        "seeds": config.lift.seeds,
        "steps": [arms.steps_of(config, len(fold.train)) for fold in folds],
        "ratio": config.lift.ratio,
        "specificity": config.lift.specificity,
        "margin": config.lift.margin,
        "size": image.size,
        "pictures": len(real.labels),
        "patients": len(real.patients),
        "training_share": config.lift.training_share,
        "training_pictures": [len(fold.train) for fold in folds],
        "training_patients": [len(np.unique(real.units[fold.train])) for fold in folds],
        "validation_pictures": [len(fold.validation) for fold in folds],
        "validation_patients": [len(np.unique(real.units[fold.validation])) for fold in folds],
        "synthetic_pictures": [len(fold.synthetic) for fold in done],
        "generator": generator,
    }


def labels(real: Real, image: ImageSpec, doubts: Doubts, done: Sequence[Dealt]) -> dict[str, Any]:
    """What the audit of the labels found."""
    pictures = [
        {
            "path": real.paths[i],
            "label": image.classes[real.labels[i]],
            "looks_like": image.classes[doubts.suggested[i]],
            "probability": float(doubts.given[i]),
        }
        for i in np.flatnonzero(doubts.flagged).tolist()
    ]
    pictures.sort(key=lambda one: float(one["probability"]))
    aside = [(fold, path) for fold in done for path in fold.aside.paths]
    return {
        "by": "logistic regression on colours in rings, and for real pictures on the patient's other labels",
        "real": {"n": len(real.labels), "flagged": len(pictures), "pictures": pictures},
        "synthetic": {
            "n": [len(fold.doubts.flagged) for fold in done],
            "flagged": [fold.flagged for fold in done],
            "set_aside": [len(fold.aside) for fold in done],
            "pictures": [{"path": path, "fold": fold.number} for fold, path in aside],
        },
    }
