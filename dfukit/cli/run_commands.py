"""dfukit run, train, classify, report."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from dfukit.cli.options import configuration_options, configure, emit, first_process, json_option, showing, tell
from dfukit.interrupt import StopRequest, continued_by
from dfukit.postmortem import traceback_kept

if TYPE_CHECKING:
    from dfukit.config import RunConfig
    from dfukit.lift import Lift
    from dfukit.rundir import RunDir

RUNS = click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs"), help="Folder of run folders [runs]."
)

RESUME = click.option(
    "--resume", metavar="RUN|latest", default="", help="Go on with a run that was interrupted, with its settings."
)


EXTEND = click.option(
    "--extend",
    metavar="STEPS|TIME",
    default="",
    help="With --resume: train a GAN that has ended on, for 2000 steps or 30m.",
)


@click.command()
@configuration_options
@RUNS
@click.option("--name", default="", help="Name of the run folder [time and components].")
@RESUME
@EXTEND
@click.option("--share", is_flag=True, help="A report without real pixels, file names, paths and host.")
@click.option("--lift", is_flag=True, help="Then ask whether the synthetic pictures help (`dfukit lift`).")
@click.option(
    "--dry-run", is_flag=True, help="Print the configuration, where it comes from, and an estimate; write nothing."
)
@json_option
@click.pass_context
def run(
    context: click.Context,
    /,
    out: Path,
    name: str,
    resume: str,
    extend: str,
    share: bool,
    lift: bool,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Photographs in; a generator, synthetic pictures, scores, a classifier and a report out.

    Without --data, the built-in phantom set is used: drawings that show no patient.
    """
    if resume:
        config, folder = _reopen(context, resume, out)
        _refuse_lift(lift, config)
    else:
        _refuse_extend(extend)
        if share:
            options["assignments"] = (*options["assignments"], "report.share=true")
        config = configure(options)
        _refuse_out(out, config)
        _refuse_lift(lift, config)
        if dry_run:
            from dfukit import plan

            document = plan.describe(config)
            emit(document) if as_json else click.echo(plan.as_text(document))
            return
        folder = _create(out, name, config, (config.generator.name, config.classifier.name))
    with _continued("run", folder, extend, "--lift" if lift else ""), showing() as progress:
        with StopRequest():  # an import that is cut short leaves halves of packages behind
            from dfukit import pipeline
        finished = pipeline.execute(config, folder, progress, extend)
    if not (lift and as_json):  # else there is one document, with both
        tell(finished, as_json)
    if lift and first_process():
        answered = _experiment(finished.folder)
        if as_json:
            emit({**finished.as_table(), "lift": answered.as_table()})
        else:
            click.echo(f"\n{answered.as_text()}")
    if first_process():
        from dfukit import release, scoring

        release.insist(finished.folder)
        scoring.insist(finished.scores)


@click.command()
@configuration_options
@RUNS
@click.option("--name", default="", help="Name of the run folder [time and generator].")
@RESUME
@EXTEND
@json_option
@click.pass_context
def train(
    context: click.Context, /, out: Path, name: str, resume: str, extend: str, as_json: bool, **options: Any
) -> None:
    """Train a GAN, draw its synthetic set, and stop there."""
    if resume:
        config, folder = _reopen(context, resume, out)
    else:
        _refuse_extend(extend)
        config = configure(options)
        _refuse_out(out, config)
        folder = _create(out, name, config, (config.generator.name,))
    with _continued("train", folder, extend), showing() as progress:
        with StopRequest():  # an import that is cut short leaves halves of packages behind
            from dfukit import pipeline
        finished = pipeline.execute_train(config, folder, progress, extend)
    tell(finished, as_json)


@click.command()
@click.argument("run")
@RUNS
@json_option
def classify(run: str, out: Path, as_json: bool) -> None:
    """Train and judge the classifiers of RUN (a folder, a name, or latest) anew."""
    from dfukit import rundir

    folder = rundir.open_run(run, out)
    again = ["dfukit", "classify", str(folder.path)]
    with continued_by(lambda: shlex.join(again)), rundir.at_work(folder), showing() as progress:
        from dfukit import pipeline

        finished = pipeline.execute_classify(folder, progress)
    tell(finished, as_json)


@click.command()
@click.argument("run")
@RUNS
@click.option("--share", is_flag=True, help="Without real pixels, file names, paths and host.")
@click.option(
    "--licence",
    metavar="TEXT",
    help="Licence, consent and ethics approval of the pictures: the model card prints it as given, also in a bundle. "
    "Default: as before.",
)
@json_option
def report(run: str, out: Path, share: bool, licence: str | None, as_json: bool) -> None:
    """Write the report and the model card of RUN (a folder, a name, or latest) anew."""
    from dfukit import rundir

    folder = rundir.open_run(run, out)
    again = ["dfukit", "report", str(folder.path), *(["--share"] if share else [])]
    again += [] if licence is None else ["--licence", licence]
    with continued_by(lambda: shlex.join(again)), rundir.at_work(folder), showing() as progress:
        from dfukit import pipeline

        finished = pipeline.execute_report(folder, share, progress, licence)
    emit(finished.as_table()) if as_json else click.echo(str(finished.folder.report))


def _refuse_extend(extend: str) -> None:
    """Raises ConfigError where a run that does not exist yet is to be extended."""
    if extend:
        from dfukit.errors import ConfigError

        raise ConfigError("--extend is for a run that has ended: name it with --resume")


def _refuse_out(out: Path, config: RunConfig) -> None:
    """Raises ConfigError, before anything is written, where the run would lie among the photographs."""
    from dfukit.images.prepare import refuse_inside

    refuse_inside(out, config.data)


def _refuse_lift(lift: bool, config: RunConfig) -> None:
    """Raises ConfigError, before hours of training, where the experiment after them would be refused."""
    if lift and config.gan.start_from:  # else nothing heavy is imported for it
        from dfukit.lift.sources import refuse_first_weights

        refuse_first_weights(config.gan)


def _experiment(folder: RunDir) -> Lift:
    """Make the experiment in the folder of a run that has ended; `dfukit lift` goes on with it."""
    with (
        continued_by(lambda: shlex.join(["dfukit", "lift", str(folder.path)])),
        traceback_kept(folder),
        showing() as progress,
    ):
        with StopRequest():  # an import that is cut short leaves halves of packages behind
            from dfukit import absent, registry
            from dfukit.lift import lift_run

        # As `dfukit lift` reads them: a time budget has become steps, and an extension added some.
        return lift_run(folder, absent.resume(folder, registry.load()), folder.lift, progress)


def _create(out: Path, name: str, config: RunConfig, components: tuple[str, ...]) -> RunDir | None:
    """The run folder with its configuration, before anything heavy is imported; the first process makes it."""
    from dfukit import rundir

    if not first_process():
        return None
    folder = rundir.create(out, name, components)
    rundir.write_toml(folder.config, config.as_table())
    return folder


def _reopen(context: click.Context, resume: str, out: Path) -> tuple[RunConfig, RunDir | None]:
    """The settings and the folder of an earlier run; raises ConfigError for an option that would change them."""
    from dfukit import absent, config, registry, rundir

    config.refuse_with_resume(
        [
            parameter.opts[0]
            for parameter in context.command.params
            if parameter.name not in ("resume", "extend", "lift", "out", "as_json")
            and context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        ]
    )
    folder = rundir.open_run(resume, out)
    return absent.resume(folder, registry.load()), folder


@contextmanager
def _continued(command: str, folder: RunDir | None, extend: str, option: str = "") -> Iterator[None]:
    """An interruption names the command that goes on; a plugin's error leaves its traceback in the run folder.

    Raises ConfigError where another command is at work there.
    """
    if folder is None:
        yield
        return
    from dfukit import rundir

    asked = rundir.unchanged(folder.training)

    def line() -> str:
        again = ["--extend", extend] if extend and asked() else []
        return shlex.join(["dfukit", command, "--resume", str(folder.path), *again, *option.split()])

    with continued_by(line), rundir.at_work(folder), traceback_kept(folder):
        yield
