"""What the adversarial loop knows, kept in the run folder and taken back after an interruption or a divergence."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from attrs import define, field
from torch import Tensor, nn
from torch.optim import Optimizer

from dfukit import checkpoint, rundir
from dfukit.checkpoint import Checkpoint
from dfukit.errors import DataError, DivergedError, Interrupted
from dfukit.health import IN_A_ROW, ROLL_BACKS, Health
from dfukit.interfaces import Augmentation
from dfukit.judge import Judge
from dfukit.portions import Portions
from dfukit.progress import Progress
from dfukit.rundir import RunDir
from dfukit.world import World

SECONDS = 600.0
"""Time of training that a kill costs at most, however far apart the evaluations are."""


@define(eq=False)
class Recovery:
    """Keeps the loop's state in the run folder and takes it back."""

    run: RunDir
    networks: Mapping[str, nn.Module]
    optimisers: Mapping[str, Optimizer]
    augmentation: Augmentation
    judge: Judge
    health: Health
    portions: Portions
    progress: Progress
    world: World
    keep: Callable[[], None]
    """Writes the networks as the weights that are kept."""
    _saved: float = field(init=False, factory=time.monotonic)
    _start: Checkpoint | None = field(init=False, default=None)
    """What to go back to until there is a checkpoint on the disk."""

    def resume(self, begin: Callable[[], None]) -> int:
        """Take back the newest whole checkpoint, or else `begin`. The step it was made after; 0 where there is none."""
        if self.world.first:
            rundir.sweep(self.run)
        found = checkpoint.newest(self.run.checkpoints, self.progress.say)
        step = found.step if found else 0
        if self.world.first and self.run.metrics.is_file():
            self.judge.forget_after(step)
        if found is None:
            if self.run.checkpoints.is_dir():
                self.progress.say(f"{self.run.checkpoints} holds no whole checkpoint: training begins at step 0")
            begin()
            self._start = self.state(0)
            return 0
        self.judge.at = step
        try:
            self.take(found)
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise DataError(
                f"{self.run.checkpoints}: step {step} does not fit the settings in {self.run.config.name}: {reason}; "
                "put those settings back, or start a new run"
            ) from None
        self._keep(step)  # a kill may have come between the checkpoint and the weights
        self.progress.say(f"going on after step {step}")
        return step

    @property
    def late(self) -> bool:
        """Whether more than a few minutes of training would be lost now."""
        return time.monotonic() - self._saved > SECONDS

    def save(self, step: int, interrupted: bool) -> None:
        """Save the state, and then the weights where they are kept, so that these are never ahead of it.

        Raises Interrupted, once all is on the disk, where the user asked to stop.
        """
        if self.world.first:
            checkpoint.write(self.run.checkpoints, self.state(step))
        self._keep(step)
        self._start, self._saved = None, time.monotonic()
        if interrupted:
            self.world.wait()  # where one process ends, torchrun ends the others
            self.judge.say(f"interrupted after step {step}")
            raise Interrupted(f"interrupted after step {step}, which is saved")

    def roll_back(self, step: int) -> int:
        """Go back to the newest checkpoint, with lower learning rates; the step it was made after.

        Raises DivergedError the third time.
        """
        back = self._start or checkpoint.newest(self.run.checkpoints, self.progress.say)
        if back is None:
            raise DivergedError(
                f"training diverged at step {step}, and {self.run.checkpoints} holds no whole checkpoint"
            )
        engine, started, seconds = self.state(step).engine, self.judge.started, self.judge.seconds
        self.take(back)
        self.judge.started, self.judge.seconds = started, seconds  # the steps that are lost took their time
        self.world.wait()  # all have read it before the first process writes it anew
        self._restore_engine(engine)
        self.health.roll_back()
        if self.health.roll_backs >= ROLL_BACKS:
            kept = self.judge.early_stop.kept_step
            good = f"the weights of step {kept} are in {self.run.path}" if kept else "no evaluation was reached"
            self.judge.say(f"training diverged at step {step}")
            raise DivergedError(
                f"training diverged: {IN_A_ROW} steps in a row without finite numbers, {ROLL_BACKS} times, lastly at "
                f"step {step}; {good}; lower gan.lr_generator and gan.lr_critic, or use --precision fp32"
            )
        if self.world.first:
            self.judge.forget_after(back.step)
        self.judge.begin(back.step)
        self.judge.say(
            f"{IN_A_ROW} steps in a row without finite numbers up to step {step}: back to step {back.step}, with "
            f"{self.health.rate:g} times the learning rates",
        )
        self.save(back.step, interrupted=False)
        return back.step

    def state(self, step: int) -> Checkpoint:
        """Everything that the loop knows after `step` steps, copied."""
        tensors = {
            f"{owner}/{name}": tensor.detach().to("cpu", copy=True)  # a device may have no room for all of them twice
            for owner, found in (
                *((name, network.state_dict()) for name, network in self.networks.items()),
                *((name, _optimiser_state(optimiser)) for name, optimiser in self.optimisers.items()),
                ("augmentation", self.augmentation.state()),
            )
            for name, tensor in found.items()
        }
        engine = {"health": self.health.state(), "portion": self.portions.halved}
        return Checkpoint(step, tensors, self.judge.state(), engine)

    def take(self, back: Checkpoint) -> None:
        """Take back what `state` returned."""
        for name, network in self.networks.items():
            network.load_state_dict(back.of(name))
        for name, optimiser in self.optimisers.items():
            _restore_optimiser(optimiser, back.of(name))
        if learnt := back.of("augmentation"):
            self.augmentation.restore(learnt)
        self.judge.restore(back.judge)
        self._restore_engine(back.engine)

    def _keep(self, step: int) -> None:
        if self.world.first and self.judge.keeps(step):
            self.keep()

    def _restore_engine(self, engine: Mapping[str, Any]) -> None:
        self.health.restore(engine["health"])
        self.portions.take(engine["portion"])


def _optimiser_state(optimiser: Optimizer) -> dict[str, Tensor]:
    """By `<number of the parameter>/<name>`."""
    state = optimiser.state_dict()["state"]
    return {f"{number}/{name}": value for number, values in state.items() for name, value in values.items()}


def _restore_optimiser(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Raises ValueError for the moments of other parameters, which fused kernels would read past their ends."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    optimiser.state.clear()
    for key, value in tensors.items():
        number, name = key.split("/", 1)
        if int(number) >= len(parameters) or value.shape not in ((), parameters[int(number)].shape):
            raise ValueError(f"what the optimiser remembers of parameter {number} is of another network")
        parameter = parameters[int(number)]
        # Fused kernels walk the memory of both: moments must lie in memory as their parameter does.
        optimiser.state[parameter][name] = (
            torch.empty_like(parameter, dtype=value.dtype).copy_(value)
            if value.shape == parameter.shape
            else value.to(parameter.device, copy=True)
        )
