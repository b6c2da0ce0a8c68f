"""The pages of the documentation that say what the code says: settings.md and command-line.md.

python docs/generate.py writes them; a test compares.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from dfukit import cli, config, registry, sections, settings
from dfukit.component import KINDS

DOCS = Path(__file__).resolve().parent

SETTINGS = """\
# Settings

Every setting of a run: its section, default, bounds and meaning. Written from the code by `python docs/generate.py`.

`--set gan.batch_size=32` sets one on the command line, `[gan]` with `batch_size = 32` in a file for `--config`, and
`settings={"gan.batch_size": 32}` from Python. Later wins: defaults, what components suggest, preset, `--config`, named
options, `--set`. `dfukit run --dry-run` prints every value with where it comes from. There is no null: empty text means
"not set".
"""
COMMAND_LINE = """\
# Command line

Every command with its arguments and options. Written from the code by `python docs/generate.py`.

Results go to standard output, everything else to standard error. `--json` prints one JSON document. `--debug`, anywhere
on the line, shows the traceback of an error.

| exit code | means |
|---|---|
| 0 | done |
| 1 | something outside dfukit failed, such as a full disk, or an error of dfukit itself |
| 2 | a wrong option, setting, component name or positive class |
| 3 | missing or unusable pictures, tables, weights; a bundle that is not what it says |
| 4 | a plugin that does not load or breaks its promise |
| 5 | training left the finite numbers and could not be brought back |
| 6 | the synthetic set failed its release check |
| 130 | interrupted; what was reached is saved |

Variables: `DFUKIT_CACHE_DIR` is where decoded pictures, features, weights and the test ledger lie, `DFUKIT_OFFLINE=1`
forbids downloads, and `DFUKIT_PLUGINS=a,b` restricts the plugins that are loaded beyond the built-in ones to
these packages or entry points.
"""


def pages() -> dict[str, str]:
    """The generated pages by file name."""
    return {
        "settings.md": "\n".join([SETTINGS, *_sections(), *_components(), *_presets()]),
        "command-line.md": "\n".join([COMMAND_LINE, *_commands()]),
    }


def _sections() -> Iterator[str]:
    yield "## Sections\n"
    for name, declared in sections.SECTIONS.items():
        yield f"### {name}\n\n{declared.__doc__}\n"
        yield from _table(f"{name}.", declared)


def _components() -> Iterator[str]:
    yield "## Components\n"
    slots = ", ".join(f"`{slot}`" for slot in config.SLOTS)
    yield (
        f"Those that come with dfukit, by kind. The section of a slot ({slots}) holds `name` and the settings of that "
        "component; `metric.NAME` and `extractor.NAME` those of a metric and an extractor.\n"
    )
    built_in = [offer for offer in registry.load().offers if offer.package == "dfukit"]
    for kind in KINDS:
        for offer in sorted((o for o in built_in if o.kind == kind), key=lambda o: o.component.name):
            component = offer.component
            yield f"### {kind}/{component.name}\n\n{_capital(component.summary)}.\n"
            prefix = f"{kind}.{component.name}." if kind in ("metric", "extractor") else f"{kind}."
            yield from _table(prefix, component.settings)
            for section, values in component.suggests.items():
                told = ", ".join(f"`{section}.{key} = {_toml(value)}`" for key, value in values.items())
                yield f"Suggests {told}.\n"
            if component.citation:
                yield f"{component.citation}.\n"


def _presets() -> Iterator[str]:
    yield "## Presets\n"
    yield "A preset tunes the components that it names, and never chooses them. As a file for `--config` it does.\n"
    for name in config.PRESETS:
        text = importlib.resources.files("dfukit").joinpath("presets", f"{name}.toml").read_text("utf-8")
        yield f"### Preset {name}\n\n```toml\n{text.rstrip()}\n```\n"


def _table(prefix: str, declared: type) -> Iterator[str]:
    known = settings.known(declared)
    if not known:
        return
    yield "| setting | default | is | meaning |\n|---|---|---|---|"
    for one in known:
        yield f"| `{prefix}{one['name']}` | `{_toml(one['default'])}` | {_kind(one)} | {_cell(one['help'])} |"
    yield ""


def _kind(one: dict[str, Any]) -> str:
    words = {"low": "at least", "above": "above", "high": "at most"}
    limits = [f"{word} {_toml(one[key])}" for key, word in words.items() if key in one]
    if "options" in one:
        return "one of " + ", ".join(f"`{option}`" for option in one["options"])
    return ", ".join([one["type"], *limits])


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def _commands() -> Iterator[str]:
    for name in cli.COMMANDS:
        command = cli.group.get_command(click.Context(cli.group), name)
        if isinstance(command, click.Group):
            yield f"## dfukit {name}\n\n{_help(command)}\n"
            for inner in sorted(command.commands):
                yield from _command(f"dfukit {name} {inner}", command.commands[inner], "###")
        elif command is not None:
            yield from _command(f"dfukit {name}", command, "##")


def _command(name: str, command: click.Command, heading: str) -> Iterator[str]:
    arguments = [_metavar(one) for one in command.params if isinstance(one, click.Argument)]
    yield f"{heading} {name}\n\n```text\n{' '.join([name, '[OPTIONS]', *arguments])}\n```\n\n{_help(command)}\n"
    yield "| option | meaning |\n|---|---|"
    for option in command.params:
        if isinstance(option, click.Option):
            value = "" if option.is_flag else f" {_metavar(option)}"
            yield f"| `{', '.join(option.opts)}{_cell(value)}` | {_cell(option.help or '')} |"
    yield ""


def _metavar(parameter: click.Parameter) -> str:
    if parameter.metavar:
        return parameter.metavar
    if isinstance(parameter, click.Argument):
        return (parameter.name or "").upper()
    return "PATH" if isinstance(parameter.type, click.Path) else parameter.type.name.upper()


def _help(command: click.Command) -> str:
    """The paragraphs of a command's help, each on one line."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in (command.help or "").split("\n\n"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


@click.command()
def write() -> None:
    """Write settings.md and command-line.md anew, from the code."""
    for name, text in pages().items():
        (DOCS / name).write_text(text, "utf-8")


if __name__ == "__main__":
    write()
