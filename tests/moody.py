"""Installing the moody toys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dfukit import registry

TOYS = Path(__file__).parent / "toys"


@contextmanager
def installed(folder: Path) -> Iterator[None]:
    """The moody toys are an installed distribution within the block."""
    info = folder / "dfukit_moody-0.5.dist-info"
    info.mkdir(exist_ok=True, parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dfukit-moody\nVersion: 0.5\n")
    (info / "entry_points.txt").write_text("[dfukit]\nmoody = dfukit_moody\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOYS))
        patch.syspath_prepend(str(folder))
        registry.load.cache_clear()
        yield
    registry.load.cache_clear()
