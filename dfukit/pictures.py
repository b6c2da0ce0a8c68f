"""The pictures of a run: a folder of photographs, or the phantom set."""

from __future__ import annotations

from dfukit import phantom
from dfukit.component import ImageSpec
from dfukit.config import RunConfig
from dfukit.images import ImageSet, load
from dfukit.progress import Progress, counter


def load_images(config: RunConfig, progress: Progress) -> ImageSet:
    """Read them, or draw them."""
    if config.data.path:
        return load(config.data, counter(progress, "Reading pictures"), progress.say)
    progress.say("no --data: using the phantom set, drawings that show no patient")
    return phantom.image_set(config.data, counter(progress, "Drawing phantoms"))


def image_spec(config: RunConfig, images: ImageSet) -> ImageSpec:
    """What the networks are told of them."""
    return ImageSpec(config.gan.size, 3, images.classes, images.positive)
