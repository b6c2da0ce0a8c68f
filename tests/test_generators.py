"""What the loop does for one generator it does for all: resuming, bfloat16, budgets, truncation, sheets."""

from __future__ import annotations

import contextlib
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_gan
import torch
from PIL import Image
from small_gan import IMAGE, OTHERS

import dfukit
from dfukit import ConfigError, Interrupted, config, plan, provenance, registry, sheets
from dfukit.adversaries import Adversaries
from dfukit.cli import main
from dfukit.images import Split
from dfukit.rundir import RunDir
from dfukit.sample import spread
from dfukit.synthetic import draw_samples
from dfukit.verify import verify

TRAININGS = {"reference": {}, **OTHERS}
every_training = pytest.mark.parametrize("name", TRAININGS)


@every_training
def test_an_interrupted_training_ends_with_the_same_bytes(name: str, tmp_path: Path) -> None:
    settings = TRAININGS[name]
    small_gan.train(tmp_path / "whole", **settings)
    for step in (3, 6, 8):  # after the last, too
        stopping = small_gan.Signal(step, lambda: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(Interrupted):
            small_gan.train(tmp_path / "cut", stopping, **settings)
    small_gan.train(tmp_path / "cut", **settings)
    files = ("generator.safetensors", "critic.safetensors", "checkpoints/00000008/state.safetensors")
    for file in (*files, "samples/000008.png", "samples/classes.png", "samples/interpolation.png"):
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file


@pytest.mark.parametrize("name", ["lstm_wgan", "fastgan"])
def test_a_refused_size_names_all_that_are_taken(name: str) -> None:
    def resolve(size: int) -> None:
        config.resolve(registry.load(), flags={"generator": {"name": name}}, settings={"gan.size": size})

    with pytest.raises(ConfigError, match=r"gan\.size must be one of .*, got 100") as refused:
        resolve(100)
    named = [int(size) for size in re.findall(r"\d+", str(refused.value).removesuffix("got 100"))]
    taken = []
    for size in (8, 16, 32, 64, 128, 256, 512, 1024):
        with contextlib.suppress(ConfigError):
            resolve(size)
            taken.append(size)
    assert named == taken


@every_training
def test_bfloat16_trains_and_ends_with_float32_weights(name: str, tmp_path: Path) -> None:
    trained = small_gan.train(tmp_path, **{**TRAININGS[name], "run.precision": "bf16", "gan.steps": 3})
    for network in (trained.generator, trained.critic):
        assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
        assert all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values())
    assert trained.summary["skipped_steps"] == 0


@every_training
def test_a_batch_in_portions_is_still_a_step(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfukit.adversaries.Portions", lambda size, *told: dfukit.portions.Portions(4, *told))
    summary = small_gan.train(tmp_path, **{**TRAININGS[name], "gan.steps": 2}).summary
    assert (summary["pictures_at_a_time"], summary["skipped_steps"]) == (4, 0)


@every_training
def test_a_budget_becomes_steps(name: str, tmp_path: Path) -> None:
    settings = {**TRAININGS[name], "gan.budget": "3s", "gan.evaluate_pictures": 10}
    summary = small_gan.train(tmp_path, **settings).summary
    assert summary["steps"] == summary["steps_planned"] > 0
    assert summary["seconds"] < 60


@every_training
def test_a_dry_run_measures_steps_of_the_training(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    losses: list[float] = []
    step = Adversaries.step

    def counted(self: Adversaries, *told: Any) -> Any:
        terms = step(self, *told)
        losses.extend(float(turn["loss"]) for turn in terms)
        assert all(parameter.grad is not None for parameter in self.generator.parameters())
        return terms

    monkeypatch.setattr(Adversaries, "step", counted)
    made = small_gan.small(**TRAININGS[name])
    assert 0 < plan.gan_step(made, IMAGE, small_gan.CPU, 8) < 60
    assert len(losses) == 2 * (1 + 2)  # critic and generator, one step to warm up and two that are timed
    assert np.isfinite(losses).all()


@pytest.fixture(scope="module", params=TRAININGS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    folder = tmp_path_factory.mktemp(request.param)
    small_gan.train(folder, **{**TRAININGS[request.param], "gan.steps": 4})
    return RunDir(folder)


def test_a_lower_truncation_draws_pictures_that_are_more_alike(trained: RunDir) -> None:
    generator = dfukit.load_generator(trained.path)
    drawn = [generator.sample(24, label="a", truncation=factor).pixels.astype(float) for factor in (1.0, 0.5, 0.1)]
    spreads = [pixels.std(0).mean() for pixels in drawn]
    assert spreads[0] > spreads[1] > spreads[2]
    assert np.array_equal(drawn[0], generator.sample(24, label="a").pixels)


def test_truncated_pictures_say_so_and_are_drawn_again(trained: RunDir, tmp_path: Path) -> None:
    generator = dfukit.load_generator(trained.path)
    samples = generator.sample(2, truncation=0.5)
    samples.save(tmp_path)
    with Image.open(tmp_path / samples.paths[1]) as picture:
        truncation = provenance.read_truncation(picture)
    assert truncation == 0.5
    again = generator.draw(samples.labels, samples.numbers, samples.seed, truncation)
    assert np.array_equal(again.pixels, samples.pixels)
    assert verify(tmp_path).findings == ()


@pytest.mark.parametrize("factor", [0.0, -1.0, 1.5])
def test_a_truncation_out_of_its_range_is_refused(trained: RunDir, factor: float) -> None:
    with pytest.raises(ConfigError, match="truncation must be above 0 and at most 1"):
        dfukit.load_generator(trained.path).sample(1, truncation=factor)


def test_the_command_line_truncates(trained: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["dfukit", "sample", str(trained.generator_weights), "--count", "2", "--truncation", "0.5"]
    monkeypatch.setattr("sys.argv", [*command, "--out", str(tmp_path / "made")])
    with pytest.raises(SystemExit, match="0"):
        main()
    expected = dfukit.load_generator(trained.path).sample(2, truncation=0.5)
    with Image.open(tmp_path / "made" / expected.paths[0]) as picture:
        assert np.array_equal(np.asarray(picture), expected.pixels[0])


def test_a_run_truncates_as_it_is_told(tmp_path: Path) -> None:
    trained, nobody = small_gan.train(tmp_path, **{"gan.steps": 1}), np.zeros(0, np.int64)
    told = small_gan.small(**{"sample.truncation": 0.5, "sample.count": 3})
    drawn = draw_samples(told, RunDir(tmp_path), trained, Split(nobody, nobody, nobody))
    assert drawn.truncation == 0.5
    expected = dfukit.load_generator(tmp_path).sample(3, seed=drawn.seed, truncation=0.5)
    assert np.array_equal(drawn.pixels, expected.pixels)


def test_a_run_truncates_nothing_unless_it_is_told_and_never_to_nothing() -> None:
    assert config.resolve(registry.load()).sample.truncation == 1.0
    with pytest.raises(ConfigError, match=r"sample\.truncation must be above 0\.0, got 0\.0"):
        config.resolve(registry.load(), settings={"sample.truncation": 0})


@pytest.mark.parametrize("share", [0.7, 0.5, 0.08])
def test_any_first_pictures_of_two_classes_have_their_shares(share: float) -> None:
    labels = spread(100, [share, 1 - share])
    drawn, wanted = np.cumsum(labels == 0), share * np.arange(1, 101)
    assert np.abs(drawn - wanted).max() <= 0.5 + 1e-9


def test_the_class_sheet_has_a_row_for_each_class_and_a_latent_for_each_column(trained: RunDir) -> None:
    generator = dfukit.load_generator(trained.path).network
    latent = torch.randn(8, generator.latent_size, generator=dfukit.interfaces.Step(0, 0).rng("class sheet"))
    sheet = np.asarray(Image.open(trained.class_sheet))
    assert sheet.shape == (2 * 16, 8 * 16, 3)
    with torch.no_grad():
        third = generator(latent[2:3], torch.tensor([1]))[0]
    drawn = ((third + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    assert np.abs(sheet[16:, 32:48].astype(int) - drawn).max() <= 1


def test_an_interpolation_goes_from_one_latent_to_another_through_standard_normal_ones(trained: RunDir) -> None:
    first, last = torch.randn(2, 4, 4096, generator=torch.Generator().manual_seed(0))
    way = sheets.interpolated(first, last, 8)
    assert torch.equal(way[:, 0], first)
    assert torch.allclose(way[:, -1], last, atol=1e-5)
    assert torch.allclose(way.std(2), torch.ones(4, 8), atol=0.05)
    assert np.asarray(Image.open(trained.interpolation_sheet)).shape == (4 * 16, 8 * 16, 3)


def test_the_average_has_batch_norm_statistics_of_its_own(trained: RunDir) -> None:
    """Those of its own maps: the kept weights in training mode draw much the same pictures as in eval mode."""
    network = dfukit.load_generator(trained.path).network
    latent, label = torch.randn(64, network.latent_size), torch.arange(64) % 2
    with torch.no_grad():
        still = network.eval()(latent, label)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.train()
        assert (network(latent, label) - still).abs().mean() < 0.1 * still.std()
