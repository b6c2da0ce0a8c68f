"""Settings are declared once, read from tables and text, and say what is wrong in one line."""

from __future__ import annotations

import json

import pytest

from dfukit import ConfigError, choice, flag, frozen, names, real, text, whole
from dfukit import settings as s


@frozen
class Example:
    width: int = whole(16, "channels", low=1, high=64)
    rate: float = real(0.5, "a rate", above=0.0, high=1.0)
    mode: str = choice("a", ("a", "b"), "a or b")
    quick: bool = flag(False, "be quick")
    title: str = text("", "a title")
    parts: tuple[str, ...] = names(("x",), "some parts")


def test_settings_build_without_arguments() -> None:
    assert s.build(Example, {}, "example") == Example()


def test_settings_survive_a_table() -> None:
    example = Example(width=3, parts=("p", "q"), title="t")
    assert s.build(Example, s.as_table(example), "example") == example


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 0}, "example.width must be at least 1, got 0"),
        ({"width": 65}, "example.width must be at most 64, got 65"),
        ({"width": 2.5}, "example.width must be a whole number, got 2.5"),
        ({"width": True}, "example.width must be a whole number, got True"),
        ({"width": "wide"}, "example.width must be a whole number, got 'wide'"),
        ({"rate": 0.0}, "example.rate must be above 0.0, got 0.0"),
        ({"rate": float("nan")}, "example.rate must be a number, got nan"),
        ({"rate": float("inf")}, "example.rate must be a number, got inf"),
        ({"mode": "c"}, "example.mode must be one of a, b, got 'c'"),
        ({"quick": 1}, "example.quick must be a true or false, got 1"),
        ({"title": 3}, "example.title must be a text, got 3"),
        ({"parts": [1]}, "example.parts must be a list of names, got [1]"),
        ({"widht": 3}, 'example.widht is not a setting, did you mean "width"?'),
    ],
)
def test_a_wrong_value_names_key_and_value(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        s.build(Example, values, "example")
    assert str(caught.value).startswith(message)


def test_what_is_known_of_settings_is_json_whatever_a_plugin_declares() -> None:
    @frozen
    class Endless:
        rate: float = real(float("inf"), "a rate", low=float("-inf"), high=2.0)

    (known,) = json.loads(json.dumps(s.known(Endless)), parse_constant=pytest.fail)
    assert (known["default"], known["low"], known["high"]) == ("inf", "-inf", 2.0)


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("a.b=3", 3),
        ("a.b=0.5", 0.5),
        ("a.b=true", True),
        ("a.b=cells", "cells"),
        ('a.b="3"', "3"),
        ('a.b=["x", "y"]', ["x", "y"]),
        ("a.b=", ""),
        ("a.b=x=y", "x=y"),
    ],
)
def test_an_assignment_is_toml_or_else_text(assignment: str, value: object) -> None:
    assert s.read_assignment(assignment) == ("a.b", value)


@pytest.mark.parametrize("assignment", ["", "a.b", "=3", "a..b=3", ".=1"])
def test_an_assignment_without_key_or_value_is_refused(assignment: str) -> None:
    with pytest.raises(ConfigError):
        s.read_assignment(assignment)
