"""Numbers as a person reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

MINUS = "−"


def figure(value: float, digits: int = 4) -> str:
    """Four significant digits: 0.01234, 28.12, 1,234."""
    if value and abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}".replace("-", MINUS)
    text = f"{value:.{digits}g}"
    return text.replace("-", MINUS) if "e" not in text else f"{value:.{digits - 1}e}".replace("-", MINUS)


def fixed(value: float, digits: int = 3) -> str:
    """Three decimals, as for figures between 0 and 1."""
    return f"{value:.{digits}f}".replace("-", MINUS)


def percent(value: float) -> str:
    """A share: `2.5%`."""
    return f"{value:.1%}"


def signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", MINUS)


def interval(bounds: Sequence[float] | None, write: Callable[[float], str]) -> str:
    """`0.81 to 0.93`, or a dash."""
    return "–" if bounds is None else f"{write(bounds[0])} to {write(bounds[1])}"


def count(value: float) -> str:
    return f"{value:,.0f}"


def plural(number: int, word: str) -> str:
    """`1 picture`, `2 pictures`."""
    return f"{count(number)} {word}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """`41 s`, `6 min`, `2 h 5 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
