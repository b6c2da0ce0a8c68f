"""dfukit run, train, classify, report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dfukit.cli.options import configuration_options, configure, emit, json_option, showing

RUNS = click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs"), help="Folder of run folders [runs]."
)


@click.command()
@configuration_options
@RUNS
@click.option("--name", default="", help="Name of the run folder [time and components].")
@click.option("--share", is_flag=True, help="A report without real pixels, file names, paths and host.")
@click.option(
    "--dry-run", is_flag=True, help="Print the configuration, where it comes from, and an estimate; write nothing."
)
@json_option
def run(out: Path, name: str, share: bool, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Photographs in; a generator, synthetic pictures, scores, a classifier and a report out.

    Without --data, the built-in phantom set is used: drawings that show no patient.
    """
    if share:
        options["assignments"] = (*options["assignments"], "report.share=true")
    config = configure(options)
    if dry_run:
        from dfukit import plan

        document = plan.describe(config)
        emit(document) if as_json else click.echo(plan.as_text(document))
        return
    folder = _create(out, name, config, (config.generator.name, config.classifier.name))
    with showing() as progress:
        from dfukit import pipeline

        finished = pipeline.execute(config, folder, progress)
    if as_json:
        emit(finished.as_table())
    else:
        click.echo(finished.as_text())


@click.command()
@configuration_options
@RUNS
@click.option("--name", default="", help="Name of the run folder [time and generator].")
@json_option
def train(out: Path, name: str, as_json: bool, **options: Any) -> None:
    """Train a GAN, draw its synthetic set, and stop there."""
    config = configure(options)
    folder = _create(out, name, config, (config.generator.name,))
    with showing() as progress:
        from dfukit import pipeline

        finished = pipeline.execute_train(config, folder, progress)
    emit(finished.as_table()) if as_json else click.echo(finished.as_text())


@click.command()
@click.argument("run")
@RUNS
@json_option
def classify(run: str, out: Path, as_json: bool) -> None:
    """Train and judge the classifiers of RUN (a folder, a name, or latest) anew."""
    from dfukit import rundir

    folder = rundir.open_run(run, out)
    with showing() as progress:
        from dfukit import pipeline

        finished = pipeline.execute_classify(folder, progress)
    emit(finished.as_table()) if as_json else click.echo(finished.as_text())


@click.command()
@click.argument("run")
@RUNS
@click.option("--share", is_flag=True, help="Without real pixels, file names, paths and host.")
@json_option
def report(run: str, out: Path, share: bool, as_json: bool) -> None:
    """Write the report and the model card of RUN (a folder, a name, or latest) anew."""
    from dfukit import rundir

    folder = rundir.open_run(run, out)
    with showing() as progress:
        from dfukit import pipeline

        finished = pipeline.execute_report(folder, share, progress)
    emit(finished.as_table()) if as_json else click.echo(str(finished.folder.report))


def _create(out: Path, name: str, config: Any, components: tuple[str, ...]) -> Any:
    """The run folder with its configuration, before anything heavy is imported."""
    from dfukit import rundir

    folder = rundir.create(out, name, components)
    rundir.write_toml(folder.config, config.as_table())
    return folder
