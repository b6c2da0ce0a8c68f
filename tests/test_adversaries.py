"""One step of generator and critic: its rates, what it shows the critic, and what is told of it."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import evolve
from small_gan import CPU, FAULTY, IMAGE, OTHERS, Faulty, Signal, pictures, small
from torch import Tensor

from dfukit import ImageSpec, gan
from dfukit.adversaries import Adversaries, build
from dfukit.config import RunConfig
from dfukit.errors import Interrupted, PluginError
from dfukit.gan import TrainedGan
from dfukit.interfaces import Batch, Scorer, Step
from dfukit.progress import Silent
from dfukit.resident import DevicePictures
from dfukit.rundir import RunDir
from dfukit_wgan import ConvCriticSettings, LstmGeneratorSettings
from dfukit_wgan.networks import ConvCritic, LstmGenerator


@pytest.fixture(autouse=True)
def _without_fault() -> Iterator[None]:
    yield
    Faulty.fault = staticmethod(lambda turn, step: None)


def built(made: RunConfig, training: np.ndarray | None = None) -> Adversaries:
    """Two networks before their first step, which learn from `training`, uint8 [20, 16, 16, 3]."""
    shown = pictures()
    real = DevicePictures(shown.training if training is None else training, shown.training_labels, CPU.device)
    return build(made, IMAGE, real, CPU, lambda text: None)


def test_the_critic_has_a_rate_of_its_own_and_both_fall_with_the_schedule_and_after_a_roll_back() -> None:
    rates = {"gan.lr_generator": 1e-3, "gan.lr_critic": 4e-3, "gan.lr_schedule": "linear"}
    made = small(**rates, **{"gan.beta1": 0.3, "gan.beta2": 0.7})
    adversaries = built(made)
    adversaries.health.roll_back()
    adversaries.step(made.gan, 4, 8)
    groups = {name: optimiser.param_groups[0] for name, optimiser in adversaries.optimisers.items()}
    half_and_half_of_it = 0.5 * 0.5  # of the way, and of the rates after a roll-back
    assert {name: group["lr"] for name, group in groups.items()} == {
        "generator optimiser": pytest.approx(1e-3 * half_and_half_of_it),
        "critic optimiser": pytest.approx(4e-3 * half_and_half_of_it),
    }
    assert {group["betas"] for group in groups.values()} == {(0.3, 0.7)}


def test_the_critic_learns_its_auxiliary_task() -> None:
    made = small(**OTHERS["fastgan"])
    adversaries = built(made)
    weights = {name: parameter for name, parameter in adversaries.critic.named_parameters() if "weight" in name}
    decoders = {name: parameter for name, parameter in weights.items() if name.startswith(("picture.", "quadrant."))}
    before = {name: parameter.detach().clone() for name, parameter in decoders.items()}
    adversaries.step(made.gan, 0, 8)
    assert decoders
    assert [name for name, parameter in decoders.items() if torch.equal(before[name], parameter)] == []


class Seeing(Faulty):
    """Keeps the real pictures that the critic is shown."""

    seen: list[Tensor]

    def critic(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        Seeing.seen.append(batch.real)
        return super().critic(critic, batch, step)


@pytest.mark.parametrize("flips", [False, True])
def test_real_pictures_are_shown_as_they_are_and_mirrored_left_to_right_where_flips_are_asked_for(flips: bool) -> None:
    one = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    seeing = evolve(FAULTY, component=evolve(FAULTY.component, target=f"{__name__}:Seeing"))
    made = evolve(small(**{"gan.flips": flips}), loss=seeing)
    adversaries = built(made, np.repeat(one[None], 20, axis=0))
    Seeing.seen = []
    for done in range(3):
        adversaries.step(made.gan, done, 8)
    shown = ((torch.cat(Seeing.seen) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    expected = [one, one[:, ::-1]] if flips else [one]
    assert {picture.tobytes() for picture in shown} == {picture.tobytes() for picture in expected}


def test_an_augmentation_is_told_finite_numbers_only(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []

    def observe(self: Any, terms: Mapping[str, Tensor]) -> None:
        told.append(all(bool(term.isfinite().all()) for term in terms.values()))

    monkeypatch.setattr("dfukit_augment.pipelines.Unchanged.observe", observe, raising=False)
    Faulty.fault = staticmethod(lambda turn, step: math.nan)
    made = small()
    built(made).step(made.gan, 0, 8)
    assert told == [True]


class KeepingGenerator(LstmGenerator):
    """Its embedding of the class is frozen."""

    def __init__(self, settings: LstmGeneratorSettings, image: ImageSpec) -> None:
        super().__init__(settings, image)
        self.label.requires_grad_(False)


class KeepingCritic(ConvCritic):
    """Its first layer is frozen."""

    def __init__(self, settings: ConvCriticSettings, image: ImageSpec) -> None:
        super().__init__(settings, image)
        self.body[0].requires_grad_(False)


class FrozenCritic(ConvCritic):
    """Nothing of it learns."""

    def __init__(self, settings: ConvCriticSettings, image: ImageSpec) -> None:
        super().__init__(settings, image)
        self.requires_grad_(False)


def small_with(kind: str, target: str) -> RunConfig:
    """A small training with a part of this file."""
    made = small(**{"gan.steps": 4})
    chosen = getattr(made, kind)
    return evolve(made, **{kind: evolve(chosen, component=evolve(chosen.component, target=f"{__name__}:{target}"))})


@pytest.mark.parametrize(
    ("kind", "target", "frozen"),
    [
        ("generator", "KeepingGenerator", {"label.weight"}),
        ("critic", "KeepingCritic", {"body.0.weight", "body.0.bias"}),
    ],
)
def test_a_layer_that_a_component_froze_is_not_trained(kind: str, target: str, frozen: set[str]) -> None:
    made = small_with(kind, target)
    adversaries = built(made)
    parameters = dict(getattr(adversaries, kind).named_parameters())
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    for done in range(2):
        adversaries.step(made.gan, done, 4)
    moved = {name for name, parameter in parameters.items() if not torch.equal(parameter, before[name])}
    assert moved
    assert not moved & frozen


def test_a_training_with_a_frozen_layer_goes_on_to_the_same_bytes_and_hands_it_on_frozen(tmp_path: Path) -> None:
    def train(name: str, progress: Silent) -> TrainedGan:
        (tmp_path / name).mkdir(exist_ok=True)
        run = RunDir(tmp_path / name)
        return gan.train(small_with("critic", "KeepingCritic"), IMAGE, pictures(), CPU, run, {}, None, progress)

    train("whole", Silent())
    with pytest.raises(Interrupted):
        train("cut", Signal(2, lambda: signal.raise_signal(signal.SIGINT)))
    trained = train("cut", Silent())
    whole, cut = (RunDir(tmp_path / name).critic_weights.read_bytes() for name in ("whole", "cut"))
    assert cut == whole
    frozen = [name for name, parameter in trained.critic.named_parameters() if not parameter.requires_grad]
    assert frozen == ["body.0.weight", "body.0.bias"]


def test_a_network_of_which_nothing_learns_is_refused_by_its_name() -> None:
    with pytest.raises(PluginError, match=r"critic conv of dfukit .* has no parameter that can be trained"):
        built(small_with("critic", "FrozenCritic"))
