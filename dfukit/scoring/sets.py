"""The sets of pictures of a scoring, as metrics read them: each extractor runs once over each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from attrs import evolve, frozen

from dfukit.device import Compute
from dfukit.interfaces import View
from dfukit.portions import Portions
from dfukit.progress import Progress
from dfukit.rows import Pixels, Rows
from dfukit.scoring import content
from dfukit.scoring.cache import Cache, circumstances
from dfukit.scoring.extraction import BATCH, Extractors, extract
from dfukit.scoring.plan import Reads
from dfukit.scoring.views import SYNTHETIC, Views
from dfukit.world import ALONE, World

Outputs = Mapping[str, np.ndarray]
"""What an extractor made of a set: features [N, D], and logits [N, K] where it has them, float64."""


@frozen(eq=False)
class Pictures:
    """Pixels uint8 [N, S, S, 3], and where they are known patients [N], class indices [N] and names of N pictures."""

    pixels: Pixels
    groups: np.ndarray | None = None
    labels: np.ndarray | None = None
    names: Sequence[str] = ()


class Sets(Views):
    """The pictures at hand, of which at most `most` of each set are scored, drawn at random."""

    def __init__(
        self,
        sets: Mapping[str, Pictures],
        classes: Sequence[str],
        most: int,
        seed: int,
        extractors: Extractors,
        compute: Compute,
        progress: Progress,
        cache: Cache,
        world: World = ALONE,
    ) -> None:
        labelled = {name for name, some in sets.items() if some.labels is not None}
        super().__init__([name for name in sets if name != SYNTHETIC], classes, labelled, seed)
        self._sets, self._extractors = sets, extractors
        # Reported scores are made in float32.
        self._compute, self._progress, self._world = evolve(compute, bf16=False), progress, world
        self._cache = cache
        self._portions = Portions(BATCH, "scoring", progress.say, world)
        self._drawn = {name: self._draw(name, len(some.pixels), most) for name, some in sets.items()}
        self._outputs: dict[tuple[str, str, bool], Outputs] = {}

    def count(self, name: str) -> int:
        drawn = self._drawn[name]
        return len(self._sets[name].pixels) if drawn is None else len(drawn)

    def names(self, name: str) -> Sequence[str]:
        return self._sets[name].names

    def scored(self, name: str, reads: Reads) -> View:
        return self._make(name, reads, self._drawn[name])

    def whole(self, name: str, reads: Reads, held_out: str | None = None) -> View:
        view = self._make(name, reads, None)
        return view if held_out is None else evolve(view, held_out=self._make(held_out, reads, None))

    def _draw(self, name: str, n: int, most: int) -> np.ndarray | None:
        if n <= most:
            return None
        return np.sort(np.random.default_rng(self.seed_of(f"pictures of {name}")).choice(n, most, replace=False))

    def _make(self, name: str, reads: Reads, drawn: np.ndarray | None) -> View:
        extractor, with_pixels = reads
        some = self._sets[name]
        outputs: Outputs = {} if extractor is None else self._made(name, extractor, drawn)
        pixels = some.pixels if drawn is None else Rows(some.pixels, drawn)
        return View(
            features=outputs.get("features"),
            logits=outputs.get("logits"),
            pixels=pixels.transpose(0, 3, 1, 2) if with_pixels else None,
            labels=some.labels if some.labels is None or drawn is None else some.labels[drawn],
            groups=some.groups if some.groups is None or drawn is None else some.groups[drawn],
        )

    def _made(self, name: str, extractor: str, drawn: np.ndarray | None) -> Outputs:
        """What the extractor makes of a set, or of the pictures that are drawn from it."""
        whole = name, extractor, True
        if drawn is None:
            if whole not in self._outputs:
                self._outputs[whole] = self._extract(name, extractor, self._sets[name].pixels)
            return self._outputs[whole]
        if whole in self._outputs:
            return {key: rows[drawn] for key, rows in self._outputs[whole].items()}
        part = name, extractor, False
        if part not in self._outputs:
            self._outputs[part] = self._extract(name, extractor, Rows(self._sets[name].pixels, drawn))
        return self._outputs[part]

    def _extract(self, name: str, extractor: str, pixels: Pixels) -> Outputs:
        # Several processes, perhaps on several machines, would have to agree on what their caches hold.
        if self._world.size > 1:
            return self._features_of(name, extractor, pixels)
        key = {
            "pixels": content.of_pixels(pixels),
            "extractor": self._extractors.identity(extractor),
            **circumstances(self._compute.device.type),
        }
        made = self._cache.features(key, len(pixels))
        if made is not None:
            self._progress.update(f"features of {name}", len(pixels), len(pixels), "from the cache")
            return made
        computed = self._features_of(name, extractor, pixels)
        self._cache.keep_features(key, computed)
        return computed

    def _features_of(self, name: str, extractor: str, pixels: Pixels) -> Outputs:
        network = self._extractors.built(extractor).to(self._compute.device)

        def share(rows: range) -> dict[str, np.ndarray]:
            batches = []
            for some in self._portions.of(rows):
                batches.append(extract(network, pixels[some.start : some.stop], self._compute))
                self._progress.update(f"features of {name}", some.stop - rows.start, len(rows))
            return {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}

        if len(pixels) < self._world.size:
            return self._portions.attempt(lambda: share(range(len(pixels))))
        made = self._portions.attempt(lambda: share(self._world.share(len(pixels))))
        return {key: self._world.gather(torch.from_numpy(rows), len(pixels)).numpy() for key, rows in made.items()}
