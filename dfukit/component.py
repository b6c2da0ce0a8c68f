"""What a plugin offers (Component), what a run chose (Chosen), what a network is told of its pictures (ImageSpec)."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen

from dfukit import settings as settings_module
from dfukit.errors import DfukitError, PluginError, reason_of

API_VERSION = 1
KINDS = ("generator", "critic", "loss", "augmentation", "classifier", "extractor", "metric")


def _names(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


@frozen
class ImageSpec:
    """The pictures that a network sees: square, `size` pixels wide, with `channels` colours and these classes.

    `positive` is the class that a classifier's score is about, or None where there is one class only.
    """

    size: int
    channels: int
    classes: tuple[str, ...] = field(converter=_names)
    positive: str | None

    def as_table(self) -> dict[str, Any]:
        return {
            "size": self.size,
            "channels": self.channels,
            "classes": list(self.classes),
            "positive": self.positive,
        }


@frozen
class Component:
    """One part that a plugin offers, described without importing anything heavy.

    `target` ("package.module:Name") is imported when the part is built, and called as `target(settings, image)` for
    generators, critics, classifiers, losses and augmentations, and as `target(settings)` for extractors and metrics.
    """

    name: str
    settings: type
    target: str
    summary: str
    suggests: Mapping[str, Any] = field(factory=dict)
    citation: str = ""
    api: int = API_VERSION


def run_options(kind: str, name: str) -> str:
    """The options by which `dfukit run` uses a component."""
    options = f"--{kind} {name}"
    if kind == "extractor":
        options = f"--set gan.extractor={name} --set score.extractor={name} --metric kd"
    # Metrics that are named replace all others, and a run whose pictures were not audited cannot be exported.
    return f"{options} --metric copies" if kind in ("metric", "extractor") and name != "copies" else options


def section(kind: str, name: str) -> str:
    """The section of a configuration that holds a component's settings, as `--set` names it."""
    return f"{kind}.{name}" if kind in ("metric", "extractor") else kind


@frozen
class Chosen:
    """A component with its settings, as a run uses it."""

    kind: str
    component: Component
    settings: Any
    package: str
    version: str

    @property
    def name(self) -> str:
        return self.component.name

    def __str__(self) -> str:
        """What errors call it."""
        return f"{self.kind} {self.name} of {self.package} {self.version}"

    def build(self, *image: ImageSpec) -> Any:
        """Import the target and make it. Raises PluginError, naming the plugin, where that fails.

        So do the methods of what comes back (`dfukit.watch`).
        """
        part = self.make(*image)
        from dfukit.watch import watched

        return watched(part, self, *image)

    def make(self, *image: ImageSpec) -> Any:
        """The same, as the plugin made it: what its methods raise passes as it is."""
        module, _, attribute = self.component.target.partition(":")
        if not module:
            raise PluginError(f"{self} is {self.component.summary}")  # a stand-in (dfukit.absent)
        try:
            target = getattr(importlib.import_module(module), attribute)
        except (Exception, SystemExit) as error:
            raise PluginError(f"{self}: cannot import {self.component.target} ({reason_of(error)})") from error
        try:
            return target(self.settings, *image)
        except DfukitError:
            raise
        except (Exception, SystemExit) as error:
            raise PluginError(f"{self} cannot be made: {reason_of(error)}") from error

    def as_table(self) -> dict[str, Any]:
        return {"name": self.name, **settings_module.as_table(self.settings)}
