"""When to stop training, and which weights to keep."""

from __future__ import annotations

import math

from attrs import define


@define
class EarlyStop:
    """Stops when a distance or loss has not improved for `patience` evaluations (0: never), and says what to keep.

    Kept is the latest evaluation within the standard error of the lowest distance (the one-standard-error rule of
    Breiman et al. 1984, section 3.4.3): with few validation pictures the lowest is a matter of luck, and of weights
    that cannot be told apart those trained longer look better. Until a distance is measured, the latest is kept.
    """

    patience: int
    best: float | None = None
    best_step: int = 0
    kept: float | None = None
    kept_step: int = 0
    waited: int = 0
    best_error: float = 0.0
    """The standard error of the lowest distance."""

    def observe(self, distance: float, step: int, error: float = 0.0) -> bool:
        """Whether the weights of this evaluation are to be kept. `error` is the distance's standard error.

        A distance that is no finite number is no improvement.
        """
        measured = math.isfinite(distance)
        improved = measured and (self.best is None or distance < self.best)
        if improved:
            self.best, self.best_step, self.best_error, self.waited = distance, step, error, 0
        else:
            self.waited += 1
        if improved or self.best is None or (measured and distance - self.best_error < self.best):
            self.kept, self.kept_step = (distance if measured else None), step
            return True
        return False

    @property
    def stops(self) -> bool:
        return bool(self.patience) and self.waited >= self.patience
