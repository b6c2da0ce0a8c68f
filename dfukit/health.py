"""Steps whose loss or gradients are no finite numbers: left out, counted, and, where they do not stop, taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from attrs import define, field
from torch import Tensor

IN_A_ROW = 3
"""Skipped steps in a row after which training goes back to its last checkpoint."""
ROLL_BACKS = 3
"""Roll-backs after which it ends."""
SLOWER = 0.5
"""What each roll-back multiplies the learning rates by."""


@define(eq=False)
class Health:
    """Counts on the device, so that looking at each step makes no device wait."""

    device: torch.device
    roll_backs: int = 0
    _bad: Tensor = field(init=False)
    _in_a_row: Tensor = field(init=False)
    _longest: Tensor = field(init=False)
    _skipped: Tensor = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._bad, self._in_a_row, self._longest, self._skipped = (
            torch.zeros((), device=self.device) for _ in range(4)
        )

    @torch.no_grad()
    def look(self, gradients: Sequence[Tensor], loss: Tensor) -> Tensor:
        """1 where the loss or a gradient is not finite, else 0: a float32 scalar, which makes fused optimisers skip."""
        found = torch.stack([*torch._foreach_norm(list(gradients)), loss.detach()]).isfinite().all().logical_not()
        bad = found.float()
        self._bad = torch.maximum(self._bad, bad)
        return bad

    def end_step(self) -> None:
        """All optimisers of this step are done."""
        self._in_a_row = (self._in_a_row + 1) * self._bad
        self._longest = torch.maximum(self._longest, self._in_a_row)
        self._skipped = self._skipped + self._bad
        self._bad = torch.zeros_like(self._bad)

    @property
    def lost(self) -> bool:
        """Whether so many steps in a row were skipped, at any time since the last question, that no good can come."""
        longest = int(self._longest)
        self._longest = self._in_a_row.clone()
        return longest >= IN_A_ROW

    @property
    def skipped(self) -> int:
        return int(self._skipped)

    @property
    def rate(self) -> float:
        """The factor on the learning rates that roll-backs have led to."""
        return float(SLOWER**self.roll_backs)

    def figures(self) -> dict[str, float]:
        """For the training log."""
        return {"skipped": self.skipped, "roll_backs": self.roll_backs, "rate": self.rate}

    def roll_back(self) -> None:
        """Training begins anew from earlier weights, slower."""
        self.roll_backs += 1
        self._in_a_row, self._longest = torch.zeros_like(self._in_a_row), torch.zeros_like(self._longest)

    def state(self) -> dict[str, Any]:
        return {"roll_backs": self.roll_backs, "skipped": self.skipped, "in_a_row": int(self._in_a_row)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.roll_backs = state["roll_backs"]
        self._skipped = torch.full_like(self._skipped, state["skipped"])
        self._in_a_row = torch.full_like(self._in_a_row, state["in_a_row"])
        self._longest = self._in_a_row.clone()
