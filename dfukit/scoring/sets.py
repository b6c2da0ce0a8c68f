"""The sets of pictures of a scoring, as metrics read them: each extractor runs once over each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from attrs import evolve, frozen

from dfukit.device import Compute
from dfukit.interfaces import Step, View
from dfukit.portions import Portions
from dfukit.progress import Progress
from dfukit.rows import Pixels, Rows
from dfukit.scoring.extraction import BATCH, Extractors, extract
from dfukit.scoring.plan import Reads
from dfukit.world import ALONE, World

SYNTHETIC = "synthetic"
"""The synthetic set's name among the sets; the others are parts of the real one."""

Outputs = Mapping[str, np.ndarray]
"""What an extractor made of a set: features [N, D], and logits [N, K] where it has them, float64."""


class Views(Protocol):
    """Where metrics find their views."""

    parts: tuple[str, ...]
    """Of the real set; the first is what the generator learnt from."""

    def seed_of(self, purpose: str) -> int:
        """A seed for one purpose of this scoring."""

    def count(self, name: str) -> int:
        """Pictures of a set that are scored."""

    def names(self, name: str) -> Sequence[str]:
        """What all pictures of a set are called; empty where that is not known."""

    def labels_of(self, part: str) -> tuple[str, ...]:
        """The classes that can be scored apart; none where labels are not known, or there is one class only."""

    def view(self, name: str, reads: Reads, label: str | None = None) -> View:
        """The pictures of a set, or of one class of it, that are scored: the same object each time."""

    def whole(self, name: str, reads: Reads, held_out: str | None = None) -> View:
        """All pictures of a set, however many are scored, and those of another one beside them."""


@frozen(eq=False)
class Pictures:
    """Pixels uint8 [N, S, S, 3], and where they are known patients [N], class indices [N] and names of N pictures."""

    pixels: Pixels
    groups: np.ndarray | None = None
    labels: np.ndarray | None = None
    names: Sequence[str] = ()


class Sets:
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
        world: World = ALONE,
    ) -> None:
        self.parts = tuple(name for name in sets if name != SYNTHETIC)
        self._sets, self._classes, self._step, self._extractors = sets, tuple(classes), Step(seed, 0), extractors
        # Reported scores are made in float32.
        self._compute, self._progress, self._world = evolve(compute, bf16=False), progress, world
        self._portions = Portions(BATCH, "scoring", progress.say, world)
        self._drawn = {name: self._draw(name, len(some.pixels), most) for name, some in sets.items()}
        self._views: dict[tuple[str, Reads, str | None], View] = {}
        self._outputs: dict[tuple[str, str, bool], Outputs] = {}

    def seed_of(self, purpose: str) -> int:
        return self._step.seed_of(purpose)

    def count(self, name: str) -> int:
        drawn = self._drawn[name]
        return len(self._sets[name].pixels) if drawn is None else len(drawn)

    def names(self, name: str) -> Sequence[str]:
        return self._sets[name].names

    def labels_of(self, part: str) -> tuple[str, ...]:
        known = len(self._classes) > 1 and all(self._sets[name].labels is not None for name in (part, SYNTHETIC))
        return self._classes if known else ()

    def view(self, name: str, reads: Reads, label: str | None = None) -> View:
        key = name, reads, label
        if key not in self._views:
            self._views[key] = self._make(name, reads, self._drawn[name]) if label is None else self._of(*key)
        return self._views[key]

    def whole(self, name: str, reads: Reads, held_out: str | None = None) -> View:
        view = self._make(name, reads, None)
        return view if held_out is None else evolve(view, held_out=self._make(held_out, reads, None))

    def _of(self, name: str, reads: Reads, label: str | None) -> View:
        view = self.view(name, reads)
        assert view.labels is not None
        return view.take(np.flatnonzero(view.labels == self._classes.index(str(label))))

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
        network = self._extractors.built(extractor).to(self._compute.device)

        def share(rows: range) -> dict[str, np.ndarray]:
            batches = []
            for some in self._portions.of(rows):
                batches.append(extract(network, pixels[some.start : some.stop], self._compute))
                self._progress.update(f"features of {name}", some.stop - rows.start, len(rows))
            return {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}

        def work() -> dict[str, np.ndarray]:
            if len(pixels) < self._world.size:
                return share(range(len(pixels)))
            made = share(self._world.share(len(pixels)))
            return {key: self._world.gather(torch.from_numpy(rows), len(pixels)).numpy() for key, rows in made.items()}

        return self._portions.attempt(work)
