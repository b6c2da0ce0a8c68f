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
    from dfukit.hookspecs import hookimpl
    from dfukit.pipeline import Run, run
    from dfukit.predict import load_classifier
    from dfukit.sample import load_generator
    from dfukit.scoring import score
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
    "attrs": ("frozen",),
    "dfukit.component": ("Component", "ImageSpec"),
    "dfukit.errors": (
        "ConfigError",
        "DataError",
        "DfukitError",
        "DivergedError",
        "Interrupted",
        "PluginError",
        "ReleaseCheckError",
        "WeightsError",
    ),
    "dfukit.hookspecs": ("hookimpl",),
    "dfukit.pipeline": ("Run", "run"),
    "dfukit.predict": ("load_classifier",),
    "dfukit.sample": ("load_generator",),
    "dfukit.scoring": ("score",),
    "dfukit.settings": ("choice", "flag", "names", "real", "text", "whole"),
}


def __getattr__(name: str) -> object:
    for module, names_there in _HOMES.items():
        if name in names_there:
            value: object = getattr(importlib.import_module(module), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'dfukit' has no attribute {name!r}")
