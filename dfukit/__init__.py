"""dfukit: a plugin-based GAN toolkit for wound photographs.

What a plugin and a library user import. Everything loads on first use, so that `import dfukit` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attrs import frozen

    from dfukit.component import Component, ImageSpec
    from dfukit.errors import (
        ConfigError,
        DataError,
        DfukitError,
        DivergedError,
        Interrupted,
        PluginError,
        ReleaseCheckError,
        WeightsError,
    )
    from dfukit.finished import Run
    from dfukit.hookspecs import hookimpl
    from dfukit.pipeline import run
    from dfukit.predict import load_classifier
    from dfukit.sample import load_generator
    from dfukit.scoring import score_folders as score
    from dfukit.settings import choice, flag, names, real, text, whole

__version__ = "0.1.0"

__all__ = [
    "Component",
    "ConfigError",
    "DataError",
    "DfukitError",
    "DivergedError",
    "ImageSpec",
    "Interrupted",
    "PluginError",
    "ReleaseCheckError",
    "Run",
    "WeightsError",
    "__version__",
    "choice",
    "flag",
    "frozen",
    "hookimpl",
    "load_classifier",
    "load_generator",
    "names",
    "real",
    "run",
    "score",
    "text",
    "whole",
]

_HOMES = {
    "frozen": "attrs",
    "Component": "dfukit.component",
    "ImageSpec": "dfukit.component",
    "ConfigError": "dfukit.errors",
    "DataError": "dfukit.errors",
    "DfukitError": "dfukit.errors",
    "DivergedError": "dfukit.errors",
    "Interrupted": "dfukit.errors",
    "PluginError": "dfukit.errors",
    "ReleaseCheckError": "dfukit.errors",
    "WeightsError": "dfukit.errors",
    "Run": "dfukit.finished",
    "hookimpl": "dfukit.hookspecs",
    "run": "dfukit.pipeline",
    "load_classifier": "dfukit.predict",
    "load_generator": "dfukit.sample",
    "score": "dfukit.scoring:score_folders",
    "choice": "dfukit.settings",
    "flag": "dfukit.settings",
    "names": "dfukit.settings",
    "real": "dfukit.settings",
    "text": "dfukit.settings",
    "whole": "dfukit.settings",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'dfukit' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    value: object = getattr(importlib.import_module(module), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
