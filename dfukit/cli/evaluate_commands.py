"""dfukit evaluate: a trained classifier on other labelled pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dfukit.cli.options import emit, json_option, showing


@click.command()
@click.argument("source", metavar="RUN|WEIGHTS")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--patients", default="", metavar="CSV", help="A table with the columns path and patient.")
@click.option(
    "--patient-pattern",
    default="",
    metavar="REGEX",
    help="The first group of this pattern on the path is the patient.",
)
@click.option("--name", default="", metavar="NAME", help="Of evaluation-NAME.json in the run [the folder's].")
@click.option("--device", "device_name", default="auto", metavar="NAME", help="[auto]")
@json_option
def evaluate(source: str, folder: Path, as_json: bool, **options: Any) -> None:
    """Judge a classifier on the labelled pictures of another place, which it never learnt from.

    Labels must be names of its classes. Given a run, the figures are written into it.
    """
    from dfukit import rundir

    path = Path(source)
    if not path.is_file() and not rundir.RunDir(path).classifier_weights.is_file():
        path = rundir.open_run(source).path
    with showing() as progress:
        from dfukit.evaluate import evaluate as judge

        evaluation = judge(path, folder, progress=progress, **options)
    emit(evaluation.as_table()) if as_json else click.echo(evaluation.as_text())
