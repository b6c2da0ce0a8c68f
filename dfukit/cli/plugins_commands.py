"""dfukit plugins list, show, check, new."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from dfukit.cli.options import emit, json_option
from dfukit.component import KINDS

if TYPE_CHECKING:
    from dfukit.registry import Offer


@click.group()
def plugins() -> None:
    """List, show and check components; begin a new one."""


@plugins.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Every component: kind, name, package, version, summary."""
    from dfukit import registry

    known = registry.load()
    if as_json:
        emit([_row(offer) for offer in known.offers])
    else:
        for offer in sorted(known.offers, key=lambda offer: (offer.kind, offer.component.name)):
            package = f"{offer.package} {offer.version}"
            click.echo(f"{offer.kind:13} {offer.component.name:16} {package:16} {offer.component.summary}")
    for culprit in known.broken:
        click.echo(f"broken: {culprit}; repair it or pip uninstall {culprit.package}", err=True)


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
        name = f"{offer.kind}/{offer.component.name} of {offer.package} {offer.version}"
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


@plugins.command()
@click.argument("name")
@click.option("--kind", required=True, type=click.Choice(KINDS), help="What it offers.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Its folder [./dfukit-NAME].")
@json_option
def new(name: str, kind: str, out: Path | None, as_json: bool) -> None:
    """Write a package with a small component that works, its tests and all that publishing takes."""
    from dfukit import registry, scaffold

    plugin = scaffold.new_plugin(name, kind, registry.load())
    folder = Path(plugin.package) if out is None else out
    files = scaffold.write(plugin, folder)
    following = [f"cd {shlex.quote(str(folder))}", "pip install -e '.[dev]'", "pytest", plugin.check, plugin.run]
    if as_json:
        emit({"package": plugin.package, "folder": str(folder), "files": list(map(str, files)), "next": following})
        return
    click.echo(f"{plugin.package}: {kind} {plugin.name}, in {len(files)} files")
    for file in files:
        click.echo(f"  {file}")
    click.echo("It works as it is; make it yours after:")
    for command in following:
        click.echo(f"  {command}")


def _offers(reference: str) -> list[Offer]:
    """The components of that name, of each kind where none is given. Raises ConfigError where there is none."""
    from dfukit import registry
    from dfukit.errors import ConfigError

    known = registry.load()
    kind, _, name = reference.rpartition("/")
    kinds = (
        [kind]
        if kind
        else [kind for kind in registry.HOOKS if any(o.component.name == name for o in known.of_kind(kind))]
    )
    if not kinds:
        names = sorted({offer.component.name for offer in known.offers})
        raise ConfigError(f"no component is called {name}; installed: {', '.join(names)}")
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
