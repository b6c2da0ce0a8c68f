"""In which precision a run computes, and what is said of it."""

from __future__ import annotations

import pytest

from dfukit import hardware
from dfukit.device import choose
from dfukit.sections import RunSettings


@pytest.mark.parametrize(
    ("precision", "fast", "said"),
    [
        ("auto", True, "cpu, bfloat16"),
        ("auto", False, "cpu, float32"),
        ("fp32", True, "cpu, float32"),
        ("bf16", True, "cpu, bfloat16"),
        ("bf16", False, "cpu, bfloat16 (emulated: float32 is many times as fast on this hardware)"),
    ],
)
def test_bfloat16_is_chosen_where_it_is_fast_and_told_as_slow_where_it_is_not(
    precision: str, fast: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "cpu_bf16", lambda: fast)
    assert str(choose(RunSettings(device="cpu", precision=precision))) == said
