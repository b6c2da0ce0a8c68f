"""The hooks of dfukit: each returns the components of one kind that a plugin offers."""

from __future__ import annotations

import pluggy

from dfukit.component import Component

hookspec = pluggy.HookspecMarker("dfukit")
hookimpl = pluggy.HookimplMarker("dfukit")


@hookspec
def generators() -> list[Component]:  # type: ignore[empty-body]
    """Networks that draw pictures: `dfukit.interfaces.Generator`."""


@hookspec
def critics() -> list[Component]:  # type: ignore[empty-body]
    """Networks that score pictures in adversarial training: `dfukit.interfaces.Critic`."""


@hookspec
def losses() -> list[Component]:  # type: ignore[empty-body]
    """Adversarial losses: `dfukit.interfaces.Loss`."""


@hookspec
def augmentations() -> list[Component]:  # type: ignore[empty-body]
    """Random changes of pictures, for the critic or for the classifier: `dfukit.interfaces.Augmentation`."""


@hookspec
def classifiers() -> list[Component]:  # type: ignore[empty-body]
    """Networks that tell the positive class from the rest: `dfukit.interfaces.Classifier`."""


@hookspec
def extractors() -> list[Component]:  # type: ignore[empty-body]
    """Fixed networks that turn pictures into features: `dfukit.interfaces.Extractor`."""


@hookspec
def metrics() -> list[Component]:  # type: ignore[empty-body]
    """Scores of a synthetic set against a real one: `dfukit.interfaces.Metric`."""
