"""Declaring settings, reading them from text and tables, and writing them as TOML.

A settings class is a frozen attrs class whose fields are declared with `whole`, `real`, `choice`, `flag`, `text`,
`duration` or `names`. There is no null: TOML has none, so "not set" is an empty text.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

import attrs

from dfukit.errors import ConfigError, PluginError

T = TypeVar("T")
UNDECLARED = "undeclared"
"""The type of a setting that a plugin does not declare with the functions below."""


def whole(default: int, help: str, *, low: int | None = None, high: int | None = None) -> int:
    """A whole number, `low` and `high` included."""
    return cast(int, _field(default, help, "whole number", _whole, low=low, high=high))


def real(
    default: float, help: str, *, low: float | None = None, high: float | None = None, above: float | None = None
) -> float:
    """A finite real number: `low` and `high` included, `above` excluded."""
    return cast(float, _field(default, help, "number", _real, low=low, high=high, above=above))


def choice(default: str, options: Iterable[str], help: str) -> str:
    """One of a fixed set of words."""
    return cast(str, _field(default, help, "choice", _text, options=tuple(options)))


def flag(default: bool, help: str) -> bool:
    """True or false."""
    return cast(bool, _field(default, help, "true or false", _flag))


def text(default: str, help: str) -> str:
    """Free text; empty means not set."""
    return cast(str, _field(default, help, "text", _text))


def duration(default: str, help: str) -> str:
    """A span of time as text, such as 90s, 30m, 1h30m or 2d; empty means not set. `seconds` reads it."""
    return cast(str, _field(default, help, "duration such as 30m or 1h30m", _duration))


def seconds(duration: str) -> float:
    """Seconds of a duration such as 1h30m. Raises ValueError for any other text, and for none at all."""
    if not re.fullmatch(r"(\d+(\.\d+)?[dhms])+", duration):
        raise ValueError(f"{duration!r} is no duration")
    found = re.findall(r"([\d.]+)([dhms])", duration)
    return sum(float(number) * {"d": 86400, "h": 3600, "m": 60, "s": 1}[unit] for number, unit in found)


def names(default: tuple[str, ...], help: str) -> tuple[str, ...]:
    """A list of names."""
    return cast("tuple[str, ...]", _field(default, help, "list of names", _names))


def anything(default: Any) -> Any:
    """A setting that takes whatever TOML can hold: of a component that is not installed, nothing else is known."""
    return _field(tuple(default) if isinstance(default, list) else default, "not installed", "anything", _anything)


def known(settings: type) -> list[dict[str, Any]]:
    """The settings of a class, in order: name, type, default, help and bounds."""
    return [
        {
            "name": field.name,
            "type": field.metadata.get("type", UNDECLARED),
            "default": _plain(field.default),
            "help": field.metadata.get("help", ""),
            **{key: _plain(value) for key, value in field.metadata.get("limits", {}).items() if value is not None},
        }
        for field in attrs.fields(settings)
    ]


def _plain(default: Any) -> Any:
    """A default as JSON can hold it."""
    if isinstance(default, tuple):
        return [_plain(one) for one in default]
    finite = isinstance(default, str | int) or (isinstance(default, float) and math.isfinite(default))
    return default if finite else repr(default)


def build(settings: type[T], values: Mapping[str, Any], where: str) -> T:
    """Make settings from a table. `where` is the section named in errors ("generator").

    Raises ConfigError for an unknown key (naming the nearest), an ill-typed value or one out of range.
    """
    fields = {field.name: field for field in attrs.fields(cast(Any, settings))}
    for key in values:
        if key not in fields:
            raise ConfigError(f"{where}.{key} is not a setting{guess(key, fields)}; known: {', '.join(fields)}")
    return settings(**{key: _read(fields[key], value, f"{where}.{key}") for key, value in values.items()})


def as_table(settings: Any) -> dict[str, Any]:
    """Settings as a plain table that TOML and JSON can hold; `build` reads it back."""
    return {
        field.name: list(value) if isinstance(value := getattr(settings, field.name), tuple) else value
        for field in attrs.fields(type(settings))
    }


def guess(word: str, options: Iterable[str]) -> str:
    """`, did you mean "width"?` for a near miss, else nothing."""
    near = difflib.get_close_matches(word, list(options), n=1, cutoff=0.6)
    return f', did you mean "{near[0]}"?' if near else ""


def read_assignment(assignment: str) -> tuple[str, Any]:
    """`generator.width=64` -> ("generator.width", 64): the value as TOML, or as text where it is none."""
    key, equals, value = assignment.partition("=")
    key = key.strip()
    if not equals or not key or not all(key.split(".")):
        raise ConfigError(f"--set {assignment}: expected section.setting=value, for instance gan.batch_size=32")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value.strip()


def _field(default: Any, help: str, kind: str, read: Callable[[Any], Any], **limits: Any) -> Any:
    return attrs.field(
        default=default, kw_only=True, metadata={"help": help, "type": kind, "read": read, "limits": limits}
    )


def _read(field: attrs.Attribute[Any], value: Any, key: str) -> Any:
    if "read" not in field.metadata:
        raise PluginError(f"{key} cannot be set: its plugin does not declare it with whole, real, choice, flag or text")
    limits = field.metadata["limits"]
    try:
        value = field.metadata["read"](value)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"{key} must be a {field.metadata['type']}, got {value!r}") from None
    if (low := limits.get("low")) is not None and value < low:
        raise ConfigError(f"{key} must be at least {low}, got {value}")
    if (high := limits.get("high")) is not None and value > high:
        raise ConfigError(f"{key} must be at most {high}, got {value}")
    if (above := limits.get("above")) is not None and value <= above:
        raise ConfigError(f"{key} must be above {above}, got {value}")
    if (options := limits.get("options")) is not None and value not in options:
        raise ConfigError(f"{key} must be one of {', '.join(options)}, got {value!r}{guess(value, options)}")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise ValueError
    return int(value)


def _real(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):  # `pretrained = true` reads better in TOML than `"true"`
        return str(value).lower()
    if not isinstance(value, str):
        raise ValueError
    return value


def _duration(value: Any) -> str:
    text = _text(value).replace(" ", "")
    if text and seconds(text) <= 0:
        raise ValueError
    return text


def _anything(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if not isinstance(value, list | tuple) or not all(isinstance(part, str) for part in value):
        raise ValueError
    return tuple(value)
