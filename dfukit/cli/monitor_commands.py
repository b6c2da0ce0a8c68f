"""dfukit monitor."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

import click

from dfukit.cli.options import emit, json_option


@click.command()
@click.argument("run", metavar="[RUN|latest]", default="latest")
@click.option("--log-dir", type=click.Path(path_type=Path), default=Path("runs"), help="Folder of run folders [runs].")
@click.option("--once", is_flag=True, help="Print the view once; so it is where the output is no terminal.")
@json_option
def monitor(run: str, log_dir: Path, once: bool, as_json: bool) -> None:
    """Watch a run (a folder, a name, or latest) of another process, or look at a finished one.

    Keys: q or Ctrl-C leaves, and the run goes on; s, pressed twice, stops the training and lets the run go on to its
    report.
    """
    from rich.console import Console
    from rich.text import Text

    from dfukit import rundir
    from dfukit.monitor import Monitor, draw, watch

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a name may hold what the terminal's encoding does not
    watched = Monitor(rundir.open_run(run, log_dir))
    console = Console()
    if as_json:
        emit(watched.refresh().as_table(time.time()))
    elif once or not console.is_terminal or console.is_dumb_terminal:
        lines = draw(watched.refresh(), time.time(), console.width, ascii_only=console.options.ascii_only)
        console.print(Text("\n").join(lines), no_wrap=True, crop=True)
    else:
        watch(watched)
