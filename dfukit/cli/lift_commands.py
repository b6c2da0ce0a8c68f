"""dfukit lift: do the synthetic pictures help?"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dfukit.cli.options import configure, data_options, emit, json_option, showing, tell
from dfukit.interrupt import StopRequest, continued_by

if TYPE_CHECKING:
    from dfukit.config import RunConfig


@click.command()
@click.argument("run", required=False, default="")
@click.option("--real", metavar="DIR", default="", help="Folder of real pictures, with --synthetic.")
@click.option(
    "--synthetic", metavar="DIR", default="", help="Labelled pictures from any generator, or a run that drew them."
)
@click.option("--unseen", is_flag=True, help="You vouch that their generator saw none of the real pictures.")
@data_options
@click.option("--folds", type=int, metavar="K", help="Parts that the patients are dealt into [5].")
@click.option("--seeds", type=int, metavar="N", help="Trainings of each arm in each fold [3].")
@click.option("--ratio", type=float, metavar="R", help="Synthetic pictures for each real one, in the answer [1].")
@click.option("--margin", type=float, metavar="M", help="Difference of AUROC that would be worth nothing [0.03].")
@click.option("--classifier", metavar="NAME", help="A cheap one will do; the result names it [the run's].")
@click.option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1 [auto].")
@click.option("--seed", type=int, metavar="N", help="Seed of everything random [the run's, else 0].")
@click.option("--config", "file", type=click.Path(path_type=Path), help="A TOML file of settings, with --real.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Any setting, such as lift.steps=200.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the result [RUN/lift, else lift].")
@click.option("--dry-run", is_flag=True, help="Print an estimate of the time; write nothing.")
@json_option
def lift(
    run: str,
    real: str,
    synthetic: str,
    unseen: bool,
    file: Path | None,
    out: Path | None,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Do the synthetic pictures help a classifier on real patients?

    Either of RUN (a folder, a name, or latest), whose generator is trained anew inside each fold of the patients, or of
    two folders. The same command goes on where it was interrupted.
    """
    from dfukit import rundir
    from dfukit.errors import ConfigError

    if bool(run) == bool(real or synthetic) or bool(real) != bool(synthetic):
        raise ConfigError("name a RUN, or two folders with --real and --synthetic")
    options["assignments"] = (*_assignments(options), *options["assignments"])
    if run:
        _refuse(run, {"--unseen": unseen, "--config": file, **_given(options, "positive", "patients")})
        folder = rundir.open_run(run)
        config = configure({**options, "file": folder.config})
        place = out or folder.lift
    else:
        config = configure({**options, "file": file, "data": real})
        place = out or Path("lift")
    if dry_run:
        _estimate(config, bool(run), as_json)
        return
    with continued_by(lambda: shlex.join(["dfukit", *sys.argv[1:]])), showing() as progress:
        with StopRequest():  # an import that is cut short leaves halves of packages behind
            from dfukit.lift import lift_folders, lift_run
        if run:
            result = lift_run(folder, config, place, progress)
        else:
            result = lift_folders(config, Path(synthetic), unseen, place, progress)
    tell(result, as_json)


def _assignments(options: dict[str, Any]) -> list[str]:
    """The named options of the experiment as settings; later ones, given with --set, win."""
    names = ("folds", "seeds", "ratio", "margin")
    return [f"lift.{name}={options.pop(name)}" for name in names if options.get(name) is not None]


def _given(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {f"--{name.replace('_', '-')}": options.get(name) for name in (*names, "patient_pattern")}


def _refuse(run: str, given: dict[str, Any]) -> None:
    """Raises ConfigError for an option that says what a run has settled."""
    from dfukit.errors import ConfigError

    for name, value in given.items():
        if value:
            raise ConfigError(f"{name} is for --real and --synthetic: {run} has settled it")


def _estimate(config: RunConfig, retrained: bool, as_json: bool) -> None:
    from dfukit.lift import estimate

    document = estimate.estimate(config, retrained)
    emit(document) if as_json else click.echo(estimate.as_text(document))
