"""Work on many pictures in portions that the memory holds: halved where it does not, once and for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from attrs import define

from dfukit.errors import DfukitError
from dfukit.world import ALONE, World

T = TypeVar("T")

WORDS = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
"""How torch says it in errors that have no class of their own."""


@define
class Portions:
    """How many pictures are computed at a time."""

    size: int
    what: str
    """What is computed, for messages: "training", "scoring"."""
    note: Callable[[str], None]
    """Is told, once for each halving."""
    world: World = ALONE
    halved: int = 0
    """The size that halving has led to; 0 where all went well."""

    def take(self, halved: int) -> None:
        """Go on with what an earlier part of the same work was led to."""
        if halved:
            self.size, self.halved = min(self.size, halved), halved

    def of(self, rows: range) -> Iterator[range]:
        """The rows in portions."""
        for start in range(rows.start, rows.stop, self.size):
            yield range(start, min(start + self.size, rows.stop))

    def attempt(self, work: Callable[[], T]) -> T:
        """What `work` returns, done again with halved portions for as long as the memory of any process runs out.

        Raises DfukitError, with the remedy, where portions of one picture are too large.
        """
        while True:
            result, short = None, False
            try:
                result = work()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                short = True
            # Outside of the except block, which keeps the tensors of the failed attempt alive.
            if not self.world.any(short):
                return result  # type: ignore[return-value]
            self._halve()

    def _halve(self) -> None:
        if self.size == 1:
            raise DfukitError(
                f"out of memory: {self.what} does not fit even one picture at a time; lower gan.size or the widths of "
                "the networks, or close other programs"
            )
        self.size = self.halved = (self.size + 1) // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.note(f"out of memory: {self.what} goes on with {self.size} pictures at a time")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, of the host or a device, ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in WORDS)
