"""dfukit data check, prepare, clear."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dfukit.cli.options import data_options, emit, json_option, showing

if TYPE_CHECKING:
    from dfukit.images import DataCheck


@click.group()
def data() -> None:
    """Look at, prepare or clear pictures."""


def _inspect(folder: Path, options: dict[str, Any]) -> DataCheck:
    from dfukit import images, settings
    from dfukit.progress import counter
    from dfukit.sections import DataSettings

    values = {key: value for key, value in options.items() if value is not None}
    told = settings.build(DataSettings, {"path": str(folder), **values}, "data")
    with showing() as progress:
        return images.inspect(told, counter(progress, "Reading pictures"), progress.say)


@data.command()
@click.argument("folder", type=click.Path(path_type=Path))
@data_options
@click.option("--fit", metavar="crop|pad|stretch", help="How a picture becomes a square [crop].")
@json_option
def check(folder: Path, as_json: bool, **options: Any) -> None:
    """What would be used of FOLDER, what is excluded and why."""
    found = _inspect(folder, options)
    if as_json:
        emit(found.as_table())
    else:
        click.echo(_as_text(found))


@data.command()
@click.argument("folder", type=click.Path(path_type=Path))
@data_options
@click.option("--fit", metavar="crop|pad|stretch", help="How a picture becomes a square [crop].")
@json_option
def prepare(folder: Path, as_json: bool, **options: Any) -> None:
    """Decode FOLDER into the cache, so that a run starts at once."""
    found = _inspect(folder, options)
    if as_json:
        emit({"pictures": found.usable, "excluded": len(found.excluded), "cache": found.cache})
    else:
        click.echo(f"{found.usable} pictures ready, {len(found.excluded)} files excluded\ncache {found.cache}")


@data.command()
@json_option
def clear(as_json: bool) -> None:
    """Empty the cache of prepared pictures, and that of features and scores."""
    from dfukit import images

    folder, scores = images.cache_dir(), images.scores_dir()
    freed = images.clear_cache()
    if as_json:
        emit({"cache": str(folder), "scores": str(scores), "ledger": str(images.ledger_dir()), "bytes_freed": freed})
    else:
        click.echo(f"{freed / 2**20:.1f} MiB freed in {folder} (pictures) and {scores} (features and scores)")
        click.echo(f"the ledger of looks at test parts stays: {images.ledger_dir()}")


def _as_text(found: DataCheck) -> str:
    total = max(found.usable, 1)
    lines = [f"{found.name}: {found.usable} usable pictures of {found.patients} patients"]
    if not found.patients_known:
        lines[0] += " (some or all of them guessed from near-duplicates)"
    lines += [f"  {label:20} {count:6}  {100 * count / total:5.1f} %" for label, count in found.labels.items()]
    for side, values in found.sizes.items():
        lines.append(f"  {side:20} {values[0]} to {values[-1]} pixels, median {values[1]}")
    lines.append("  shapes               " + ", ".join(f"{count} {shape}" for shape, count in found.shapes.items()))
    lines.append("  formats              " + ", ".join(f"{count} {name}" for name, count in found.formats.items()))
    lines.append(f"  duplicates           {found.duplicates}, of them {found.exact_duplicates} exact")
    lines.append(f"  excluded             {len(found.excluded)}")
    lines += [f"    {one.path}: {one.reason}" for one in found.excluded]
    lines += [f"warning: {warning}" for warning in found.warnings]
    lines.append(f"cache {found.cache}")
    return "\n".join(lines)
