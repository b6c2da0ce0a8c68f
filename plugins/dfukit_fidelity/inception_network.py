"""The network behind `inception`, built of torch-fidelity's blocks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch_fidelity.feature_extractor_inceptionv3 import (
    BasicConv2d,
    InceptionA,
    InceptionB,
    InceptionC,
    InceptionD,
    InceptionE_1,
    InceptionE_2,
)

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

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Features [N, 2048] and logits without bias [N, 1008] of pictures [N, 3, H, W] in 0 to 255."""
        pictures = resize_like_tensorflow1((pictures - 128) / 128, SIZE).contiguous(memory_format=torch.channels_last)
        # The layers run in the order above.
        for name, layer in self.named_children():
            if name != "fc":
                pictures = layer(pictures)
        features = pictures.flatten(1)
        return features, features @ self.fc.weight.T

    def fold(self) -> InceptionNetwork:
        """Put each batch norm into the convolution before it, for good: what is left infers and cannot train.

        The network must be in eval mode and hold its weights; its parameters have other names afterwards. Features
        move by the rounding of float32.
        """
        for layer in self.modules():
            if isinstance(layer, BasicConv2d):
                # In float64, so that weights are rounded once.
                layer.conv = fuse_conv_bn_eval(layer.conv.double(), layer.bn.double()).float()
                layer.bn = nn.Identity()
        return self


def resize_like_tensorflow1(images: Tensor, size: int) -> Tensor:
    """Images [N, C, H, W] brought to [N, C, size, size] as TensorFlow 1 did: bilinear, pixel i at i * H / size.

    The same figures as torch-fidelity's, to rounding; a side after the other, which is several times faster.
    """
    low, high, weight = _neighbours(images.shape[3], size, images)
    images = torch.lerp(images[:, :, :, low], images[:, :, :, high], weight)
    low, high, weight = _neighbours(images.shape[2], size, images)
    return torch.lerp(images[:, :, low], images[:, :, high], weight[:, None])


def _neighbours(before: int, after: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The old pixels on both sides of each new one, and the weight of the second."""
    # In float32, as TensorFlow has it: exact positions would choose other pixels here and there.
    place = torch.arange(after, device=like.device, dtype=torch.float32) * (before / after)
    low = place.long()
    return low, (low + 1).clamp_max(before - 1), (place - low).to(like.dtype)
