"""One component of each kind, called `moody`, that works or fails as its setting says."""

from __future__ import annotations

from dfukit import Component, frozen, hookimpl, text, whole

KINDS = ("generator", "critic", "loss", "augmentation", "classifier", "extractor", "metric")


@frozen
class Moody:
    does: str = text("well", "well, or how it fails: raises, exits, shape, type, nan, detaches")
    width: int = whole(8, "channels of the hidden map", low=1)


def _moody(kind: str) -> list[Component]:
    return [
        Component(name="moody", settings=Moody, target=f"dfukit_moody.parts:{kind.title()}", summary=f"a moody {kind}")
    ]


@hookimpl
def generators() -> list[Component]:
    return _moody("generator")


@hookimpl
def critics() -> list[Component]:
    return _moody("critic")


@hookimpl
def losses() -> list[Component]:
    return _moody("loss")


@hookimpl
def augmentations() -> list[Component]:
    return _moody("augmentation")


@hookimpl
def classifiers() -> list[Component]:
    return _moody("classifier")


@hookimpl
def extractors() -> list[Component]:
    return _moody("extractor")


@hookimpl
def metrics() -> list[Component]:
    return _moody("metric")
