"""What docs/stability.md promises is what public_names.txt lists, name by name and signature by signature.

After a change that is meant: `python tests/test_public_names.py > tests/public_names.txt`.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import click

LISTED = Path(__file__).with_name("public_names.txt")
HANDED_OUT = {
    "dfukit.sample.LoadedGenerator": ("image", "sample"),
    "dfukit.sample.Samples": ("classes", "labels", "paths", "pictures", "pixels", "save"),
    "dfukit.predict.LoadedClassifier": ("image", "positive", "predict", "threshold"),
    "dfukit.predict.Prediction": ("call", "distance", "milliseconds", "path", "positive", "score", "unlike"),
}
"""What public functions return, with the members that are promised."""


def listing() -> Iterator[str]:
    """A line for each public name, in an order that stays."""
    import dfukit
    from dfukit import component, hookspecs, interfaces, loading, registry, testing
    from dfukit.sections import SECTIONS
    from dfukit.settings import known

    yield f"plugin API {component.API_VERSION}, entry points in the group {registry.GROUP}"
    for kind, hook in loading.HOOKS.items():
        yield f"hook {hook}{signature(getattr(hookspecs, hook))}: {kind}"
    for name in sorted(dfukit.__all__):
        yield from described(f"dfukit.{name}", getattr(dfukit, name))
    for name, value in sorted(vars(interfaces).items()):
        if inspect.isclass(value) and value.__module__ == interfaces.__name__:
            yield from described(f"dfukit.interfaces.{name}", value)
    for name in sorted(testing.__all__):
        for line in described(f"dfukit.testing.{name}", getattr(testing, name)):
            if "Suite." not in line or "(" not in line:  # methods of suites are their own affair
                yield line
    for name, members in HANDED_OUT.items():
        value = getattr(importlib.import_module(name.rpartition(".")[0]), name.rpartition(".")[2])
        for line in described(name, value):
            if any(line == f"{name}.{member}" or re.match(rf"{name}\.{member}\W", line) for member in members):
                yield line
    for section, declared in SECTIONS.items():
        yield from (f"setting {section}.{one['name']}: {one['type']}" for one in known(declared))
    yield from files()
    yield from commands("dfukit", group())


def described(name: str, value: Any) -> Iterator[str]:
    """A class with its members, a function with its arguments, or a name alone."""
    if inspect.isclass(value):
        if issubclass(value, BaseException):
            yield f"{name}: exit code {value.exit_code}"  # type: ignore[attr-defined]
            return
        yield f"{name}"
        fields = {field.name: field for field in attrs.fields(value)} if attrs.has(value) else {}
        for field in fields.values():
            if not field.name.startswith("_"):
                default = "" if field.default is attrs.NOTHING or not field.init else " = ..."
                yield f"{name}.{field.name}: {field.type}{default}" if field.init else f"{name}.{field.name}"
        members = {**getattr(value, "__annotations__", {}), **vars(value)}
        for member in sorted(set(members) - set(fields)):
            if member.startswith(("_", "test_")) or member in ("training", "call_super_init", "dump_patches"):
                continue
            found = inspect.getattr_static(value, member, None)
            yield f"{name}.{member}{signature(found)}"
    else:
        yield f"{name}{signature(value)}"


def signature(value: Any) -> str:
    """Arguments with their types and whether they must be given; nothing for what cannot be called."""
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    if not inspect.isroutine(value):
        return ""
    known = inspect.signature(value)
    parts, keyword_only = [], False
    for parameter in known.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            parts.append("*")
            keyword_only = True
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        type_ = "" if parameter.annotation is parameter.empty else f": {parameter.annotation}"
        parts.append(f"{stars}{parameter.name}{type_}{'' if parameter.default is parameter.empty else ' = ...'}")
    returned = "" if known.return_annotation is known.empty else f" -> {known.return_annotation}"
    return f"({', '.join(parts)}){returned}"


def files() -> Iterator[str]:
    """What lies in a run folder."""
    from dfukit.rundir import RunDir

    run = RunDir(Path("RUN"))
    for name, value in sorted(vars(RunDir).items()):
        if isinstance(value, property) and isinstance(found := getattr(run, name), Path):
            yield f"run folder: {found.as_posix()}"


def group() -> click.Group:
    from dfukit.cli import group

    assert isinstance(group, click.Group)
    return group


def commands(name: str, command: click.Command) -> Iterator[str]:
    """A command with its arguments and options, and those below it."""
    yield name
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            yield f"{name} {'|'.join(sorted(parameter.opts + parameter.secondary_opts))}"
        else:
            yield f"{name} {parameter.metavar or str(parameter.name).upper()}"
    if isinstance(command, click.Group):
        context = click.Context(command)
        for inner in sorted(command.list_commands(context)):
            found = command.get_command(context, inner)
            assert found is not None
            yield from commands(f"{name} {inner}", found)


def text() -> str:
    lines = dict.fromkeys(re.sub(r"<class '([\w.]+)'>", r"\1", line) for line in listing())
    return "".join(f"{line}\n" for line in lines)


def test_public_names_are_those_that_are_promised() -> None:
    promised, found = LISTED.read_text("utf-8").splitlines(), text().splitlines()
    changes = [line for line in difflib.ndiff(promised, found) if line.startswith(("-", "+"))]
    assert not changes, (
        "\n".join(["the public names have changed:", *changes])
        + "\nWhat begins with - breaks plugins and scripts: docs/stability.md says how long it must stay. "
        + "If all of this is meant: python tests/test_public_names.py > tests/public_names.txt"
    )


def test_a_removed_argument_is_noticed() -> None:
    def before(data: str, *, seed: int = 0) -> None: ...

    def after(data: str) -> None: ...

    assert signature(before) == "(data: str, *, seed: int = ...) -> None"
    assert signature(before) != signature(after)


if __name__ == "__main__":
    print(text(), end="")
