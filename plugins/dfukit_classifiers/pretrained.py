"""Pretrained weights of a classifier's backbone: taken where they can be had, insisted on, or left alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from dfukit import hub
from dfukit.errors import WeightsError

SECONDS_TO_ANSWER = {"auto": 1.5, "true": 20.0}
"""How long the hub may take to answer before it counts as out of reach."""


def load(backbone: nn.Module, name: str, wanted: str, options: Mapping[str, Any]) -> str:
    """Load the pretrained weights that timm names `name` into a backbone made with `options`.

    `wanted` is "auto", "true" or "false". Returns one line saying which weights were taken.
    Raises WeightsError where they are insisted on and cannot be had.
    """
    if wanted == "false":
        return f"{name}: random initial weights (pretrained = false)"
    try:
        file = hub.find(name, SECONDS_TO_ANSWER[wanted])
        pretrained = hub.headless(name, file, options)
    except WeightsError as error:
        if wanted == "true":
            raise WeightsError(
                f"classifier.pretrained = true: {error}; connect once, or set classifier.pretrained = auto"
            ) from None
        return f"{name}: random initial weights ({error})"
    backbone.load_state_dict(pretrained.state_dict())
    return f"{name}: pretrained weights of {hub.origin(name, file)}"
