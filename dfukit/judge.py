"""Watching a GAN while it trains: the log, sample grids, the stopping distance, and alarms."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import torch
from attrs import define, field
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from dfukit import average, rundir
from dfukit.config import GanSettings
from dfukit.device import Compute
from dfukit.drawn import GRID, grid, png, to_uint8
from dfukit.errors import DivergedError
from dfukit.interfaces import Critic, Generator, Step
from dfukit.progress import Progress
from dfukit.resident import DevicePictures
from dfukit.rundir import RunDir
from dfukit.scoring import StoppingDistance

COLLAPSE = 0.5
"""Alarm when the diversity of the fixed batch falls below this share of its highest value so far."""
OVERFIT = 0.5
"""Alarm when the critic's overfitting passes this (r_v of Karras et al. 2020, equation 1: 0 none, 1 complete)."""


@define
class EarlyStop:
    """Stops when a distance has not improved for `patience` evaluations (0: never), and says which weights to keep.

    Kept is the latest evaluation within one standard error of the lowest distance (the one-standard-error rule of
    Breiman et al. 1984, section 3.4.3): with few validation pictures the lowest is a matter of luck, and of weights
    that cannot be told apart those trained longer look better.
    """

    patience: int
    best: float | None = None
    best_step: int = 0
    kept: float | None = None
    kept_step: int = 0
    waited: int = 0

    def observe(self, distance: float, step: int, error: float = 0.0) -> bool:
        """Whether the weights of this evaluation are to be kept. `error` is the distance's standard error."""
        improved = self.best is None or distance < self.best
        if improved:
            self.best, self.best_step, self.waited = distance, step, 0
        else:
            self.waited += 1
        if improved or (self.best is not None and distance - error < self.best):
            self.kept, self.kept_step = distance, step
            return True
        return False

    @property
    def stops(self) -> bool:
        return bool(self.patience) and self.waited >= self.patience


@define
class Judge:
    """What the loop asks about its own progress. It draws from seeds of its own and cannot disturb training."""

    settings: GanSettings
    run: RunDir
    compute: Compute
    progress: Progress
    training: DevicePictures
    validation: DevicePictures
    classes: int
    latent_size: int
    epoch_steps: int
    steps: int
    seed: int
    picture_note: str
    """What is written into the sample grids."""
    distance: StoppingDistance | None
    """None where there are too few validation pictures: then training runs to its end."""
    seconds: float = 0.0
    """Spent on evaluations, which pictures/s leaves out."""
    started: float = field(factory=time.monotonic)
    note: str = ""
    alarms: dict[str, int] = field(factory=dict)
    """The step at which each alarm first rang."""
    diversities: list[float] = field(factory=list)
    early_stop: EarlyStop = field(init=False)
    writer: SummaryWriter = field(init=False)
    latent: Tensor = field(init=False)
    label: Tensor = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.early_stop = EarlyStop(self.settings.patience)
        self.writer = SummaryWriter(str(self.run.tensorboard))
        step, device = Step(self.seed, 0), self.compute.device
        n = max(self.settings.evaluate_pictures, GRID * GRID)
        self.latent = torch.randn(n, self.latent_size, generator=step.rng("judge latent")).to(device)
        # Classes as often as in the training part, so that the distance does not punish their share.
        order = torch.randint(len(self.training), (n,), generator=step.rng("judge label")).to(device)
        self.label = self.training.labels[order]

    @property
    def every(self) -> int:
        """Steps between evaluations."""
        return self.settings.evaluate_every or max(self.epoch_steps, 20)

    @property
    def log_every(self) -> int:
        return max(1, min(10, self.every // 2))

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, evaluations included and breaks between resumed parts left out."""
        return time.monotonic() - self.started

    def due(self, step: int) -> bool:
        return step % self.every == 0 or step == self.steps

    def log(self, step: int, critic: Mapping[str, Tensor], generator: Mapping[str, Tensor], rate: float) -> None:
        """One event of the training log. Raises DivergedError where a term is not finite."""
        values = {f"critic_{name}": float(term.detach().mean()) for name, term in critic.items()}
        values |= {f"generator_{name}": float(term.detach().mean()) for name, term in generator.items()}
        for name, value in values.items():
            if not np.isfinite(value):
                raise DivergedError(
                    f"training diverged: {name} is {value} at step {step}; lower gan.lr_generator and gan.lr_critic, "
                    "or use --precision fp32"
                )
        if "real" in critic and "fake" in critic:
            values["wasserstein"] = values["critic_real"] - values["critic_fake"]
        values["pictures_per_second"] = rate
        self._event(step, values)

    @torch.no_grad()
    def evaluate(self, step: int, generator: Generator, critic: Critic) -> bool:
        """Judge the averaged generator: distance, diversity, overfitting, a sample grid.

        True where its weights are to be kept. Leaves it in eval mode, its batch-norm statistics recomputed.
        """
        started = time.monotonic()
        critic.eval()
        average.recompute_batch_norm(generator, self.latent, self.label)
        fake = self._draw(generator, self.latent, self.label)
        values = {"diversity": self._diversity(fake), "critic_overfitting": self._overfitting(critic, fake)}
        keep = True
        if self.distance is not None:
            distance, error = self.distance.measure(fake.permute(0, 2, 3, 1).cpu().numpy())
            values |= {"distance": distance, "distance_error": error}
            keep = self.early_stop.observe(distance, step, error)
            self.note = f"{self.distance.name} {distance:.3f}, lowest {self.early_stop.best:.3f}"
        values["evaluations_without_improvement"] = self.early_stop.waited
        self._ring(step, values)
        self._sample_grid(step, generator)
        self._event(step, values)
        critic.train()
        self.seconds += time.monotonic() - started
        return keep

    def state(self) -> dict[str, Any]:
        """What it has seen so far, for a checkpoint; `restore` takes it back."""
        return {
            "early_stop": attrs.asdict(self.early_stop),
            "alarms": self.alarms,
            "diversities": self.diversities,
            "elapsed": self.elapsed,
            "seconds": self.seconds,
            "note": self.note,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.early_stop = EarlyStop(**state["early_stop"])
        self.alarms, self.diversities = dict(state["alarms"]), list(state["diversities"])
        self.started = time.monotonic() - state["elapsed"]
        self.seconds, self.note = state["seconds"], state["note"]

    def forget_after(self, step: int) -> None:
        """Strike from the logs what came after a step, because it will happen again."""
        self.run.keep_events(lambda event: event["phase"] in ("gan", "alarm") and event["step"] <= step)
        self.writer.close()
        self.writer = SummaryWriter(str(self.run.tensorboard), purge_step=step + 1)

    def summary(self, step: int) -> dict[str, Any]:
        """How training went, for training.json and the report."""
        self.writer.close()
        patience = self.early_stop.patience
        why = f"no better for {patience} evaluations" if self.early_stop.stops else "all steps done"
        return {
            "steps": step,
            "steps_planned": self.steps,
            "epochs": step / self.epoch_steps,
            "kept_step": self.early_stop.kept_step or step,
            "kept_distance": self.early_stop.kept,
            "best_step": self.early_stop.best_step or step,
            "stopping_metric": self.distance.name if self.distance else None,
            "best_distance": self.early_stop.best,
            "stopped": why,
            "alarms": self.alarms,
            "seconds": round(self.elapsed, 1),
            "seconds_of_evaluation": round(self.seconds, 1),
        }

    def _draw(self, generator: Generator, latent: Tensor, label: Tensor) -> Tensor:
        """uint8 [N, C, S, S]."""
        with self.compute.autocast():
            images = [
                generator(z, y).float() for z, y in zip(torch.split(latent, 64), torch.split(label, 64), strict=True)
            ]
        return to_uint8(torch.cat(images))

    def _diversity(self, fake: Tensor) -> float:
        """Mean root-mean-square difference of two pictures of the fixed batch, in grey levels."""
        small = torch.nn.functional.adaptive_avg_pool2d(fake.float(), 16).flatten(1)
        distances = torch.nn.functional.pdist(small) / small.shape[1] ** 0.5
        return float(distances.mean())

    def _overfitting(self, critic: Critic, fake: Tensor) -> float:
        """(E[D(train)] - E[D(validation)]) / (E[D(train)] - E[D(fake)]).

        0 where there is no validation part, or while the critic cannot tell training pictures from fakes.
        """
        n = min(len(self.validation), len(self.training), 256)
        if n < 2:
            return 0.0
        # Evenly spaced: pictures are in the order of their paths, and so of their classes.
        some, others = (torch.linspace(0, len(part) - 1, n).long() for part in (self.training, self.validation))
        train = self._scores(critic, *self.training.take(some))
        held_out = self._scores(critic, *self.validation.take(others))
        made = self._scores(critic, fake[:n], self.label[:n])
        gap = float(train.mean() - made.mean())
        if gap < 3 * float((train.var() / n + made.var() / n).sqrt()):
            return 0.0
        return float(train.mean() - held_out.mean()) / gap

    def _scores(self, critic: Critic, images: Tensor, label: Tensor) -> Tensor:
        with self.compute.autocast():
            scores = [
                critic(x.float() / 127.5 - 1, y)
                for x, y in zip(torch.split(images, 64), torch.split(label, 64), strict=True)
            ]
        return torch.cat(scores).float()

    def _ring(self, step: int, values: Mapping[str, float]) -> None:
        self.diversities.append(values["diversity"])
        if values["diversity"] < COLLAPSE * max(self.diversities):
            self._alarm(
                "collapse", step, f"the pictures of a fixed batch grow alike ({values['diversity']:.1f} grey levels)"
            )
        if values["critic_overfitting"] > OVERFIT:
            share = values["critic_overfitting"]
            self._alarm("overfitting", step, f"the critic tells training from validation pictures (r_v {share:.2f})")

    def _alarm(self, name: str, step: int, text: str) -> None:
        if name not in self.alarms:
            self.alarms[name] = step
            self.progress.say(f"alarm at step {step}: {name}: {text}")
            self.run.event("alarm", step=step, alarm=name, text=text)

    def _sample_grid(self, step: int, generator: Generator) -> None:
        """64 pictures of the fixed latents, a class a row in turn."""
        label = (torch.arange(GRID * GRID, device=self.label.device) // GRID) % self.classes
        fake = self._draw(generator, self.latent[: GRID * GRID], label)
        pixels = grid(fake.permute(0, 2, 3, 1).cpu().numpy())
        rundir.write_bytes(self.run.sample_grid(step), png(pixels, self.picture_note))
        self.writer.add_image("samples", pixels, step, dataformats="HWC")

    def _event(self, step: int, values: Mapping[str, float]) -> None:
        known = {name: float(f"{value:.6g}") for name, value in values.items() if np.isfinite(value)}
        self.run.event("gan", step=step, epoch=round(step / self.epoch_steps, 3), **known)
        for name, value in known.items():
            self.writer.add_scalar(f"gan/{name}", value, step)
