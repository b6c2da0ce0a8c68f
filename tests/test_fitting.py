"""How a classifier is fitted: what its network is shown, at which rates, and what is measured of it."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dfukit import Component, ImageSpec, fitting, frozen, registry
from dfukit.component import Chosen
from dfukit.device import Compute
from dfukit.fitting import Pictures, Trained
from dfukit.interfaces import Augmentation, Classifier, Parts, Step
from dfukit.sections import ClassifySettings

CPU = Compute(torch.device("cpu"), bf16=False)
IMAGE = ImageSpec(16, 3, ("other", "infected"), "infected")


@frozen
class NoSettings:
    """Nothing to set."""


class Linear(Classifier):
    """Logistic regression on pixels."""

    def __init__(self, settings: NoSettings, image: ImageSpec) -> None:
        super().__init__()
        self.line = nn.Linear(3 * 16 * 16, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.line(images.flatten(1))
        return logits[:, 0]


class Normed(Linear):
    """The same behind a batch norm; remembers its mode and the lightest pixel at each step of its training."""

    seen: ClassVar[list[tuple[bool, float]]] = []

    def __init__(self, settings: NoSettings, image: ImageSpec) -> None:
        super().__init__(settings, image)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            Normed.seen.append((self.training, float(images.detach().max())))
        return super().forward(self.norm(images))


class Black(Augmentation):
    """Makes every picture black."""

    def draw(self, n: int, step: Step, purpose: str = "augment") -> None:
        return None

    def forward(self, images: Tensor, params: Any) -> Tensor:
        return images * 0


def made_up(n: int, seed: int = 0) -> Pictures:
    """Noise, in two classes."""
    pixels = np.random.default_rng(seed).integers(0, 256, (n, 16, 16, 3), np.uint8)
    return Pictures(pixels, np.arange(n) % 2, np.arange(n))


TRAINING = made_up(16)


def fit(kind: str, augmentation: Augmentation | None = None, **changed: Any) -> tuple[Trained, list[dict[str, Any]]]:
    """A classifier of this file after some steps, and what was reported of them: two to an epoch."""
    events: list[dict[str, Any]] = []
    trained = fitting.train(
        chosen=Chosen("classifier", Component(kind, NoSettings, f"{__name__}:{kind}", ""), NoSettings(), "test", "1"),
        image=IMAGE,
        settings=ClassifySettings(**{"batch_size": 8, "epochs": 1, **changed}),
        augmentation=augmentation or registry.load().choose("augmentation", "none", {}).build(IMAGE),
        training=TRAINING,
        validation=made_up(8, seed=1),
        synthetic=None,
        parts=Parts(),
        seed=0,
        compute=CPU,
        report=events.append,
    )
    return trained, events


def test_each_step_is_in_training_mode_on_augmented_pictures() -> None:
    Normed.seen.clear()
    fit("Normed", Black(), epochs=2)  # each epoch ends with an evaluation, which is in another mode
    assert Normed.seen == [(True, 0.0)] * 4


def test_the_learning_rate_rises_to_its_setting_and_falls_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[float, float]] = []

    class Spying(torch.optim.AdamW):
        def step(self, closure: Any = None) -> Any:
            (group,) = self.param_groups
            told.append((group["lr"], group["weight_decay"]))
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "AdamW", Spying)
    fit("Linear", epochs=20, lr=0.01, weight_decay=0.03, patience=0)
    rates = [rate for rate, _ in told]
    assert len(rates) == 40
    assert rates[0] == pytest.approx(0.005)
    assert max(rates) == 0.01
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] < 0.0001
    assert {decay for _, decay in told} == {0.03}


def test_a_batch_in_portions_has_the_loss_of_the_whole_and_trains_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, of_whole = fit("Linear")
    loss = nn.functional.binary_cross_entropy_with_logits

    def full(logit: Tensor, target: Tensor) -> Tensor:
        if len(logit) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss(logit, target)

    monkeypatch.setattr(nn.functional, "binary_cross_entropy_with_logits", full)
    parts, of_parts = fit("Linear")
    assert [event["loss"] for event in of_parts] == pytest.approx([event["loss"] for event in of_whole], rel=1e-5)
    assert torch.allclose(parts.network.line.weight, whole.network.line.weight, atol=1e-5)


def test_batch_norm_statistics_are_those_of_the_real_training_pictures() -> None:
    network = fit("Normed")[0].network
    again = copy.deepcopy(network)
    fitting.refresh_statistics(again, TRAINING.pixels, CPU)
    assert torch.allclose(network.norm.running_mean, again.norm.running_mean)
    mean = torch.from_numpy(TRAINING.pixels / 255).mean((0, 1, 2)).float()
    assert torch.allclose(network.norm.running_mean, mean, atol=1e-5)
