"""A network of another library as a classifier: torchvision's ConvNeXt-Tiny."""

from dfukit import Component, flag, frozen, hookimpl, whole


@frozen
class ConvNextSettings:
    input_size: int = whole(128, "width that pictures are resized to inside", low=32)
    pretrained: bool = flag(False, "start from torchvision's ImageNet weights, which it downloads")


@hookimpl
def classifiers() -> list[Component]:
    return [
        Component(
            name="convnext",
            settings=ConvNextSettings,
            target="dfukit_convnext.network:ConvNext",
            summary="ConvNeXt-Tiny of torchvision",
            citation="Liu et al., A ConvNet for the 2020s, CVPR 2022",
        )
    ]
