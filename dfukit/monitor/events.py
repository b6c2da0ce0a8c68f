"""Reading what may be torn, null, absent or something else than it should be: that is not known, and no error."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

LARGEST = 1e300
"""Beyond it, sums of a few numbers would not be finite."""


def _finite(text: str) -> float | None:
    return value if math.isfinite(value := float(text)) else None


DECODER = json.JSONDecoder(parse_constant=_finite, parse_float=_finite)


def from_json(line: str | bytes) -> Any:
    """With null for NaN and the infinities, which are no JSON. Raises ValueError and RecursionError."""
    return DECODER.decode(line if isinstance(line, str) else line.decode("utf-8"))


def number(event: Mapping[str, Any], key: str) -> float | None:
    """A finite number."""
    value = event.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < LARGEST else None


def whole(event: Mapping[str, Any], key: str) -> int | None:
    value = number(event, key)
    return None if value is None else int(value)


def text(event: Mapping[str, Any], key: str) -> str:
    """On one line and without anything that a terminal would obey."""
    value = event.get(key)
    if not isinstance(value, str):
        return ""
    return "".join(letter for letter in " ".join(value.split()) if letter.isprintable())
