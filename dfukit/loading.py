"""Importing one plugin and asking its hooks, whatever it may do."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, EntryPoint
from typing import Any

import attrs
import pluggy

from dfukit.component import API_VERSION, Component
from dfukit.errors import PluginError

HOOKS = {
    "generator": "generators",
    "critic": "critics",
    "loss": "losses",
    "augmentation": "augmentations",
    "classifier": "classifiers",
    "extractor": "extractors",
    "metric": "metrics",
}
TAKEN = {"name": "the component's name in its section", "check": "a method that dfukit calls"}
"""What a setting cannot be called."""


def components(manager: pluggy.PluginManager, point: EntryPoint, package: str) -> list[tuple[str, Component]]:
    """Kinds and components that a plugin offers; it stays registered. Raises whatever the plugin raises, and
    PluginError where it returns something else than lists of sound components, or implements a hook unknown here.
    """
    plugin = point.load()
    manager.register(plugin, name=f"{package}:{point.name}")
    try:
        manager.check_pending()  # a misspelt hook
        found, implemented = [], 0
        for kind, hook in HOOKS.items():
            for implementation in getattr(manager.hook, hook).get_hookimpls():
                if implementation.plugin is plugin:
                    implemented += 1
                    offered = implementation.function()
                    if not isinstance(offered, list | tuple):
                        raise PluginError(f"{hook}() must return a list of Component, got {type(offered).__name__}")
                    found += [(kind, _checked(component, kind)) for component in offered]
        if not implemented:
            raise PluginError("implements no hook (is @hookimpl missing?)")
        return found
    except BaseException:
        manager.unregister(plugin)
        raise


@contextlib.contextmanager
def contained(foreign: bool) -> Iterator[None]:
    """What a foreign plugin does to the process while it is imported is undone; what it prints goes to standard error.

    Standard output is for the results of a command, which other programs read.
    """
    if not foreign:
        yield
        return
    before = working_directory()
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr), _standard_output_to_standard_error():
        try:
            yield
        finally:
            if before is not None:
                os.chdir(before)


def working_directory() -> str | None:
    """None where somebody removed it."""
    try:
        return os.getcwd()
    except OSError:
        return None


@contextlib.contextmanager
def _standard_output_to_standard_error() -> Iterator[None]:
    """The same for what does not go through `sys.stdout`: other programs, libraries in C."""
    try:
        if sys.__stdout__ is not None:
            sys.__stdout__.flush()
        kept = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # there is none
        yield
        return
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def package_of(point: EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution that an entry point belongs to."""
    return ("unknown", "unknown") if point.dist is None else name_and_version(point.dist)


@functools.cache  # a distribution reads its whole README for each of these
def name_and_version(distribution: Distribution) -> tuple[str, str]:
    """What a distribution says of itself."""
    told = distribution.metadata
    return told["Name"] or "unknown", told["Version"] or "unknown"


def _checked(component: Any, kind: str) -> Component:
    hook = HOOKS[kind]
    if not isinstance(component, Component):
        raise PluginError(f"{hook}() must return Component objects, got {type(component).__name__}")
    name = component.name
    if component.api != API_VERSION:
        raise PluginError(
            f"{name} is written for plugin API {component.api}; this dfukit speaks {API_VERSION}: "
            f"install the version of one that fits the other"
        )
    if not (isinstance(name, str) and name.strip() == name and name and "/" not in name):
        raise PluginError(f"{hook}() offers a component whose name is no name: {name!r}")
    if "." in name:
        raise PluginError(f"the name of {name} must have no dot, which divides the keys of settings")
    if kind == "extractor" and name == "auto":
        raise PluginError("an extractor cannot be called auto, which has a meaning of its own in settings")
    module, colon, attribute = component.target.partition(":") if isinstance(component.target, str) else ("", "", "")
    if not (module and colon and attribute):
        raise PluginError(f'the target of {name} must read "package.module:Name", got {component.target!r}')
    if not isinstance(component.summary, str) or not isinstance(component.citation, str):
        raise PluginError(f"the summary and the citation of {name} must be texts")
    if not isinstance(component.settings, type) or not attrs.has(component.settings):
        raise PluginError(f"the settings of {name} must be an attrs class (decorate it with dfukit.frozen)")
    fields = {field.name for field in attrs.fields(component.settings)}
    for taken, why in TAKEN.items():
        if taken in fields and kind not in ("metric", "extractor"):  # whose sections name no component
            raise PluginError(f"{name} cannot have a setting called {taken}, which is {why}")
    suggested = component.suggests
    if not isinstance(suggested, Mapping) or not all(isinstance(values, Mapping) for values in suggested.values()):
        raise PluginError(f"what {name} suggests must be a table of sections, which are tables")
    return component
