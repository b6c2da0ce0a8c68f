"""One step of an optimiser on a batch: in portions, over all processes, and only where its numbers are finite."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.optim import Optimizer

from dfukit.errors import PluginError, reason_of
from dfukit.health import Health
from dfukit.interfaces import Step
from dfukit.portions import Portions, is_out_of_memory
from dfukit.replay import Replay
from dfukit.world import World

Terms = dict[str, Tensor]
""""loss" and whatever else a loss tells, by name: scores [N] and single numbers."""
TermsOf = Callable[[Step, int], Terms]
"""The terms of a loss for some pictures of a batch: those that the Step says begin at `first`, and how many."""


@frozen(eq=False)
class Descent:
    """Takes one optimiser's steps.

    A loss is the mean over its batch, so that the gradient of a batch is the sum of its parts' gradients, each weighed
    by its share of the pictures. Losses that compare the pictures of a batch see those of one part.
    """

    network: nn.Module
    optimiser: Optimizer
    batch_size: int
    portions: Portions
    health: Health
    world: World
    parts: str = "the loss"
    """What the loss is made of, for errors."""
    replay: Replay | None = None
    """What computes turns on a GPU faster, where that can be."""

    def step(self, turn: Step, terms_of: TermsOf) -> Terms:
        """Descend once. The terms of the whole batch: scores [N] put together, scalars averaged; detached."""
        terms = self.portions.attempt(lambda: self._computed(turn, terms_of))
        gradients = [parameter.grad for parameter in self.network.parameters() if parameter.grad is not None]
        terms = self._of_all(terms, gradients)
        # Fused optimisers skip their step on the device where this is 1.
        self.optimiser.found_inf = self.health.look(gradients, terms["loss"])  # type: ignore[attr-defined]
        self.optimiser.step()
        return terms

    def _computed(self, turn: Step, terms_of: TermsOf) -> Terms:
        if self.replay is None:
            return self._backward(turn, terms_of)
        work = functools.partial(self._backward, terms_of=terms_of)
        return self.replay.backward(turn, self.network, self.portions.size, work)

    def _backward(self, turn: Step, terms_of: TermsOf) -> Terms:
        """Gradients and terms of this process's share of the batch."""
        self.optimiser.zero_grad(set_to_none=True)
        parts: list[tuple[float, Terms]] = []
        for rows in self.portions.of(self.world.share(self.batch_size)):
            share = len(rows) / self.batch_size
            terms = terms_of(turn.part(rows.start, self.batch_size), len(rows))
            self._differentiate(terms["loss"] if share == 1 else terms["loss"] * share)
            parts.append((share, {name: term.detach() for name, term in terms.items()}))
        return _joined(parts)

    def _differentiate(self, loss: Tensor) -> None:
        try:
            loss.backward()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            raise PluginError(f"no gradient can be taken of {self.parts}: {reason_of(error)[:500]}") from error

    def _of_all(self, terms: Terms, gradients: list[Tensor]) -> Terms:
        """Gradients and terms, summed up over the processes."""
        if self.world.size == 1:
            return terms
        self.world.sum(gradients)
        self.world.sum(list(scalars(terms).values()))
        return {
            name: term if term.dim() == 0 else self.world.gather(term, self.batch_size) for name, term in terms.items()
        }


def _joined(parts: list[tuple[float, Terms]]) -> Terms:
    """Terms of parts of a batch as those of all of it."""
    if len(parts) == 1 and parts[0][0] == 1:
        return parts[0][1]
    return {
        name: torch.cat([terms[name] for _, terms in parts])
        if term.dim()
        else torch.stack([share * terms[name] for share, terms in parts]).sum()
        for name, term in parts[0][1].items()
    }


def finite(terms: Mapping[str, Tensor]) -> Terms:
    """Terms with 0 for what is no finite number: for those who learn from them."""
    return {name: torch.nan_to_num(term, nan=0.0, posinf=0.0, neginf=0.0) for name, term in terms.items()}


def scalars(terms: Mapping[str, Tensor]) -> Terms:
    """Those terms that are single numbers."""
    return {name: term for name, term in terms.items() if term.dim() == 0}
