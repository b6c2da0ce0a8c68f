"""dfukit weights list, get, add, verify: pretrained weights and where they lie."""

from __future__ import annotations

from pathlib import Path

import click

from dfukit.cli.options import emit, json_option, showing


@click.group()
def weights() -> None:
    """Pretrained weights: list, get, add, verify."""


@weights.command("list")
@json_option
def list_(as_json: bool) -> None:
    """The weights that dfukit knows, and which of them are here."""
    from dfukit import pretrained

    rows = pretrained.default_store().list()
    if as_json:
        emit(rows)
        return
    for row in rows:
        place = row["path"] or f"not here: dfukit weights get {row['name']}"
        click.echo(f"{row['name']:12} for {row['purpose']}; {row['license']}\n  {place}\n  {row['citation']}")


@weights.command()
@click.argument("name")
@json_option
def get(name: str, as_json: bool) -> None:
    """Download NAME, check it, and keep it as safetensors."""
    from dfukit import pretrained
    from dfukit.progress import counter

    with showing() as progress:
        path = pretrained.default_store().get(name, counter(progress, f"Downloading {name}"))
    emit({"path": str(path)}) if as_json else click.echo(str(path))


@weights.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def add(file: Path, as_json: bool) -> None:
    """Keep a published FILE that was brought to a machine without a network."""
    from dfukit import pretrained

    path = pretrained.default_store().add(file)
    emit({"path": str(path)}) if as_json else click.echo(str(path))


@weights.command()
@json_option
def verify(as_json: bool) -> None:
    """Check every stored file against its checksum; exit 3 where one fails."""
    from dfukit import pretrained
    from dfukit.errors import WeightsError

    rows = pretrained.default_store().verify()
    if as_json:
        emit(rows)
    else:
        for row in rows:
            click.echo(f"{row['name']:12} {row['problem'] or 'as published'}  {row['path']}")
        if not rows:
            click.echo("no weights are stored")
    broken = [row["name"] for row in rows if row["problem"]]
    if broken:
        raise WeightsError(f"weights that changed: {', '.join(broken)}")
