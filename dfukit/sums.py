"""SHA256SUMS: the digests of the files of a finished run or of a bundle, as `sha256sum -c` reads them."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from dfukit import rundir
from dfukit.errors import DataError
from dfukit.finding import ABSENT, Finding
from dfukit.provenance import file_sha256
from dfukit.rundir import RunDir

FILE = "SHA256SUMS"
GOES_ON = (
    "README.edited.md",
    "checkpoints",
    "ledger.jsonl",
    "metrics.jsonl",
    "stop",
    "tensorboard",
    "traceback.txt",
)
"""Of a run: what goes on being written, by a resumed training and by each look, and what is put aside for its user. No
figure is read from it alone."""
LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def record(run: RunDir) -> None:
    """Write SHA256SUMS over the files of a finished run, all but those that a resumed training goes on writing."""
    write(run.path, going_on(run))


def going_on(run: RunDir) -> tuple[str, ...]:
    """What of a run no sums cover: GOES_ON, and an experiment that has no result yet."""
    return GOES_ON if run.lift_result.is_file() else (*GOES_ON, run.lift.name)


def write(folder: Path, left_out: Collection[str] = ()) -> None:
    """Write SHA256SUMS over all files of a folder but those under the names `left_out`."""
    _write(folder, {name: file_sha256(folder / name) for name in _files(folder, left_out)})


def add(folder: Path, names: Collection[str], known: Mapping[str, str] | None = None) -> None:
    """Take files, or all below a folder, into SHA256SUMS that came later; all other lines stay as they are, right or
    wrong. They are those of `known` where SHA256SUMS was removed meanwhile."""
    sums = dict(read(folder) if known is None else known)
    for name in names:
        inner = [f"{name}/{one}" for one in _files(folder / name, ())] if (folder / name).is_dir() else [name]
        sums |= {one: file_sha256(folder / one) for one in inner}
    _write(folder, sums)


def strike(folder: Path, names: Collection[str]) -> None:
    """Take files, or all below a folder, out of SHA256SUMS before they are written anew: whatever happens then, they
    are no changed ones. Nothing is done where there are no sums."""
    if (folder / FILE).is_file():
        _write(folder, {name: one for name, one in read(folder).items() if not {name, name.split("/")[0]} & {*names}})


def differs(path: Path) -> bool:
    """Whether a file is another than the SHA256SUMS beside it says; False where that says nothing of it."""
    with suppress(DataError):
        return read(path.parent).get(path.name) not in (None, file_sha256(path))
    return False


def give_words(run: RunDir) -> str:
    """What is to be done about a model card that was edited by hand: it is written anew."""
    return f"give its words with `dfukit report {run.path} --licence TEXT`"


def _write(folder: Path, sums: Mapping[str, str]) -> None:
    rundir.write_text(folder / FILE, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))


def read(folder: Path) -> dict[str, str]:
    """Digests by file. Raises DataError where there is no SHA256SUMS, or a line of it is none."""
    path = folder / FILE
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    sums = {}
    for number, line in enumerate(lines, 1):
        found = LINE.fullmatch(line)
        if found is None:
            raise DataError(f"{path}, line {number}: no SHA-256 and file name")
        sums[found[2]] = found[1]
    return sums


def digest(folder: Path) -> str:
    """SHA-256 of SHA256SUMS itself: one number that covers every file. Raises DataError where there is none."""
    return file_sha256(folder / FILE)


def check(folder: Path, left_out: Collection[str] = ()) -> Iterator[Finding]:
    """Files that are missing, changed or added since SHA256SUMS was written. Raises DataError as `read` does."""
    sums, files = read(folder), set(_files(folder, left_out))
    for name in sorted(sums.keys() | files):
        # Only files of the folder are opened, whatever a foreign SHA256SUMS names.
        stated, found = sums.get(name, ABSENT), _digest(folder / name) if name in files else ABSENT
        if stated != found:
            yield Finding(name, "sha256", stated, found)


def _digest(path: Path) -> str:
    return "a symbolic link" if path.is_symlink() else file_sha256(path)


def _files(folder: Path, left_out: Collection[str]) -> Iterator[str]:
    """Files and links under a folder, counted from it, with `/`; no link is followed."""
    for place, folders, names in os.walk(folder):
        here = Path(place).relative_to(folder)
        if here == Path("."):
            folders[:] = [name for name in folders if name not in left_out]
            names = [name for name in names if name not in (*left_out, FILE)]
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        yield from ((here / name).as_posix() for name in (*names, *links))
