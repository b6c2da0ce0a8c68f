"""A plugin that imports torch where only its networks should."""

from __future__ import annotations

import torch

from dfukit import Component, frozen, hookimpl


@frozen
class NoSettings:
    """Nothing to set."""


class Heavy:
    device = torch.device("cpu")


@hookimpl
def augmentations() -> list[Component]:
    return [Component(name="heavy", settings=NoSettings, target="dfukit_heavy_toys:Heavy", summary="imports torch")]
