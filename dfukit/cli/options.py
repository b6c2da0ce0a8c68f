"""Options that commands share, and what they become."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

import click

if TYPE_CHECKING:
    from dfukit.config import RunConfig
    from dfukit.progress import Progress

F = TypeVar("F", bound=Callable[..., Any])

_documents: list[TextIO] = []
"""Standard output, while a command with --json runs."""


def data_options(command: F) -> F:
    """Which pictures, and whose."""
    for option in (
        click.option(
            "--patient-pattern", metavar="REGEX", help="The first group of this pattern on the path is the patient."
        ),
        click.option("--patients", metavar="CSV", help="A table with the columns path and patient."),
        click.option("--positive", metavar="LABEL", help="The positive class [infected, where it exists]."),
    ):
        command = option(command)
    return command


def configuration_options(command: F) -> F:
    """Everything that makes a configuration."""
    for option in (
        click.option(
            "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Any setting, such as gan.batch_size=32."
        ),
        click.option("--config", "file", type=click.Path(path_type=Path), help="A TOML file of settings."),
        click.option("--seed", type=int, metavar="N", help="Seed of everything random [0]."),
        click.option("--precision", metavar="auto|fp32|bf16", help="[auto]"),
        click.option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1 [auto]."),
        click.option(
            "--metric",
            multiple=True,
            metavar="NAME",
            help="A metric of the report, in place of the default ones; may be repeated. Without `copies` no export.",
        ),
        click.option("--augmentation", metavar="NAME", help="Augmentation of what the critic sees."),
        click.option("--classifier", metavar="NAME", help="[effv2s_lstm]"),
        click.option("--loss", metavar="NAME", help="The adversarial loss."),
        click.option("--critic", metavar="NAME", help="The network that judges."),
        click.option("--generator", metavar="NAME", help="The network that draws [lstm_wgan]."),
        click.option(
            "--preset", metavar="NAME", help="smoke, demo, standard or reference [standard with --data, else demo]."
        ),
    ):
        command = option(command)
    command = data_options(command)
    return click.option("--data", metavar="DIR", help="Folder of pictures [the built-in phantom set].")(command)


def json_option(command: F) -> F:
    """With it, standard output is for the document alone: what a plugin prints goes to standard error."""

    @functools.wraps(command)
    def call(*arguments: Any, **named: Any) -> Any:
        if not named["as_json"]:
            return command(*arguments, **named)
        _documents.append(sys.stdout)
        with contextlib.redirect_stdout(sys.stderr):
            try:
                return command(*arguments, **named)
            finally:
                _documents.pop()

    return cast(F, click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(call))


def configure(options: dict[str, Any]) -> RunConfig:
    """The configuration that the options of `configuration_options` stand for."""
    from dfukit import config, registry, settings

    given = {key: options.get(option) for option, key in config.OPTIONS.items()}
    flags = {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}
    return config.resolve(
        registry.load(),
        preset=options.get("preset") or "",
        file=options.get("file"),
        flags=config.nest({key: value for key, value in flags.items() if value not in (None, [])}),
        settings=dict(settings.read_assignment(assignment) for assignment in options.get("assignments") or ()),
    )


def first_process() -> bool:
    """Whether this is the process that speaks and writes: alone, or the first of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def showing() -> Iterator[Progress]:
    """Progress for a person: bars in the foreground of a terminal, plain lines elsewhere; always on standard error."""
    from dfukit.progress import Lines, Live, Silent

    if not first_process():
        yield Silent()
        return
    if not sys.stderr.isatty() or _in_background():
        yield Lines()
        return
    live = Live()
    try:
        yield live
    finally:
        live.stop()


def _in_background() -> bool:
    """Whether another program has the terminal: bars would draw over it."""
    try:
        return os.tcgetpgrp(sys.stderr.fileno()) != os.getpgrp()
    except (OSError, AttributeError):  # it is not this process's terminal, or there are no groups, as on Windows
        return False


def tell(result: Any, as_json: bool) -> None:
    """A result on standard output, as JSON (its `as_table`) or for a person (its `as_text`), by the first process."""
    if first_process():
        emit(result.as_table()) if as_json else click.echo(result.as_text())


def emit(document: Any) -> None:
    """One JSON document on standard output, without NaN and infinity, which are no JSON."""
    text = json.dumps(document, indent=2, sort_keys=True, allow_nan=False)
    click.echo(text, file=_documents[-1] if _documents else None)
