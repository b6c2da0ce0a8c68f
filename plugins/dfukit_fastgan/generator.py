"""The generator: maps from 4x4 to the picture's width, small ones gating those sixteen times as wide."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dfukit import ImageSpec
from dfukit.interfaces import Generator
from dfukit_fastgan import FastGeneratorSettings
from dfukit_fastgan.layers import BILINEAR, GLU, SIZE, Conv2d, Gate, SpectralConv2d, UpConv2d, start_smooth
from dfukit_fastgan.products import bordered

FIRST = 4
"""Width of the first map."""
CHANNELS = {4: 16, 8: 8, 16: 4, 32: 2, 64: 2, 128: 1, 256: 0.5, 512: 0.25}
"""Channels of a map, by its width, in multiples of the setting."""
GATED = 16
"""How many times as wide the map is that a map gates."""
FIXED = 16
"""Fixed maps of noise of which a latent mixes its own, by its first numbers: it has at least as many."""


class FastGenerator(Generator):
    """The generator of Liu et al. 2021 (figures 3 and 4), its batch norms conditional on the class.

    Blocks that double the width come in two kinds in turn, with one convolution and with two; noise is injected after
    each. The latent is brought to a length of at most sqrt(latent_size), which is about the length of all that are
    standard normal, so that shorter ones, as truncation makes them, stay shorter.
    """

    capturable = True

    def __init__(self, settings: FastGeneratorSettings, image: ImageSpec) -> None:
        super().__init__()
        self.latent_size = settings.latent_size
        classes = len(image.classes)
        channels = {side: int(settings.width * share) for side, share in CHANNELS.items() if side <= image.size}
        self.begin = nn.Linear(settings.latent_size, 2 * channels[FIRST] * FIRST * FIRST, bias=False)
        nn.init.normal_(self.begin.weight, 0.0, SIZE)
        self.norm = ClassBatchNorm2d(2 * channels[FIRST], classes)
        self.glu = GLU()
        self.blocks, self.gates = nn.ModuleDict(), nn.ModuleDict()
        for place, side in enumerate(list(channels)[1:]):
            sides = channels[side // 2], channels[side]
            self.blocks[str(side)] = (
                Double(*sides, classes, settings.grain, side)
                if place % 2
                else Single(*sides, classes, settings.grain, side)
            )
            if side // GATED >= FIRST:
                self.gates[str(side)] = Gate(channels[side // GATED], channels[side])
        self.draw = SpectralConv2d(channels[image.size], image.channels, 3)
        # Its spectral norm of 1 leaves smooth maps more contrast where it begins as a blur.
        start_smooth(self.draw, BILINEAR, settings.grain)

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        length = latent.square().mean(1, keepdim=True).sqrt()
        started = self.begin(latent / length.clamp_min(1)).unflatten(1, (-1, FIRST, FIRST))
        side, maps = FIRST, self.glu(self.norm(started.contiguous(memory_format=torch.channels_last), label))
        mixture = functional.normalize(latent[:, :FIXED], dim=1)
        by_side = {side: maps}
        for name, block in self.blocks.items():
            side, maps = int(name), block(maps, label, mixture)
            if name in self.gates:
                maps = maps * self.gates[name](by_side[side // GATED])
            by_side[side] = maps
        # In float32: bfloat16 would round the pictures to steps as large as the fine detail of a photograph's colours.
        with torch.autocast(maps.device.type, enabled=False):
            drawn: Tensor = self.draw(bordered(maps.to(self.draw.weight.dtype))).tanh()
        return drawn


class Single(nn.Module):
    """Doubles the width with one convolution: upsampling, convolution, noise, batch norm, GLU."""

    def __init__(self, inputs: int, outputs: int, classes: int, grain: float, side: int) -> None:
        super().__init__()
        self.convolution = UpConv2d(inputs, 2 * outputs, grain)
        self.noise = Noise(side, seed=2 * side)
        self.norm = ClassBatchNorm2d(2 * outputs, classes)
        self.glu = GLU()

    def forward(self, maps: Tensor, label: Tensor, mixture: Tensor) -> Tensor:
        gated: Tensor = self.glu(self.norm(self.noise(self.convolution(maps), mixture), label))
        return gated


class Double(nn.Module):
    """Doubles the width with two convolutions, noise after each."""

    def __init__(self, inputs: int, outputs: int, classes: int, grain: float, side: int) -> None:
        super().__init__()
        self.convolution = UpConv2d(inputs, 2 * outputs, grain)
        self.noise = Noise(side, seed=2 * side)
        self.norm = ClassBatchNorm2d(2 * outputs, classes)
        self.second = Conv2d(outputs, 2 * outputs, grain)
        self.second_noise = Noise(side, seed=2 * side + 1)
        self.second_norm = ClassBatchNorm2d(2 * outputs, classes)
        self.glu = GLU()

    def forward(self, maps: Tensor, label: Tensor, mixture: Tensor) -> Tensor:
        maps = self.glu(self.norm(self.noise(self.convolution(maps), mixture), label))
        gated: Tensor = self.glu(self.second_norm(self.second_noise(self.second(maps), mixture), label))
        return gated


class Noise(nn.Module):
    """Adds noise, the same to all channels, on a learnt scale.

    Training draws it anew each time. Eval mode mixes it of fixed maps, by the first numbers of the latent: a latent is
    one picture, near latents are near pictures, and all have the texture that was learnt as noise. Without it they
    would be blurs that the critic never saw.
    """

    fixed: Tensor
    """[FIXED, side, side], standard normal."""

    def __init__(self, side: int, seed: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(()))
        maps = torch.randn(FIXED, side, side, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("fixed", maps, persistent=False)

    def forward(self, maps: Tensor, mixture: Tensor) -> Tensor:
        """Maps [N, C, side, side], with a unit vector [N, FIXED] for each."""
        if self.training:
            noise = torch.randn(len(maps), 1, *maps.shape[2:], dtype=maps.dtype, device=maps.device)
        else:
            noise = torch.mm(mixture, self.fixed.flatten(1)).view(-1, 1, *self.fixed.shape[1:])
        return maps + self.scale.to(maps.dtype) * noise.to(maps.dtype)


class ClassBatchNorm2d(nn.Module):
    """Batch norm, then a factor and a summand for each channel and class."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.factor = nn.Embedding(classes, channels)
        self.summand = nn.Embedding(classes, channels)
        nn.init.ones_(self.factor.weight)
        nn.init.zeros_(self.summand.weight)

    def forward(self, maps: Tensor, label: Tensor) -> Tensor:
        maps = self.norm(maps)
        factor, summand = (table(label).to(maps.dtype)[:, :, None, None] for table in (self.factor, self.summand))
        return torch.addcmul(summand, maps, factor)
