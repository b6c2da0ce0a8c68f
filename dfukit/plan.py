"""`dfukit run --dry-run`: the whole configuration, where each value comes from, and what the run would cost.

The cost is measured: a step of the GAN, as training takes it, and one of the classifier on random pictures, on a CPU in
small batches, scaled up.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import tomli_w
import torch
from attrs import evolve

from dfukit import device, phantom, schedule
from dfukit.adversaries import build
from dfukit.component import ImageSpec
from dfukit.config import RunConfig
from dfukit.device import Compute
from dfukit.errors import DataError
from dfukit.images import choose_positive
from dfukit.images.find import TABLES, find
from dfukit.images.prepare import patients_of, root_of
from dfukit.interfaces import Critic, Parts
from dfukit.resident import DevicePictures
from dfukit.settings import seconds
from dfukit.weights import Description

SMALL_BATCH = 8
TURNS = 100
"""Steps of the training that the ones measured are the first of: their learning rates do not matter."""
CLASSES = ("one", "other")


def describe(config: RunConfig) -> dict[str, Any]:
    """{"configuration", "origins", "estimate"}. Raises what `count` does."""
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
        f"# classifiers about {minutes(estimate['classifier_seconds'])} at most"
        if estimate["classes"] > 1
        else "# no classifiers: there is one class only",
        f"# scoring not counted; about {estimate['memory_gib']:.1f} GiB of memory",
        "# nothing was written",
    ]
    return "\n".join(lines).strip()


def _estimate(config: RunConfig) -> dict[str, Any]:
    compute = device.choose(config.run)
    pictures, classes = count(config)
    training = max(int(pictures * config.data.train), 1)
    batch_size = min(config.gan.batch_size, training)
    image = ImageSpec(config.gan.size, 3, CLASSES, CLASSES[0])
    before = _memory()
    critic: Critic = config.critic.build(image)
    gan_seconds = gan_step(config, image, compute, batch_size)
    gan = config.gan
    if gan.budget:
        gan = schedule.fit(gan, 0, seconds(gan.budget), gan_seconds, 0.0)  # evaluations are not counted here
    steps = schedule.steps(gan, max(1, training // batch_size))
    # A class alone has nothing to be told from: no classifier is trained.
    classifier_seconds = classifier_step(config, image, critic, compute) / SMALL_BATCH if classes > 1 else 0.0
    epochs = config.classify.epochs
    pictures_seen = config.classify.batch_size * config.classify.steps if config.classify.steps else epochs * training
    grown = (_memory() - before) * max(batch_size, config.classify.batch_size) / SMALL_BATCH
    return {
        "pictures": pictures,
        "classes": classes,
        "gan_steps": steps,
        "device": str(compute),
        "gan_seconds": round(steps * gan_seconds, 1),
        "classifier_seconds": round(2 * pictures_seen * classifier_seconds, 1),
        "memory_gib": round((before + grown) / 2**30, 2),
    }


def count(config: RunConfig) -> tuple[int, int]:
    """Files that may be pictures, and classes, as names and the manifest tell them: no picture is opened.

    Raises DataError where the folder or its manifest cannot be used, or holds no such file, and ConfigError where the
    positive class is unknown or must be named.
    """
    if not config.data.path:
        choose_positive(phantom.CLASSES, config.data.positive)
        return config.data.phantom_patients * config.data.phantom_pictures, len(CLASSES)
    root = root_of(config.data)
    listed: set[str] = set()
    labels: set[str] = set()
    pictures = 0
    for entry in find(root, listed.__contains__, patients_of(config.data)):
        listed.add(entry.path)
        if not entry.path:
            labels.add(entry.label)
        elif entry.reason is None and PurePosixPath(entry.path).suffix.lower() not in TABLES:
            pictures += 1
    if pictures == 0:
        raise DataError(f"{root} holds no picture")
    choose_positive(sorted(labels) or (root.name,), config.data.positive)
    return pictures, max(1, len(labels))


def gan_step(config: RunConfig, image: ImageSpec, compute: Compute, batch: int) -> float:
    """Seconds of one step as training takes it; on a CPU that of the small batch, scaled up.

    On a GPU it is measured as it will be, at its whole batch and, where steps are replayed, replayed.
    """
    measured = SMALL_BATCH if compute.device.type == "cpu" else batch
    told = evolve(config, gan=evolve(config.gan, batch_size=measured))
    pixels = np.random.default_rng(0).integers(0, 256, (measured, image.size, image.size, image.channels), np.uint8)
    real = DevicePictures(pixels, np.arange(measured) % len(image.classes), compute.device)
    adversaries = build(told, image, real, compute, lambda text: None)

    def one(index: int) -> None:
        adversaries.step(told.gan, index, TURNS)

    return _seconds(one, adversaries.first_steps, compute) * batch / measured


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

    return _seconds(one, 1, compute)


def _seconds(one: Callable[[int], None], warm_up: int, compute: Compute) -> float:
    """The faster of two calls after some to warm up."""
    durations = []
    for index in range(warm_up + 2):
        started = time.perf_counter()
        one(index)
        if compute.device.type == "cuda":
            torch.cuda.synchronize(compute.device)
        durations.append(time.perf_counter() - started)
    return min(durations[warm_up:])


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
