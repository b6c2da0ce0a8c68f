"""Backbone -> feature map -> its cells as a sequence -> LSTM -> one logit."""

from __future__ import annotations

import copy
from typing import ClassVar

import timm
import torch
from torch import Tensor, nn

from dfukit import hub
from dfukit.component import ImageSpec
from dfukit.errors import ConfigError
from dfukit.interfaces import Classifier, Parts
from dfukit_classifiers import BackboneSettings, HeadSettings, TimmSettings, folding, pretrained

SMALLEST_INPUT = 128
"""Backbones of stride 32 leave a 4x4 map of it; at 64 pixels it would be 2x2, hardly a sequence."""


class LstmHead(nn.Module):
    """One logit from a map: its cells in serpentine order, so that neighbours in the sequence touch."""

    order: Tensor

    def __init__(self, settings: HeadSettings, channels: int, height: int, width: int) -> None:
        super().__init__()
        layers = settings.lstm_layers
        self.lstm = nn.LSTM(
            channels,
            settings.lstm_hidden,
            layers,
            dropout=settings.dropout if layers > 1 else 0.0,
            batch_first=True,
        )
        self.dropout = nn.Dropout(settings.dropout)
        self.logit = nn.Linear(settings.lstm_hidden, 1)
        order = torch.arange(height * width).view(height, width)
        order[1::2] = order[1::2].flip(1)
        self.register_buffer("order", order.flatten(), persistent=False)

    def forward(self, cells: Tensor) -> Tensor:
        """Logits [N] of cells [N, L, C] in row-major order."""
        # Gates saturate early in bfloat16, and the LSTM is a small part of the time.
        with torch.autocast(cells.device.type, enabled=False):
            outputs, _ = self.lstm(cells.float()[:, self.order])
            logits: Tensor = self.logit(self.dropout(outputs[:, -1]))
        return logits[:, 0]


def _resized(images: Tensor, size: int) -> Tensor:
    if images.shape[-2:] == (size, size):
        return images
    return nn.functional.interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False)


class TimmLstm(Classifier):
    """A timm backbone under an LSTM."""

    # The map under the LSTM: its last state knows the two classes and little else.
    embedding: ClassVar[str] = "head"
    mean: Tensor
    std: Tensor

    def __init__(self, settings: BackboneSettings, image: ImageSpec, backbone: str) -> None:
        super().__init__()
        self.settings, self.channels, self.name = settings, image.channels, backbone
        published = timm.get_pretrained_cfg(backbone)
        fixed = published is not None and published.fixed_input_size
        natural = published.input_size[-1] if fixed else max(SMALLEST_INPUT, image.size)
        self.size = settings.input_size or natural
        self.options = {"in_chans": image.channels} | ({"img_size": self.size} if fixed else {})
        self.backbone = timm.create_model(backbone, pretrained=False, num_classes=0, **self.options)
        statistics = self.backbone.pretrained_cfg
        for name in ("mean", "std"):
            values = torch.tensor(statistics[name], dtype=torch.float32)
            # Grey pictures get the mean of the three colours' statistics.
            values = values if len(values) == image.channels else values.mean().expand(image.channels)
            self.register_buffer(name, values.reshape(1, -1, 1, 1).clone(), persistent=False)
        self.head = LstmHead(settings, *self._probe())

    def _probe(self) -> tuple[int, int, int]:
        """Channels, height and width of the map at this input size."""
        self.backbone.eval()
        with torch.no_grad():
            features = self.backbone.forward_features(torch.zeros(1, self.channels, self.size, self.size))
        self.backbone.train()
        if features.ndim == 3:  # tokens of a transformer
            return features.shape[2], 1, features.shape[1]
        if features.ndim != 4:
            raise ConfigError(f"classifier.backbone {self.name} gives no feature map: choose a convolutional network")
        if self._channels_last(features):
            return features.shape[3], features.shape[1], features.shape[2]
        return features.shape[1], features.shape[2], features.shape[3]

    def _channels_last(self, features: Tensor) -> bool:
        return features.shape[1] != self.backbone.num_features and features.shape[3] == self.backbone.num_features

    def prepare(self, parts: Parts) -> str:
        return pretrained.load(self.backbone, self.name, self.settings.pretrained, self.options)

    def for_prediction(self) -> TimmLstm:
        lean = copy.deepcopy(self)
        rng = torch.Generator().manual_seed(0)
        lean.backbone = folding.folded(
            self.backbone, torch.randn(1, self.channels, self.size, self.size, generator=rng).to(self.mean.device)
        )
        return lean

    def forward(self, images: Tensor) -> Tensor:
        images = (_resized(images, self.size) - self.mean) / self.std
        features = self.backbone.forward_features(images)
        if features.ndim == 4:
            features = features.flatten(1, 2) if self._channels_last(features) else features.flatten(2).transpose(1, 2)
        logits: Tensor = self.head(features)
        return logits


def efficientnet_v2_s(settings: BackboneSettings, image: ImageSpec) -> TimmLstm:
    """EfficientNetV2-S: 20.2 million parameters and the LSTM's."""
    return TimmLstm(settings, image, "tf_efficientnetv2_s.in21k_ft_in1k")


def efficientnet_v2_m(settings: BackboneSettings, image: ImageSpec) -> TimmLstm:
    """EfficientNetV2-M: 52.9 million parameters and the LSTM's."""
    return TimmLstm(settings, image, "tf_efficientnetv2_m.in21k_ft_in1k")


def any_timm(settings: TimmSettings, image: ImageSpec) -> TimmLstm:
    """The backbone of `settings.backbone`. Raises ConfigError for a name that timm does not know."""
    return TimmLstm(settings, image, hub.known(settings.backbone, "classifier.backbone"))


class CriticLstm(Classifier):
    """The trained critic's feature map under an LSTM; the critic's layers are trained on, but those that it froze."""

    needs: ClassVar[tuple[str, ...]] = ("critic",)
    embedding: ClassVar[str] = "head"

    def __init__(self, settings: HeadSettings, image: ImageSpec) -> None:
        super().__init__()
        self.settings, self.image = settings, image

    def attach(self, parts: Parts) -> None:
        if parts.critic is None:
            raise ConfigError("classifier critic_lstm is built on a trained critic: run the GAN first, or take another")
        # A copy: training the classifier must leave the critic as it is.
        self.critic = copy.deepcopy(parts.critic)
        if not any(parameter.requires_grad for parameter in self.critic.parameters()):
            self.critic.requires_grad_(True)  # it was not its component that froze all of it
        probe = torch.zeros(1, self.image.channels, self.image.size, self.image.size)
        probe = probe.to(next(self.critic.parameters()).device)
        self.critic.eval()
        with torch.no_grad():
            features = self.critic.features(probe)
        self.head = LstmHead(self.settings, *features.shape[1:]).to(probe.device)
        self.train()

    def prepare(self, parts: Parts) -> str:
        return "features of the trained critic"

    def forward(self, images: Tensor) -> Tensor:
        features = self.critic.features(_resized(images, self.image.size) * 2 - 1)
        logits: Tensor = self.head(features.flatten(2).transpose(1, 2))
        return logits
