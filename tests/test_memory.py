"""How much memory a set of photographs takes: none of its own, however many there are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import starting

GROWTH = 50.0
"""MiB by which private memory may grow from 500 to 2,500 photographs. As pixels, 2,000 of them are 94 MiB."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells private memory from memory maps")
def test_five_times_the_photographs_take_no_more_private_memory(tmp_path: Path) -> None:
    few, many = (
        starting.start(
            starting.photographs(tmp_path / f"{count}", count, 48, 96), tmp_path / "runs", tmp_path / "cache", steps=2
        )
        for count in (500, 2500)
    )
    for moment in ("first_step_anon", "last_anon"):
        print(f"{moment}: {few[moment]:.0f} MiB at 500 photographs, {many[moment]:.0f} MiB at 2,500")
        assert many[moment] - few[moment] < GROWTH
