"""What a part of a plugin raises, or returns against its promise, is an error that names the plugin."""

from __future__ import annotations

import copy
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dfukit import Component, ConfigError, ImageSpec, PluginError
from dfukit.component import Chosen
from dfukit.interfaces import Batch, Step, View

TOYS = Path(__file__).parent / "toys"
IMAGE = ImageSpec(16, 3, ("clean", "infected"), "infected")
LATENT, LABEL = torch.zeros(2, 16), torch.zeros(2, dtype=torch.int64)
PICTURES = torch.zeros(2, 3, 16, 16)


@pytest.fixture(autouse=True, scope="module")
def _toys() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOYS))
        yield


def choose(kind: str, does: str = "well", target: str = "") -> Chosen:
    from dfukit_moody import Moody

    component = Component("moody", Moody, target or f"dfukit_moody.parts:{kind.title()}", "a toy")
    return Chosen(kind, component, Moody(does=does), "dfukit-moody", "0.5")


def build(kind: str, does: str = "well") -> Any:
    return choose(kind, does).build(*(() if kind in ("metric", "extractor") else (IMAGE,)))


def flat_critic(images: Tensor, label: Tensor) -> Tensor:
    return images.mean((1, 2, 3))


def use(kind: str, part: Any) -> Any:
    """Call what the core calls."""
    if kind == "generator":
        return part(LATENT, LABEL)
    if kind == "critic":
        return part(PICTURES, LABEL)
    if kind == "loss":
        return part.critic(flat_critic, Batch(PICTURES, PICTURES, LABEL), Step(0, 0))
    if kind == "augmentation":
        return part.forward(PICTURES, part.draw(2, Step(0, 0)))
    if kind == "classifier":
        return part(PICTURES)
    if kind == "extractor":
        return part(PICTURES.to(torch.uint8))
    view = View(features=np.zeros((4, 2)))
    return part.measure(view, view, np.random.default_rng(0))


KINDS = ("generator", "critic", "loss", "augmentation", "classifier", "extractor", "metric")


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_that_works_is_left_alone(kind: str) -> None:
    part = build(kind)
    use(kind, part)
    assert type(part).__name__ == kind.title()


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_part_raises_names_it_and_keeps_the_cause(kind: str) -> None:
    with pytest.raises(
        PluginError, match=f"{kind} moody of dfukit-moody 0.5 failed: ValueError: not in the mood"
    ) as had:
        use(kind, build(kind, "raises"))
    assert isinstance(had.value.__cause__, ValueError)


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_cannot_end_the_program(kind: str) -> None:
    with pytest.raises(PluginError, match=f"{kind} moody of dfukit-moody 0.5 failed: SystemExit: 0"):
        use(kind, build(kind, "exits"))


@pytest.mark.parametrize(
    ("kind", "does", "told"),
    [
        ("generator", "shape", r"forward\(\) must return a tensor of shape \[2, 3, 16, 16\], got \[1, 2, 3, 16, 16\]"),
        ("generator", "type", r"forward\(\) must return a tensor, got int"),
        ("critic", "shape", r"forward\(\) must return a tensor of shape \[2\], got \[1, 2\]"),
        ("loss", "shape", r'critic\(\) must return a tensor of shape \[\], got \[1\] as "loss"'),
        ("loss", "type", r'critic\(\) must return a dict with the key "loss"'),
        ("augmentation", "shape", r"forward\(\) must return a tensor of shape \[2, 3, 16, 16\]"),
        ("classifier", "shape", r"forward\(\) must return a tensor of shape \[2\], got \[1, 2\]"),
        ("extractor", "shape", r'forward\(\) must return a tensor of shape \[2, any\], got .* as "features"'),
        ("extractor", "type", r'forward\(\) must return a dict with the key "features"'),
        ("metric", "shape", r"measure\(\) must return a dict of dfukit.interfaces.Score"),
        ("metric", "type", r"measure\(\) must return a dict of dfukit.interfaces.Score"),
    ],
)
def test_a_broken_promise_says_what_was_promised(kind: str, does: str, told: str) -> None:
    with pytest.raises(PluginError, match=f"{kind} moody of dfukit-moody 0.5 breaks its promise: {told}"):
        use(kind, build(kind, does))


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        OSError(errno.ENOSPC, "No space left on device"),
        ConfigError("a remedy of its own"),
    ],
)
def test_what_has_a_remedy_of_its_own_passes(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    from dfukit_toys import generator

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(generator.Sound, "forward", fail)
    with pytest.raises(type(error)) as raised:
        use("generator", build("generator"))
    assert raised.value is error


def test_a_copy_is_watched_and_has_weights_of_its_own() -> None:
    part = build("generator")
    twin = copy.deepcopy(part)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.fill_(0.5)
    assert not torch.equal(use("generator", part), use("generator", twin))
    twin.does = "raises"
    with pytest.raises(PluginError, match="generator moody"):
        use("generator", twin)
    use("generator", part)


def test_watching_changes_no_weights() -> None:
    chosen = choose("generator")
    assert list(chosen.build(IMAGE).state_dict()) == list(chosen.make(IMAGE).state_dict())


def test_an_unwatched_part_raises_what_it_raises() -> None:
    with pytest.raises(ValueError, match="not in the mood"):
        use("generator", choose("generator", "raises").make(IMAGE))


@pytest.mark.parametrize(("target", "kind"), [("Stranger", "Stranger"), ("nothing", "NoneType")])
def test_what_is_not_of_its_kind_is_an_error(target: str, kind: str) -> None:
    with pytest.raises(PluginError, match=f"is no dfukit.interfaces.Generator: it is a {kind}"):
        choose("generator", target=f"dfukit_moody.parts:{target}").build(IMAGE)
