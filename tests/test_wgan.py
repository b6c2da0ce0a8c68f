"""The reference networks have the published shapes, and the loss is the published formula."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from dfukit import ImageSpec, registry
from dfukit.interfaces import Batch, Critic, Generator, Step


def build(kind: str, name: str, size: int = 16, **values: object) -> nn.Module:
    torch.manual_seed(0)
    image = ImageSpec(size, 3, ("a", "b"), "a")
    network: nn.Module = registry.load().choose(kind, name, values).build(image)
    return network


def test_the_reference_generator_has_the_published_shape() -> None:
    generator = build("generator", "lstm_wgan", size=128)
    assert isinstance(generator, Generator)
    assert generator.latent_size == 100
    assert (generator.lstm.num_layers, generator.lstm.hidden_size, generator.lstm.dropout) == (2, 256, 0.3)
    widths = [
        (layer.in_channels, layer.out_channels) for layer in generator.decode if isinstance(layer, nn.ConvTranspose2d)
    ]
    assert widths == [(256, 128), (128, 64), (64, 32), (32, 3)]
    pictures = generator.eval()(torch.randn(2, 100), torch.tensor([0, 1]))
    assert pictures.shape == (2, 3, 128, 128)
    assert pictures.abs().max() <= 1


def test_the_reference_critic_has_the_published_shape() -> None:
    critic = build("critic", "conv", size=128)
    assert isinstance(critic, Critic)
    widths = [layer.out_channels for layer in critic.body if isinstance(layer, nn.Conv2d)]
    assert widths == [64, 128, 256, 512]
    assert critic.features(torch.zeros(2, 3, 128, 128)).shape == (2, 512, 8, 8)
    assert critic(torch.zeros(2, 3, 128, 128), torch.tensor([0, 1])).shape == (2,)


@pytest.mark.parametrize("unroll", ["cells", "once", "none"])
@pytest.mark.parametrize("size", [16, 32, 64])
def test_every_size_and_reading_of_the_generator_makes_pictures(size: int, unroll: str) -> None:
    generator = build("generator", "lstm_wgan", size=size, lstm_hidden=16, unroll=unroll)
    assert generator(torch.randn(3, 100), torch.tensor([0, 1, 0])).shape == (3, 3, size, size)


@pytest.mark.parametrize("unroll", ["cells", "once", "none"])
def test_latent_and_label_both_matter(unroll: str) -> None:
    generator = build("generator", "lstm_wgan", lstm_hidden=16, unroll=unroll).eval()
    latent = torch.randn(1, 100)
    first = generator(latent, torch.tensor([0]))
    assert not torch.allclose(first, generator(latent, torch.tensor([1])), atol=1e-4)
    assert not torch.allclose(first, generator(torch.randn(1, 100), torch.tensor([0])), atol=1e-4)
    assert torch.equal(first, generator(latent, torch.tensor([0])))


def test_the_sequence_walks_the_map_as_a_serpentine() -> None:
    generator = build("generator", "lstm_wgan", lstm_hidden=16)
    places = generator.order.view(8, 8)
    assert places[0].tolist() == list(range(8))
    assert places[1].tolist() == list(range(15, 7, -1))
    assert sorted(places.flatten().tolist()) == list(range(64))


def test_gradients_reach_every_parameter() -> None:
    generator = build("generator", "lstm_wgan", lstm_hidden=16)
    critic = build("critic", "conv", width=4)
    nn.init.normal_(critic.projection.weight)
    label = torch.tensor([0, 1, 0, 1])
    critic(generator(torch.randn(4, 100), label), label).sum().backward()
    for network in (generator, critic):
        silent = [name for name, parameter in network.named_parameters() if parameter.grad is None]
        assert silent == []


def test_a_score_ignores_the_rest_of_the_batch() -> None:
    critic = build("critic", "conv", width=4)
    pictures, label = torch.randn(5, 3, 16, 16), torch.tensor([0, 1, 0, 1, 1])
    together = critic(pictures, label)
    alone = torch.cat([critic(pictures[i : i + 1], label[i : i + 1]) for i in range(5)])
    assert torch.allclose(together, alone, atol=1e-5)


class LinearCritic(nn.Module):
    """D(x) = <w, x>: its gradient is w everywhere, so the penalty is known."""

    def __init__(self, norm: float) -> None:
        super().__init__()
        weight = torch.randn(3 * 16 * 16)
        self.weight = nn.Parameter(weight / weight.norm() * norm)

    def forward(self, images: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) @ self.weight


@pytest.mark.parametrize("norm", [0.5, 1.0, 3.0])
def test_the_penalty_of_a_linear_critic_is_known(norm: float) -> None:
    loss = build("loss", "wgan_gp", gradient_penalty=7.0)
    critic = LinearCritic(norm)
    batch = Batch(torch.randn(4, 3, 16, 16), torch.randn(4, 3, 16, 16), torch.zeros(4, dtype=torch.int64))
    terms = loss.critic(critic, batch, Step(0, 1))
    assert terms["penalty"].item() == pytest.approx((norm - 1) ** 2, abs=1e-5)
    expected = critic(batch.fake, batch.label).mean() - critic(batch.real, batch.label).mean() + 7 * (norm - 1) ** 2
    assert terms["loss"].item() == pytest.approx(expected.item(), abs=1e-4)
    assert loss.generator(critic, batch, Step(0, 1))["loss"].item() == pytest.approx(
        -critic(batch.fake, batch.label).mean().item(), abs=1e-5
    )


def test_the_penalty_is_taken_at_random_places_between_real_and_fake_pictures() -> None:
    loss, batch, step = build("loss", "wgan_gp"), pairs(), Step(0, 1)

    def half_square(images: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Its gradient at a picture is the picture."""
        return images.square().sum((1, 2, 3)) / 2

    between = torch.lerp(batch.fake, batch.real, step.uniform("penalty", 4, 1, 1, 1))
    expected = (between.flatten(1).norm(dim=1) - 1).square().mean()
    assert loss.penalty(half_square, batch, step).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_penalty_reaches_the_critic_by_double_backward() -> None:
    loss = build("loss", "wgan_gp")
    critic = build("critic", "conv", width=4)
    batch = Batch(torch.randn(4, 3, 16, 16), torch.randn(4, 3, 16, 16), torch.zeros(4, dtype=torch.int64))
    loss.penalty(critic, batch, Step(0, 1)).backward()
    assert critic.body[0].weight.grad.abs().sum() > 0


def with_torchs_own_layers(critic: nn.Module) -> nn.Module:
    """A copy with nn.Conv2d and nn.LeakyReLU."""
    plain = copy.deepcopy(critic)
    for layer in plain.modules():
        for own in (nn.Conv2d, nn.LeakyReLU):
            if isinstance(layer, own):
                layer.__class__ = own
    return plain


def pairs(n: int = 4, dtype: torch.dtype = torch.float32) -> Batch:
    rng = torch.Generator().manual_seed(0)
    real, fake = (torch.rand(n, 3, 32, 32, generator=rng, dtype=dtype) * 2 - 1 for _ in range(2))
    return Batch(real, fake, torch.arange(n) % 2)


@pytest.mark.parametrize("autocast", [False, True])
def test_the_critics_layers_give_the_numbers_of_torchs_own(autocast: bool) -> None:
    loss, dtype = build("loss", "wgan_gp"), torch.float32 if autocast else torch.float64
    lean = build("critic", "conv", size=32, width=8).to(dtype)
    nn.init.normal_(lean.projection.weight)
    critics = {"lean": lean, "plain": with_torchs_own_layers(lean)}
    found = {}
    for name, critic in critics.items():

        def score(images: torch.Tensor, label: torch.Tensor, critic: nn.Module = critic) -> torch.Tensor:
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                return critic(images, label)

        terms = loss.critic(score, pairs(dtype=dtype), Step(0, 1))
        terms["loss"].backward()
        found[name] = [terms["loss"].detach(), *(parameter.grad for parameter in critic.parameters())]
    for mine, torchs in zip(found["lean"], found["plain"], strict=True):
        assert torch.allclose(mine, torchs, rtol=0.0, atol=(0.02 if autocast else 1e-9) * float(torchs.abs().max() + 1))


class CountPasses(TorchDispatchMode):
    """Counts convolutions: forward, gradients of pictures, gradients of weights."""

    passes = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if operation is torch.ops.aten.convolution.default:
            self.passes += 1
        if operation is torch.ops.aten.convolution_backward.default:
            of_images, of_weights, _ = args[-1]
            self.passes += of_images + of_weights
        return operation(*args, **(kwargs or {}))


def test_the_penalty_costs_four_passes_of_each_layer() -> None:
    critic, loss, batch = build("critic", "conv", size=32, width=8), build("loss", "wgan_gp"), pairs()
    with CountPasses() as penalty:
        loss.penalty(critic, batch, Step(0, 1)).backward()
    # Maps, the pictures' gradient, its tangent, the weights; with torch's own layers two more, of zeros.
    assert penalty.passes == 4 * 4


def test_a_frozen_critic_passes_its_gradient_on() -> None:
    critic = build("critic", "conv", size=32, width=8)
    images = pairs().fake.requires_grad_()
    gradients = []
    for network in (critic, with_torchs_own_layers(critic)):
        (gradient,) = torch.autograd.grad(network.requires_grad_(False)(images, pairs().label).sum(), images)
        gradients.append(gradient)
    assert torch.allclose(*gradients, atol=1e-6)
