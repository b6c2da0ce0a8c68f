"""Options that all benchmarks share."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rounds", type=int, default=5, help="rounds of each comparison (default 5)")
    parser.addoption("--batch", type=int, default=64, help="pictures in a training step (default 64)")


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How often the contestants of a comparison take turns."""
    return int(request.config.getoption("--rounds"))


@pytest.fixture
def batch(request: pytest.FixtureRequest) -> int:
    """Pictures in a training step."""
    return int(request.config.getoption("--batch"))
