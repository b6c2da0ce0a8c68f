"""What the events of one training come to: of the GAN, or of an arm of the classifiers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field

from dfukit.monitor.events import number, text, whole
from dfukit.monitor.series import Pace, Series

LOGGED = (
    "critic_loss",
    "generator_loss",
    "critic_penalty",
    "critic_real",
    "critic_fake",
    "generator_fake",
    "wasserstein",
    "pictures_per_second",
    "memory_gib",
    "skipped",
    "roll_backs",
    "rate",
)
"""Figures of a log interval."""
EVALUATED = ("distance", "distance_error", "diversity", "critic_overfitting", "evaluations_without_improvement")
"""Figures of an evaluation."""
CURVES = ("critic_loss", "generator_loss", "critic_penalty", "wasserstein", "distance")
"""Those of both that are kept over the steps."""


@define
class Training:
    """What the GAN and an arm of the classifiers have in common."""

    step: int | None = None
    steps: int | None = None
    epoch: float | None = None
    at: float | None = None
    """When its last event was written."""
    pace: Pace = field(factory=Pace)
    _left: float | None = None

    def place(self, event: Mapping[str, Any], evaluated: bool) -> None:
        self.step, self.epoch = whole(event, "step"), number(event, "epoch")
        self.steps = whole(event, "steps") or self.steps
        self.at = number(event, "time")
        self._left = number(event, "seconds_left")
        self.pace.add(self.at, self.step, evaluated)

    @property
    def share(self) -> float | None:
        """Done, 0 to 1."""
        if self.step is None or not self.steps:
            return None
        return min(max(self.step / self.steps, 0.0), 1.0)

    def seconds_left(self, now: float) -> float | None:
        """As the event said, or from the pace of the events; None where neither is known."""
        left = self._left
        if left is None and self.step is not None and self.steps and self.pace.step_seconds is not None:
            left = (self.steps - self.step) * self.pace.step_seconds
        if left is None or self.at is None:
            return left
        return max(left - max(now - self.at, 0.0), 0.0)


@define
class Gan(Training):
    """The adversarial loop."""

    figures: dict[str, float | None] = field(factory=lambda: dict.fromkeys((*LOGGED, *EVALUATED)))
    """The latest of each; None where it is not known, or was no finite number."""
    series: dict[str, Series] = field(factory=lambda: {name: Series() for name in CURVES})
    distance_name: str = ""

    def add(self, event: Mapping[str, Any]) -> None:
        evaluated = any(name in event for name in EVALUATED)
        self.place(event, evaluated)
        self.distance_name = text(event, "distance_name") or self.distance_name
        for name in EVALUATED if evaluated else LOGGED:
            value = number(event, name)
            self.figures[name] = value
            if name in self.series:
                self.series[name].add(value, self.step)

    @property
    def waited(self) -> int:
        """Evaluations without a lower distance."""
        said = self.figures["evaluations_without_improvement"]
        return self.series["distance"].since_lowest if said is None else int(said)


@define
class Arm(Training):
    """The training of one classifier."""

    loss: Series = field(factory=Series)
    validation: Series = field(factory=Series)
    pictures_per_second: float | None = None

    def add(self, event: Mapping[str, Any]) -> None:
        self.place(event, "validation_loss" in event)
        self.loss.add(number(event, "loss"), self.step)
        if "validation_loss" in event:
            self.validation.add(number(event, "validation_loss"), self.step)
        if "pictures_per_second" in event:
            self.pictures_per_second = number(event, "pictures_per_second")
