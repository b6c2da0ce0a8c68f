"""dfukit export, verify: what leaves the building, and checking it."""

from __future__ import annotations

from pathlib import Path

import click

from dfukit.cli.options import emit, json_option, showing, tell


@click.command()
@click.argument("run")
@click.option("--out", type=click.Path(path_type=Path), help="The new folder [RUN-bundle].")
@click.option("--classifier", is_flag=True, help="With the classifier.")
@json_option
def export(run: str, out: Path | None, classifier: bool, as_json: bool) -> None:
    """Make a bundle for sharing of RUN (a folder, a name, or latest), which passed its release check.

    Generator, synthetic pictures, figures and report; no photograph, file name, path, patient or host, and no critic.
    """
    from dfukit import rundir

    folder = rundir.open_run(run)
    with showing() as progress:
        from dfukit import export as exporting

        bundle = exporting.export(folder, out or Path(f"{folder.path}-bundle"), classifier, progress)
    tell(bundle, as_json)


@click.command()
@click.argument("source", metavar="RUN|BUNDLE|DIR")
@click.option(
    "--picture",
    "pictures",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Only say whether this is one of its synthetic pictures; may be repeated.",
)
@click.option("--expect", default="", metavar="DIGEST", help="The SHA-256 that its SHA256SUMS must have.")
@json_option
def verify(source: str, pictures: tuple[Path, ...], expect: str, as_json: bool) -> None:
    """Check files, pictures, weights and figures of a run, a bundle, or a folder of synthetic pictures.

    Exits with 3 where something is not as it is stated, or a picture is not found or cannot be read.
    """
    from dfukit import rundir
    from dfukit.errors import DataError

    folder = Path(source) if Path(source).is_dir() else rundir.open_run(source).path
    if pictures:
        from dfukit import lookup

        if expect:
            lookup.insist(folder, expect)
        matches = lookup.find_each(folder, pictures)
        if as_json:
            emit([match.as_table() for match in matches])
        for match in [] if as_json else matches:
            click.echo(f"{match.picture}: {match.text}")
        lost = sum(match.found is None for match in matches)
        if lost:
            raise DataError(f"{lost} of {len(matches)} pictures not found in {folder}")
        return
    with showing() as progress:
        from dfukit import verify as verifying

        verified = verifying.verify(folder, expect, progress)
    tell(verified, as_json)
    if verified.findings:
        raise DataError(f"{folder} is not what it says it is ({len(verified.findings)} wrong)")
