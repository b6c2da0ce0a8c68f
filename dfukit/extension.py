"""A training that has ended is given more steps, or more time."""

from __future__ import annotations

import shutil
from contextlib import suppress

from attrs import evolve

from dfukit import checkpoint, report, rundir, settings
from dfukit.checkpoint import Checkpoint
from dfukit.config import RunConfig
from dfukit.errors import ConfigError, DataError
from dfukit.rundir import RunDir
from dfukit.sections import GanSettings
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

    What follows goes on from the run's last checkpoint, its patience anew; what came after the GAN is gone. Where its
    report was made to be shared, `report.share` asks that of the next one. Raises what `check` does.
    """
    gan, last = check(config, folder, more)
    shared = config.report.share or report.is_shared(folder)
    extended = evolve(config, gan=gan, report=evolve(config.report, share=shared))
    world.wait()  # all have read what the first now writes anew
    if world.first:
        judge = {**last.judge, "ended": "", "early_stop": {**last.judge["early_stop"], "waited": 0}}
        checkpoint.write(folder.checkpoints, evolve(last, judge=judge))
        folder.stop.unlink(missing_ok=True)
        _forget(folder)
        # Until training.json goes, all this can be done again, and is: its steps are what more is added to.
        rundir.write_toml(folder.config, extended.as_table())
        folder.training.unlink()
        folder.report.unlink(missing_ok=True)  # until now it said whether it was shared
    world.wait()
    return extended


def _forget(folder: RunDir) -> None:
    """Remove what was made of the generator that there was, but for its report; what other commands added stays."""
    for path in (
        folder.sums,  # first these two, which say that all is whole
        folder.manifest,
        folder.model_card,
        folder.release,
        folder.scores,
        folder.skin_tones,
        folder.classification,
        folder.predictions,
        folder.classifier_weights,
        folder.real_classifier_weights,
    ):
        path.unlink(missing_ok=True)
    for place in (folder.synthetic, folder.held_back, folder.flagged, folder.features):
        shutil.rmtree(place, ignore_errors=True)


def _longer(config: RunConfig, done: int, more: str) -> GanSettings:
    if more.isdecimal() and int(more):
        return evolve(config.gan, steps=done + int(more), budget="")
    with suppress(ConfigError):
        budget = settings.build(GanSettings, {"budget": more}, "gan").budget
        if budget:
            return evolve(config.gan, budget=budget)
    raise ConfigError(f"--extend must be generator steps such as 2000, or a time such as 30m, got {more!r}")
