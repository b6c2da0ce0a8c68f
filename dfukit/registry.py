"""Installed plugins in, look-up by kind and name out."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib import metadata
from importlib.metadata import EntryPoint
from typing import Any

import pluggy
from attrs import evolve, field, frozen

from dfukit import hookspecs, loading, settings
from dfukit.component import KINDS, Chosen, Component
from dfukit.errors import ConfigError, PluginError, reason_of

GROUP = "dfukit"
"""The group of entry points."""
OWN = "dfukit"
"""The distribution of the built-in plugins."""
HOOKS = loading.HOOKS


@frozen
class Offer:
    """A component and the package that offers it."""

    kind: str
    component: Component
    plugin: str
    package: str
    version: str

    @property
    def source(self) -> str:
        """The package and its version."""
        return f"{self.package} {self.version}"


@frozen
class Broken:
    """A plugin that did not load, or of which a part was left out, and why."""

    plugin: str
    package: str
    version: str
    reason: str

    def __str__(self) -> str:
        return f"plugin {self.plugin} of {self.package} {self.version}: {self.reason}"

    @property
    def remedy(self) -> str:
        return f"repair it, or pip uninstall {self.package}"


@frozen
class Registry:
    """Everything that the installed plugins offer."""

    offers: tuple[Offer, ...] = ()
    broken: tuple[Broken, ...] = field(default=())
    notes: tuple[str, ...] = ()
    """What plugins that loaded should not have done on the way."""

    def of_kind(self, kind: str) -> Iterator[Offer]:
        """The offers of one kind, by name."""
        return iter(sorted((offer for offer in self.offers if offer.kind == kind), key=lambda o: o.component.name))

    def find(self, kind: str, name: str) -> Offer:
        """The one offer of that name. Raises ConfigError where there is none, or more than one.

        Raises PluginError where there is none and a plugin did not load, which may be the one that has it.
        """
        if kind not in KINDS:
            raise ConfigError(f"{kind} is no kind of component{settings.guess(kind, KINDS)}; kinds: {', '.join(KINDS)}")
        offers = [offer for offer in self.of_kind(kind) if offer.component.name == name]
        if len(offers) == 1:
            return offers[0]
        if offers:
            raise ConfigError(
                f"{kind} {name} is offered by {_sources(offers)}: uninstall one, or name the others in DFUKIT_PLUGINS"
            )
        names = [offer.component.name for offer in self.of_kind(kind)]
        guess = settings.guess(name, names)
        culprits = "".join(f"; {culprit}; {culprit.remedy}" for culprit in self.broken)
        error = PluginError if self.broken and not guess else ConfigError
        raise error(f"no {kind} is called {name}{guess}; installed: {', '.join(names)}{culprits}")

    def choose(self, kind: str, name: str, values: Mapping[str, Any], section: str = "") -> Chosen:
        """A component with its settings. `section` is the configuration section that errors name."""
        offer = self.find(kind, name)
        try:
            built: Any = settings.build(offer.component.settings, values, section or kind)
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            raise PluginError(
                f"the settings of {kind} {name} of {offer.source} cannot be made: {reason_of(error)}"
            ) from error
        return Chosen(kind, offer.component, built, offer.package, offer.version)

    @property
    def clashes(self) -> list[str]:
        """Names that more than one plugin offers: none of these components can be chosen."""
        count = Counter((offer.kind, offer.component.name) for offer in self.offers)
        return [
            f"{kind} {name} is offered by "
            + _sources([offer for offer in self.of_kind(kind) if offer.component.name == name])
            for (kind, name), times in sorted(count.items())
            if times > 1
        ]

    @property
    def restriction(self) -> str:
        """What leaves the broken plugins out: a value of DFUKIT_PLUGINS that names the others."""
        culprits = {culprit.package for culprit in self.broken}
        sound = {offer.plugin for offer in self.offers if offer.package not in (OWN, *culprits)}
        return f"DFUKIT_PLUGINS={','.join(sorted(sound))}"


@functools.cache
def load(anew: bool = False) -> Registry:
    """Load the installed plugins, one by one: a broken one is noted and cannot end, or hold up, the program.

    A plugin of another distribution is tried in a process of its own before it is imported here, once for each version
    (`dfukit.probe`); with `anew`, one that did not load is tried again.
    """
    points, broken = _wanted()
    tried = {}
    if foreign := [point for point in points if _is_foreign(point)]:
        from dfukit import probe

        tried = dict(zip(map(id, foreign), probe.verdicts(foreign, anew=anew), strict=True))
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    offers: list[Offer] = []
    notes: list[str] = []
    for point in points:
        package, version = loading.package_of(point)
        verdict = tried.get(id(point))
        if verdict is not None and verdict.reason:
            broken.append(Broken(point.name, package, version, verdict.reason))
            continue
        try:
            with loading.contained(foreign=verdict is not None):
                found = loading.components(manager, point, package)
        # A plugin's import may raise anything, SystemExit among it; only the user's own Ctrl-C passes.
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            broken.append(Broken(point.name, package, version, reason_of(error)))
            continue
        offers += [Offer(kind, component, point.name, package, version) for kind, component in found]
        notes += [f"plugin {point.name} of {package} {version} {note}" for note in (verdict.notes if verdict else ())]
    return _without_namesakes(Registry(tuple(offers), tuple(broken), tuple(notes)))


def _wanted() -> tuple[list[EntryPoint], list[Broken]]:
    """Entry points of the group, each once, restricted by DFUKIT_PLUGINS; the built-ins always count.

    With them come the distributions whose entry points cannot be read.
    """
    found: dict[tuple[str, str], EntryPoint] = {}
    unreadable: list[Broken] = []
    for distribution in metadata.distributions():
        try:
            points = [point for point in distribution.entry_points if point.group == GROUP]
        # Any file may lie there.
        except Exception as error:
            reason = f"its entry points cannot be read ({reason_of(error)})"
            unreadable.append(Broken("?", *loading.name_and_version(distribution), reason))
            continue
        for point in points:
            # The first on sys.path is the one that an import finds.
            found.setdefault((loading.package_of(point)[0], point.name), point)
    restriction = os.environ.get("DFUKIT_PLUGINS")
    if restriction is None:
        return [found[key] for key in sorted(found)], unreadable
    wanted = {name.strip() for name in restriction.split(",")}
    return [found[key] for key in sorted(found) if key[0] == OWN or wanted & {*key}], []


def _is_foreign(point: EntryPoint) -> bool:
    return loading.package_of(point)[0] != OWN


def _without_namesakes(known: Registry) -> Registry:
    """A foreign component cannot take the name of a built-in one, which a run with no such name in it would miss."""
    own = {(offer.kind, offer.component.name) for offer in known.offers if offer.package == OWN}
    kept, broken = [], list(known.broken)
    for offer in known.offers:
        if offer.package == OWN or (offer.kind, offer.component.name) not in own:
            kept.append(offer)
            continue
        reason = f"its {offer.kind} {offer.component.name} is left out, because a built-in one has that name: rename it"
        broken.append(Broken(offer.plugin, offer.package, offer.version, reason))
    return evolve(known, offers=tuple(kept), broken=tuple(broken))


def _sources(offers: list[Offer]) -> str:
    return " and ".join(sorted(offer.source for offer in offers))
