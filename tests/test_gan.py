"""The adversarial loop carries any generator, critic and loss that keep to the interfaces, and watches over itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import attrs
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from dfukit import Component, ImageSpec, average, config, frozen, gan, registry, weights, whole
from dfukit.component import Chosen
from dfukit.config import RunConfig
from dfukit.device import Compute
from dfukit.gan import GanPictures, TrainedGan
from dfukit.interfaces import Augmentation, Batch, Critic, Generator, Loss, Scorer, Step
from dfukit.judge import EarlyStop, Judge
from dfukit.progress import Silent
from dfukit.resident import DevicePictures
from dfukit.rundir import RunDir

IMAGE = ImageSpec(16, 3, ("a", "b"), "a")
CPU = Compute(torch.device("cpu"), bf16=False)


@frozen
class NoSettings:
    width: int = whole(8, "channels", low=1)


class ReconstructingCritic(Critic):
    """As FastGAN's: batch statistics, spectral norm, and a decoder that must redraw real pictures."""

    per_picture = False

    def __init__(self, settings: NoSettings, image: ImageSpec) -> None:
        super().__init__()
        width = settings.width
        self.body = nn.Sequential(
            spectral_norm(nn.Conv2d(3, width, 4, 2, 1, bias=False)),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(width, width, 4, 2, 1)),
        )
        self.head = spectral_norm(nn.Conv2d(width, 1, 4))
        self.label = nn.Embedding(len(image.classes), width)
        self.redraw = nn.Sequential(nn.Upsample(scale_factor=4), nn.Conv2d(width, 3, 3, 1, 1))
        self.tasks = 0

    def features(self, images: Tensor) -> Tensor:
        return self.body(images)

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        features = self.features(images)
        return self.head(features).flatten(1).mean(1) + (features.mean((2, 3)) * self.label(label)).sum(1)

    def auxiliary(self, real: Tensor, step: Step) -> Tensor:
        self.tasks += 1
        return functional.mse_loss(self.redraw(self.features(real)), real)


class RelativisticLoss(Loss):
    """As R3GAN's: paired logits, R1 on real and R2 on fake pictures (Huang et al. 2024)."""

    def __init__(self, settings: NoSettings, image: ImageSpec) -> None:
        self.critic_steps = 1

    def critic(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        real, fake = batch.real.detach().requires_grad_(), batch.fake.detach().requires_grad_()
        real_scores, fake_scores = critic(real, batch.label), critic(fake, batch.label)
        r1 = self.squared_gradient(real_scores, real)
        r2 = self.squared_gradient(fake_scores, fake)
        loss = functional.softplus(fake_scores - real_scores).mean() + 0.5 * (r1 + r2)
        return {"loss": loss, "real": real_scores, "fake": fake_scores, "r1": r1, "r2": r2}

    def generator(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        difference = critic(batch.fake, batch.label) - critic(batch.real, batch.label)
        return {"loss": functional.softplus(-difference).mean()}

    def squared_gradient(self, scores: Tensor, images: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
        return gradient.square().flatten(1).sum(1).mean()


class Adaptive(Augmentation):
    """Raises its strength with what it observes, as ADA does."""

    def __init__(self, settings: NoSettings, image: ImageSpec) -> None:
        self.observed: list[float] = []
        self.purposes: list[str] = []

    def draw(self, n: int, step: Step, purpose: str = "augment") -> Tensor:
        self.purposes.append(f"{step.seed} {step.index} {purpose}")
        return torch.rand(n, 1, 1, 1, generator=step.rng(purpose)) * 0.1

    def forward(self, images: Tensor, params: Tensor) -> Tensor:
        return images * (1 - params)

    def observe(self, terms: Mapping[str, Tensor]) -> None:
        self.observed.append(float(terms["real"].sign().mean()))


def part(kind: str, target: str) -> Chosen:
    return Chosen(kind, Component(target, NoSettings, f"{__name__}:{target}", ""), NoSettings(), "test", "1")


def small(**parts: Chosen) -> RunConfig:
    settings = {"generator.lstm_hidden": 16, "gan.evaluate_every": 2, "run.precision": "fp32"}
    return attrs.evolve(config.resolve(registry.load(), preset="smoke", settings=settings), **parts)


def pictures(seed: int = 0) -> GanPictures:
    rng = np.random.default_rng(seed)
    return GanPictures(
        rng.integers(0, 255, (20, 16, 16, 3), np.uint8),
        np.arange(20) % 2,
        rng.integers(0, 255, (12, 16, 16, 3), np.uint8),
        np.arange(12) % 2,
    )


def train(folder: Path, made: RunConfig) -> TrainedGan:
    return gan.train(made, IMAGE, pictures(), CPU, RunDir(folder), {}, None, Silent())


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"critic": "ReconstructingCritic", "loss": "RelativisticLoss"},
        {"loss": "RelativisticLoss"},
        {"augmentation": "Adaptive"},
        {"critic": "ReconstructingCritic", "loss": "RelativisticLoss", "augmentation": "Adaptive"},
    ],
)
def test_the_loop_needs_no_special_case_for_a_part(tmp_path: Path, parts: dict[str, str]) -> None:
    trained = train(tmp_path, small(**{slot: part(slot, target) for slot, target in parts.items()}))
    assert trained.summary["steps"] == 4
    events = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert sum("critic_loss" in event for event in events) == 4
    assert all("wasserstein" in event for event in events if "critic_loss" in event)


def test_the_logged_wasserstein_distance_is_the_score_of_real_pictures_less_that_of_fakes(tmp_path: Path) -> None:
    train(tmp_path, small())
    logged = [event for event in RunDir(tmp_path).events() if "wasserstein" in event]
    assert logged
    for event in logged:
        assert event["wasserstein"] == pytest.approx(event["critic_real"] - event["critic_fake"], abs=1e-4)


def test_the_auxiliary_task_is_done_once_for_each_critic_step(tmp_path: Path) -> None:
    parts = {"critic": part("critic", "ReconstructingCritic"), "loss": part("loss", "RelativisticLoss")}
    assert train(tmp_path, small(**parts)).critic.tasks == 4
    events = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [event["critic_auxiliary"] > 0 for event in events if "critic_loss" in event] == [True] * 4


def test_an_augmentation_observes_each_critic_step_and_draws_anew_for_each_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Adaptive] = []
    build = Adaptive.__init__
    monkeypatch.setattr(Adaptive, "__init__", lambda self, *rest: (build(self, *rest), made.append(self))[0])
    train(tmp_path, small(augmentation=part("augmentation", "Adaptive")))
    assert len(made[0].observed) == 4
    assert len(set(made[0].purposes)) == len(made[0].purposes) == 4 * 3  # pictures and penalty; then the generator


def test_training_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        train(tmp_path / name, small())
    for file in ("generator.safetensors", "critic.safetensors"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_what_comes_back_is_what_lies_in_the_run_folder(tmp_path: Path) -> None:
    trained = train(tmp_path, small())
    stored, _ = weights.read(RunDir(tmp_path).generator_weights, "generator")
    latent, label = torch.randn(2, 100), torch.tensor([0, 1])
    assert torch.equal(trained.generator(latent, label), stored(latent, label))


@pytest.mark.parametrize(
    ("patience", "distances", "stops_after", "best_step"),
    [
        (2, [3, 2, 1], None, 3),
        (2, [3, 3, 3], 3, 1),  # equal is no improvement
        (2, [3, 4, 2, 5, 5], 5, 3),  # an improvement starts the count anew
        (1, [3, 4], 2, 1),
        (0, [3, 4, 5, 6], None, 1),  # 0 never stops
        (2, [3, float("inf"), float("inf")], 3, 1),
        (2, [float("nan"), 3, float("nan"), 2], None, 4),  # what could not be measured is neither best nor in the way
        (2, [float("nan"), float("inf")], 2, 0),
    ],
)
def test_training_stops_when_the_distance_has_not_improved(
    patience: int, distances: list[float], stops_after: int | None, best_step: int
) -> None:
    early_stop = EarlyStop(patience)
    stopped = None
    for step, distance in enumerate(distances, 1):
        early_stop.observe(distance, step)
        if early_stop.stops and stopped is None:
            stopped = step
    assert (stopped, early_stop.best_step) == (stops_after, best_step)


@pytest.mark.parametrize(
    ("distances", "error", "kept_step"),
    [
        ([3, 2, 2.5], 0.0, 2),
        ([3, 2, 2.5], 1.0, 3),  # cannot be told from the lowest, and was trained longer
        ([3, 2, 2.5, 4], 1.0, 3),
        ([3, 2, 3], 1.0, 2),  # a whole standard error is too much
        ([3, 2.9, 1], 5.0, 3),
    ],
)
def test_the_latest_weights_within_a_standard_error_of_the_lowest_distance_are_kept(
    distances: list[float], error: float, kept_step: int
) -> None:
    early_stop = EarlyStop(patience=10)
    for step, distance in enumerate(distances, 1):
        kept = early_stop.observe(distance, step, error)
        assert kept == (early_stop.kept_step == step)
    assert early_stop.kept_step == kept_step


def test_the_standard_error_is_that_of_the_lowest_distance_after_a_resume_too() -> None:
    early_stop = EarlyStop(patience=10)
    assert early_stop.observe(0.010, 1, 0.001)
    assert not early_stop.observe(0.030, 2, 0.021)  # uncertain, and not as good for that
    resumed = EarlyStop(**attrs.asdict(early_stop))
    assert resumed.observe(0.0105, 3, 0.0)
    assert (resumed.kept, resumed.kept_step, resumed.best_step) == (0.0105, 3, 1)


def test_until_a_distance_is_measured_the_latest_weights_are_kept() -> None:
    early_stop = EarlyStop(patience=10)
    for step, distance in enumerate([float("inf"), float("nan"), float("inf")], 1):
        assert early_stop.observe(distance, step)
        assert (early_stop.kept, early_stop.kept_step, early_stop.best) == (None, step, None)
    assert early_stop.observe(3.0, 4)
    assert not early_stop.observe(float("inf"), 5)
    assert (early_stop.kept, early_stop.kept_step) == (3.0, 4)


class Painter(Generator):
    """Makes pictures of one grey level each, around a middle."""

    latent_size = 4

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.spread = nn.Parameter(torch.tensor(spread))

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        return (latent[:, :1, None, None] * self.spread).expand(-1, 3, 16, 16).tanh()


class Brightness(Critic):
    def features(self, images: Tensor) -> Tensor:
        return images

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        return images.mean((1, 2, 3)) * 10


def judge(folder: Path, training: int, validation: int, n: int = 40) -> Judge:
    """A judge of sets of one grey level each, with a little noise, the second half of another class."""

    def grey(level: int) -> DevicePictures:
        pixels = np.random.default_rng(level).integers(level - 5, level + 5, (n, 16, 16, 3), np.uint8)
        return DevicePictures(pixels, np.arange(n) * 2 // n, CPU.device)

    return Judge(
        settings=small().gan,
        run=RunDir(folder),
        compute=CPU,
        progress=Silent(),
        training=grey(training),
        validation=grey(validation),
        classes=2,
        latent_size=4,
        epoch_steps=1,
        steps=10,
        seed=0,
        picture_note="a test",
        distance=None,
    )


def test_an_alarm_rings_when_the_pictures_grow_alike(tmp_path: Path) -> None:
    watching = judge(tmp_path, 200, 200)
    watching.at = 1
    watching.evaluate(Painter(1.0), Brightness())
    assert watching.alarms == {}
    watching.at = 2
    watching.evaluate(Painter(0.1), Brightness())
    assert watching.alarms == {"collapse": 2}
    assert any(event["phase"] == "alarm" for event in RunDir(tmp_path).events())


def test_an_alarm_rings_when_the_critic_tells_training_from_validation_pictures(tmp_path: Path) -> None:
    apart = judge(tmp_path, training=240, validation=130)
    apart.at = 1
    apart.evaluate(Painter(0.1), Brightness())
    assert apart.alarms == {"overfitting": 1}
    alike = judge(tmp_path, training=240, validation=240)
    alike.at = 1
    alike.evaluate(Painter(0.1), Brightness())
    assert alike.alarms == {}


def test_a_critic_that_scores_by_its_batch_sees_all_classes_in_each(tmp_path: Path) -> None:
    class Batched(Brightness):
        per_picture = False
        seen: ClassVar[list[set[int]]] = []

        def forward(self, images: Tensor, label: Tensor) -> Tensor:
            self.seen.append(set(label.tolist()))
            return super().forward(images, label)

    watching = judge(tmp_path, training=240, validation=130, n=256)
    watching.at = 1
    watching.evaluate(Painter(0.1), Batched())
    assert len(Batched.seen) == 9
    assert all(labels == {0, 1} for labels in Batched.seen)


def test_the_patience_of_a_run_that_goes_on_is_that_of_its_settings(tmp_path: Path) -> None:
    before, after = (judge(tmp_path / name, 200, 200) for name in ("before", "after"))
    before.early_stop = EarlyStop(1, best=0.01, best_step=4, waited=1)
    assert before.early_stop.stops
    after.restore(before.state())
    assert (after.early_stop.best, after.early_stop.patience) == (0.01, after.settings.patience)
    assert not after.early_stop.stops


def test_weights_are_chosen_anew_where_the_stopping_distance_is_another_one_than_before(tmp_path: Path) -> None:
    """As where the Inception weights came between an interruption and its end: 80 by one is not worse than 0.01 by the
    other."""
    before, same, other = (judge(tmp_path / name, 200, 200) for name in ("before", "same", "other"))
    before.distance, same.distance, other.distance = (SimpleNamespace(name=name) for name in ("r64", "r64", "fid"))
    before.early_stop.observe(0.01, 4)
    same.restore(before.state())
    assert same.early_stop == before.early_stop
    other.restore(before.state())
    assert other.keeps(4)
    assert other.early_stop.observe(80.0, 8)
    (note,) = (event["text"] for event in RunDir(tmp_path / "other").events())
    assert note.startswith("the stopping distance was r64 in float32 and is fid in float32 now")


def test_a_run_resumed_in_another_precision_says_so_and_chooses_its_weights_anew(tmp_path: Path) -> None:
    """As where a batch system gave it another machine: one distance is 0.1318 in float32 and 0.1187 in bfloat16."""
    before, other = (judge(tmp_path / name, 200, 200) for name in ("before", "other"))
    before.distance = other.distance = SimpleNamespace(name="kd")
    before.compute = attrs.evolve(before.compute, bf16=True)
    before.early_stop.observe(0.1187, 4)
    other.restore(before.state())
    assert other.early_stop.observe(0.1318, 8)
    (note,) = (event["text"] for event in RunDir(tmp_path / "other").events())
    assert note.startswith("the stopping distance was kd in bfloat16 and is kd in float32 now: the weights to keep are")


def test_a_checkpoint_that_does_not_say_its_precision_is_taken_as_it_is(tmp_path: Path) -> None:
    before, after = (judge(tmp_path / name, 200, 200) for name in ("before", "after"))
    before.distance = after.distance = SimpleNamespace(name="kd")
    before.early_stop.observe(0.01, 4)
    after.restore({**before.state(), "distance": "kd"})
    assert after.early_stop == before.early_stop


def test_after_an_evaluation_the_critic_trains_on(tmp_path: Path) -> None:
    critic = Brightness().train()
    watching = judge(tmp_path, training=200, validation=200)
    watching.at = 1
    watching.evaluate(Painter(1.0), critic)
    assert critic.training


def test_a_critic_with_batch_norm_is_asked_by_the_statistics_of_each_batch(tmp_path: Path) -> None:
    """As it was trained; these hide how bright a batch is, which its running statistics would show."""

    class Normed(Brightness):
        per_picture = False

        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(3, affine=False)

        def forward(self, images: Tensor, label: Tensor) -> Tensor:
            return super().forward(self.norm(images), label)

    critic = Normed()
    before = {name: buffer.clone() for name, buffer in critic.named_buffers()}
    watching = judge(tmp_path, training=240, validation=130)
    watching.at = 1
    watching.evaluate(Painter(0.1), critic)
    assert watching.alarms == {}
    assert all(torch.equal(buffer, before[name]) for name, buffer in critic.named_buffers())


def test_batch_norm_statistics_of_averaged_weights_are_taken_anew() -> None:
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(4)

        def forward(self, latent: Tensor, label: Tensor) -> Tensor:
            return self.norm(latent * 3 + 5)

    generator = Normed()
    latent = torch.randn(256, 4)
    average.recompute_batch_norm(generator, latent, torch.zeros(256, dtype=torch.int64))
    out: Any = generator(latent, torch.zeros(256, dtype=torch.int64))
    assert not generator.training
    assert out.mean().abs() < 0.05
    assert (out.std() - 1).abs() < 0.1


@pytest.mark.parametrize(
    ("n", "parts"), [(1, [1]), (64, [64]), (65, [33, 32]), (130, [44, 43, 43]), (256, [64, 64, 64, 64])]
)
def test_batch_norm_statistics_are_taken_of_parts_alike_in_size(n: int, parts: list[int]) -> None:
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(1)
            self.seen: list[int] = []

        def forward(self, latent: Tensor, label: Tensor) -> Tensor:
            self.seen.append(len(latent))
            return self.norm(latent)

    generator = Normed()
    latent = torch.zeros(n, 1, 2, 2)
    latent[-1] = 10.0  # of a short last part of its own it would be the mean
    average.recompute_batch_norm(generator, latent, torch.zeros(n, dtype=torch.int64))
    assert generator.seen == parts
    assert generator.norm.running_mean.item() == pytest.approx(10 / n, abs=0.005)


def test_the_average_moves_towards_the_weights() -> None:
    mine, theirs = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
    expected = 0.9 * mine.weight.detach().clone() + 0.1 * theirs.weight.detach()
    average.move(mine, theirs, 0.9)
    assert torch.allclose(mine.weight, expected)


def test_the_average_has_the_statistics_of_the_weights_in_training() -> None:
    mine, theirs = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    nn.init.constant_(theirs.running_mean, 3.0)
    average.move(mine, theirs, 0.9)
    assert mine.running_mean.tolist() == [3.0, 3.0]


def test_randomness_is_a_function_of_seed_step_and_purpose() -> None:
    draws = {
        Step(seed, index).rng(purpose).initial_seed()
        for seed in (0, 1)
        for index in (0, 1)
        for purpose in ("latent", "real")
    }
    assert len(draws) == 8
    assert Step(1, 2).rng("x").initial_seed() == Step(1, 2, 0.5).rng("x").initial_seed()
