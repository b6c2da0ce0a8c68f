"""How often the test part of some data was looked at: a line for each look, in the run folder and beside the caches.

Whoever looks at a test part often and keeps the best has chosen on it: its figures are then too good. The ledger makes
that visible. It counts looks of this user on this machine, and those that a run folder brings along.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import frozen

from dfukit.errors import DataError
from dfukit.images import ledger_dir
from dfukit.rundir import RunDir


@frozen
class Look:
    """One judgement of a classifier on a part; `number` counts from 1, `part` names the part by its content."""

    number: int
    part: str

    @property
    def text(self) -> str:
        """ "first look", "14th look"."""
        return f"{ordinal(self.number)} look"

    def as_table(self) -> dict[str, Any]:
        return {"number": self.number, "text": self.text, "part": self.part}


def record(run: RunDir | None, sha256: Iterable[str], weights: Iterable[str], command: str) -> Look:
    """Write down that classifiers are judged on the pictures with these digests, and say which look this is.

    `weights` are digests of the classifiers' weights. The same weights on the same pictures tell nothing new: that is
    the look it was before. A line holds the time, the command, the run's name and digests, and no file's name.
    Raises DataError where the ledger cannot be written: a look that is not counted must not be had.
    """
    part = digest(sha256)
    look = digest(weights)
    line = {
        "time": datetime.now(UTC).isoformat(timespec="microseconds"),
        "command": command,
        "run": run.name if run else None,
        "weights": look,
        "part": part,
    }
    ledgers = [ledger_dir() / f"{part}.jsonl", *([run.ledger] if run else [])]
    for path in ledgers:
        if look not in {known["weights"] for known in _looks(path, part)}:
            _append(path, line)
    # Read again: others may have looked meanwhile, and a run folder from elsewhere brings its own looks.
    first: dict[str, str] = {}
    for known in (one for path in ledgers for one in _looks(path, part)):
        first[known["weights"]] = min(known["time"], first.get(known["weights"], known["time"]))
    return Look(sorted(first, key=lambda weights: (first[weights], weights)).index(look) + 1, part)


def ordinal(number: int) -> str:
    """ "first", "2nd", "11th", "23rd"."""
    if number == 1:
        return "first"
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number % 100 in (11, 12, 13) else endings.get(number % 10, 'th')}"


def digest(digests: Iterable[str]) -> str:
    """One digest of a set of pictures, or of weights, from theirs; their order does not count."""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def _looks(path: Path, part: str) -> list[dict[str, str]]:
    """The lines about a part; lines that are damaged, or absent, are no looks."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise DataError(f"the ledger {path} cannot be read ({error}): move it away to count anew") from None
    looks = []
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            found = json.loads(line)
            if found["part"] == part:
                looks.append({"weights": str(found["weights"]), "time": str(found["time"])})
    return looks


def _append(path: Path, line: dict[str, Any]) -> None:
    """One write to the end of the file, so that two processes at once lose no line."""
    content = (json.dumps(line) + "\n").encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            written = os.write(handle, content)
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise DataError(f"the ledger {path} cannot be written ({error.strerror}): {_remedy(path)}") from None
    if written < len(content):
        raise DataError(f"the ledger {path} cannot be written (the disk is full): {_remedy(path)}")


def _remedy(path: Path) -> str:
    if path.is_relative_to(ledger_dir()):
        return "set DFUKIT_CACHE_DIR"
    return f"give leave to write in {path.parent} (given its classifier.safetensors, evaluate writes nothing there)"
