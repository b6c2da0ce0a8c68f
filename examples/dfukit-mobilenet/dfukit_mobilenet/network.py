"""MobileNetV1 (Howard et al. 2017), width 0.75, as published by its authors for TensorFlow."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import safetensors
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from dfukit import WeightsError
from dfukit.interfaces import Extractor
from dfukit_mobilenet import MobileNetSettings

WIDTHS = (24, 48, 96, 96, 192, 192, 384, 384, 384, 384, 384, 384, 768, 768)
"""Channels after the first convolution and after each of the 13 separable ones."""
HALVED = {2, 4, 6, 12}
"""Separable convolutions with stride 2."""
SIZE = 224


class SamePadding(nn.Conv2d):
    """A 3x3 convolution with TensorFlow's padding: at stride 2 one pixel right and below only."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(functional.pad(images, (0, 1, 0, 1) if self.stride[0] == 2 else (1, 1, 1, 1)))


class MobileNetExtractor(Extractor):
    def __init__(self, settings: MobileNetSettings) -> None:
        super().__init__()
        self.layers: list[str] = []
        self._add("conv1", SamePadding(3, WIDTHS[0], 3, stride=2, bias=False))
        for i, (before, after) in enumerate(itertools.pairwise(WIDTHS), 1):
            stride = 2 if i in HALVED else 1
            self._add(f"conv_dw_{i}", SamePadding(before, before, 3, stride=stride, groups=before, bias=False))
            self._add(f"conv_pw_{i}", nn.Conv2d(before, after, 1, bias=False))
        self.source = self._load(settings.weights)

    def _add(self, name: str, convolution: nn.Conv2d) -> None:
        self.layers.append(name)
        self.add_module(name, convolution)
        self.add_module(f"{name}_bn", nn.BatchNorm2d(convolution.out_channels, eps=1e-3))

    def _load(self, file: str) -> str:
        if not file:
            raise WeightsError("extractor.mobilenet.weights is not set: name the safetensors file of MobileNetV1-0.75")
        try:
            tensors = load_file(file)
            digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()
            wanted = self.state_dict()
            counts = {name: value for name, value in wanted.items() if name.endswith("num_batches_tracked")}
            self.load_state_dict({name: tensors[name] for name in wanted if name not in counts} | counts)
        except (OSError, KeyError, RuntimeError, safetensors.SafetensorError) as error:
            raise WeightsError(f"extractor.mobilenet.weights {file}: {' '.join(str(error).split())[:200]}") from None
        return f"{Path(file).name}, SHA-256 {digest[:12]}"

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x = functional.interpolate(images.float(), (SIZE, SIZE), mode="bicubic", antialias=True).round().clamp(0, 255)
        return {"features": self.features(x / 127.5 - 1)}

    def features(self, images: Tensor) -> Tensor:
        """Pooled features [N, 768] of pictures [N, 3, 224, 224] in [-1, 1]."""
        for name in self.layers:
            images = functional.relu6(self.get_submodule(f"{name}_bn")(self.get_submodule(name)(images)))
        return images.float().mean((2, 3))
