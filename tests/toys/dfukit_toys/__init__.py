"""Small components, sound and broken, on which the suites are tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from dfukit import Component, frozen, hookimpl, whole


@frozen
class ToySettings:
    width: int = whole(8, "channels of the hidden map", low=1)


@frozen
class Helpless:
    width: int = whole(8, "")


@frozen
class Undeclared:
    width: int = 8


@attrs.frozen
class Demanding:
    width: int


def toys(
    kind: str, *names: str, settings: type = ToySettings, suggests: Mapping[str, Any] | None = None
) -> list[Component]:
    return [
        Component(
            name=name,
            settings=settings,
            target=f"dfukit_toys.{kind}:{''.join(part.title() for part in name.split('_'))}",
            summary=f"a toy: {name}",
            suggests=suggests or {},
        )
        for name in names
    ]


@hookimpl
def generators() -> list[Component]:
    names = ("sound", "ignores_label", "unbounded", "noisy", "mixes", "wrong_shape", "unreached", "forgets", "orphan")
    return [
        *toys("generator", *names, "tied", "nowhere"),
        *toys("generator", "helpless", settings=Helpless),
        *toys("generator", "undeclared", settings=Undeclared),
        *toys("generator", "demanding", settings=Demanding),
        *toys("generator", "misspells", suggests={"gan": {"batchsize": 8}}),
        *toys("generator", "exaggerates", suggests={"gan": {"lr_generator": 2}}),
        *toys("generator", "dreams", suggests={"critic": {"name": "unheard_of"}}),
    ]


@hookimpl
def critics() -> list[Component]:
    return toys("critic", "sound", "sees_batch", "admits_batch", "labelled_features", "once_only", "columns", "views")


@hookimpl
def classifiers() -> list[Component]:
    return toys("classifier", "sound", "learns_nothing", "one_size", "restless", "mixes")


@hookimpl
def losses() -> list[Component]:
    return toys("loss", "sound", "backwards", "vector", "meddles", "counts", "one_place", "penalises", "mistakes")


@hookimpl
def metrics() -> list[Component]:
    names = ("sound", "not_finite", "renames", "misnamed", "blind", "restless_figure", "reads_more", "in_memory")
    return toys("metric", *names, "needs_labels", "unwritable", "points_beyond", "few_distances")


@hookimpl
def extractors() -> list[Component]:
    return toys("extractor", "sound", "double", "unseeded", "mixes", "weightless")


@hookimpl
def augmentations() -> list[Component]:
    names = ("sound", "leaves_range", "alike", "unrepeatable", "blocks_gradient", "admits_no_gradient", "counts")
    return toys("augmentation", *names, "once_only", "adapts", "adapts_too_far", "forgets", "adapts_unsaid", "ends")
