"""Random changes of pictures: none at all, or those that leave a wound a wound."""

from __future__ import annotations

from dfukit import Component, frozen, hookimpl, real


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
    ]
