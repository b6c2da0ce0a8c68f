"""Installed plugins in, look-up by kind and name out."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy
from attrs import field, frozen

from dfukit import hookspecs, settings
from dfukit.component import API_VERSION, KINDS, Chosen, Component
from dfukit.errors import ConfigError, PluginError

HOOKS = {
    "generator": "generators",
    "critic": "critics",
    "loss": "losses",
    "augmentation": "augmentations",
    "classifier": "classifiers",
    "extractor": "extractors",
    "metric": "metrics",
}


@frozen
class Offer:
    """A component and the package that offers it."""

    kind: str
    component: Component
    plugin: str
    package: str
    version: str


@frozen
class Broken:
    """A plugin that did not load, and why."""

    plugin: str
    package: str
    version: str
    reason: str

    def __str__(self) -> str:
        return f"plugin {self.plugin} of {self.package} {self.version}: {self.reason}"


@frozen
class Registry:
    """Everything that the installed plugins offer."""

    offers: tuple[Offer, ...] = ()
    broken: tuple[Broken, ...] = field(default=())

    def of_kind(self, kind: str) -> Iterator[Offer]:
        """The offers of one kind, by name."""
        return iter(sorted((offer for offer in self.offers if offer.kind == kind), key=lambda o: o.component.name))

    def find(self, kind: str, name: str) -> Offer:
        """The one offer of that name. Raises ConfigError where there is none, or more than one."""
        if kind not in KINDS:
            raise ConfigError(f"{kind} is no kind of component{settings.guess(kind, KINDS)}; kinds: {', '.join(KINDS)}")
        offers = [offer for offer in self.of_kind(kind) if offer.component.name == name]
        if len(offers) == 1:
            return offers[0]
        if offers:
            packages = " and ".join(sorted(f"{offer.package} {offer.version}" for offer in offers))
            raise ConfigError(
                f"{kind} {name} is offered by {packages}: uninstall one, or name the others in DFUKIT_PLUGINS"
            )
        names = [offer.component.name for offer in self.of_kind(kind)]
        broken = "".join(
            f"; {culprit.package} {culprit.version} did not load ({culprit.reason})" for culprit in self.broken
        )
        raise ConfigError(
            f"no {kind} is called {name}{settings.guess(name, names)}; installed: {', '.join(names)}{broken}"
        )

    def choose(self, kind: str, name: str, values: Mapping[str, Any], section: str = "") -> Chosen:
        """A component with its settings. `section` is the configuration section that errors name."""
        offer = self.find(kind, name)
        built: Any = settings.build(offer.component.settings, values, section or kind)
        return Chosen(kind, offer.component, built, offer.package, offer.version)


@functools.cache
def load() -> Registry:
    """Load the installed plugins, one by one: a broken one is noted and cannot end the program."""
    manager = pluggy.PluginManager("dfukit")
    manager.add_hookspecs(hookspecs)
    offers: list[Offer] = []
    broken: list[Broken] = []
    for entry_point in _wanted():
        package = entry_point.dist.name if entry_point.dist else "unknown"
        version = entry_point.dist.version if entry_point.dist else "unknown"
        try:
            offers.extend(_offers(manager, entry_point, package, version))
        # A plugin's import may raise anything, SystemExit among it; only the user's own Ctrl-C passes.
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            reason = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
            broken.append(Broken(entry_point.name, package, version, " ".join(reason.split())))
    return Registry(tuple(offers), tuple(broken))


def _wanted() -> list[EntryPoint]:
    """Entry points of the group, each once, restricted by DFUKIT_PLUGINS; the built-ins always count."""
    unique = {(point.dist.name if point.dist else "", point.name): point for point in entry_points(group="dfukit")}
    restriction = os.environ.get("DFUKIT_PLUGINS")
    if restriction is None:
        return [unique[key] for key in sorted(unique)]
    wanted = {name.strip() for name in restriction.split(",")}
    return [unique[key] for key in sorted(unique) if key[0] == "dfukit" or wanted & {*key}]


def _offers(manager: pluggy.PluginManager, entry_point: EntryPoint, package: str, version: str) -> list[Offer]:
    plugin = entry_point.load()
    manager.register(plugin, name=f"{package}:{entry_point.name}")
    try:
        manager.check_pending()  # a misspelt hook
        found = []
        for kind, hook in HOOKS.items():
            for implementation in getattr(manager.hook, hook).get_hookimpls():
                if implementation.plugin is plugin:
                    components = implementation.function()
                    if not isinstance(components, list | tuple):
                        raise PluginError(f"{hook}() must return a list of Component, got {type(components).__name__}")
                    found += [Offer(kind, _checked(c, hook), entry_point.name, package, version) for c in components]
        return found
    except BaseException:
        manager.unregister(plugin)
        raise


def _checked(component: Any, hook: str) -> Component:
    if not isinstance(component, Component):
        raise PluginError(f"{hook}() must return Component objects, got {type(component).__name__}")
    if component.api != API_VERSION:
        raise PluginError(
            f"{component.name} is written for plugin API {component.api}; this dfukit speaks {API_VERSION}"
        )
    return component
