"""What a captured step draws, and where. tests/test_cuda.py replays whole trainings on a GPU."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dfukit.errors import PluginError
from dfukit.interfaces import Step
from dfukit.replay import Feed

Draw = Callable[[Step], Tensor]
DRAWS: dict[str, Draw] = {
    "uniform": lambda turn: turn.part(2, 8).uniform("margin", 3, 2),
    "normal": lambda turn: turn.part(0, 8).normal("latent", 8, 5),
    "integers": lambda turn: turn.part(2, 8).integers("real", 100, 4),
    "apart": lambda turn: turn.part(2, 8).part(2, 0).uniform("augment 0", 4, 7),
    "a turn's own turn": lambda turn: turn.part(0, 8).turn("again").normal("latent", 8),
}


@pytest.mark.parametrize("name", DRAWS)
def test_the_numbers_of_each_turn_take_their_place(name: str) -> None:
    feed = Feed(torch.device("cpu"))
    step = Step(3, 5, 0.5)
    first = step.turn("critic 0")
    place = DRAWS[name](feed.first(first))
    assert torch.equal(place, DRAWS[name](first))
    assert DRAWS[name](feed.again(step.turn("critic 1"))) is place
    for later in (step.turn("critic 0"), step.turn("critic 1"), Step(3, 6).turn("critic 0")):
        feed.fill(later)
        assert torch.equal(place, DRAWS[name](later))


def test_progress_is_a_tensor_that_moves() -> None:
    feed = Feed(torch.device("cpu"))
    progress = feed.first(Step(0, 1, 0.25)).part(0, 4).progress
    feed.fill(Step(0, 2, 0.75))
    assert float(progress) == 0.75


def test_a_first_turn_after_a_capture_that_failed_makes_its_places_anew() -> None:
    feed, smaller = Feed(torch.device("cpu")), Step(0, 3).part(0, 2)
    feed.first(Step(0, 1)).part(0, 4).uniform("augment", 4)
    feed.again(Step(0, 2)).part(0, 4).uniform("augment", 4)
    assert torch.equal(feed.first(Step(0, 3)).part(0, 2).uniform("augment", 2), smaller.uniform("augment", 2))


def test_a_turn_that_draws_more_than_the_first_cannot_be_captured() -> None:
    feed = Feed(torch.device("cpu"))
    with pytest.raises(PluginError, match="other numbers in each step"):
        feed.again(Step(0, 1).part(0, 4)).uniform("more", 4)


def test_a_generator_of_random_numbers_cannot_be_captured() -> None:
    with pytest.raises(PluginError, match=r"step\.uniform"):
        Feed(torch.device("cpu")).first(Step(0, 1)).rng("augment")
