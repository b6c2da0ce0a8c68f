"""`dfukit run --dry-run`: the whole configuration, where each value comes from, and what the run would cost.

The cost is measured: a step of the GAN and one of the classifier on random pictures, on a CPU in small batches, scaled
up.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tomli_w
import torch

from dfukit import device, schedule
from dfukit.component import ImageSpec
from dfukit.config import RunConfig
from dfukit.device import Compute
from dfukit.errors import DataError
from dfukit.images.find import check_root
from dfukit.interfaces import Augmentation, Batch, Critic, Generator, Loss, Parts, Step
from dfukit.pairing import check_pair
from dfukit.settings import seconds
from dfukit.weights import Description

SMALL_BATCH = 8
CLASSES = ("one", "other")


def describe(config: RunConfig) -> dict[str, Any]:
    """{"configuration", "origins", "estimate"}. Raises DataError for a data folder that is not there."""
    return {
        "configuration": config.as_table(),
        "origins": dict(config.origins),
        "estimate": _estimate(config),
    }


def as_text(document: dict[str, Any]) -> str:
    """The configuration as TOML, each value with where it comes from, and the estimate."""
    lines = []
    origins = document["origins"]
    for name, table in document["configuration"].items():
        if not isinstance(table, dict):
            lines.append(f"{name} = {table!r}")
            continue
        lines.append(f"\n[{name}]")
        for key, value in table.items():
            written = tomli_w.dumps({key: value}).strip()
            where = origins.get(f"{name}.{key}", "default")
            lines.append(written if isinstance(value, dict) else f"{written:40} # {where}")
    estimate = document["estimate"]
    lines += [
        f"\n# {estimate['pictures']} pictures, {estimate['gan_steps']} GAN steps at most, on {estimate['device']}",
        f"# GAN about {minutes(estimate['gan_seconds'])} at most",
        f"# classifiers about {minutes(estimate['classifier_seconds'])} at most",
        f"# scoring not counted; about {estimate['memory_gib']:.1f} GiB of memory",
        "# nothing was written",
    ]
    return "\n".join(lines).strip()


def _estimate(config: RunConfig) -> dict[str, Any]:
    compute = device.choose(config.run)
    pictures = count(config)
    training = max(int(pictures * config.data.train), 1)
    batch_size = min(config.gan.batch_size, training)
    image = ImageSpec(config.gan.size, 3, CLASSES, CLASSES[0])
    before = _memory()
    critic: Critic = config.critic.build(image)
    gan_seconds = gan_step(config, image, critic, compute, batch_size)
    gan = config.gan
    if gan.budget:
        gan = schedule.fit(gan, 0, seconds(gan.budget), gan_seconds, 0.0)  # evaluations are not counted here
    steps = schedule.steps(gan, max(1, training // batch_size))
    classifier_seconds = classifier_step(config, image, critic, compute) / SMALL_BATCH
    epochs = config.classify.epochs
    pictures_seen = config.classify.batch_size * config.classify.steps if config.classify.steps else epochs * training
    grown = (_memory() - before) * max(batch_size, config.classify.batch_size) / SMALL_BATCH
    return {
        "pictures": pictures,
        "gan_steps": steps,
        "device": str(compute),
        "gan_seconds": round(steps * gan_seconds, 1),
        "classifier_seconds": round(2 * pictures_seen * classifier_seconds, 1),
        "memory_gib": round((before + grown) / 2**30, 2),
    }


def count(config: RunConfig) -> int:
    """Files below the data folder, usable or not; nothing is opened."""
    if not config.data.path:
        return config.data.phantom_patients * config.data.phantom_pictures
    root = Path(config.data.path)
    check_root(root)
    count = sum(
        1 for _, _, files in os.walk(root) for file in files if not file.startswith(".") and not file.endswith(".csv")
    )
    if count == 0:
        raise DataError(f"{root} holds no files")
    return count


def gan_step(config: RunConfig, image: ImageSpec, critic: Critic, compute: Compute, batch: int) -> float:
    """Seconds of one step, critic steps and generator step; on a CPU those of the small batch, scaled up."""
    measured = SMALL_BATCH if compute.device.type == "cpu" else batch  # a GPU is hardly slower with more pictures
    return _seconds(gan_turn(config, image, critic, compute, measured), compute) * batch / measured


def gan_turn(
    config: RunConfig, image: ImageSpec, critic: Critic, compute: Compute, batch: int
) -> Callable[[int], None]:
    """What makes the step of a number on random pictures: all its gradients, and no optimiser."""
    generator: Generator = config.generator.build(image)
    loss: Loss = config.loss.build(image)
    check_pair(config, loss, critic)
    augmentation: Augmentation = config.augmentation.build(image)
    for network in (generator, critic):
        network.to(compute.device).to(memory_format=torch.channels_last)
    real = torch.rand(batch, image.channels, image.size, image.size, device=compute.device) * 2 - 1
    label = torch.arange(batch, device=compute.device) % len(CLASSES)
    latent = torch.randn(batch, generator.latent_size, device=compute.device)

    def score(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        changes = augmentation.draw(len(images), Step(0, 0))
        seen = augmentation.forward((images + 1) / 2, changes) * 2 - 1
        with compute.autocast():
            scores: torch.Tensor = critic(seen, labels)
        return scores

    def one(index: int) -> None:
        step = Step(0, index)
        for _ in range(loss.critic_steps):
            with torch.no_grad(), compute.autocast():
                fake = generator(latent, label)
            terms = loss.critic(score, Batch(real, fake.float(), label), step)
            with compute.autocast():
                auxiliary = critic.auxiliary(real, step)
            total = terms["loss"] if auxiliary is None else terms["loss"] + auxiliary
            total.backward()  # type: ignore[no-untyped-call]
        with compute.autocast():
            fake = generator(latent, label)
        loss.generator(score, Batch(real, fake.float(), label), step)["loss"].backward()  # type: ignore[no-untyped-call]

    return one


def classifier_step(config: RunConfig, image: ImageSpec, critic: Critic, compute: Compute) -> float:
    """Seconds of one forward and backward pass at the small batch, with random weights."""
    description = Description(config.classifier, image)
    network = description.build()
    network.attach(Parts(critic=critic))  # type: ignore[operator]
    network.to(compute.device).to(memory_format=torch.channels_last)
    pictures = torch.rand(SMALL_BATCH, image.channels, image.size, image.size, device=compute.device)

    def one(index: int) -> None:
        with compute.autocast():
            logits = network(pictures)
        logits.float().sum().backward()

    return _seconds(one, compute)


def _seconds(one: Callable[[int], None], compute: Compute) -> float:
    """The faster of two calls after one to warm up."""
    durations = []
    for index in range(3):
        started = time.perf_counter()
        one(index)
        if compute.device.type == "cuda":
            torch.cuda.synchronize(compute.device)
        durations.append(time.perf_counter() - started)
    return min(durations[1:])


def _memory() -> float:
    """Bytes that this process held at most so far, on the host."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def minutes(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} min"
        if seconds < 6000
        else f"{seconds / 3600:.1f} h"
    )
