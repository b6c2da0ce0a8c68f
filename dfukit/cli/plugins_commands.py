"""dfukit plugins list, show, check, new."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from dfukit.cli.options import emit, json_option
from dfukit.component import KINDS, run_options, section

if TYPE_CHECKING:
    from dfukit.registry import Offer, Registry
    from dfukit.testing import Outcome


@click.group()
def plugins() -> None:
    """List, show and check components; begin a new one."""


@plugins.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Every component: kind, name, package, version, summary."""
    from dfukit import registry

    known = registry.load(anew=True)
    if as_json:
        emit([_row(offer) for offer in known.offers])
    else:
        rows = [
            (offer.kind, offer.component.name, offer.source, offer.component.summary)
            for offer in sorted(known.offers, key=lambda offer: (offer.kind, offer.component.name))
        ]
        widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
        for *words, summary in rows:
            columns = [word.ljust(width) for word, width in zip(words, widths, strict=True)]
            click.echo("  ".join([*columns, summary]))
    for line in complaints(known):
        click.echo(line, err=True)


@plugins.command()
@click.argument("reference", metavar="[KIND/]NAME")
@json_option
def show(reference: str, as_json: bool) -> None:
    """A component: its settings with default, type, bounds and help; what it suggests; its citation; its use."""
    rows = [_row(offer) for offer in _offers(reference)]
    if as_json:
        emit(rows)
        return
    for row in rows:
        click.echo(f"{row['kind']}/{row['name']} of {row['package']} {row['version']}: {row['summary']}")
        for setting in row["settings"]:
            key = f"{section(row['kind'], row['name'])}.{setting['name']}"
            # A default as JSON reads as TOML does.
            default = json.dumps(setting["default"], ensure_ascii=False)
            click.echo(f"  {key} = {default}  ({_type(setting)}): {setting['help']}")
        for other, values in row["suggests"].items():
            click.echo(f"  suggests {other}: " + ", ".join(f"{key} = {value!r}" for key, value in values.items()))
        if row["citation"]:
            click.echo(f"  cite: {row['citation']}")
        click.echo(f"  used by: dfukit run {run_options(row['kind'], row['name'])}")


@plugins.command()
@click.argument("references", metavar="[KIND/]NAME...", nargs=-1, required=True)
@json_option
def check(references: tuple[str, ...], as_json: bool) -> None:
    """Whether components keep their kind's promises; exit 4 when one does not."""
    from dfukit.errors import PluginError
    from dfukit.testing import SUITES
    from dfukit.testing import check as outcomes

    entries: list[dict[str, Any]] = []
    failures: list[str] = []
    for offer in [offer for reference in references for offer in _offers(reference)]:
        name = f"{offer.kind}/{offer.component.name} of {offer.source}"
        if not as_json:
            click.echo(name)
        found = []
        for outcome in outcomes(SUITES[offer.kind], offer.component.name):
            found.append(outcome)
            if not as_json:
                status = "FAILED" if outcome.status == "failed" else outcome.status
                click.echo(f"  {status:8} {outcome.check}{f': {outcome.message}' if outcome.message else ''}")
        if not as_json:
            click.echo(f"  {_summed(found)}")
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
        culprits = "".join(f"; {culprit} ({culprit.remedy})" for culprit in known.broken)
        error = PluginError if known.broken and not guess else ConfigError
        raise error(f"no component is called {name}{guess}; installed: {', '.join(names)}{culprits}")
    return [known.find(kind, name) for kind in kinds]


def _type(setting: Mapping[str, Any]) -> str:
    """The type of a setting and its bounds in words."""
    if "options" in setting:
        return f"one of {', '.join(setting['options'])}"
    words = [setting["type"]]
    if "above" in setting:
        words.append(f"above {setting['above']}")
    if "low" in setting and "high" in setting:
        words.append(f"{setting['low']} to {setting['high']}")
    elif "low" in setting:
        words.append(f"at least {setting['low']}")
    elif "high" in setting:
        words.append(f"at most {setting['high']}")
    return ", ".join(words)


def _summed(outcomes: Sequence[Outcome]) -> str:
    """`11 passed, 1 skipped in 3.2 s`."""
    counts = Counter(outcome.status for outcome in outcomes)
    told = ", ".join(f"{counts[status]} {status}" for status in ("passed", "failed", "skipped") if counts[status])
    return f"{told} in {sum(outcome.seconds for outcome in outcomes):.1f} s"


def _row(offer: Any) -> dict[str, Any]:
    from dfukit import settings

    component = offer.component
    return {
        "kind": offer.kind,
        "name": component.name,
        "package": offer.package,
        "version": offer.version,
        "summary": component.summary,
        "target": component.target,
        "settings": settings.known(component.settings),
        "suggests": {section: dict(values) for section, values in component.suggests.items()},
        "citation": component.citation,
    }
