"""Packages as `dfukit plugins new` writes them, installed or as good as installed."""

from __future__ import annotations

from pathlib import Path

from dfukit import registry, scaffold
from dfukit.component import KINDS
from dfukit.scaffold import NewPlugin


def written(parent: Path, kind: str, name: str = "") -> tuple[NewPlugin, Path]:
    """A new plugin and its folder in `parent`."""
    plugin = scaffold.new_plugin(name or f"fresh-{kind}", kind, registry.load())
    folder = parent / plugin.package
    scaffold.write(plugin, folder)
    return plugin, folder


def written_of_each_kind(parent: Path) -> list[tuple[NewPlugin, Path]]:
    return [written(parent, kind) for kind in KINDS]


def installed(plugin: NewPlugin, folder: Path) -> None:
    """Whoever has the folder on the path finds the package installed there."""
    info = folder / f"{plugin.module}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {plugin.package}\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[dfukit]\n{plugin.name} = {plugin.module}\n")
