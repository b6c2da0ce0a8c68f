"""FastGAN has the layers of its description, and its shortcuts give the numbers of the long way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from dfukit import ConfigError, ImageSpec, average, config, registry
from dfukit.interfaces import Batch, Step
from dfukit_fastgan.generator import ClassBatchNorm2d, Noise
from dfukit_fastgan.layers import GLU, Gate, SpectralConv2d, UpConv2d
from dfukit_fastgan.products import bordered, convolve, double
from dfukit_fastgan.whitening import Whitening

LABEL = torch.tensor([0, 1])


def build(kind: str, name: str = "fastgan", size: int = 32, **values: object) -> Any:
    torch.manual_seed(0)
    return registry.load().choose(kind, name, values).build(ImageSpec(size, 3, ("a", "b"), "a"))


def described_generator(size: int) -> int:
    """Parameters of the generator, counted from its description: z of 256, two classes."""
    wide = {4: 1024, 8: 512, 16: 256, 32: 128, 64: 128, 128: 64, 256: 32}
    norm = 2 * 2  # a factor and a summand for each class
    count = 256 * 2 * wide[4] * 16 + norm * 2 * wide[4]
    for place, side in enumerate(side for side in wide if 4 < side <= size):
        count += wide[side // 2] * 2 * wide[side] * 9 + norm * 2 * wide[side]
        count += 1  # a scale of noise
        if place % 2:  # a second convolution, and another scale
            count += wide[side] * 2 * wide[side] * 9 + norm * 2 * wide[side] + 1
    for side in (4, 8, 16):
        if 16 * side <= size:
            count += wide[side] * wide[16 * side] * 16 + wide[16 * side] ** 2
    return count + wide[size] * 3 * 9


def described_critic(size: int, scored_map: int = 4) -> int:
    """Parameters of the critic, its class projection and its decoders, counted from the description, whose scored map
    is 4x4."""
    wide = {4: 512, 8: 256, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8}
    norm = 2
    count = 3 * wide[size] * 9
    for side in (side for side in wide if side < size):
        inputs, outputs = wide[2 * side], wide[side]
        count += inputs * outputs * 16 + outputs * outputs * 9 + inputs * outputs + 3 * norm * outputs
    for side in (4, 8, 16, 32):
        if 8 * side <= size:
            count += wide[8 * side] * wide[side] * 16 + wide[side] ** 2
    count += wide[scored_map] * 2 * wide[scored_map] + (norm + 16) * 2 * wide[scored_map]
    count += 3 * 64 * 16 + 64 * 128 * 16 + norm * 128 + 128 * 256 * 16 + norm * 256 + 256 * 16  # the picture at 32x32
    count += 2 * 512
    for channels, doublings in ((512, 4), (128, 2 if size == 64 else 3)):
        for _ in range(doublings):
            count += channels * channels * 9 + norm * channels
            channels //= 2
        count += channels * 3 * 9
    return count


@pytest.mark.parametrize("size", [64, 128, 256])
def test_networks_have_the_shapes_and_parameters_of_the_description(size: int) -> None:
    generator, critic, windows = (
        build("generator", size=size, width=64),
        build("critic", size=size, width=512, scored_map=4),
        build("critic", size=size, width=512),
    )
    assert generator.latent_size == 256
    with torch.no_grad():
        pictures = generator.eval()(torch.randn(2, 256), LABEL)
        assert pictures.shape == (2, 3, size, size)
        assert critic.features(pictures).shape == (2, 512, 4, 4)
        assert critic(pictures, LABEL).shape == (2, 1 + 1)
        assert windows(pictures, LABEL).shape == (2, 5 * 5 + 1)
    counted = [sum(parameter.numel() for parameter in network.parameters()) for network in (generator, critic, windows)]
    assert counted == [described_generator(size), described_critic(size), described_critic(size, 8)]


@pytest.mark.parametrize("size", [64, 128, 256])
def test_small_maps_gate_the_maps_of_the_description(size: int) -> None:
    of_generator = {64: (4, 64), 128: (8, 128), 256: (16, 256)}
    of_critic = {256: (256, 32), 128: (128, 16), 64: (64, 8), 32: (32, 4)}
    generator, critic = build("generator", size=size), build("critic", size=size)
    expected = [of_generator[side] for side in of_generator if side <= size]
    assert seen(generator, lambda: generator(torch.randn(2, 256), LABEL)) == expected
    pictures = torch.rand(2, 3, size, size) * 2 - 1
    assert seen(critic, lambda: critic(pictures, LABEL)) == [of_critic[side] for side in of_critic if side <= size]


def seen(network: nn.Module, run: Callable[[], object]) -> list[tuple[int, int]]:
    """Widths of the map that each gate is made of and of the map that it changes, in the order of their use."""
    widths = []
    for name, gate in network.named_modules():
        if isinstance(gate, Gate):
            gate.register_forward_pre_hook(
                lambda _, arguments, side=int(name.rpartition(".")[2]): widths.append((arguments[0].shape[-1], side))
            )
    with torch.no_grad():
        run()
    return widths


def test_a_shut_gate_shuts_its_map() -> None:
    generator, latent = build("generator", size=64, width=8).eval(), torch.randn(2, 256)
    generator.gates["64"].register_forward_hook(lambda module, arguments, factors: torch.zeros_like(factors))
    with torch.no_grad():
        assert generator(latent, LABEL).abs().max() == 0


def test_a_gate_of_the_critic_changes_its_map() -> None:
    critic, pictures = build("critic").eval(), torch.rand(2, 3, 32, 32) * 2 - 1
    critic.gates["4"].register_forward_hook(lambda module, arguments, factors: torch.zeros_like(factors))
    with torch.no_grad():
        assert critic.features(pictures).abs().max() == 0


def test_the_class_counts_for_all_scores_of_the_critic_alike() -> None:
    critic, pictures = build("critic", width=32).eval(), torch.rand(2, 3, 32, 32) * 2 - 1
    nn.init.normal_(critic.projection.weight)
    with torch.no_grad():
        apart = critic(pictures, torch.tensor([0, 0])) - critic(pictures, torch.tensor([1, 1]))
    assert apart.abs().min() > 1e-6
    assert torch.allclose(apart, apart[:, :1].expand_as(apart), atol=1e-5)


def photograph(seed: int = 0) -> Tensor:
    """[1, 3, 64, 64]: brightness as photographs have it, colours that change slowly."""
    torch.manual_seed(seed)
    coarse = functional.interpolate(torch.randn(1, 3, 8, 8), size=64, mode="bicubic")
    detail = functional.avg_pool2d(torch.randn(1, 1, 66, 66), 3, stride=1)
    return 0.3 * coarse.mean(1, keepdim=True) + 0.08 * coarse + 0.1 * detail


def test_a_look_at_the_grain_is_shown_colours_and_their_fine_detail() -> None:
    whitening = Whitening()
    grey = torch.full((1, 3, 8, 8), 0.21)
    assert whitening(grey)[0, :, 4, 4].tolist() == pytest.approx([0.5, 0, 0, 0, 0, 0], abs=1e-5)
    dot = torch.zeros(1, 3, 9, 9)
    dot[0, :, 4, 4] = torch.tensor([0.0, 0.0, 0.01])  # blue
    brightness, blue, red = 0.00114, 0.005, -0.00081312
    fine = 8 / 9 * torch.tensor([brightness / 0.05, blue / 0.01, red / 0.01])
    expected = [brightness / 0.42, blue / 0.055, red / 0.09, *(3 * torch.tanh(fine / 3)).tolist()]
    assert whitening(dot)[0, :, 4, 4].tolist() == pytest.approx(expected, rel=1e-4)


def test_a_look_at_the_grain_sees_what_red_green_and_blue_hide() -> None:
    """Noise of one grey level, in colours that change slowly."""
    plain, whitening = photograph(), Whitening()
    grainy = plain + torch.randn_like(plain) / 127.5
    fine, fine_grainy = whitening(plain)[:, 4:], whitening(grainy)[:, 4:]
    assert (grainy - plain).std() < 0.05 * plain.std()
    assert (fine_grainy - fine).std() > fine.std()


def test_a_look_at_the_grain_has_float32_under_bfloat16() -> None:
    pictures = photograph()
    with torch.autocast("cpu", torch.bfloat16):
        shown = Whitening()(pictures)
    assert torch.equal(shown, Whitening()(pictures))


def test_scores_of_the_grain_see_their_places_alone() -> None:
    critic = build("critic", size=64, fine_share=0.25).eval()
    pictures = torch.cat([photograph(), photograph(1)])
    scores = critic(pictures, LABEL)
    places = 14 * 14
    changed = pictures.clone()
    changed[:, :, :20, :20] += 0.1
    moved = (critic(changed, LABEL) - scores)[0, -places:].view(14, 14).abs() > 1e-5
    # Of a class all scores move by one summand, which begins as 0.
    assert moved[0, 0]
    assert not moved[7:].any()
    assert not moved[:, 7:].any()


@pytest.mark.parametrize(("size", "share"), [(16, 0.25), (64, 0.05), (64, 0.25), (64, 0.9), (128, 0.25)])
def test_the_grain_has_its_share_of_the_scores(size: int, share: float) -> None:
    """Pulled up by one, its scores move the mean of all by its share."""
    critic, pictures = build("critic", size=size, fine_share=share).eval(), torch.zeros(2, 3, size, size)
    before = critic(pictures, LABEL).mean()
    critic.fine.register_forward_hook(lambda module, inputs, scores: scores + 1)
    assert (critic(pictures, LABEL).mean() - before).item() == pytest.approx(share, abs=0.03)


def test_a_critic_with_a_look_at_the_grain_takes_weights_of_one_without() -> None:
    without, critic = build("critic", size=64), build("critic", size=64, fine_share=0.25)
    torch.nn.init.ones_(without.projection.weight)
    mine = {name: value.clone() for name, value in critic.fine.state_dict().items()}
    critic.load_state_dict(without.state_dict())
    assert torch.equal(critic.projection.weight, without.projection.weight)
    assert all(torch.equal(value, mine[name]) for name, value in critic.fine.state_dict().items())
    pictures = torch.cat([photograph(), photograph(1)])
    assert torch.allclose(critic.eval()(pictures, LABEL)[:, :26], without.eval()(pictures, LABEL))
    damaged = {name: value for name, value in critic.state_dict().items() if name != "fine.1.weight"}
    with pytest.raises(RuntimeError, match=r"fine\.1\.weight"):
        critic.load_state_dict(damaged)


def test_pictures_are_drawn_in_float32_under_bfloat16() -> None:
    generator = build("generator").eval()
    with torch.autocast("cpu", torch.bfloat16):
        drawn = generator(torch.randn(2, 256), LABEL)
    assert drawn.dtype == torch.float32
    assert not torch.equal(drawn, drawn.bfloat16().float())


@pytest.mark.parametrize("side", [4, 8, 16])
def test_upsampling_and_convolution_are_one(side: int) -> None:
    layer, maps = UpConv2d(6, 10).double(), torch.randn(2, 6, side, side, dtype=torch.float64)
    wider = functional.pad(functional.interpolate(maps, scale_factor=2), (1, 1, 1, 1), mode="replicate")
    expected = functional.conv2d(wider, layer.weight)
    assert torch.allclose(layer(maps), expected, atol=1e-12)


@pytest.mark.parametrize("doubling", [False, True])
def test_gradients_by_matrix_products_are_those_of_torch(doubling: bool) -> None:
    maps, label = torch.randn(2, 64, 8, 8), torch.randn(2, 64, *(2 * [16 if doubling else 8]))
    weight = torch.randn(64, 64, *(2 * [4 if doubling else 3]))
    found = []
    for own in (True, False):
        leaves = [tensor.clone().requires_grad_() for tensor in (maps, weight)]
        if own:
            made = (double if doubling else convolve)(*leaves)
            assert "Convolution" in type(made.grad_fn).__name__
        elif doubling:
            made = functional.conv_transpose2d(bordered(leaves[0]), leaves[1], stride=2, padding=3)
        else:
            made = functional.conv2d(bordered(leaves[0]), leaves[1])
        found.append([made.detach(), *torch.autograd.grad((made * label).sum(), leaves)])
    for mine, torchs in zip(*found, strict=True):
        assert torch.allclose(mine, torchs, atol=1e-3, rtol=1e-4)


def test_gradients_of_doubling_kernels_in_bfloat16_are_those_of_float32() -> None:
    maps, label = torch.randn(2, 8, 9, 9).bfloat16(), torch.randn(2, 6, 18, 18).bfloat16()
    leaves = [maps.requires_grad_(), torch.randn(8, 6, 4, 4, requires_grad=True)]
    with torch.autocast("cpu", torch.bfloat16):
        made = double(*leaves)
    assert made.dtype == torch.bfloat16
    found = torch.autograd.grad(made, leaves, label)
    exact = [leaf.detach().bfloat16().float().requires_grad_() for leaf in leaves]
    expected = functional.conv_transpose2d(bordered(exact[0]), exact[1], stride=2, padding=3)
    for mine, theirs in zip(found, torch.autograd.grad(expected, exact, label.float()), strict=True):
        assert (mine.float() - theirs).abs().max() < 0.01 * theirs.abs().max()


def test_borders_stay_in_the_precision_of_the_maps() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert bordered(torch.randn(1, 2, 4, 4).bfloat16()).dtype == torch.bfloat16


def test_a_spectral_convolution_has_a_largest_singular_value_of_one() -> None:
    layer = SpectralConv2d(6, 10, 3)
    for _ in range(500):
        layer(torch.zeros(1, 6, 3, 3))
    largest = torch.linalg.svdvals(layer.weight.detach().flatten(1))[0]
    assert torch.allclose(layer.normalised() * largest, layer.weight, rtol=1e-4)
    identity = torch.eye(54).view(54, 6, 3, 3)
    matrix = layer.eval()(identity).flatten(1)
    assert torch.linalg.svdvals(matrix)[0].item() == pytest.approx(1.0, rel=1e-4)


def test_a_spectral_norm_has_the_gradient_of_its_formula() -> None:
    layer = SpectralConv2d(3, 5, 2).double().eval()
    factors, left = torch.randn_like(layer.weight), layer.left
    (mine,) = torch.autograd.grad((layer.normalised() * factors).sum(), layer.weight)
    direct = layer.weight / (layer.weight.permute(0, 2, 3, 1).flatten(1).t() @ left).norm()
    (of_formula,) = torch.autograd.grad((direct * factors).sum(), layer.weight)
    assert torch.allclose(mine, of_formula, atol=1e-12)


@pytest.mark.parametrize("slot", ["generator", "critic"])
def test_all_first_weights_have_one_size(slot: str) -> None:
    """To Adam it is a learning rate, as a norm follows each convolution."""
    sizes = [
        module.weight.square().mean().sqrt().item()
        for module in build(slot).modules()
        if isinstance(module, torch.nn.Conv2d)
    ]
    assert len(sizes) > 4
    assert sizes == pytest.approx([0.02] * len(sizes), rel=0.15)


@pytest.mark.parametrize(("slot", "width"), [("generator", 8), ("critic", 32)])
def test_spectral_norms_are_left_out_where_a_batch_norm_undoes_them_and_nowhere_else(slot: str, width: int) -> None:
    """Dividing their weights by it changes neither what comes out of the network nor the weights' gradient."""
    network = build(slot, width=width).double()
    latent, pictures = torch.randn(4, 256).double(), torch.rand(4, 3, 32, 32).double() * 2 - 1
    label = LABEL.repeat(2)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-14
        module.train(not isinstance(module, SpectralConv2d))  # its singular vector stays where it is

    def outputs() -> Tensor:
        if slot == "generator":
            drawn: Tensor = network(latent, label)
            return drawn.flatten()
        return torch.cat([network(pictures, label).flatten(), network.auxiliary(pictures, Step(0, 0)).view(1)])

    if slot == "critic":
        nn.init.normal_(network.projection.weight)
    undone = {}
    layers = {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}
    for name, layer in layers.items():
        found = []
        for divided in (False, True):
            hook = layer.register_forward_hook(
                lambda module, _, maps, divided=divided: (
                    maps / torch.linalg.matrix_norm(module.weight.flatten(1), 2) if divided else None
                )
            )
            made = outputs()
            hook.remove()
            found.append((made.detach(), *torch.autograd.grad(made.pow(3).sum(), layer.weight)))
        undone[name] = all(torch.allclose(*pair, rtol=1e-5, atol=1e-7) for pair in zip(*found, strict=True))
    plain = {name for name, layer in layers.items() if not isinstance(layer, SpectralConv2d)}
    further_on = {"small_head.0"} if slot == "critic" else set()  # its factor passes a leaky ReLU and a convolution
    assert len(plain) > 2
    assert {name for name in layers if undone[name]} == plain | further_on


def test_the_gated_linear_unit_has_the_numbers_of_torchs_own() -> None:
    maps = torch.randn(2, 6, 4, 4).contiguous(memory_format=torch.channels_last).requires_grad_()
    weights = torch.randn(2, 3, 4, 4)
    mine, torchs = GLU()(maps), functional.glu(maps, 1)
    assert torch.allclose(mine, torchs)
    gradients = [torch.autograd.grad((made * weights).sum(), maps)[0] for made in (mine, torchs)]
    assert torch.allclose(*gradients, atol=1e-6)
    assert gradients[0].is_contiguous(memory_format=torch.channels_last)


def test_an_untrained_generator_draws_no_frame_and_the_grain_of_photographs() -> None:
    generator, latent = build("generator", size=64, width=16), torch.randn(32, 256)
    label = torch.arange(32) % 2
    average.recompute_batch_norm(generator, latent, label)
    with torch.no_grad():
        grey = generator(latent, label).mean(1)
    assert grey[:, 0].std() > 0.6 * grey[:, 8:-8, 8:-8].std()
    laplacian = (
        4 * grey[:, 1:-1, 1:-1] - grey[:, :-2, 1:-1] - grey[:, 2:, 1:-1] - grey[:, 1:-1, :-2] - grey[:, 1:-1, 2:]
    )
    # Photographs have about 0.2, independent weights 0.8.
    assert 0.1 < laplacian.abs().mean() / grey.std() < 0.3


def test_the_length_of_a_latent_counts_only_below_that_of_noise() -> None:
    generator, latent = build("generator", width=8).eval(), torch.randn(2, 256)
    latent = latent / latent.square().mean(1, keepdim=True).sqrt()
    with torch.no_grad():
        assert torch.allclose(generator(latent, LABEL), generator(3 * latent, LABEL), atol=1e-5)
        assert not torch.allclose(generator(latent, LABEL), generator(0.5 * latent, LABEL), atol=1e-3)


def test_noise_is_new_at_each_step_of_training_and_the_latents_own_when_drawing() -> None:
    noise, maps = Noise(8, seed=1), torch.zeros(3, 5, 8, 8)
    nn.init.ones_(noise.scale)
    mixture = functional.normalize(torch.randn(3, 16), dim=1)
    made = noise(maps, mixture)
    assert torch.equal(made, made[:, :1].expand_as(made))
    assert not torch.equal(made, noise(maps, mixture))
    drawn = noise.eval()(maps, mixture)
    assert torch.equal(drawn, drawn[:, :1].expand_as(drawn))
    assert torch.equal(drawn, noise(maps, mixture))
    for one in range(3):  # whatever is drawn beside it
        assert torch.allclose(drawn[one], noise(maps[one:], mixture[one:])[0], atol=1e-6)
    assert drawn[:, 0].std((1, 2)).min() > 0.6
    assert drawn[:, 0].std((1, 2)).max() < 1.6
    assert (drawn[0] - drawn[1]).abs().mean() > 0.1


def test_what_is_drawn_has_the_texture_that_noise_made_in_training() -> None:
    generator, latent = build("generator", width=8), torch.randn(2, 256)
    noises = [module for module in generator.modules() if isinstance(module, Noise)]
    assert noises

    def drawn(scale: float, latent: Tensor) -> Tensor:
        for noise in noises:
            nn.init.constant_(noise.scale, scale)
        with torch.no_grad():
            pictures: Tensor = generator.eval()(latent, LABEL)
        return pictures

    textured = drawn(0.5, latent)
    assert (textured - drawn(0.0, latent)).abs().mean() > 0.01
    assert torch.equal(textured, drawn(0.5, latent))
    assert (textured - drawn(0.5, latent + 1e-3 * torch.randn(2, 256))).abs().mean() < 0.001


def test_latents_of_the_least_size_are_pictures_of_their_own() -> None:
    with pytest.raises(ConfigError, match=r"generator\.latent_size must be at least 16, got 15"):
        build("generator", latent_size=15)
    generator, latent, label = build("generator", width=8, latent_size=16), torch.randn(64, 16), torch.arange(64) % 2
    average.recompute_batch_norm(generator, latent, label)
    with torch.no_grad():
        drawn = generator.eval()(latent, torch.zeros_like(label))
    pixels = ((drawn + 1) * 127.5).round().to(torch.uint8)
    assert len({picture.numpy().tobytes() for picture in pixels.contiguous()}) == 64


def test_batch_norm_is_conditional_on_the_class() -> None:
    norm = ClassBatchNorm2d(3, 2)
    with torch.no_grad():
        norm.factor.weight[1], norm.summand.weight[1] = 2.0, 5.0
    maps, label = torch.randn(6, 3, 4, 4), torch.tensor([0, 1] * 3)
    with torch.no_grad():
        first, other = norm(maps, torch.zeros_like(label)), norm(maps, label)
    assert torch.equal(other[::2], first[::2])
    assert torch.allclose(other[1::2], 2 * first[1::2] + 5, atol=1e-5)


def test_recomputed_statistics_are_those_of_the_drawn_maps() -> None:
    generator, latent, label = build("generator", width=8), torch.randn(32, 256), torch.arange(32) % 2
    average.recompute_batch_norm(generator, latent, label)
    first = generator.begin(latent / latent.square().mean(1, keepdim=True).sqrt().clamp_min(1)).unflatten(1, (-1, 4, 4))
    assert torch.allclose(generator.norm.norm.running_mean, first.mean((0, 2, 3)), atol=1e-4)


def test_reconstruction_looks_at_the_whole_and_at_a_quadrant() -> None:
    critic, real = build("critic", size=64, width=64), torch.rand(4, 3, 64, 64) * 2 - 1
    made: dict[str, Tensor] = {}
    for name in ("picture", "quadrant"):
        getattr(critic, name).register_forward_hook(
            lambda module, arguments, output, name=name: made.update({name: output})
        )
    step = Step(0, 3)
    error = critic.auxiliary(real, step)
    assert (made["picture"].shape, made["quadrant"].shape) == ((4, 3, 64, 64), (4, 3, 32, 32))
    corners = [real[:, :, :32, :32], real[:, :, :32, 32:], real[:, :, 32:, :32], real[:, :, 32:, 32:]]
    which = (step.uniform("quadrant", 4) * 4).long()
    expected = torch.stack([corners[corner][place] for place, corner in enumerate(which.tolist())])
    of_both = (made["picture"] - real).square().mean() + (made["quadrant"] - expected).square().mean()
    assert error.item() == pytest.approx(of_both.item(), rel=1e-5)
    assert build("critic", reconstruction=0.0, width=64).auxiliary(real, step) is None


def test_reconstruction_is_learnt() -> None:
    critic = build("critic", width=64)
    real = functional.interpolate(torch.rand(8, 3, 4, 4) * 2 - 1, size=32, mode="bilinear")
    optimiser = torch.optim.Adam(critic.parameters(), 2e-3)
    errors = []
    for index in range(40):
        error = critic.auxiliary(real, Step(0, index))
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        errors.append(error.item())
    assert sum(errors[-5:]) < 0.5 * sum(errors[:5])


class Level(nn.Module):
    """D(x) is the mean of x."""

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        return images.mean((1, 2, 3))


def levels(*values: float) -> Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)


def test_the_hinge_loss_is_its_formula() -> None:
    batch = Batch(levels(0.95, 0.5, -0.3, 2.0), levels(-0.9, -2.0, 0.1, 0.4), torch.zeros(4, dtype=torch.int64))
    step = Step(0, 1)
    terms = build("loss", "hinge", jitter=0.0).critic(Level(), batch, step)
    expected = (0.05 + 0.5 + 1.3 + 0.0) / 4 + (0.1 + 0.0 + 1.1 + 1.4) / 4
    assert terms["loss"].item() == pytest.approx(expected, abs=1e-6)
    assert build("loss", "hinge").generator(Level(), batch, step)["loss"].item() == pytest.approx(0.6, abs=1e-6)


class Places(nn.Module):
    """The mean of each row of pixels."""

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        return images.mean((1, 3))


def test_each_place_is_held_to_the_margin() -> None:
    rows = torch.tensor([3.0, -1.0, 0.0, 0.0]).view(1, 1, 4, 1).expand(2, 3, 4, 4)
    label = torch.zeros(2, dtype=torch.int64)
    terms = build("loss", "hinge", jitter=0.0).critic(Places(), Batch(rows, -rows, label), Step(0, 1))
    assert terms["loss"].item() == pytest.approx(2 * (0.0 + 2.0 + 1.0 + 1.0) / 4)
    assert terms["real"].tolist() == pytest.approx([0.5, 0.5])


def test_margins_lie_between_four_fifths_and_one() -> None:
    """With scores of 0 the loss is the mean of the margins, and a score of 1 is never within one."""
    loss, label = build("loss", "hinge"), torch.zeros(4, dtype=torch.int64)
    losses = [
        loss.critic(Level(), Batch(levels(*[0.0] * 4), levels(*[-1.0] * 4), label), Step(0, index))["loss"].item()
        for index in range(50)
    ]
    assert 0.8 <= min(losses) < 0.87
    assert 0.93 < max(losses) <= 1.0
    assert sum(losses) / 50 == pytest.approx(0.9, abs=0.02)


def test_a_loss_in_the_place_of_its_own_brings_its_rates() -> None:
    slots = {"generator.name": "fastgan", "critic.name": "conv", "loss.name": "r3gan"}
    made = config.resolve(registry.load(), preset="standard", settings=slots)
    assert (made.augmentation.name, made.gan.batch_size, made.gan.ema) == ("diffaugment", 8, 0.999)
    assert (made.gan.beta1, made.gan.beta2) == (0.0, 0.99)
    assert made.origins["gan.beta1"] == "suggested by r3gan"


def test_it_brings_all_that_it_trains_with() -> None:
    made = config.resolve(registry.load(), flags={"generator": {"name": "fastgan"}, "data": {"path": "photographs"}})
    assert (made.critic.name, made.loss.name, made.augmentation.name) == ("fastgan", "hinge", "diffaugment")
    assert made.critic.settings.fine_share == 0.25
    shifts = made.augmentation.settings
    assert shifts.translation == 0.125
    assert shifts.brightness == shifts.saturation == shifts.contrast == shifts.cutout == 0
    gan = made.gan
    assert gan.flips
    assert (gan.batch_size, gan.lr_generator, gan.lr_critic, gan.beta1, gan.beta2) == (8, 4e-4, 4e-4, 0.5, 0.999)
    assert (gan.lr_schedule, gan.steps, gan.patience) == ("linear", 10_000, 0)


def test_a_map_that_the_critic_has_not_cannot_be_scored() -> None:
    with pytest.raises(ConfigError, match=r"critic\.scored_map must be one of 4, 8, 16, got 32"):
        config.resolve(
            registry.load(),
            flags={"generator": {"name": "fastgan"}},
            settings={"gan.size": 32, "critic.scored_map": 32},
        )


def test_a_share_of_the_grain_that_repeats_the_other_scores_without_end_is_refused() -> None:
    flags = {"generator": {"name": "fastgan"}}
    with pytest.raises(ConfigError, match=r"critic\.fine_share must be 0 or at least 0\.01, got 0\.001"):
        config.resolve(registry.load(), flags=flags, settings={"critic.fine_share": 0.001})
    for share in (0.0, 0.01):
        made = config.resolve(registry.load(), flags=flags, settings={"critic.fine_share": share})
        assert made.critic.settings.fine_share == share


@pytest.mark.parametrize(("size", "width", "multiple"), [(128, 48, 32), (64, 40, 16), (32, 36, 8)])
def test_a_width_that_the_critics_decoders_cannot_halve_is_refused(size: int, width: int, multiple: int) -> None:
    flags = {"generator": {"name": "fastgan"}}
    wide: dict[str, Any] = {"gan.size": size, "critic.width": width, "critic.scored_map": 4}
    with pytest.raises(ConfigError, match=rf"critic\.width must be a multiple of {multiple}, .* got {width}"):
        config.resolve(registry.load(), flags=flags, settings=wide)
    config.resolve(registry.load(), flags=flags, settings={**wide, "critic.reconstruction": 0})
    reconstructing = build("critic", size=size, width=32 + multiple, scored_map=4)
    assert reconstructing.auxiliary(torch.zeros(2, 3, size, size), Step(0, 0)).isfinite()


def test_a_size_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"gan\.size must be one of 16, 32, 64, 128, 256, 512, got 96"):
        config.resolve(registry.load(), flags={"generator": {"name": "fastgan"}}, settings={"gan.size": 96})
