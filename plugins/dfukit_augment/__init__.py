"""Random changes of pictures: none at all, those that leave a wound a wound, and those that a critic sees through."""

from __future__ import annotations

from dfukit import Component, frozen, hookimpl, real, whole


@frozen
class NoSettings:
    """Nothing to set."""


@frozen
class WoundSettings:
    """How far pictures are changed. Colours are left alone: redness is signal in a wound."""

    rotation: float = real(30.0, "rotation by up to this many degrees either way", low=0.0, high=180.0)
    horizontal_flip: float = real(0.5, "share of pictures that are mirrored left to right", low=0.0, high=1.0)
    vertical_flip: float = real(0.5, "share of pictures that are mirrored top to bottom", low=0.0, high=1.0)
    zoom: float = real(0.15, "zoom in or out by up to this share", low=0.0, high=0.9)
    contrast: float = real(0.15, "contrast lower or higher by up to this share", low=0.0, high=0.9)


@frozen
class DiffAugmentSettings:
    """How far the critic's pictures are changed. Colours change little: redness is signal in a wound."""

    brightness: float = real(0.1, "brightness up or down by up to this share of the range", low=0.0, high=1.0)
    saturation: float = real(0.2, "saturation lower or higher by up to this share", low=0.0, high=1.0)
    contrast: float = real(0.2, "contrast lower or higher by up to this share", low=0.0, high=1.0)
    translation: float = real(0.125, "shift by up to this share of the width, either way", low=0.0, high=0.5)
    cutout: float = real(0.5, "width of the grey square, as a share of the picture's; 0: none", low=0.0, high=1.0)


@frozen
class AdaSettings:
    """The critic's changes are made with a probability that follows how far it overfits. Colours change little."""

    target: float = real(0.6, "overfitting to keep: mean sign of the scores of real pictures", low=-1.0, high=1.0)
    ramp: int = whole(500_000, "pictures in which the probability can go from 0 to 1", low=1)
    highest: float = real(0.8, "probability at most: near 1, changes leak into what is made", low=0.0, high=1.0)
    rotation: float = real(180.0, "rotation by up to this many degrees either way", low=0.0, high=180.0)
    zoom: float = real(0.2, "zoom in or out by up to this share", low=0.0, high=0.9)
    translation: float = real(0.125, "shift by up to this share of the width, either way", low=0.0, high=0.5)
    brightness: float = real(0.1, "brightness up or down by up to this share of the range", low=0.0, high=1.0)
    saturation: float = real(0.2, "saturation lower or higher by up to this share", low=0.0, high=1.0)
    contrast: float = real(0.2, "contrast lower or higher by up to this share", low=0.0, high=1.0)


@hookimpl
def augmentations() -> list[Component]:
    return [
        Component(
            name="none",
            settings=NoSettings,
            target="dfukit_augment.pipelines:Unchanged",
            summary="pictures as they are",
        ),
        Component(
            name="wound",
            settings=WoundSettings,
            target="dfukit_augment.pipelines:Wound",
            summary="rotation, flips, zoom and contrast, drawn for each picture on the device",
            citation="Riba et al., Kornia: an Open Source Computer Vision Library for PyTorch, WACV 2020",
        ),
        Component(
            name="diffaugment",
            settings=DiffAugmentSettings,
            target="dfukit_augment.diffaugment:DiffAugment",
            summary="for the critic: colour, translation and cutout of every picture, real and fake alike",
            citation="Zhao et al., Differentiable Augmentation for Data-Efficient GAN Training, NeurIPS 2020",
        ),
        Component(
            name="ada",
            settings=AdaSettings,
            target="dfukit_augment.ada:Ada",
            summary="for the critic: flips, affine and colour changes, as often as its overfitting asks for",
            citation="Karras et al., Training Generative Adversarial Networks with Limited Data, NeurIPS 2020",
        ),
    ]
