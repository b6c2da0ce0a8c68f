"""Many short texts in little memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import overload


class Texts(Sequence[str]):
    """A read-only list of texts, kept as one block of bytes: 100,000 paths take some megabytes."""

    def __init__(self, texts: Iterable[str]) -> None:
        block = bytearray()
        self._ends = array("q", [0])
        for text in texts:
            block += text.encode()
            self._ends.append(len(block))
        self._block = bytes(block)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i = range(len(self))[index]
        return self._block[self._ends[i] : self._ends[i + 1]].decode()
