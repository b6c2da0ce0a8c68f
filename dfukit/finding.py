"""What is wrong with a run or a bundle, one thing at a time."""

from __future__ import annotations

from typing import Any

from attrs import frozen

ABSENT = "absent"


@frozen
class Finding:
    """Something in a folder that is not as it is stated."""

    file: str
    """Counted from the folder."""
    figure: str
    """What of the file: "sha256", "runs.real.auroc.value"."""
    stated: Any
    found: Any
    """What was found or computed in its place."""

    def as_text(self) -> str:
        return f"{self.file}: {self.figure}: stated {self.stated}, found {self.found}"
