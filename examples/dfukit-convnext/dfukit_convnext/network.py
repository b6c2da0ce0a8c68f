"""Resizing and normalising around torchvision's network, which is left as it is."""

import os

from torch import Tensor, nn
from torchvision.models import ConvNeXt_Tiny_Weights, convnext_tiny  # type: ignore[import-untyped]
from torchvision.transforms.functional import normalize  # type: ignore[import-untyped]

from dfukit import ImageSpec, WeightsError
from dfukit.interfaces import Classifier, Parts
from dfukit_convnext import ConvNextSettings


class ConvNext(Classifier):
    def __init__(self, settings: ConvNextSettings, image: ImageSpec) -> None:
        super().__init__()
        self.settings = settings
        self.network = convnext_tiny(num_classes=1)

    def prepare(self, parts: Parts) -> str:
        if not self.settings.pretrained:
            return "random initial weights"
        try:
            if os.environ.get("DFUKIT_OFFLINE"):
                raise OSError("DFUKIT_OFFLINE is set")
            weights = ConvNeXt_Tiny_Weights.IMAGENET1K_V1.get_state_dict(check_hash=True, weights_only=True)
        except OSError as error:
            raise WeightsError(f"classifier.pretrained: no weights of ConvNeXt-Tiny ({error})") from None
        taken = {f"network.{name}": tensor for name, tensor in weights.items() if "classifier.2" not in name}
        self.load_state_dict(self.state_dict() | taken)
        return "ImageNet weights of torchvision"

    def forward(self, images: Tensor) -> Tensor:
        size = (self.settings.input_size, self.settings.input_size)
        images = nn.functional.interpolate(images.expand(-1, 3, -1, -1), size, mode="bilinear", antialias=True)
        logits: Tensor = self.network(normalize(images, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
        return logits[:, 0]
