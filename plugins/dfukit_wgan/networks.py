"""The LSTM generator and the convolutional critic."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dfukit import ImageSpec, hardware
from dfukit.interfaces import Critic, Generator
from dfukit_wgan import ConvCriticSettings, LstmGeneratorSettings
from dfukit_wgan.lean import LeanConv2d, LeanLeakyReLU

GRID = 8
"""Cells along a side of the map that the LSTM makes."""
NOISE = 0.3
"""Share of independent noise in the first weights of the transposed convolutions."""


class LstmGenerator(Generator):
    """A 2-layer LSTM makes an 8x8 map cell by cell; transposed convolutions make a picture of it.

    The LSTM walks the 64 cells row by row, each second row backwards (serpentine), so that neighbours in the sequence
    are neighbours in the picture. Its input at cell t is [latent, position embedding t, class embedding], its initial
    state a linear map of the latent. With `unroll` "once" it makes one step, of whose output a linear map makes the 64
    cells; with "none" there is no LSTM, and a linear map of [latent, class embedding] makes them.
    """

    def __init__(self, settings: LstmGeneratorSettings, image: ImageSpec) -> None:
        super().__init__()
        self.latent_size = settings.latent_size
        self.layers, self.hidden = settings.lstm_layers, settings.lstm_hidden
        cells = GRID * GRID
        # In this order: the first weights of a seed depend on it.
        self.recurrent = settings.unroll != "none"
        # The dropout of cuDNN's LSTM cannot be captured.
        self.capturable = not (self.recurrent and self.layers > 1 and settings.dropout > 0)
        self.cpu_bf16 = hardware.cpu_bf16()
        if self.recurrent:
            self.position = nn.Embedding(cells if settings.unroll == "cells" else 1, settings.embedding)
        self.label = nn.Embedding(len(image.classes), settings.embedding)
        read = settings.latent_size + settings.embedding
        if self.recurrent:
            self.state = nn.Linear(settings.latent_size, 2 * self.layers * self.hidden)
            self.lstm = nn.LSTM(
                read + settings.embedding,
                self.hidden,
                self.layers,
                dropout=settings.dropout if self.layers > 1 else 0.0,
                batch_first=True,
            )
            read = self.hidden
        self.spread = nn.Identity() if settings.unroll == "cells" else nn.Linear(read, cells * self.hidden)
        self.register_buffer("order", _serpentine(GRID), persistent=False)
        self.decode = _decoder(self.hidden, image)

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        outputs = self._outputs(latent, label) if self.recurrent else torch.cat([latent, self.label(label)], dim=1)
        n = len(latent)
        cells = self.spread(outputs).view(n, GRID * GRID, self.hidden)
        grid = cells[:, self.order].view(n, GRID, GRID, self.hidden).permute(0, 3, 1, 2)
        images: Tensor = self.decode(grid)
        return images

    def _outputs(self, latent: Tensor, label: Tensor) -> Tensor:
        """What the LSTM says at each step: [N, 64 or 1, hidden]."""
        n, steps = len(latent), self.position.num_embeddings
        inputs = torch.cat(
            [
                latent[:, None].expand(-1, steps, -1),
                self.position.weight.expand(n, -1, -1),
                self.label(label)[:, None].expand(-1, steps, -1),
            ],
            dim=2,
        )
        state = self.state(latent).view(n, 2, self.layers, self.hidden).permute(1, 2, 0, 3).contiguous()
        if latent.device.type == "cpu" and not self.cpu_bf16:
            # oneDNN has no bfloat16 LSTM for such a CPU.
            with torch.autocast("cpu", enabled=False):
                state = state.to(inputs.dtype)
                outputs: Tensor = self.lstm(inputs, (state[0], state[1]))[0]
        else:
            outputs = self.lstm(inputs, (state[0], state[1]))[0]
        return outputs


def _serpentine(side: int) -> Tensor:
    """For each cell of the map in reading order, its place in the sequence."""
    places = torch.arange(side * side).view(side, side)
    places[1::2] = places[1::2].flip(1)
    return places.flatten()


def _decoder(channels: int, image: ImageSpec) -> nn.Sequential:
    """Transposed convolutions (4x4, stride 2) from the map to the picture, halving the channels each time."""
    layers: list[nn.Module] = []
    size = 2 * GRID
    while size < image.size:
        narrower = max(channels // 2, 8)
        layers += [
            nn.ConvTranspose2d(channels, narrower, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(narrower),
            nn.ReLU(),
        ]
        channels, size = narrower, 2 * size
    decoder = nn.Sequential(*layers, nn.ConvTranspose2d(channels, image.channels, 4, stride=2, padding=1), nn.Tanh())
    for layer in decoder:
        if isinstance(layer, nn.ConvTranspose2d):
            _start_smooth(layer)
    return decoder


@torch.no_grad()
def _start_smooth(layer: nn.ConvTranspose2d) -> None:
    """Begin as bilinear upsampling of random mixtures of channels (Long et al. 2015, section 3.3), with a little noise.

    Independent weights begin as a checkerboard, which short training does not unlearn.
    """
    slope = torch.tensor([0.25, 0.75, 0.75, 0.25])
    mixture = torch.randn(layer.in_channels, layer.out_channels, 1, 1) + NOISE * torch.randn_like(layer.weight)
    layer.weight.copy_(mixture * torch.outer(slope, slope) * (2 / layer.in_channels) ** 0.5)


class ConvCritic(Critic):
    """Convolutions (4x4, stride 2) with LeakyReLU; the score is a linear head plus a projection on the class.

    Batch norm would mix the pictures of a batch, which the gradient penalty forbids; an LSTM has no second derivative
    on cuDNN.
    """

    capturable = True

    def __init__(self, settings: ConvCriticSettings, image: ImageSpec) -> None:
        super().__init__()
        widths = [settings.width << doubling for doubling in range(4)]
        layers: list[nn.Module] = []
        for before, after in zip([image.channels, *widths], widths, strict=False):
            layers += [LeanConv2d(before, after, 4, stride=2, padding=1), LeanLeakyReLU(0.2)]
        self.body = nn.Sequential(*layers)
        side = image.size // 16
        self.head = nn.Linear(widths[-1] * side * side, 1)
        self.projection = nn.Embedding(len(image.classes), widths[-1])
        nn.init.zeros_(self.projection.weight)

    def features(self, images: Tensor) -> Tensor:
        features: Tensor = self.body(images)
        return features

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        features = self.features(images)
        projected = (features.mean((2, 3)) * self.projection(label)).sum(1)
        score: Tensor = self.head(features.flatten(1)).squeeze(1) + projected
        return score
