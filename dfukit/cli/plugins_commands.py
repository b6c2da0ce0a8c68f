"""dfukit plugins list, show, check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import click

from dfukit.cli.options import emit, json_option

if TYPE_CHECKING:
    from dfukit.registry import Offer, Registry


@click.group()
def plugins() -> None:
    """List, show and check components."""


@plugins.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Every component: kind, name, package, version, summary."""
    from dfukit import registry

    known = registry.load(anew=True)
    if as_json:
        emit([_row(offer) for offer in known.offers])
    else:
        for offer in sorted(known.offers, key=lambda offer: (offer.kind, offer.component.name)):
            click.echo(f"{offer.kind:13} {offer.component.name:16} {offer.source:16} {offer.component.summary}")
    for line in complaints(known):
        click.echo(line, err=True)


@plugins.command()
@click.argument("reference", metavar="[KIND/]NAME")
@json_option
def show(reference: str, as_json: bool) -> None:
    """The settings of a component: type, default, bounds, help."""
    rows = [_row(offer) for offer in _offers(reference)]
    if as_json:
        emit(rows)
        return
    for row in rows:
        click.echo(f"{row['kind']}/{row['name']} of {row['package']} {row['version']}: {row['summary']}")
        for setting in row["settings"]:
            limits = ", ".join(
                f"{key} {value}" for key, value in setting.items() if key in ("low", "high", "above", "options")
            )
            click.echo(
                f"  {setting['name']} = {setting['default']!r}  {setting['type']}"
                f"{f' ({limits})' if limits else ''}: {setting['help']}"
            )
        for section, values in row["suggests"].items():
            click.echo(f"  suggests {section}: " + ", ".join(f"{key} = {value!r}" for key, value in values.items()))
        if row["citation"]:
            click.echo(f"  {row['citation']}")


@plugins.command()
@click.argument("reference", metavar="[KIND/]NAME")
@json_option
def check(reference: str, as_json: bool) -> None:
    """Whether a component keeps its kind's promises; exit 4 when it does not."""
    from dfukit.errors import PluginError
    from dfukit.testing import SUITES
    from dfukit.testing import check as outcomes

    entries: list[dict[str, Any]] = []
    failures: list[str] = []
    for offer in _offers(reference):
        name = f"{offer.kind}/{offer.component.name} of {offer.source}"
        if not as_json:
            click.echo(name)
        found = []
        for outcome in outcomes(SUITES[offer.kind], offer.component.name):
            found.append(outcome)
            if not as_json:
                status = "FAILED" if outcome.status == "failed" else outcome.status
                click.echo(f"  {status:8} {outcome.check}{f': {outcome.message}' if outcome.message else ''}")
        entries.append(
            {
                "kind": offer.kind,
                "name": offer.component.name,
                "package": offer.package,
                "version": offer.version,
                "checks": [attrs.asdict(outcome) for outcome in found],
            }
        )
        if failed := [outcome.check for outcome in found if outcome.status == "failed"]:
            failures.append(f"{name} fails {len(failed)} of {len(found)} checks ({', '.join(failed)})")
    if as_json:
        emit(entries)
    if failures:
        raise PluginError("; ".join(failures))


def complaints(known: Registry) -> list[str]:
    """What is wrong with the installed plugins, a line each, with the remedy; empty where all is well."""
    lines = [f"broken: {culprit}; {culprit.remedy}" for culprit in known.broken]
    lines += [f"clash: {clash}; uninstall one" for clash in known.clashes]
    lines += [f"warning: {note}" for note in known.notes]
    return [*lines, f"to leave the broken ones out: {known.restriction}"] if known.broken else lines


def _offers(reference: str) -> list[Offer]:
    """The components of that name, of each kind where none is given. Raises ConfigError where there is none."""
    from dfukit import registry, settings
    from dfukit.errors import ConfigError, PluginError

    known = registry.load()
    kind, _, name = reference.rpartition("/")
    kinds = (
        [kind]
        if kind
        else [kind for kind in registry.HOOKS if any(o.component.name == name for o in known.of_kind(kind))]
    )
    if not kinds:
        names = sorted({offer.component.name for offer in known.offers})
        guess = settings.guess(name, names)
        culprits = "".join(f"; {culprit}; {culprit.remedy}" for culprit in known.broken)
        error = PluginError if known.broken and not guess else ConfigError
        raise error(f"no component is called {name}{guess}; installed: {', '.join(names)}{culprits}")
    return [known.find(kind, name) for kind in kinds]


def _row(offer: Any) -> dict[str, Any]:
    from dfukit import settings

    component = offer.component
    return {
        "kind": offer.kind,
        "name": component.name,
        "package": offer.package,
        "version": offer.version,
        "summary": component.summary,
        "settings": settings.known(component.settings),
        "suggests": {section: dict(values) for section, values in component.suggests.items()},
        "citation": component.citation,
    }
