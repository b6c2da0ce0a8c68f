"""Where metrics find the views that they are handed, wherever these come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Sequence

import numpy as np
from attrs import evolve

from dfukit.interfaces import Step, View
from dfukit.scoring.plan import Reads

SYNTHETIC = "synthetic"
"""The synthetic set's name among the sets; the others are parts of the real one."""


class Views(ABC):
    """The sets of a scoring as views: the same object each time, so that metrics can keep what they know of one.

    The first of `parts` is what the generator learnt from. `labelled` names the sets whose labels are known.
    """

    def __init__(self, parts: Sequence[str], classes: Sequence[str], labelled: Container[str], seed: int) -> None:
        self.parts, self.classes, self.seed = tuple(parts), tuple(classes), seed
        self._labelled, self._views = labelled, dict[tuple[str, Reads, str | None], View]()

    @abstractmethod
    def count(self, name: str) -> int:
        """Pictures of a set that are scored."""

    @abstractmethod
    def scored(self, name: str, reads: Reads) -> View:
        """A new view of the pictures of a set that are scored."""

    def whole(self, name: str, reads: Reads, held_out: str | None = None) -> View:
        """All pictures of a set, however many are scored, and those of another one beside them."""
        view = self.view(name, reads)
        return view if held_out is None else evolve(view, held_out=self.whole(held_out, reads))

    def names(self, name: str) -> Sequence[str]:
        """What all pictures of a set are called; empty where that is not known."""
        return ()

    def seed_of(self, purpose: str) -> int:
        """A seed for one purpose of this scoring."""
        return Step(self.seed, 0).seed_of(purpose)

    def labels_of(self, part: str) -> tuple[str, ...]:
        """The classes that can be scored apart; none where labels are not known, or there is one class only."""
        known = len(self.classes) > 1 and part in self._labelled and SYNTHETIC in self._labelled
        return self.classes if known else ()

    def view(self, name: str, reads: Reads, label: str | None = None) -> View:
        """The pictures of a set, or of one class of it, that are scored."""
        key = name, reads, label
        if key not in self._views:
            if label is None:
                self._views[key] = self.scored(name, reads)
            else:
                view = self.view(name, reads)
                assert view.labels is not None
                self._views[key] = view.take(np.flatnonzero(view.labels == self.classes.index(label)))
        return self._views[key]

    def made(self, reads: Reads) -> dict[str, View]:
        """The views of whole sets that were asked for so far."""
        return {name: view for (name, own, label), view in self._views.items() if own == reads and label is None}
