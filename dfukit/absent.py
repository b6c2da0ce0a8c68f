"""Runs whose plugins are not installed any more: their reports, scores and pictures can still be looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
from attrs import evolve

from dfukit import config as configuration
from dfukit import rundir, settings
from dfukit.component import Chosen, Component
from dfukit.config import SLOTS, RunConfig
from dfukit.errors import ConfigError, DfukitError, PluginError
from dfukit.registry import Offer, Registry
from dfukit.rundir import RunDir

Table = Mapping[str, Any]


def reopen(run: RunDir, installed: Registry) -> RunConfig:
    """The configuration of a run that is looked at, not trained on.

    A component that is not installed, or is in a version that takes other settings, is stood in for by one that has the
    settings of the run and cannot be built: then PluginError says which package it was of. Raises ConfigError for a
    setting that is wrong in the very version that the run was made with.
    """
    table = configuration.read_toml(run.config)
    return configuration.resolve(_with_stand_ins(installed, table, _sources(run)), file=run.config)


def resume(run: RunDir, installed: Registry) -> RunConfig:
    """The configuration of a run that goes on. Raises PluginError naming the package of a component that is missing."""
    try:
        return configuration.resolve(installed, file=run.config)
    except (ConfigError, PluginError):
        config = reopen(run, installed)
        chosen: tuple[Chosen, ...] = (*(getattr(config, slot) for slot in SLOTS), *config.metrics)
        for one in chosen:
            if not one.component.target:
                raise PluginError(f"{one} is {one.component.summary}") from None
        raise


def _with_stand_ins(installed: Registry, table: Table, sources: Table) -> Registry:
    stand_ins: dict[tuple[str, str], Offer] = {}
    for kind, name, values in _named(table):
        try:
            installed.choose(kind, name, values)
        except DfukitError:
            source = str(sources.get(f"{kind}/{name}", ""))
            known = [offer.source for offer in installed.of_kind(kind) if offer.component.name == name]
            if known and source in ("", *known):
                raise  # it is there: the configuration is wrong
            package, _, version = source.rpartition(" ")
            how = f"not installed: pip install {package}=={version}" if package else "not installed"
            component = Component(name, _settings(values), target="", summary=how)
            stand_ins[kind, name] = Offer(kind, component, "", package or "a package", version or "unknown")
    kept = (offer for offer in installed.offers if (offer.kind, offer.component.name) not in stand_ins)
    return evolve(installed, offers=(*kept, *stand_ins.values()))


def _named(table: Table) -> Iterator[tuple[str, str, Table]]:
    """Kind, name and settings of the components of a configuration."""
    for slot, (kind, usual) in SLOTS.items():
        values = dict(_section(table, slot))
        yield kind, str(values.pop("name", usual)), values
    metrics, extractors = _section(table, "metric"), _section(table, "extractor")
    for name in dict.fromkeys((*_section(table, "score").get("metrics", ()), *metrics)):
        yield "metric", str(name), _section(metrics, name)
    asked = [_section(table, section).get("extractor", "auto") for section in ("gan", "score")]
    for name in dict.fromkeys((*asked, *extractors)):
        if name != "auto":
            yield "extractor", str(name), _section(extractors, name)


def _section(table: Table, name: str) -> Table:
    found = table.get(name, {})
    return found if isinstance(found, Mapping) else {}


def _settings(values: Table) -> type:
    """A settings class that takes what the run wrote down, whatever that is."""
    return attrs.make_class("Absent", {key: settings.anything(value) for key, value in values.items()}, frozen=True)


def _sources(run: RunDir) -> Table:
    """Packages of the components, by kind and name, from environment.json."""
    try:
        return _section(rundir.read_json(run.environment), "components")
    except DfukitError:
        return {}
