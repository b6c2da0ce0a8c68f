"""Training one classifier: early stopping on the validation loss, the best weights, and a temperature."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from attrs import frozen
from torch import Tensor, nn

from dfukit import clinical
from dfukit.component import Chosen, ImageSpec
from dfukit.device import Compute
from dfukit.early_stop import EarlyStop
from dfukit.errors import ConfigError, DataError, DivergedError
from dfukit.interfaces import Augmentation, Classifier, Parts, Step
from dfukit.portions import Portions
from dfukit.rows import Pixels
from dfukit.sections import ClassifySettings

EVALUATION_BATCH = 64
STATISTICS_PICTURES = 256


@frozen(eq=False)
class Pictures:
    """Labelled pictures at the GAN's size: pixels uint8 [N, S, S, C], labels (class indices) and groups int64 [N].

    Groups are patients; synthetic pictures have none, and -1 stands there.
    """

    pixels: Pixels
    labels: np.ndarray
    groups: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@frozen(eq=False)
class Trained:
    """A classifier with its best weights, in eval mode, and how it came about."""

    network: Classifier
    temperature: clinical.Temperature
    validation_loss: float
    """Mean binary cross-entropy of the best weights on the validation part, uncalibrated, in float32."""
    validation_losses: Sequence[float]
    """The same after each epoch, in the precision of the training."""
    best_epoch: int
    """Counted from 1; 0 where no step was made."""
    steps: int
    stopped: str
    prepared: str


def train(
    chosen: Chosen,
    image: ImageSpec,
    settings: ClassifySettings,
    augmentation: Augmentation,
    training: Pictures,
    validation: Pictures,
    synthetic: Pictures | None,
    parts: Parts,
    seed: int,
    compute: Compute,
    report: Callable[[dict[str, Any]], None],
    say: Callable[[str], None] = lambda text: None,
) -> Trained:
    """Train a classifier on real pictures, or on real and `synthetic` ones mixed at `settings.synthetic_ratio`.

    An epoch is one step for each batch of the real training part, whatever the batches hold, so that two runs with
    and without synthetic pictures may make equally many steps and are judged equally often. `report` is handed one
    table for each step, with "validation_loss" after the last one of an epoch; `say` is told what a user should know.
    All randomness is a function of (seed, step).
    Raises DataError for parts that cannot be trained on and DivergedError where the loss is no longer finite.
    """
    batches = Batches(image, settings, training, synthetic, seed)
    check_part(image, validation, "validation")
    with torch.random.fork_rng(devices=[compute.device] if compute.device.type == "cuda" else []):
        torch.manual_seed(Step(seed, 0).seed_of("classifier"))
        network: Classifier = chosen.build(image)
        network.attach(parts)
        prepared = network.prepare(parts)
        network.to(compute.device).to(memory_format=torch.channels_last)
        return _fit(network, image, settings, augmentation, batches, validation, seed, compute, report, say, prepared)


def _fit(
    network: Classifier,
    image: ImageSpec,
    settings: ClassifySettings,
    augmentation: Augmentation,
    batches: Batches,
    validation: Pictures,
    seed: int,
    compute: Compute,
    report: Callable[[dict[str, Any]], None],
    say: Callable[[str], None],
    prepared: str,
) -> Trained:
    total = settings.epochs * batches.per_epoch
    if settings.steps:
        total = min(total, settings.steps)
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    targets = positives(image, validation)
    losses: list[float] = []
    early_stop = EarlyStop(settings.patience)
    best_weights, stopped = copy.deepcopy(network.state_dict()), "classify.epochs reached"
    portions = Portions(batches.size, "training the classifier", say)
    if settings.steps and total == settings.steps:
        stopped = "classify.steps reached"

    done = 0
    started = time.monotonic()
    while done < total:
        # One step.
        step = Step(seed, done, done / total)
        torch.manual_seed(step.seed_of("global"))
        for group in optimiser.param_groups:
            group["lr"] = settings.lr * schedule(done, total)
        network.train()
        pixels, labels = batches.at(done)
        images = as_images(pixels, compute)
        images = augmentation.forward(images, augmentation.draw(len(images), step))
        images = images.contiguous(memory_format=torch.channels_last)
        target = torch.from_numpy(labels).to(compute.device, torch.float32)
        loss = portions.attempt(lambda: _backward(network, images, target, portions, compute))  # noqa: B023
        optimiser.step()
        done += 1

        # Say so, and judge after each epoch.
        value = _finite(loss, "loss", done, settings)
        epoch = math.ceil(done / batches.per_epoch)
        event: dict[str, Any] = {"step": done, "steps": total, "epoch": epoch, "loss": value}
        if done % batches.per_epoch == 0 or done == total:
            refresh_statistics(network, batches.real.pixels, compute)
            judged = cross_entropy(logits(network, validation.pixels, compute), targets)
            losses.append(_finite(judged, "validation loss", done, settings))
            event |= {
                "validation_loss": losses[-1],
                "pictures_per_second": done * batches.size / (time.monotonic() - started),
            }
            if early_stop.observe(losses[-1], epoch):
                best_weights = copy.deepcopy(network.state_dict())
        report(event)
        if early_stop.stops:
            stopped = f"no lower validation loss for {settings.patience} epochs"
            break

    network.load_state_dict(best_weights)
    network.eval()
    final = logits(network, validation.pixels, compute.exact())
    loss_of_best = cross_entropy(final, targets)
    if not losses:
        losses, stopped = [loss_of_best], "no step was asked for"
    temperature = clinical.fit_temperature(final, targets)
    return Trained(network, temperature, loss_of_best, losses, early_stop.best_step, done, stopped, prepared)


def _backward(network: nn.Module, images: Tensor, target: Tensor, portions: Portions, compute: Compute) -> float:
    """The mean loss of a batch, and its gradients; batch norm sees a portion at a time."""
    network.zero_grad(set_to_none=True)
    total = 0.0
    for rows in portions.of(range(len(target))):
        some = slice(rows.start, rows.stop)
        with compute.autocast():
            logit = network(images[some])
        loss = nn.functional.binary_cross_entropy_with_logits(logit.float(), target[some])
        if len(rows) < len(target):
            loss = loss * (len(rows) / len(target))
        torch.autograd.backward(loss)
        total += float(loss.detach())
    return total


def _finite(value: float, name: str, step: int, settings: ClassifySettings) -> float:
    if not math.isfinite(value):
        raise DivergedError(
            f"the classifier's {name} became {value} at step {step}: lower classify.lr ({settings.lr:g})"
        )
    return value


class Batches:
    """What each step is trained on: a function of (seed, step).

    Real pictures come in random order, all of them before any comes again. Synthetic ones take the share that
    `settings.synthetic_ratio` gives them, and their classes follow those of the real training part, so that being
    synthetic says nothing about the class.
    """

    def __init__(
        self, image: ImageSpec, settings: ClassifySettings, real: Pictures, synthetic: Pictures | None, seed: int
    ) -> None:
        check_part(image, real, "training")
        self.real, self.synthetic, self.seed = real, synthetic, seed
        self.targets = positives(image, real)
        check_classes(image, real.labels)
        self.size = settings.batch_size
        self.per_epoch = math.ceil(len(real) / self.size)
        self.synthetic_size = 0
        if synthetic is not None:
            self.synthetic_size = settings.synthetic_in_a_step(settings.synthetic_ratio)
            check_part(image, synthetic, "synthetic")
            self.of_class = {target: np.flatnonzero(positives(image, synthetic) == target) for target in (False, True)}
            if not all(map(len, self.of_class.values())):
                raise DataError("the synthetic set lacks a class: being synthetic would give the label away")

    def at(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Pixels uint8 [N, S, S, C] and targets bool [N] of a step."""
        count = self.size - self.synthetic_size
        chosen = self._take("real", np.arange(len(self.real)), step * count, count)
        if self.synthetic is None:
            return self.real.pixels[chosen], self.targets[chosen]
        # Slots of the synthetic pictures copy the classes of real pictures, drawn in an order of their own.
        start = step * self.synthetic_size
        slots = self.targets[self._take("classes", np.arange(len(self.real)), start, self.synthetic_size)]
        rows = np.empty(self.synthetic_size, np.int64)
        for target, pool in self.of_class.items():
            before = self._count_before(start, target)
            wanted = np.flatnonzero(slots == target)
            rows[wanted] = self._take(f"synthetic/{int(target)}", pool, before, len(wanted))
        pixels = np.concatenate([self.real.pixels[chosen], self.synthetic.pixels[rows]])
        return pixels, np.concatenate([self.targets[chosen], slots])

    def _count_before(self, start: int, target: bool) -> int:
        """How many slots of a class the steps before took."""
        passes, rest = divmod(start, len(self.real))
        earlier = self.targets[self._take("classes", np.arange(len(self.real)), passes * len(self.real), rest)]
        return passes * int((self.targets == target).sum()) + int((earlier == target).sum())

    def _take(self, purpose: str, pool: np.ndarray, start: int, count: int) -> np.ndarray:
        """Entries `start` to `start + count` of an endless series of shuffles of the pool."""
        taken = []
        while count:
            shuffle, offset = divmod(start, len(pool))
            order = torch.randperm(len(pool), generator=Step(self.seed, shuffle).rng(purpose)).numpy()
            taken.append(pool[order[offset : offset + count]])
            start, count = start + len(taken[-1]), count - len(taken[-1])
        return np.concatenate(taken) if taken else np.empty(0, np.int64)


def logits(network: nn.Module, pixels: Pixels, compute: Compute) -> np.ndarray:
    """Uncalibrated logits float64 [N] of pictures uint8 [N, S, S, C], in eval mode."""
    network.eval()
    found = []
    for start in range(0, len(pixels), EVALUATION_BATCH):
        images = as_images(pixels[start : start + EVALUATION_BATCH], compute)
        with torch.no_grad(), compute.autocast(), compute.repeatable():
            found.append(network(images).cpu().double().numpy())
    return np.concatenate(found) if found else np.empty(0)


def refresh_statistics(network: nn.Module, pixels: Pixels, compute: Compute) -> None:
    """Set batch normalisation to the statistics of real training pictures, at most 256 of them, in equal parts.

    Running averages trail far behind in a short training: the same weights score 0.84 instead of 0.51 after ten steps.
    """
    normalisers = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not normalisers:
        return
    momenta = [module.momentum for module in normalisers]
    network.eval()
    for module in normalisers:
        module.reset_running_stats()
        module.momentum = None  # the plain mean of all batches
        module.train()
    chosen = np.linspace(0, len(pixels) - 1, min(len(pixels), STATISTICS_PICTURES)).astype(np.int64)
    for part in np.array_split(chosen, max(1, len(chosen) // EVALUATION_BATCH)):
        with torch.no_grad(), compute.autocast():
            network(as_images(pixels[part], compute))
    for module, momentum in zip(normalisers, momenta, strict=True):
        module.momentum = momentum
    network.eval()


def as_images(pixels: np.ndarray, compute: Compute) -> Tensor:
    """Pictures [N, C, S, S] in [0, 1] on the device from uint8 [N, S, S, C]."""
    images = torch.from_numpy(np.array(pixels)).to(compute.device)
    return images.permute(0, 3, 1, 2).float() / 255


def positives(image: ImageSpec, pictures: Pictures) -> np.ndarray:
    """Which pictures are of the positive class: bool [N]. Raises ConfigError where there is no such class."""
    if image.positive not in image.classes:
        raise ConfigError(f"data.positive {image.positive!r} is none of the labels {', '.join(image.classes)}")
    return np.asarray(pictures.labels == image.classes.index(image.positive))


def check_classes(image: ImageSpec, labels: np.ndarray) -> None:
    """Raises DataError where the labels [N] of the training part are of one class alone."""
    positive = labels == image.classes.index(str(image.positive))
    if len(np.unique(positive)) < 2:
        only = "only" if positive.any() else "no"
        raise DataError(f"the training part has {only} pictures of {image.positive}: a classifier needs both classes")


def check_part(image: ImageSpec, pictures: Pictures, part: str) -> None:
    """Raises DataError for an empty part, or one of pictures that the network was not told of."""
    if not len(pictures):
        raise DataError(f"the {part} part has no picture: a classifier cannot be trained")
    expected = (image.size, image.size, image.channels)
    if pictures.pixels.shape[1:] != expected:
        raise DataError(f"the {part} pictures are {pictures.pixels.shape[1:]}, the classifier expects {expected}")


def cross_entropy(logit: np.ndarray, target: np.ndarray) -> float:
    """Mean binary cross-entropy of logits [N]."""
    return float(np.logaddexp(0, np.where(target, -logit, logit)).mean())


def schedule(step: int, total: int) -> float:
    """A short linear warm-up, then a cosine to zero, as a share of the learning rate."""
    warm = min(20, max(1, total // 20))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))
