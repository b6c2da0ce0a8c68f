"""In which precision a run computes, and what is said of it."""

from __future__ import annotations

import pytest
import torch

from dfukit import ConfigError, hardware
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
    # On a GPU convolutions would take ten bits for float32.
    assert torch.backends.cudnn.allow_tf32 == ("bfloat16" in said)


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_each_process_of_a_machine_has_a_gpu_of_its_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose(RunSettings(device=name, precision="fp32")).device == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ConfigError, match="more processes than this machine has GPUs: --nproc-per-node 2"):
        choose(RunSettings(device=name, precision="fp32"))
