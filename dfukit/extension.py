"""A training that has ended is given more steps, or more time."""

from __future__ import annotations

from attrs import evolve

from dfukit import checkpoint, rundir
from dfukit.checkpoint import Checkpoint
from dfukit.config import RunConfig
from dfukit.errors import ConfigError, DataError
from dfukit.rundir import RunDir
from dfukit.sections import GanSettings
from dfukit.settings import seconds
from dfukit.world import World


def check(config: RunConfig, folder: RunDir, more: str) -> tuple[GanSettings, Checkpoint]:
    """The settings of a GAN that trains on for `more`, generator steps ("2000") or a time ("30m"), and where it was.

    Raises ConfigError for anything else than steps or a time, and for a run whose training has not ended; DataError
    where its checkpoints are gone.
    """
    if not folder.training.is_file():
        raise ConfigError(f"--extend: the training of {folder.path} has not ended: --resume alone goes on with it")
    done = int(rundir.read_json(folder.training)["steps"])
    last = checkpoint.newest(folder.checkpoints, lambda text: None)
    if last is None or last.step != done:
        raise DataError(f"{folder.checkpoints} holds no whole checkpoint of step {done}: this run cannot be extended")
    return _longer(config, done, more), last


def extend(config: RunConfig, folder: RunDir, more: str, world: World) -> RunConfig:
    """The configuration of a run whose GAN trains on: it is no longer one whose training has ended.

    What follows goes on from the run's last checkpoint, its patience anew. Raises what `check` does.
    """
    gan, last = check(config, folder, more)
    extended = evolve(config, gan=gan)
    world.wait()  # all have read what the first now writes anew
    if world.first:
        judge = {**last.judge, "ended": "", "early_stop": {**last.judge["early_stop"], "waited": 0}}
        checkpoint.write(folder.checkpoints, evolve(last, judge=judge))
        rundir.write_toml(folder.config, extended.as_table())
        folder.stop.unlink(missing_ok=True)
        folder.manifest.unlink(missing_ok=True)  # its pictures are of the generator that there was
        folder.training.unlink()
    world.wait()
    return extended


def _longer(config: RunConfig, done: int, more: str) -> GanSettings:
    if more.isdecimal() and int(more):
        return evolve(config.gan, steps=done + int(more), budget="")
    try:
        seconds(more)
    except ValueError:
        raise ConfigError(
            f"--extend must be generator steps such as 2000, or a time such as 30m, got {more!r}"
        ) from None
    return evolve(config.gan, budget=more)
