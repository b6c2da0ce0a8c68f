"""Extractors, chosen and built once, and what they make of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from dfukit import pretrained
from dfukit.device import Compute
from dfukit.errors import DfukitError, PluginError, WeightsError
from dfukit.interfaces import Extractor, Metric
from dfukit.progress import Progress
from dfukit.registry import Registry
from dfukit.scoring import cache, content

BATCH = 32
BEST = "inception"
NO_DOWNLOAD = "r64"
"""The extractor that can always be had."""

Settings = Mapping[str, Mapping[str, Any]]
"""Settings of extractors, by name."""


def choose_extractor(registry: Registry, name: str, settings: Settings) -> tuple[str, Extractor, str]:
    """The extractor of that name, or for `auto` inception where its weights are stored, else one without a download.

    Comes back with the name of the extractor that was taken and a line for the log. Raises ConfigError for an unknown
    name, and WeightsError or PluginError where the one that was named cannot be had.
    """
    if name != "auto":
        return _told(name, build_extractor(registry, name, settings))
    if pretrained.default_store().stored(BEST) is None:
        return without_download(registry, settings, f"the Inception weights are not here: dfukit weights get {BEST}")
    try:
        return _told(BEST, build_extractor(registry, BEST, settings))
    except (WeightsError, PluginError) as error:
        return without_download(registry, settings, f"{BEST} cannot be had: {error}")


def without_download(registry: Registry, settings: Settings, reason: str) -> tuple[str, Extractor, str]:
    """The extractor that can always be had, as `choose_extractor` returns it, and in the line why it was taken."""
    return _told(NO_DOWNLOAD, build_extractor(registry, NO_DOWNLOAD, settings), f" ({reason})")


def _told(name: str, extractor: Extractor, reason: str = "") -> tuple[str, Extractor, str]:
    return name, extractor, f"extractor {name}: {extractor.source}{reason}"


def build_extractor(registry: Registry, name: str, settings: Settings) -> Extractor:
    """The extractor of that name. Raises ConfigError for an unknown one, and PluginError where a plugin's own fails."""
    extractor: Extractor = registry.choose("extractor", name, settings.get(name, {}), f"extractor.{name}").build()
    return extractor.eval()


def extract(extractor: Extractor, pixels: np.ndarray, compute: Compute) -> dict[str, np.ndarray]:
    """What an extractor on the device of `compute` makes of pictures uint8 [N, S, S, 3], in float64."""
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).to(compute.device)
    with torch.inference_mode(), compute.autocast(), compute.repeatable():
        outputs = extractor(images)
    return {name: values.cpu().double().numpy() for name, values in outputs.items()}


class Extractors:
    """The extractors of one scoring, each built once."""

    def __init__(self, registry: Registry, name: str, settings: Settings, progress: Progress) -> None:
        self._registry, self._name, self._settings, self._progress = registry, name, settings, progress
        self._built: dict[str, Extractor] = {}
        self._identities: dict[str, dict[str, Any]] = {}
        self._missing: dict[str, DfukitError] = {}
        self._chosen = ""

    def name_for(self, metric: Metric) -> str:
        """The extractor that a metric must have, or this scoring's. Raises DfukitError where it cannot be had."""
        name = metric.extractor or self._default()
        if name in self._missing:
            raise self._missing[name]
        if name not in self._built:
            try:
                self._built[name] = build_extractor(self._registry, name, self._settings)
            except DfukitError as error:
                self._missing[name] = error
                self._progress.say(f"no {name} features: {error}")
                raise
        return name

    def built(self, name: str) -> Extractor:
        """An extractor that `name_for` named."""
        return self._built[name]

    def identity(self, name: str) -> dict[str, Any]:
        """Which extractor that is, with the content of its weights."""
        if name not in self._identities:
            chosen = self._registry.choose("extractor", name, self._settings.get(name, {}), f"extractor.{name}")
            self._identities[name] = {**cache.identity(chosen), "weights": content.of_network(self._built[name])}
        return self._identities[name]

    def _default(self) -> str:
        if not self._chosen:
            try:
                self._chosen, extractor, line = choose_extractor(self._registry, self._name, self._settings)
            except (WeightsError, PluginError) as error:  # figures that name another one are better than none
                reason = f"{self._name} cannot be had: {error}"
                self._chosen, extractor, line = without_download(self._registry, self._settings, reason)
            self._built.setdefault(self._chosen, extractor)
            self._progress.say(line)
        return self._chosen
