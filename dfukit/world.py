"""The processes of one run: one, or as many as torchrun started, which train on shares of each batch.

All of them hold the same weights and come to the same decisions; the first alone writes to the run folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from attrs import frozen
from torch import Tensor

PATIENCE = timedelta(days=7)
"""How long processes wait for each other: torchrun ends them all when one ends with an error."""


@frozen
class World:
    """This process among those of the run. Alone, everything here is for nothing and costs nothing."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def share(self, n: int) -> range:
        """The rows, of `n`, that this process computes: contiguous, in the order of ranks, as equal as can be."""
        return self._share(n, self.rank)

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Add tensors of one device and type up over all processes, in place, in one message."""
        if self.size > 1:
            flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
            dist.all_reduce(flat)
            for tensor, part in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
                tensor.copy_(part.view(tensor.shape))

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return self.agree(flag)[0]

    def agree(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag, whether it is set in any process; in one message."""
        return tuple(map(bool, self.largest(*map(float, flags))))

    def largest(self, *values: float) -> tuple[float, ...]:
        """The largest of the processes' values, for each of them."""
        if self.size == 1:
            return values
        shared = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return tuple(shared.tolist())

    def wait(self) -> None:
        """Until all processes have come here."""
        self.any(False)

    def gather(self, rows: Tensor, n: int) -> Tensor:
        """All `n` rows, in order, of which each process holds its share."""
        if self.size == 1:
            return rows
        most = len(self._share(n, 0))
        padded = rows.new_zeros(most, *rows.shape[1:])
        padded[: len(rows)] = rows
        found = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(found, padded)
        return torch.cat([some[: len(self._share(n, rank))] for rank, some in enumerate(found)])

    def each(self, n: int, compute: Callable[[range], Tensor]) -> Tensor:
        """`compute` of rows 0 to n, its results [rows, ...] put together; each process computes its share.

        Fewer rows than processes are computed by all of them.
        """
        if n < self.size:
            return compute(range(n))
        return self.gather(compute(self.share(n)), n)

    def folder(self, path: Path | None) -> Path:
        """The first process's path, in all of them."""
        text = str(path or "").encode("utf-8", "surrogateescape")
        if self.size > 1:
            length = torch.tensor(len(text))
            dist.broadcast(length, 0)
            content = torch.zeros(int(length), dtype=torch.uint8)
            if self.first:
                content = torch.frombuffer(bytearray(text), dtype=torch.uint8)
            dist.broadcast(content, 0)
            text = bytes(content.tolist())
        return Path(text.decode("utf-8", "surrogateescape"))

    def _share(self, n: int, rank: int) -> range:
        least, more = divmod(n, self.size)
        start = rank * least + min(rank, more)
        return range(start, start + least + (rank < more))


ALONE = World()


@contextmanager
def joined() -> Iterator[World]:
    """The world that torchrun's environment variables tell of; without them, this process alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    # This module takes the group of its first import for its default arguments and would hold it, with its threads,
    # to the end of the interpreter, which aborts where one still runs: so it comes before there is a group.
    import torch.distributed.nn

    # Gradients on GPUs travel by NCCL, everything on the host by gloo.
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    try:
        yield World(dist.get_rank(), dist.get_world_size())
    except BaseException:
        if torch.cuda.is_available():  # NCCL's own end would wait for the others, and these wait for us
            with suppress(Exception):
                dist.distributed_c10d._abort_process_group()
        else:
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()
