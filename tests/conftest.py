"""Fixtures that all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real pictures and weights beside the repository; tests that need it skip without it."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared: real pictures and weights are not at hand")
    return SHARED
