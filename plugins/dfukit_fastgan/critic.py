"""The critic: gated down-blocks to a 4x4 map, a second look at the reduced picture, and a reconstruction task."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from dfukit import ImageSpec
from dfukit.interfaces import Critic, Step
from dfukit_fastgan import FastCriticSettings
from dfukit_fastgan.layers import GLU, SIZE, Gate, SpectralConv2d, UpConv2d
from dfukit_fastgan.whitening import Whitening

LAST = 4
"""Width of the last map."""
WINDOW = 4
"""Width of what is scored at a time."""
QUARTERED = 16
"""Width of the map from a quadrant of which a quadrant of the picture is reconstructed."""
SMALL = 32
"""Width of the reduced picture that the second head sees."""
RECONSTRUCTED = 64
"""Width of reconstructions, at most."""
GATED = 8
"""How many times as wide the map is that gates a map."""
FEWEST = 4
"""Channels of a map at least."""
SLOPE = 0.2
FINE = 16
"""Channels of the first map of the look at the grain."""


class FastCritic(Critic):
    """The critic of Liu et al. 2021 (figure 5, section 3.2) with a projection on the class.

    Each window of 4x4 of a map is scored, the picture reduced to 32x32, and, where `fine_share` asks for it, the grain
    at every fourth pixel; the projection is added to all scores.
    """

    per_picture: ClassVar[bool] = False
    capturable = True

    def __init__(self, settings: FastCriticSettings, image: ImageSpec) -> None:
        super().__init__()
        size, width = image.size, settings.width
        self.reconstruction = settings.reconstruction
        sides = [size >> halving for halving in range((size // LAST).bit_length())]
        channels = {side: max(width * LAST // side, FEWEST) for side in sides}
        self.first = nn.Sequential(SpectralConv2d(image.channels, channels[size], 3, padding=1), nn.LeakyReLU(SLOPE))
        self.blocks = nn.ModuleDict(
            {str(side): Down(channels[2 * side], channels[side]) for side in sides if side < size}
        )
        self.gates = nn.ModuleDict(
            {str(side): Gate(channels[side * GATED], channels[side]) for side in sides if side * GATED <= size}
        )
        self.scored = settings.scored_map
        scored = channels[self.scored]
        self.head = nn.Sequential(
            nn.Conv2d(scored, 2 * scored, 1, bias=False),
            nn.BatchNorm2d(2 * scored),
            nn.LeakyReLU(SLOPE),
            SpectralConv2d(2 * scored, 1, WINDOW),
        )
        self.small_side = min(SMALL, size)
        self.small_head = _small_head(self.small_side, width // 2, image.channels)
        self.fine_share = settings.fine_share
        self.fine = _fine_head() if self.fine_share else None
        self.projection = nn.Embedding(len(image.classes), width)
        nn.init.zeros_(self.projection.weight)
        if self.reconstruction:
            self.picture_side, self.quadrant_side = min(RECONSTRUCTED, size), min(RECONSTRUCTED, size // 2)
            self.picture = _decoder(width, self.picture_side // LAST, image.channels)
            self.quadrant = _decoder(channels[QUARTERED], 2 * self.quadrant_side // QUARTERED, image.channels)
        for module in self.modules():
            if type(module) is nn.Conv2d:
                nn.init.normal_(module.weight, 0.0, SIZE)

    def features(self, images: Tensor) -> Tensor:
        return self._maps(images)[LAST]

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        """Scores [N, windows + 1]; with a look at the grain these and its own, either repeated to have its share."""
        maps = self._maps(images)
        small = functional.adaptive_avg_pool2d(images, self.small_side)
        places = torch.cat([self.head(maps[self.scored]).flatten(1), self.small_head(small).flatten(1)], dim=1)
        if self.fine is not None:
            fine = self.fine(images).flatten(1)
            times = fine.shape[1] * (1 - self.fine_share) / (places.shape[1] * self.fine_share)
            # Of pictures that have few places of grain, these are what is repeated.
            repeated = places.repeat(1, max(round(times), 1)), fine.repeat(1, max(round(1 / times), 1))
            places = torch.cat(repeated, dim=1)
        of_class = (maps[LAST].mean((2, 3)) * self.projection(label)).sum(1, keepdim=True)
        scores: Tensor = places + of_class
        return scores

    def auxiliary(self, real: Tensor, step: Step) -> Tensor | None:
        """Mean squared errors of the picture, from the 4x4 map, and of a random quadrant of it, from the 16x16 map.

        The paper measures them by a pretrained network (LPIPS); these need no weights.
        """
        if not self.reconstruction:
            return None
        maps = self._maps(real)
        quadrant = (step.uniform("quadrant", len(real)) * 4).long().to(real.device)
        errors = [
            _error(self.picture(maps[LAST]), real),
            _error(self.quadrant(_quadrants(maps[QUARTERED], quadrant)), _quadrants(real, quadrant)),
        ]
        return self.reconstruction * sum(errors)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Takes weights of a critic without the look at the grain too, which begins with its own first weights."""
        own = f"{prefix}fine."
        if self.fine is not None and not any(name.startswith(own) for name in state_dict):
            state_dict.update({own + name: value for name, value in self.fine.state_dict().items()})
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _maps(self, images: Tensor) -> dict[int, Tensor]:
        """The maps by their width."""
        side, maps = images.shape[-1], self.first(images)
        by_side = {side: maps}
        for name, block in self.blocks.items():
            side, maps = int(name), block(maps)
            if name in self.gates:
                maps = maps * self.gates[name](by_side[side * GATED])
            by_side[side] = maps
        return by_side


class Down(nn.Module):
    """Halves the width: the mean of a way with two convolutions and a short one."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.long = nn.Sequential(
            nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(SLOPE),
        )
        self.short = nn.Sequential(
            nn.AvgPool2d(2),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(SLOPE),
        )

    def forward(self, maps: Tensor) -> Tensor:
        halved: Tensor = (self.long(maps) + self.short(maps)) / 2
        return halved


def _small_head(side: int, width: int, colours: int) -> nn.Sequential:
    """One logit of a picture `side` wide; its 4x4 map has `width` channels."""
    side //= 2
    channels = width * LAST // side
    layers: list[nn.Module] = [SpectralConv2d(colours, channels, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
    while side > LAST:
        layers += [
            nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * channels),
            nn.LeakyReLU(SLOPE),
        ]
        side, channels = side // 2, 2 * channels
    return nn.Sequential(*layers, SpectralConv2d(channels, 1, LAST))


def _fine_head() -> nn.Sequential:
    """A score of every fourth pixel [N, 1, S / 4 - 2, S / 4 - 2], of the 22 pixels around it."""
    return nn.Sequential(
        Whitening(),
        SpectralConv2d(Whitening.CHANNELS, FINE, 3, padding=1),
        nn.LeakyReLU(SLOPE),
        SpectralConv2d(FINE, 2 * FINE, 4, stride=2, padding=1),
        nn.LeakyReLU(SLOPE),
        SpectralConv2d(2 * FINE, 4 * FINE, 4, stride=2, padding=1),
        nn.LeakyReLU(SLOPE),
        SpectralConv2d(4 * FINE, 1, 3),
    )


def _decoder(channels: int, factor: int, colours: int) -> nn.Sequential:
    """Pictures `factor` times as wide as the map, a power of two; the channels halve each time."""
    layers: list[nn.Module] = []
    for _ in range(factor.bit_length() - 1):
        layers += [UpConv2d(channels, channels), nn.BatchNorm2d(channels), GLU()]
        channels //= 2
    return nn.Sequential(*layers, SpectralConv2d(channels, colours, 3, padding=1), nn.Tanh())


def _quadrants(maps: Tensor, which: Tensor) -> Tensor:
    """A quadrant of each map [N, C, S, S] -> [N, C, S / 2, S / 2]; `which` [N] counts from the top left by rows."""
    half = maps.shape[-1] // 2
    parts = maps.unflatten(3, (2, half)).unflatten(2, (2, half))
    return parts[torch.arange(len(maps), device=maps.device), :, which // 2, :, which % 2]


def _error(made: Tensor, pictures: Tensor) -> Tensor:
    """Mean squared error, in float32, to the pictures reduced to the width of what was made."""
    return functional.mse_loss(made.float(), functional.adaptive_avg_pool2d(pictures, made.shape[-1]).float())
