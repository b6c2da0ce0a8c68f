"""The 2015 Inception-v3 network (FID-InceptionV3) on which FID, KID and the Inception Score are defined."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import (
    BasicConv2d,
    InceptionA,
    InceptionB,
    InceptionC,
    InceptionD,
    InceptionE_1,
    InceptionE_2,
)
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from dfukit import pretrained
from dfukit.errors import WeightsError
from dfukit.interfaces import Extractor

SIZE = 299


class InceptionNetwork(nn.Module):
    """torch-fidelity's network under its own parameter names; its class cannot be made without unpickling a file."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = BasicConv2d(3, 32, kernel_size=3, stride=2)
        self.Conv2d_2a_3x3 = BasicConv2d(32, 32, kernel_size=3)
        self.Conv2d_2b_3x3 = BasicConv2d(32, 64, kernel_size=3, padding=1)
        self.MaxPool_1 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.Conv2d_3b_1x1 = BasicConv2d(64, 80, kernel_size=1)
        self.Conv2d_4a_3x3 = BasicConv2d(80, 192, kernel_size=3)
        self.MaxPool_2 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.Mixed_5b = InceptionA(192, pool_features=32)
        self.Mixed_5c = InceptionA(256, pool_features=64)
        self.Mixed_5d = InceptionA(288, pool_features=64)
        self.Mixed_6a = InceptionB(288)
        self.Mixed_6b = InceptionC(768, channels_7x7=128)
        self.Mixed_6c = InceptionC(768, channels_7x7=160)
        self.Mixed_6d = InceptionC(768, channels_7x7=160)
        self.Mixed_6e = InceptionC(768, channels_7x7=192)
        self.Mixed_7a = InceptionD(768)
        self.Mixed_7b = InceptionE_1(1280)
        self.Mixed_7c = InceptionE_2(2048)
        self.AvgPool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(2048, 1008)

    def forward(self, pictures: Tensor) -> Tensor:
        """Features [N, 2048] of pictures [N, 3, 299, 299] in [-1, 1]. The layers run in the order above."""
        for name, layer in self.named_children():
            if name != "fc":
                pictures = layer(pictures)
        return pictures.flatten(1)


class Inception(Extractor):
    """features [N, 2048] and logits [N, 1008] without bias ("logits_unbiased"), resized as TensorFlow 1 resized.

    Raises WeightsError, with the remedy, where the weights are neither in the store nor can be downloaded.
    """

    def __init__(self, settings: object) -> None:
        self._load(pretrained.default_store().get("inception", lambda done, of: None))

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """The extractor on the safetensors file of a store. Raises WeightsError where it does not fit."""
        extractor = cls.__new__(cls)
        extractor._load(path)
        return extractor

    def _load(self, path: Path) -> None:
        super().__init__()
        # On the meta device nothing is initialised: faster, and the global random state stays where it is.
        with torch.device("meta"):
            self.network = InceptionNetwork()
        try:
            self.network.load_state_dict(load_file(path), assign=True)
            with safe_open(path, framework="pt") as file:
                facts = json.loads((file.metadata() or {}).get("dfukit", "{}"))
        except (RuntimeError, OSError, ValueError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:200]
            raise WeightsError(
                f"{path} does not hold the Inception network ({reason}): remove it, then dfukit weights get inception"
            ) from None
        self.source = f"{facts.get('file', path.name)}, sha256 {facts.get('sha256', 'unknown')}"
        self.requires_grad_(False).eval().to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        pictures = interpolate_bilinear_2d_like_tensorflow1x(images.float(), size=(SIZE, SIZE), align_corners=False)
        pictures = ((pictures - 128) / 128).contiguous(memory_format=torch.channels_last)
        features = self.network(pictures).float()
        return {"features": features, "logits": features @ self.network.fc.weight.T}
