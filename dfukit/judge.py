"""Watching a GAN while it trains: the log, sample grids, the stopping distance, and alarms."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import attrs
import torch
from attrs import define, field
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from dfukit import hardware, rundir, schedule
from dfukit.device import Compute
from dfukit.drawn import GRID, png
from dfukit.early_stop import EarlyStop
from dfukit.examination import BATCH, Examination
from dfukit.interfaces import Critic, Generator, Step
from dfukit.portions import Portions
from dfukit.progress import Progress
from dfukit.resident import DevicePictures
from dfukit.rundir import RunDir
from dfukit.scoring import StoppingDistance
from dfukit.sections import GanSettings
from dfukit.world import ALONE, World

COLLAPSE = 0.5
"""Alarm when the diversity of the fixed batch falls below this share of its highest value so far."""
OVERFIT = 0.5
"""Alarm when the critic's overfitting passes this (r_v of Karras et al. 2020, equation 1: 0 none, 1 complete)."""


@define
class Judge:
    """What the loop asks about its own progress. It draws from seeds of its own and cannot disturb training.

    All processes of a run come to the same judgement, each looking at its share of the pictures; the first writes.
    """

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
    world: World = ALONE
    at: int = 0
    """Steps done."""
    ended: str = ""
    """Why training ended before its steps and its patience did."""
    seconds: float = 0.0
    """Spent on evaluations and on measuring a time budget, which pictures/s leaves out."""
    started: float = field(factory=time.monotonic)
    resumed: tuple[int, float] = field(init=False)
    """The step and the time at which this process began."""
    note: str = ""
    alarms: dict[str, int] = field(factory=dict)
    """The step at which each alarm first rang."""
    diversities: list[float] = field(factory=list)
    early_stop: EarlyStop = field(init=False)
    writer: SummaryWriter | None = field(init=False)
    """None in the processes that do not write."""
    examination: Examination = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.early_stop = EarlyStop(self.settings.patience)
        self.writer = SummaryWriter(str(self.run.tensorboard)) if self.world.first else None
        self.resumed = (0, self.started)
        step, device = Step(self.seed, 0), self.compute.device
        n = max(self.settings.evaluate_pictures, GRID * GRID)
        latent = torch.randn(n, self.latent_size, generator=step.rng("judge latent")).to(device)
        # Classes as often as in the training part, so that the distance does not punish their share.
        order = torch.randint(len(self.training), (n,), generator=step.rng("judge label")).to(device)
        self.examination = Examination(
            training=self.training,
            validation=self.validation,
            classes=self.classes,
            latent=latent,
            label=self.training.labels[order],
            distance=self.distance,
            compute=self.compute,
            portions=Portions(BATCH, "scoring", self.say, self.world),
            world=self.world,
        )

    @property
    def every(self) -> int:
        """Steps between evaluations."""
        return schedule.evaluate_every(self.settings, self.epoch_steps)

    @property
    def log_every(self) -> int:
        return max(1, min(10, self.every // 2))

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, evaluations included and breaks between resumed parts left out."""
        return time.monotonic() - self.started

    def count(self, seconds: float) -> None:
        """Seconds that belong to the training, but to no step of it."""
        self.started -= seconds
        self.seconds += seconds

    def begin(self, step: int) -> None:
        """This process trains on from a step: rates and the time left are counted from here."""
        self.at, self.resumed = step, (step, time.monotonic())

    def show_settings(self, text: str) -> None:
        """The run's settings, for TensorBoard."""
        if self.writer is not None:
            self.writer.add_text("settings", "\n".join(f"    {line}" for line in text.splitlines()), self.at)

    def due(self, step: int) -> bool:
        return step % self.every == 0 or step == self.steps

    @property
    def stops(self) -> bool:
        """Whether training ends here, whatever the steps that are left."""
        return bool(self.ended) or self.early_stop.stops

    def log(
        self, critic: Mapping[str, Tensor], generator: Mapping[str, Tensor], batch_size: int, **more: float
    ) -> None:
        """One event of the training log: the terms of both losses, and `more`. What is not finite is left out."""
        means = {f"critic_{name}": term.mean() for name, term in critic.items()}
        means |= {f"generator_{name}": term.mean() for name, term in generator.items()}
        # One transfer from the device for all of them.
        values = dict(zip(means, torch.stack([mean.float() for mean in means.values()]).tolist(), strict=True))
        if "real" in critic and "fake" in critic:
            values["wasserstein"] = values["critic_real"] - values["critic_fake"]
        since, when = self.resumed
        values["pictures_per_second"] = self.at * batch_size / max(self.elapsed - self.seconds, 1e-9)
        values["seconds_left"] = (self.steps - self.at) * (time.monotonic() - when) / max(self.at - since, 1)
        values["memory_gib"] = self.compute.memory() / 2**30
        self._event({**values, **more})

    def say(self, text: str) -> None:
        """Something that a user should know about this step, for the log and the screen."""
        self.progress.say(text)
        if self.world.first:
            self.run.event("note", step=self.at, text=text)

    def evaluate(self, generator: Generator, critic: Critic) -> None:
        """Judge the averaged generator: distance, diversity, overfitting, a sample grid.

        Leaves it in eval mode, its batch-norm statistics recomputed.
        """
        started = time.monotonic()
        looked = self.examination.look(generator, critic)
        values = dict(looked.values)
        if self.distance is None or looked.distance is None:
            self.early_stop.kept_step = self.at  # there is nothing to choose by
        else:
            values |= {"distance": looked.distance, "distance_error": looked.error}
            self.early_stop.observe(looked.distance, self.at, looked.error)
            best = self.early_stop.best
            self.note = f"{self.distance.name} {looked.distance:.3f}" + ("" if best is None else f", lowest {best:.3f}")
        values["evaluations_without_improvement"] = self.early_stop.waited
        self._ring(values)
        if self.world.first:
            rundir.write_bytes(self.run.sample_grid(self.at), png(looked.grid, self.picture_note))
        if self.writer is not None:
            self.writer.add_image("samples", looked.grid, self.at, dataformats="HWC")
        self._event(values, distance_name=self.distance.name if self.distance else None)
        hardware.give_back_memory()
        self.seconds += time.monotonic() - started

    def keeps(self, step: int) -> bool:
        """Whether the weights after a step, 0 being none, are those to keep."""
        return 0 < step == self.early_stop.kept_step

    def rehearse(self, generator: Generator, critic: Critic) -> float:
        """Seconds of an evaluation, of which nothing is kept but the time."""
        started = time.monotonic()
        self.examination.look(generator, critic)
        return time.monotonic() - started

    def state(self) -> dict[str, Any]:
        """What it has seen so far, for a checkpoint; `restore` takes it back."""
        return {
            "distance": self._yardstick,
            "early_stop": attrs.asdict(self.early_stop),
            "alarms": self.alarms,
            "diversities": self.diversities,
            "elapsed": self.elapsed,
            "seconds": self.seconds,
            "note": self.note,
            "ended": self.ended,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.early_stop = EarlyStop(**{**state["early_stop"], "patience": self.settings.patience})
        # The Inception weights came or went, for instance, or a batch system gave another machine. Checkpoints of
        # earlier versions have no precision.
        now = self._yardstick
        before = state.get("distance", now)
        if before not in (now, self.distance and self.distance.name):
            self.early_stop = EarlyStop(self.early_stop.patience, kept_step=self.early_stop.kept_step)
            self.say(
                f"the stopping distance was {before} and is {now} now: the weights to keep are chosen anew from here"
            )
        self.alarms, self.diversities = dict(state["alarms"]), list(state["diversities"])
        self.started = time.monotonic() - state["elapsed"]
        self.seconds, self.note, self.ended = state["seconds"], state["note"], state["ended"]

    @property
    def _yardstick(self) -> str | None:
        """What distances are measured by: in another precision they are others."""
        return None if self.distance is None else f"{self.distance.name} in {self.compute.precision}"

    def forget_after(self, step: int) -> None:
        """Strike from the logs what came after a step, because it will happen again."""
        self.run.keep_events(lambda event: event["phase"] in ("gan", "alarm", "note") and event["step"] <= step)
        if self.writer is not None:
            self.writer.close()
            self.writer = SummaryWriter(str(self.run.tensorboard), purge_step=step + 1)

    def summary(self, step: int) -> dict[str, Any]:
        """How training went, for training.json and the report."""
        if self.writer is not None:
            self.writer.close()
        patience = self.early_stop.patience
        why = f"no better for {patience} evaluations" if self.early_stop.stops else schedule.ALL_STEPS
        return {
            "steps": step,
            "steps_planned": self.steps,
            "epochs": step / self.epoch_steps,
            "kept_step": self.early_stop.kept_step or step,
            "kept_distance": self.early_stop.kept,
            "best_step": self.early_stop.best_step or step,
            "stopping_metric": self.distance.name if self.distance else None,
            "best_distance": self.early_stop.best,
            "stopped": self.ended or why,
            "alarms": self.alarms,
            "seconds": round(self.elapsed, 1),
            "seconds_of_evaluation": round(self.seconds, 1),
        }

    def _ring(self, values: Mapping[str, float]) -> None:
        self.diversities.append(values["diversity"])
        if values["diversity"] < COLLAPSE * max(self.diversities):
            self._alarm("collapse", f"the pictures of a fixed batch grow alike ({values['diversity']:.1f} grey levels)")
        if values["critic_overfitting"] > OVERFIT:
            share = values["critic_overfitting"]
            self._alarm("overfitting", f"the critic tells training from validation pictures (r_v {share:.2f})")

    def _alarm(self, name: str, text: str) -> None:
        if name not in self.alarms:
            self.alarms[name] = self.at
            self.progress.say(f"alarm at step {self.at}: {name}: {text}")
            if self.world.first:
                self.run.event("alarm", step=self.at, alarm=name, text=text)

    def _event(self, values: Mapping[str, float], **words: str | None) -> None:
        if not self.world.first:
            return
        known = {name: float(f"{value:.6g}") for name, value in values.items() if math.isfinite(value)}
        place = {
            "step": self.at,
            "steps": self.steps,
            "epoch": round(self.at / self.epoch_steps, 3),
            "seconds": round(self.elapsed, 1),
        }
        self.run.event("gan", **place, **known, **{name: word for name, word in words.items() if word})
        if self.writer is not None:
            for name, value in known.items():
                self.writer.add_scalar(f"gan/{name}", value, self.at)
