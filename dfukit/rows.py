"""Some rows of an array that stay where they are, in a memory map, until they are asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen


@frozen(eq=False)
class Rows:
    """The rows `index` of `source`, like an array of them: what is indexed is copied into memory, and nothing else.

    Only the first axis is indexed. `numpy.asarray` copies all rows.
    """

    source: Pixels
    index: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.index), *self.source.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.source.dtype

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return np.asarray(self.source[self.index[rows]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("rows of another array cannot become one without a copy")
        return self[:].astype(dtype or self.dtype, copy=False)

    def transpose(self, *axes: int) -> Rows:
        """The same pictures with their axes in another order; the first stays the first."""
        if axes[0] != 0:
            raise ValueError(f"rows stay the first axis, got {axes}")
        return Rows(self.source.transpose(*axes), self.index)


Pixels = np.ndarray | Rows
"""Pictures in memory, or read from a memory map where they are indexed."""
