"""Parts of plugins under watch: what they raise, or return against their promise, is an error that names them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from dfukit import interfaces
from dfukit.component import Chosen, ImageSpec
from dfukit.errors import DfukitError, PluginError, reason_of
from dfukit.interfaces import Score
from dfukit.interrupt import UNWRITABLE
from dfukit.portions import is_out_of_memory

Promise = Callable[[Any, Any, ImageSpec | None], str]
"""From a result, the first argument and the pictures that the part was told of: what is wrong; empty for nothing."""


def watched(part: Any, chosen: Chosen, image: ImageSpec | None = None) -> Any:
    """The same object, whose methods raise PluginError naming the plugin where they fail.

    Errors of dfukit, those that say that memory or the disk is full, and interruptions pass as they are.
    """
    interface = getattr(interfaces, chosen.kind.title())
    if not isinstance(part, interface):
        raise PluginError(f"{chosen} is no dfukit.interfaces.{interface.__name__}: it is a {type(part).__name__}")
    methods = {
        name: _watched(getattr(type(part), name), name, chosen, image, promise)
        for name, promise in METHODS[chosen.kind].items()
        if callable(getattr(type(part), name, None))
    }
    own = type(part)
    metaclass: Any = type(own)
    # A class of its own, rather than attributes, so that a copy of the part is watched as well, and as itself.
    watching = metaclass(own.__name__, (own,), {**methods, "__module__": own.__module__, "__slots__": ()})
    watching.__qualname__, watching.__doc__ = own.__qualname__, own.__doc__
    object.__setattr__(part, "__class__", watching)
    return part


def _watched(
    method: Callable[..., Any], name: str, chosen: Chosen, image: ImageSpec | None, promise: Promise
) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        try:
            result = method(self, *arguments, **named)
            wrong = promise(result, next(iter((*arguments, *named.values())), None), image)
        except DfukitError:
            raise
        except (Exception, SystemExit) as error:
            if is_out_of_memory(error) or (isinstance(error, OSError) and error.errno in UNWRITABLE):
                raise
            raise PluginError(f"{chosen} failed: {reason_of(error)[:500]}") from error
        if wrong:
            raise PluginError(f"{chosen} breaks its promise: {name}() {wrong}; see dfukit plugins check {chosen.name}")
        return result

    return call


def _anything(result: Any, first: Any, image: ImageSpec | None) -> str:
    return ""


def _shaped(result: Any, *shape: int) -> str:
    """What is wrong with a tensor that should have this shape; -1 is any width."""
    if not isinstance(result, Tensor):
        return f"must return a tensor, got {type(result).__name__}"
    if len(shape) != result.dim() or any(want not in (-1, got) for want, got in zip(shape, result.shape, strict=True)):
        names = ", ".join("any" if width == -1 else str(width) for width in shape)
        return f"must return a tensor of shape [{names}], got {list(result.shape)}"
    return "" if result.is_floating_point() else f"must return floating point numbers, got {result.dtype}"


def _pictures(result: Any, first: Any, image: ImageSpec | None) -> str:
    assert image is not None
    return _shaped(result, len(first), image.channels, image.size, image.size)


def _one_each(result: Any, first: Any, image: ImageSpec | None) -> str:
    return _shaped(result, len(first))


def _one_each_or_places(result: Any, first: Any, image: ImageSpec | None) -> str:
    wrong = _shaped(result, len(first))
    places = wrong and not _shaped(result, len(first), -1) and result.shape[1] > 1  # a column is no place, but a slip
    return "" if places else wrong


def _like_the_argument(result: Any, first: Any, image: ImageSpec | None) -> str:
    return _shaped(result, *first.shape)


def _a_map(result: Any, first: Any, image: ImageSpec | None) -> str:
    return _shaped(result, len(first), -1, -1, -1)


def _a_scalar_or_none(result: Any, first: Any, image: ImageSpec | None) -> str:
    return "" if result is None else _shaped(result)


def _terms(result: Any, first: Any, image: ImageSpec | None) -> str:
    if not isinstance(result, dict) or "loss" not in result:
        return 'must return a dict with the key "loss"'
    for name, term in result.items():
        if not isinstance(term, Tensor):
            return f'must return tensors, got {type(term).__name__} as "{name}"'
    wrong = _shaped(result["loss"])
    return f'{wrong} as "loss"' if wrong else ""


def _features(result: Any, first: Any, image: ImageSpec | None) -> str:
    if not isinstance(result, dict) or "features" not in result:
        return 'must return a dict with the key "features"'
    for name, values in result.items():
        if wrong := _shaped(values, len(first), -1):
            return f'{wrong} as "{name}"'
    return ""


def _scores(result: Any, first: Any, image: ImageSpec | None) -> str:
    if not isinstance(result, Mapping) or not all(isinstance(score, Score) for score in result.values()):
        return "must return a dict of dfukit.interfaces.Score"
    return ""


def _a_line(result: Any, first: Any, image: ImageSpec | None) -> str:
    return "" if isinstance(result, str) else f"must return a text, got {type(result).__name__}"


METHODS: dict[str, dict[str, Promise]] = {
    "generator": {"forward": _pictures},
    "critic": {"forward": _one_each_or_places, "features": _a_map, "auxiliary": _a_scalar_or_none},
    "loss": {"critic": _terms, "generator": _terms},
    "augmentation": {
        "draw": _anything,
        "forward": _like_the_argument,
        "observe": _anything,
        "state": _anything,
        "restore": _anything,
    },
    "classifier": {"attach": _anything, "prepare": _a_line, "forward": _one_each, "for_prediction": _anything},
    "extractor": {"forward": _features},
    "metric": {"measure": _scores},
}
"""The methods that the core calls, and what they promise."""
