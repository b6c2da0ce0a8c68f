"""A new plugin: a package that installs, passes its own tests and runs at once, for its author to change."""

from __future__ import annotations

import importlib.util
import re
from importlib import metadata
from pathlib import Path

from attrs import frozen
from jinja2 import Environment, PackageLoader, StrictUndefined

from dfukit import __version__
from dfukit.component import run_options, section
from dfukit.errors import ConfigError
from dfukit.registry import HOOKS, Registry

LONGEST = 30
RESERVED = ("auto",)
"""Words that settings understand in place of a component's name."""


@frozen
class NewPlugin:
    """The names of a plugin that is to be written. `name` is its component's: small letters, digits and underscores."""

    name: str
    kind: str

    @property
    def package(self) -> str:
        """What pip installs."""
        return "dfukit-" + self.name.replace("_", "-")

    @property
    def module(self) -> str:
        """What Python imports."""
        return f"dfukit_{self.name}"

    @property
    def check(self) -> str:
        """The command that checks it once it is installed."""
        return f"dfukit plugins check {self.kind}/{self.name}"

    @property
    def run(self) -> str:
        """The command that uses it once it is installed."""
        return f"dfukit run --preset smoke {run_options(self.kind, self.name)}"

    def files(self) -> dict[str, str]:
        """Every file of the package: its path with slashes, and its text."""
        templates = {
            "pyproject.toml": "package/pyproject.toml.j2",
            "README.md": "package/README.md.j2",
            ".gitignore": "package/gitignore.j2",
            ".github/workflows/test.yml": "package/workflow.yml.j2",
            f"{self.module}/__init__.py": f"{self.kind}/__init__.py.j2",
            f"{self.module}/{self.kind}.py": f"{self.kind}/{self.kind}.py.j2",
            f"tests/test_{self.name}.py": f"{self.kind}/test.py.j2",
        }
        environment = Environment(
            loader=PackageLoader("dfukit.scaffold", "."), undefined=StrictUndefined, keep_trailing_newline=True
        )
        words = {
            "name": self.name,
            "kind": self.kind,
            "package": self.package,
            "module": self.module,
            "check": self.check,
            "run": self.run,
            "title": "".join(part.capitalize() for part in self.name.split("_")),
            "section": section(self.kind, self.name),
            "plural": HOOKS[self.kind],
            "article": "an" if self.kind[0] in "aeiou" else "a",
            "version": __version__,
        }
        made = {path: environment.get_template(template).render(words) for path, template in templates.items()}
        return {**made, f"{self.module}/py.typed": ""}


def new_plugin(name: str, kind: str, known: Registry) -> NewPlugin:
    """The plugin of that name, given with or without "dfukit-" before it.

    Raises ConfigError for a name that is none, or is taken by a component, a package or a module.
    """
    plain = name.removeprefix("dfukit-").replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", plain) or len(plain) > LONGEST:
        raise ConfigError(
            f"{name!r} cannot name a plugin: small letters, digits and single hyphens, a letter first, "
            f"{LONGEST} at most, for instance small-unet"
        )
    if plain in RESERVED:
        raise ConfigError(f"{plain} has a meaning of its own in settings: choose another name")
    for offer in known.offers:
        if offer.component.name == plain:
            raise ConfigError(
                f"{plain} is the name of {offer.kind} {plain} of {offer.package} {offer.version}: choose another name"
            )
    made = NewPlugin(plain, kind)
    if _installed(made.package):
        raise ConfigError(f"a package {made.package} is installed: choose another name, or pip uninstall it")
    if importlib.util.find_spec(made.module) is not None:
        raise ConfigError(f"a module {made.module} is there already: choose another name")
    return made


def write(plugin: NewPlugin, out: Path) -> list[Path]:
    """Write the package into a folder that is absent or empty, but for a `.git`; its files come back.

    Raises ConfigError where the folder holds something else or cannot be written.
    """
    try:
        if out.exists() and any(inside.name != ".git" for inside in out.iterdir()):
            raise ConfigError(f"{out} is not empty: name another folder with --out")
        written = []
        for path, text in plugin.files().items():
            file = out / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
            written.append(file)
        return written
    except OSError as error:
        raise ConfigError(f"{out}: cannot write there ({error.strerror or error})") from None


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
