"""The relativistic loss is its formula, its penalties are those of autograd, and batch statistics are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import small_gan
import torch
from small_gan import CPU, IMAGE, pictures
from torch import Tensor, nn
from torch.nn.functional import softplus

from dfukit import ConfigError, config, gan, plan, registry
from dfukit.interfaces import Batch, Step
from dfukit.progress import Silent
from dfukit.rundir import RunDir

LABEL = torch.tensor([0, 1, 0, 1])


def loss(**values: float) -> Any:
    return registry.load().choose("loss", "r3gan", values).build(IMAGE)


def batch(dtype: torch.dtype = torch.float64) -> Batch:
    rng = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(4, 3, 16, 16, generator=rng, dtype=dtype) for _ in range(2))
    return Batch(real, fake, LABEL)


class Quadratic(nn.Module):
    """D(x) = a |x|^2 / 2 + <w, x>: its gradient is a x + w."""

    def __init__(self) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(1)
        self.curvature = nn.Parameter(torch.tensor(0.1, dtype=torch.float64))
        self.slope = nn.Parameter(0.02 * torch.randn(3, 16, 16, generator=rng, dtype=torch.float64))

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        return (self.curvature * images.square() / 2 + self.slope * images).sum((1, 2, 3))

    def squared_gradient(self, images: Tensor) -> Tensor:
        """R1 or R2, by hand."""
        return (self.curvature * images + self.slope).square().sum((1, 2, 3)).mean()


def test_the_loss_is_its_formula() -> None:
    critic, drawn = Quadratic(), batch()
    terms = loss(gamma=0.0, last_gamma=0.0).critic(critic, drawn, Step(0, 0))
    real, fake = critic(drawn.real, LABEL), critic(drawn.fake, LABEL)
    assert torch.allclose(terms["loss"], torch.log(1 + torch.exp(fake - real)).mean())
    assert torch.equal(terms["real"], real)
    of_generator = loss().generator(critic, drawn, Step(0, 0))["loss"]
    assert torch.allclose(of_generator, torch.log(1 + torch.exp(real - fake)).mean())


def test_both_penalties_of_a_known_critic_are_known_and_so_is_their_gradient() -> None:
    critic, drawn = Quadratic(), batch()
    terms = loss(gamma=4.0, last_gamma=4.0).critic(critic, drawn, Step(0, 0))
    by_hand = {"r1": critic.squared_gradient(drawn.real), "r2": critic.squared_gradient(drawn.fake)}
    for name, expected in by_hand.items():
        assert torch.allclose(terms[name], expected), name
    total = softplus(critic(drawn.fake, LABEL) - critic(drawn.real, LABEL)).mean() + 2 * sum(by_hand.values())
    assert torch.allclose(terms["loss"], total)
    for parameter in critic.parameters():
        (found,) = torch.autograd.grad(terms["loss"], parameter, retain_graph=True)
        (expected,) = torch.autograd.grad(total, parameter, retain_graph=True)
        assert torch.allclose(found, expected)


@pytest.mark.parametrize(("progress", "gamma"), [(0.0, 20.0), (0.5, 11.0), (1.0, 2.0)])
def test_the_penalties_weigh_less_as_training_goes_on(progress: float, gamma: float) -> None:
    terms = loss(gamma=20.0, last_gamma=2.0).critic(Quadratic(), batch(), Step(0, 0, progress))
    pairs = softplus(terms["fake"] - terms["real"]).mean()
    assert torch.allclose(terms["loss"] - pairs, gamma / 2 * (terms["r1"] + terms["r2"]))


def test_terms_of_scores_in_bfloat16_are_in_float32() -> None:
    """As scores come under autocast; a sum of 768 squares in bfloat16 would be off by percents."""
    critic, drawn = Quadratic().float(), batch(torch.float32)

    def low(images: Tensor, label: Tensor) -> Tensor:
        return critic(images, label).bfloat16()

    terms = loss().critic(low, drawn, Step(0, 0))
    assert {term.dtype for term in terms.values()} == {torch.float32}
    assert terms["r1"].item() == pytest.approx(critic.squared_gradient(drawn.real).item(), rel=1e-3)


def test_pictures_and_so_gradients_by_them_come_in_float32_under_bfloat16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, handed = type(registry.load().choose("loss", "r3gan", {}).make(IMAGE)), []
    critic_terms = kind.critic

    def look(self: Any, critic: Any, drawn: Batch, step: Step) -> dict[str, Tensor]:
        handed.append((drawn.real.dtype, drawn.fake.dtype))
        terms: dict[str, Tensor] = critic_terms(self, critic, drawn, step)
        return terms

    monkeypatch.setattr(kind, "critic", look)
    # Without an LSTM, which few CPUs have in bfloat16.
    settings = {"loss.name": "r3gan", "generator.unroll": "none", "run.precision": "bf16", "gan.steps": 1}
    small_gan.train(tmp_path, **settings)
    assert set(handed) == {(torch.float32, torch.float32)}


def test_the_rates_of_a_preset_count_more_than_those_that_r3gan_suggests() -> None:
    names = {"loss": {"name": "r3gan"}}
    made = config.resolve(registry.load(), preset="standard", flags=names).gan
    assert (made.lr_generator, made.lr_critic, made.beta2) == (2e-4, 4e-4, 0.99)
    rates = {"gan.lr_generator": 2e-4, "gan.lr_critic": 2e-4}
    made = config.resolve(registry.load(), preset="standard", flags=names, settings=rates).gan
    assert (made.lr_generator, made.lr_critic) == (2e-4, 2e-4)


@pytest.mark.parametrize("name", ["r3gan", "wgan_gp"])
def test_a_critic_with_batch_statistics_is_refused(name: str, tmp_path: Path) -> None:
    settings = {"loss.name": name, "critic.name": "fastgan", "critic.width": 32}
    made = config.resolve(registry.load(), preset="smoke", settings=settings)
    with pytest.raises(
        ConfigError, match=f"loss {name} takes gradients of single pictures' scores, and critic fastgan"
    ):
        gan.train(made, IMAGE, pictures(), CPU, RunDir(tmp_path), {}, None, Silent())
    with pytest.raises(ConfigError, match="name another critic or another loss"):
        plan.describe(made)


def test_the_conv_critic_trains_with_it(tmp_path: Path) -> None:
    made = config.resolve(registry.load(), preset="smoke", settings={"loss.name": "r3gan", "run.precision": "fp32"})
    gan.train(made, IMAGE, pictures(), CPU, RunDir(tmp_path), {}, None, Silent())
    logged = [event for event in RunDir(tmp_path).events() if "critic_r1" in event]
    assert len(logged) == 4
    assert {"critic_r2", "wasserstein"} <= set(logged[0])
