"""Finding out whether a picture is one of a synthetic set: by its bytes, or by its pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen

from dfukit import manifest, provenance, sums
from dfukit.errors import DataError
from dfukit.manifest import Row
from dfukit.rundir import RunDir


@frozen
class Listed:
    """A set of synthetic pictures: its folder, the table that lists them, and what is to be said of them."""

    folder: Path
    table: Path
    about: str


@frozen
class Match:
    """What is known of a picture. `found` is its path in the folder it was looked up in, None where it is not there."""

    picture: str
    found: str | None
    by: str | None
    """"bytes" where the file is the same (under whatever name), "pixels" where it was saved again without loss."""
    text: str

    def as_table(self) -> dict[str, Any]:
        return attrs.asdict(self)


def sets(folder: Path) -> list[Listed]:
    """The synthetic sets of a run folder, a bundle, or a folder that `dfukit sample` wrote.

    Raises DataError where there is none.
    """
    run = RunDir(folder)
    known = [
        Listed(run.synthetic, run.synthetic / manifest.FILE, ""),
        Listed(run.held_back, run.held_back / manifest.FILE, "held back by the release check"),
        Listed(run.flagged, run.flagged / manifest.FLAGGED_FILE, "taken out of the set as a copy"),
        Listed(folder, folder / manifest.FILE, ""),
    ]
    there = [one for one in known if one.table.is_file()]
    if not there:
        raise DataError(
            f"{folder} holds no synthetic set: name a run, a bundle, or a folder that `dfukit sample` wrote"
        )
    return there


def find(folder: Path, picture: Path) -> Match:
    """Look a picture up in the manifests of a run, a bundle or a folder of synthetic pictures.

    It is found under any name where its bytes are the same, and without its metadata where its pixels are. Whatever
    changed a pixel (another size, a crop, JPEG) makes it another picture, of which the answer says nothing.
    Raises DataError for a file that is no picture, and where there is no set.
    """
    return _find(folder, list(_rows(folder)), picture)


def find_each(folder: Path, pictures: Iterable[Path]) -> list[Match]:
    """As `find` for several pictures. One that cannot be read is found nowhere, and its text says why."""
    listed, matches = list(_rows(folder)), []
    for picture in pictures:
        try:
            matches.append(_find(folder, listed, picture))
        except DataError as error:
            reason = str(error).removeprefix(str(picture)).lstrip(": ")
            matches.append(Match(str(picture), None, None, reason))
    return matches


def insist(folder: Path, expect: str) -> None:
    """Raises DataError where the SHA-256 of SHA256SUMS is not `expect`, or a table of pictures is not the one that
    SHA256SUMS covers: what is found there would say nothing."""
    digest, stated = sums.digest(folder), sums.read(folder)
    if digest != expect.lower():
        raise DataError(
            f"the SHA-256 of {folder / sums.FILE} is {digest}, and not {expect.lower()} as --expect says: "
            "no picture was looked up"
        )
    for one in sets(folder):
        if stated.get(one.table.relative_to(folder).as_posix()) != provenance.file_sha256(one.table):
            raise DataError(f"{one.table} is not the one that {sums.FILE} covers: no picture was looked up")


def _find(folder: Path, listed: Sequence[tuple[Listed, Row]], picture: Path) -> Match:
    for by, digest in (("bytes", provenance.file_sha256(picture)), ("pixels", _pixels(picture))):
        column = "sha256" if by == "bytes" else "pixels_sha256"
        for one, row in listed:
            if row[column] == digest:
                path = (one.folder / row["path"]).relative_to(folder).as_posix()
                how = "byte for byte" if by == "bytes" else "the same pixels in another file"
                about = f"; {one.about}" if one.about else ""
                text = f"{path} ({how}): label {row['label']}, seed {row['seed']}, number {row['number']}{about}"
                return Match(str(picture), path, by, text)
    return Match(str(picture), None, None, f"not found among {len(listed)} pictures; {_unknown(picture)}")


def _rows(folder: Path) -> Iterator[tuple[Listed, Row]]:
    for one in sets(folder):
        yield from ((one, row) for row in manifest.read(one.table))


def _pixels(picture: Path) -> str:
    return provenance.pixels_sha256(provenance.open_picture(picture))


def _unknown(picture: Path) -> str:
    origin = provenance.read_origin(provenance.open_picture(picture))
    said = f" (it says of itself that run {origin.run} drew it, which anybody could write)" if origin else ""
    return f"a picture that was resized, cropped or saved with loss has other pixels and cannot be found{said}"
