"""Turns of the adversarial loop as CUDA graphs: a GPU is sent all kernels of one at once, not one by one by Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from attrs import define, evolve, field, frozen
from torch import Tensor, nn

from dfukit.errors import PluginError
from dfukit.interfaces import Step
from dfukit.portions import is_out_of_memory

BEFORE = 2
"""Turns that are computed as usual before one is captured: libraries choose their kernels there."""
UNEQUAL = "a component that says `capturable = True` draws other numbers in each step: it must leave that False"


@define(eq=False)
class Feed:
    """Where a turn finds its random numbers on the device, and what puts those of the next turn there.

    The places are made in a first turn, which is not captured: memory that is taken while a graph is captured can have
    served its earlier kernels, who write to it at each replay.
    """

    device: torch.device
    progress: Tensor = field(init=False)
    """How much of the training is done, a scalar."""
    _drawn: list[tuple[Callable[[Step], Tensor], Tensor]] = field(init=False, factory=list)
    _next: int | None = field(init=False, default=None)
    """Which place a captured turn asks for next; None in the first turn."""

    def __attrs_post_init__(self) -> None:
        self.progress = torch.zeros((), device=self.device)

    def first(self, turn: Step) -> FedStep:
        """A turn that makes the places, and may be computed."""
        self._drawn.clear()  # of an attempt for which memory was short
        self._next = None
        self.progress.fill_(turn.progress)
        return FedStep.of(turn, self)

    def again(self, turn: Step) -> FedStep:
        """A turn that asks for the same places, in the same order, so that it may be captured."""
        self._next = 0
        return FedStep.of(turn, self)

    def place(self, draw: Callable[[Step], Tensor], turn: Step) -> Tensor:
        """The tensor on the device of what `draw` makes of a turn. It holds the numbers of the first turn, or of the
        one that `fill` was told."""
        if self._next is None:
            self._drawn.append((draw, draw(turn).to(self.device)))
            return self._drawn[-1][1]
        self._next += 1
        if self._next > len(self._drawn):
            raise PluginError(UNEQUAL)
        return self._drawn[self._next - 1][1]

    def fill(self, turn: Step) -> None:
        """Put the numbers of this turn in their places."""
        self.progress.fill_(turn.progress)
        for draw, place in self._drawn:
            numbers = draw(turn)
            # From pinned memory the copy waits for the device without the host.
            place.copy_(numbers.pin_memory() if place.is_cuda else numbers, non_blocking=True)


@frozen
class FedStep(Step):
    """A step whose random numbers lie in the places of a feed, so that what is computed of them can be replayed.

    `progress` is a tensor. `seed` and `index` are those of the turn that was captured: nothing may depend on them.
    """

    feed: Feed = field(kw_only=True, eq=False)
    start: Step = field(kw_only=True, eq=False)
    """The turn that is captured."""
    path: Callable[[Step], Step] = field(kw_only=True, eq=False)
    """What makes this step of the turn."""

    @classmethod
    def of(cls, turn: Step, feed: Feed) -> FedStep:
        """A turn as a captured one sees it."""
        return cls(
            turn.seed,
            turn.index,
            feed.progress,
            turn.first,
            turn.total,
            feed=feed,
            start=turn,
            path=lambda whole: whole,
        )

    def turn(self, purpose: str) -> Step:
        return evolve(self, seed=self.seed_of(purpose), path=lambda whole: self.path(whole).turn(purpose))

    def part(self, first: int, total: int) -> Step:
        return evolve(self, first=first, total=total, path=lambda whole: self.path(whole).part(first, total))

    def rng(self, purpose: str) -> torch.Generator:
        raise PluginError(
            "a component that says `capturable = True` asks for step.rng(): it must draw with step.uniform(), "
            "step.normal() or step.integers(), or leave `capturable` False"
        )

    def _rows(self, draw: Callable[..., Tensor], purpose: str, n: int, *shape: int) -> Tensor:
        return self.feed.place(lambda whole: self.path(whole)._rows(draw, purpose, n, *shape), self.start)


@define(eq=False)
class Replay:
    """One kind of turn (the critic's, the generator's): computed as usual twice, captured then, and replayed since.

    What is captured is forward and backward pass. A replay runs the same kernels on the same memory: weights, the
    places of the random numbers, gradients and terms. It is correct where a turn runs the same operations each time,
    which components promise by `capturable`.
    """

    device: torch.device
    note: Callable[[str], None]
    """Is told why a turn cannot be captured."""
    _before: int = field(init=False, default=BEFORE)
    _possible: bool = field(init=False, default=True)
    _portion: int = field(init=False, default=0)
    """Pictures at a time in the turn that made the places of the random numbers."""
    _stream: Any = field(init=False, default=None)
    _feed: Feed = field(init=False)
    _graph: Any = field(init=False, default=None)
    _gradients: list[tuple[nn.Parameter, Tensor]] = field(init=False, factory=list)
    _terms: dict[str, Tensor] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self._stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        self._feed = Feed(self.device)

    @property
    def captured(self) -> bool:
        """Whether turns are replayed by now."""
        return self._graph is not None

    def backward(
        self, turn: Step, network: nn.Module, portion: int, work: Callable[[Step], dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """What `work(turn)` returns and the gradients that it leaves in the network.

        `work` is the same each time, but that its portions of `portion` pictures may become smaller before it is
        captured.
        """
        if self._possible and not self.captured and self._before == 0 and portion != self._portion:
            self._before = 1
        if not self.captured and self._before == 0 and self._possible:
            self._capture(turn, network, work)
        if not self.captured:
            if self._before == 1:
                turn, self._portion = self._feed.first(turn), portion
            terms = self._aside(turn, work)
            self._before = max(self._before - 1, 0)
            return terms
        self._feed.fill(turn)
        self._graph.replay()
        for parameter, gradient in self._gradients:
            parameter.grad = gradient
        return self._terms

    def _aside(self, turn: Step, work: Callable[[Step], dict[str, Tensor]]) -> dict[str, Tensor]:
        """As usual, but on the stream of the capture: nodes of autograd remember theirs."""
        self._stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._stream):
            terms = work(turn)
        torch.cuda.current_stream(self.device).wait_stream(self._stream)
        return terms

    def _capture(self, turn: Step, network: nn.Module, work: Callable[[Step], dict[str, Tensor]]) -> None:
        graph = torch.cuda.CUDAGraph()
        captured = self._feed.again(turn)
        try:
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._terms = work(captured)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise PluginError(
                    f"a step could not be captured as a CUDA graph: {' '.join(str(error).split())[:300]}; "
                    "--set run.graphs=false trains without"
                ) from error
            self._possible = False
            self.note("no memory to capture steps as CUDA graphs: goes on without, slower")
            return
        self._gradients = [(one, one.grad) for one in network.parameters() if one.grad is not None]
        self._graph = graph
