"""The arms of the experiment: what a classifier is trained on, all for the same number of steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import evolve, frozen

from dfukit import clinical, fitting, registry
from dfukit.component import ImageSpec
from dfukit.config import RunConfig
from dfukit.device import Compute
from dfukit.errors import ConfigError, DivergedError
from dfukit.fitting import Pictures
from dfukit.interfaces import Augmentation, Step
from dfukit.lift.folds import Fold, Real
from dfukit.lift.sources import Synthetic
from dfukit.progress import Progress
from dfukit.sections import ClassifySettings
from dfukit.settings import guess

REAL, AUGMENTED, BOTH, SYNTHETIC = "real", "real+augmentation", "real+synthetic", "synthetic"
MIRROR = "mirror"
"""The networks of the arm real, tested on the synthetic pictures."""
OPTIONAL = (AUGMENTED, SYNTHETIC)


@frozen
class Arm:
    """What a classifier is trained on."""

    name: str
    ratio: float = 0.0
    """Synthetic pictures for each real one."""
    augmented: bool = False
    exploratory: bool = False


@frozen(eq=False)
class Outcome:
    """What one trained network says of the test part and, in the arm real, of the synthetic pictures."""

    scores: np.ndarray
    """Calibrated on the validation part, [N]."""
    mirrored: np.ndarray
    facts: dict[str, Any]


def arms_of(config: RunConfig) -> list[Arm]:
    """All arms, the two of the answer first. Raises ConfigError for an arm or a ratio that is none."""
    settings = config.lift
    arms = [Arm(REAL), Arm(BOTH, settings.ratio)]
    for name in settings.arms:
        if name not in OPTIONAL:
            raise ConfigError(
                f"lift.arms: {name!r} is no arm that can be added{guess(name, OPTIONAL)}; these can: "
                f"{', '.join(OPTIONAL)}"
            )
    arms += [Arm(name, augmented=name == AUGMENTED) for name in OPTIONAL if name in settings.arms]
    for text in settings.exploratory:
        try:
            ratio = float(text)
        except ValueError:
            ratio = 0.0
        if not 0 < ratio <= 100 or ratio == settings.ratio:
            raise ConfigError(
                f"lift.exploratory: {text!r} must be a ratio above 0, at most 100, and other than lift.ratio "
                f"({settings.ratio:g})"
            )
        arms.append(Arm(f"{BOTH} x{ratio:g}", ratio, exploratory=True))
    for arm in arms:
        if arm.ratio:
            config.classify.synthetic_in_a_step(arm.ratio)
    return arms


def steps_of(config: RunConfig, training: int) -> int:
    """Steps of every arm, for a real training part of so many pictures."""
    if config.lift.steps:
        return config.lift.steps
    epochs = config.classify.epochs * -(-training // config.classify.batch_size)
    return min(epochs, config.classify.steps) if config.classify.steps else epochs


def train(
    config: RunConfig,
    image: ImageSpec,
    arm: Arm,
    fold: Fold,
    real: Real,
    synthetic: Synthetic,
    seed: int,
    compute: Compute,
    progress: Progress,
) -> Outcome:
    """Train one network and let it judge. With one `seed`, all arms begin with the same weights.

    The number of steps is fixed, and the weights of the lowest validation loss are kept: the validation part is real
    in every arm. Raises DataError for parts that cannot be trained on, DivergedError for scores that are no numbers.
    """
    started = time.monotonic()
    training = real.part(fold.train)
    if arm.name == SYNTHETIC:
        training = _like(training, synthetic)
    trained = fitting.train(
        config.classifier,
        image,
        _settings(config, arm, len(fold.train)),
        _augmentation(config, image, arm),
        training,
        real.part(fold.validation),
        synthetic.pictures() if arm.ratio else None,
        synthetic.parts,
        seed,
        compute,
        lambda event: None,
        progress.say,
    )

    def scores(pictures: Pictures) -> np.ndarray:
        logits = fitting.logits(trained.network, pictures.pixels, compute.exact())
        if not np.isfinite(logits).all():
            raise DivergedError(
                f"arm {arm.name}: {int((~np.isfinite(logits)).sum())} of {len(logits)} scores are not finite numbers: "
                f"lower classify.lr ({config.classify.lr:g})"
            )
        return clinical.calibrated(logits, trained.temperature.value)

    return Outcome(
        scores(real.part(fold.test)),
        scores(synthetic.pictures()) if arm.name == REAL else np.empty(0),
        {
            "steps": trained.steps,
            "best_epoch": trained.best_epoch,
            "validation_loss": trained.validation_loss,
            "temperature": trained.temperature.value,
            "prepared": trained.prepared,
            "trained_on": len(training),
            "seconds": round(time.monotonic() - started, 2),
        },
    )


def _settings(config: RunConfig, arm: Arm, training: int) -> ClassifySettings:
    steps = steps_of(config, training)
    # An epoch has a step at least, so that it is the steps that end a training, in every arm alike.
    return evolve(config.classify, steps=steps, epochs=steps, patience=0, synthetic_ratio=arm.ratio)


def _augmentation(config: RunConfig, image: ImageSpec, arm: Arm) -> Augmentation:
    chosen = config.classifier_augmentation if arm.augmented else registry.load().choose("augmentation", "none", {})
    augmentation: Augmentation = chosen.build(image)
    return augmentation


def _like(training: Pictures, synthetic: Synthetic) -> Pictures:
    """As many synthetic pictures of each class as there are real ones, or all there are."""
    chosen: list[np.ndarray] = []
    for label in np.unique(training.labels):
        having = np.flatnonzero(synthetic.labels == label)
        chosen.append(having[: int((training.labels == label).sum())])
    return synthetic.take(np.sort(np.concatenate(chosen))).pictures()


def seeds_of(config: RunConfig, number: int) -> Sequence[int]:
    """The seeds of the trainings in a fold."""
    return [Step(config.run.seed, seed).seed_of(f"lift fold {number}") for seed in range(config.lift.seeds)]
