"""Extractors, chosen and built once, and what they make of each set, computed once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from attrs import evolve

from dfukit import pretrained
from dfukit.device import Compute
from dfukit.errors import DfukitError, PluginError, WeightsError
from dfukit.interfaces import Extractor, Metric, Step, View
from dfukit.portions import Portions
from dfukit.progress import Progress
from dfukit.registry import Registry
from dfukit.rows import Pixels, Rows
from dfukit.world import ALONE, World

BATCH = 32
BEST = "inception"
NO_DOWNLOAD = "r64"
"""The extractor that can always be had."""

Settings = Mapping[str, Mapping[str, Any]]
"""Settings of extractors, by name."""


def choose_extractor(registry: Registry, name: str, settings: Settings) -> tuple[str, Extractor, str]:
    """The extractor of that name, or for `auto` inception where its weights are stored, else one without a download.

    Comes back with the name of the extractor that was taken and a line for the log. Raises ConfigError for an unknown
    name.
    """
    reason = ""
    if name == "auto":
        name = BEST
        if pretrained.default_store().stored(BEST) is None:
            name, reason = NO_DOWNLOAD, f" (the Inception weights are not here: dfukit weights get {BEST})"
    try:
        extractor = build_extractor(registry, name, settings)
    except (WeightsError, PluginError) as error:
        if name == NO_DOWNLOAD:
            raise
        name, reason = NO_DOWNLOAD, f" ({name} cannot be had: {error})"
        extractor = build_extractor(registry, name, settings)
    return name, extractor, f"extractor {name}: {extractor.source}{reason}"


def build_extractor(registry: Registry, name: str, settings: Settings) -> Extractor:
    """The extractor of that name. Raises ConfigError for an unknown one, and PluginError where a plugin's own fails."""
    extractor: Extractor = registry.choose("extractor", name, settings.get(name, {}), f"extractor.{name}").build()
    return extractor.eval()


def extract(extractor: Extractor, pixels: np.ndarray, compute: Compute) -> dict[str, np.ndarray]:
    """What an extractor on the device of `compute` makes of pictures uint8 [N, S, S, 3], in float64."""
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).to(compute.device)
    # TF32 would move features by more than the floor of a small set; autotuned kernels would make them unrepeatable.
    exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=compute.bf16)
    with torch.inference_mode(), compute.autocast(), exact:
        outputs = extractor(images)
    return {name: values.double().cpu().numpy() for name, values in outputs.items()}


class Extractors:
    """The extractors of one scoring, each built once."""

    def __init__(self, registry: Registry, name: str, settings: Settings, progress: Progress) -> None:
        self._registry, self._name, self._settings, self._progress = registry, name, settings, progress
        self._built: dict[str, Extractor] = {}
        self._missing: dict[str, DfukitError] = {}
        self._chosen = ""

    def of(self, metric: Metric) -> tuple[str, Extractor]:
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
        return name, self._built[name]

    def _default(self) -> str:
        if not self._chosen:
            self._chosen, extractor, line = choose_extractor(self._registry, self._name, self._settings)
            self._built.setdefault(self._chosen, extractor)
            self._progress.say(line)
        return self._chosen


class Sets:
    """The real parts and the synthetic pictures, with what was extracted from them so far."""

    def __init__(
        self,
        pixels: Mapping[str, Pixels],
        groups: Mapping[str, np.ndarray],
        most: int,
        step: Step,
        compute: Compute,
        progress: Progress,
        world: World = ALONE,
    ) -> None:
        self.step = step
        self._pixels, self._groups = dict(pixels), dict(groups)
        # Reported scores are made in float32.
        self._compute, self._progress, self._world = evolve(compute, bf16=False), progress, world
        self._portions = Portions(BATCH, "scoring", progress.say, world)
        self._outputs: dict[tuple[int, str], dict[str, np.ndarray]] = {}
        for name in self._pixels:
            if (n := len(self._pixels[name])) > most:
                rng = np.random.default_rng(step.seed_of(f"pictures of {name}"))
                index = np.sort(rng.choice(n, most, replace=False))
                self._pixels[name] = Rows(self._pixels[name], index)
                if name in self._groups:
                    self._groups[name] = self._groups[name][index]

    def count(self, name: str) -> int:
        return len(self._pixels[name])

    def view(self, name: str, extractor: Extractor | None) -> View:
        """A set as a metric reads it: pixels without an extractor, else features, and logits where it has them."""
        groups = self._groups.get(name)
        if extractor is None:
            return View(pixels=self._pixels[name].transpose(0, 3, 1, 2), groups=groups)
        key = (id(extractor), name)
        if key not in self._outputs:
            self._outputs[key] = self._extract(name, extractor)
        outputs = self._outputs[key]
        return View(features=outputs["features"], logits=outputs.get("logits"), groups=groups)

    def _extract(self, name: str, extractor: Extractor) -> dict[str, np.ndarray]:
        extractor.to(self._compute.device)
        return self._portions.attempt(lambda: self._features(name, extractor))

    def _features(self, name: str, extractor: Extractor) -> dict[str, np.ndarray]:
        pixels = self._pixels[name]

        def share(rows: range) -> dict[str, np.ndarray]:
            batches = []
            for some in self._portions.of(rows):
                batches.append(extract(extractor, pixels[some.start : some.stop], self._compute))
                self._progress.update(f"features of {name}", some.stop - rows.start, len(rows))
            return {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}

        if len(pixels) < self._world.size:
            return share(range(len(pixels)))
        outputs = share(self._world.share(len(pixels)))
        return {key: self._world.gather(torch.from_numpy(rows), len(pixels)).numpy() for key, rows in outputs.items()}
