"""What an experiment would cost, measured on random pictures: `dfukit lift --dry-run`."""

from __future__ import annotations

from typing import Any

from dfukit import device, plan, schedule
from dfukit.component import ImageSpec
from dfukit.config import RunConfig
from dfukit.interfaces import Critic
from dfukit.lift.arms import arms_of, steps_of
from dfukit.progress import minutes
from dfukit.settings import seconds

SIZE = 128
"""Width that is assumed where it is the synthetic pictures' own."""


def estimate(config: RunConfig, retrained: bool) -> dict[str, Any]:
    """{"trainings", "steps", "pictures", "gan_seconds", "classifier_seconds", "device"}, of all folds together.

    `retrained`: whether a generator is trained in each fold. Raises DataError for a data folder that is not there.
    """
    compute, lift = device.choose(config.run), config.lift
    pictures, _ = plan.count(config)
    test = pictures / lift.folds
    validation = (pictures - test) * lift.validation
    training = max(1, round((pictures - test - validation) * lift.training_share))
    image = ImageSpec(config.gan.size if retrained else lift.size or SIZE, 3, plan.CLASSES, plan.CLASSES[0])
    critic: Critic = config.critic.build(ImageSpec(config.gan.size, 3, plan.CLASSES, plan.CLASSES[0]))
    steps, arms = steps_of(config, training), arms_of(config)
    trainings = lift.folds * lift.seeds * len(arms)
    seen = steps * config.classify.batch_size
    judged = validation * -(-steps // max(1, -(-training // config.classify.batch_size))) + test
    one = plan.classifier_step(config, image, critic, compute) / plan.SMALL_BATCH
    return {
        "trainings": trainings,
        "steps": steps,
        "pictures": pictures,
        "device": str(compute),
        "gan_seconds": round(lift.folds * _gan(config, image, training, compute), 1) if retrained else 0.0,
        "classifier_seconds": round(trainings * one * (seen + plan.FORWARD * judged), 1),
    }


def _gan(config: RunConfig, image: ImageSpec, training: int, compute: device.Compute) -> float:
    """Seconds of one training of the GAN, at most."""
    if config.gan.budget:
        return seconds(config.gan.budget)
    batch_size = min(config.gan.batch_size, training)
    step = plan.gan_step(config, image, compute, batch_size)
    return schedule.steps(config.gan, max(1, training // batch_size)) * step


def as_text(document: dict[str, Any]) -> str:
    """The estimate for a person."""
    return "\n".join(
        (
            f"{document['trainings']} trainings of {document['steps']} steps on {document['pictures']} pictures, on "
            f"{document['device']}",
            f"GAN in the folds   about {minutes(document['gan_seconds'])} at most",
            f"classifiers        about {minutes(document['classifier_seconds'])}",
            "nothing was written",
        )
    )
