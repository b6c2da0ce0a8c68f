"""`dfukit run --dry-run`: the whole configuration, where each value comes from, and what the run would cost.

The cost is measured: a step and an evaluation of the GAN, as training makes them, and a step of the classifier, on
random pictures; on a CPU in small batches, scaled up.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import tomli_w
import torch
from attrs import evolve

from dfukit import device, phantom, schedule, weights
from dfukit.adversaries import build
from dfukit.component import ImageSpec
from dfukit.config import RunConfig
from dfukit.device import Compute
from dfukit.drawn import GRID
from dfukit.errors import DataError
from dfukit.examination import BATCH, Examination
from dfukit.fitting import STATISTICS_PICTURES
from dfukit.images import choose_positive, patients
from dfukit.images.find import TABLES, find
from dfukit.images.prepare import patients_of, root_of
from dfukit.interfaces import Critic, Parts
from dfukit.portions import Portions
from dfukit.progress import Silent, minutes
from dfukit.resident import DevicePictures
from dfukit.rundir import RunDir
from dfukit.scoring import stopping_distance
from dfukit.scoring.stopping import PICTURES
from dfukit.settings import seconds
from dfukit.weights import Description
from dfukit.world import ALONE

SMALL_BATCH = 8
FORWARD = 1 / 3
"""A forward pass, in passes forward and backward."""
TURNS = 100
"""Steps of the training that the ones measured are the first of: their learning rates do not matter."""
CLASSES = ("one", "other")


def describe(config: RunConfig) -> dict[str, Any]:
    """{"configuration", "origins", "estimate"}. Raises what `count` does, and WeightsError without first weights."""
    if config.gan.start_from:
        weights.describe(RunDir(Path(config.gan.start_from)).generator_weights)
    return {
        "configuration": config.as_table(),
        "origins": dict(config.origins),
        "estimate": _estimate(config),
    }


def as_text(document: dict[str, Any]) -> str:
    """The configuration as TOML that `--config` takes, each value with where it comes from, and the estimate."""
    estimate, configuration = document["estimate"], dict(document["configuration"])
    place = estimate["device"].split(",")[0]
    lines = [
        tomli_w.dumps({"preset": configuration.pop("preset")}).strip(),
        *(line for name, table in configuration.items() for line in _as_toml((name,), table, document["origins"])),
        f"\n# {estimate['pictures']} pictures, {estimate['gan_steps']} GAN steps at most "
        f"({schedule.passes(estimate['gan_passes'])}), on {estimate['device']}",
        f"# GAN about {minutes(estimate['gan_seconds'])} at most, with {estimate['gan_evaluations']} evaluations",
        f"# classifiers about {minutes(estimate['classifier_seconds'])} at most"
        if estimate["classes"] > 1
        else "# no classifiers: there is one class only",
        f"# scoring not counted; about {estimate['memory_gib']:.1f} GiB of memory on {place}",
        "# nothing was written",
    ]
    return "\n".join(lines)


def _as_toml(path: tuple[str, ...], table: Mapping[str, Any], origins: Mapping[str, str]) -> Iterator[str]:
    """A table, and behind it those within it."""
    within = {key: value for key, value in table.items() if isinstance(value, dict)}
    if len(within) < len(table) or not table:
        yield "\n" + tomli_w.dumps(reduce(lambda inner, name: {name: inner}, reversed(path), {})).strip()
    for key, value in table.items():
        if key not in within:
            where = origins.get(".".join((*path, key)), "default")
            yield f"{tomli_w.dumps({key: value}).strip():40} # {where}"
    for key, value in within.items():
        yield from _as_toml((*path, key), value, origins)


def _estimate(config: RunConfig) -> dict[str, Any]:
    compute = device.choose(config.run)
    pictures, classes = count(config)
    training = max(int(pictures * config.data.train), 1)
    validation = int(pictures * config.data.validation)
    image = ImageSpec(config.gan.size, 3, CLASSES, CLASSES[0])
    batch_size, drawn = min(config.gan.batch_size, training), _drawn(config)
    held = [_memory(compute)]

    # The GAN.
    critic: Critic = config.critic.build(image)
    one_step = gan_step(config, image, compute, batch_size)
    held.append(_memory(compute))
    one_evaluation, first = evaluation(config, image, compute, validation)
    held.append(_memory(compute))
    gan, epoch_steps = config.gan, max(1, training // batch_size)
    if gan.budget:  # measuring it counts
        left = max(seconds(gan.budget) - first - 2 * one_evaluation, one_step)
        gan = schedule.fit(gan, 0, left, one_step, one_evaluation)
    steps, evaluations = schedule.steps(gan, epoch_steps), schedule.evaluations(gan, epoch_steps)

    # The classifiers. A class alone has nothing to be told from.
    one_picture = classifier_step(config, image, critic, compute) / SMALL_BATCH if classes > 1 else 0.0
    held.append(_memory(compute))
    batches = -(-training // config.classify.batch_size)
    classifier_steps = min(config.classify.epochs * batches, config.classify.steps or sys.maxsize)
    judged = -(-classifier_steps // batches) * (validation + min(training, STATISTICS_PICTURES))
    seen = classifier_steps * config.classify.batch_size + FORWARD * judged

    # What each of them took, for as many pictures as it will have at a time.
    at_a_time = ((batch_size, batch_size), (min(drawn, BATCH), drawn))
    times = [*(n / _few(whole, compute) for n, whole in at_a_time), config.classify.batch_size / SMALL_BATCH]
    grown = sum((after - before) * more for (before, after), more in zip(pairwise(held), times, strict=True))
    return {
        "pictures": pictures,
        "classes": classes,
        "gan_steps": steps,
        "gan_passes": steps / epoch_steps,
        "gan_evaluations": evaluations,
        "device": str(compute),
        "gan_seconds": round(steps * one_step + evaluations * one_evaluation + first, 1),
        "classifier_seconds": round(2 * seen * one_picture, 1),
        "memory_gib": round((held[0] + grown) / 2**30, 2),
    }


def count(config: RunConfig) -> tuple[int, int]:
    """Files that may be pictures, and classes, as names and the manifest tell them: no picture is opened.

    Raises DataError where the folder, its manifest or the table of patients cannot be used, or holds no such file, and
    ConfigError where the positive class is unknown or must be named, or patients have a wrong pattern.
    """
    if not config.data.path:
        choose_positive(phantom.CLASSES, config.data.positive)
        return config.data.phantom_patients * config.data.phantom_pictures, len(CLASSES)
    root = root_of(config.data)
    patients.pattern(config.data)
    table = patients_of(config.data)
    if table:
        list(patients.from_csv(root, table))  # raises where it cannot be read
    listed: set[str] = set()
    labels: set[str] = set()
    pictures = 0
    for entry in find(root, listed.__contains__, table):
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
    measured = _few(batch, compute)
    told = evolve(config, gan=evolve(config.gan, batch_size=measured))
    adversaries = build(told, image, _pictures(measured, image, compute)[1], compute, lambda text: None)

    def one(index: int) -> None:
        adversaries.step(told.gan, index, TURNS)

    return _seconds(one, adversaries.first_steps, compute) * batch / measured


def evaluation(config: RunConfig, image: ImageSpec, compute: Compute, validation: int) -> tuple[float, float]:
    """Seconds of one evaluation as training makes it, and those that the first one takes longer, as it reads the
    validation pictures, of which there are so many; on a CPU those of few pictures, scaled up.

    Raises what `scoring.stopping_distance` does.
    """
    drawn = _drawn(config)
    measured = _few(drawn, compute)
    pixels, real = _pictures(measured, image, compute)
    adversaries = build(config, image, real, compute, lambda text: None)
    distance = stopping_distance(pixels, config, compute, Silent())
    latent = torch.randn(measured, adversaries.generator.latent_size, generator=torch.Generator().manual_seed(0))
    examination = Examination(
        training=real,
        validation=real,
        classes=len(image.classes),
        latent=latent.to(compute.device),
        label=real.labels,
        distance=distance,
        compute=compute,
        portions=Portions(BATCH, "scoring", lambda text: None),
        world=ALONE,
    )
    # The first of the two makes ready what the other finds.
    look = _seconds(lambda index: examination.look(adversaries.averaged, adversaries.critic), 0, compute)
    read = _seconds(lambda index: distance.measure(pixels), 0, compute)
    return look * drawn / measured, read * min(validation, PICTURES) / measured


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


def _drawn(config: RunConfig) -> int:
    """Pictures of an evaluation."""
    return max(config.gan.evaluate_pictures, GRID * GRID)


def _few(n: int, compute: Compute) -> int:
    """Of `n` pictures, those that are measured."""
    return SMALL_BATCH if compute.device.type == "cpu" else n


def _pictures(n: int, image: ImageSpec, compute: Compute) -> tuple[np.ndarray, DevicePictures]:
    """Random ones."""
    pixels = np.random.default_rng(0).integers(0, 256, (n, image.size, image.size, image.channels), np.uint8)
    return pixels, DevicePictures(pixels, np.arange(n) % len(image.classes), compute.device)


def _seconds(one: Callable[[int], object], warm_up: int, compute: Compute) -> float:
    """The faster of two calls after some to warm up."""
    durations = []
    for index in range(warm_up + 2):
        started = time.perf_counter()
        one(index)
        if compute.device.type == "cuda":
            torch.cuda.synchronize(compute.device)
        durations.append(time.perf_counter() - started)
    return min(durations[warm_up:])


def _memory(compute: Compute) -> float:
    """Bytes that this process held at most so far, on a GPU or else on the host."""
    if compute.device.type == "cuda":
        return float(compute.memory())
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
