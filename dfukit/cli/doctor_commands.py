"""dfukit doctor."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from typing import Any

import click

from dfukit.cli.options import emit, json_option
from dfukit.cli.plugins_commands import complaints


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Versions, devices, disk, weights, broken plugins."""
    found = _examine()
    if as_json:
        emit(found)
        return
    click.echo(f"dfukit {found['dfukit']}, Python {found['python']}, {found['platform']}")
    click.echo("packages: " + ", ".join(f"{name} {version}" for name, version in found["packages"].items()))
    click.echo(f"GPU: {found['gpu']}")
    click.echo(f"fast bfloat16 on this CPU: {'yes' if found['cpu_bf16'] else 'no'}")
    click.echo(f"cache: {found['cache']} ({found['free_gib']} GiB free)")
    for row in found["weights"]:
        click.echo(f"weights {row['name']}: {row['path'] or 'not here: dfukit weights get ' + row['name']}")
    click.echo(f"components: {found['components']}")
    for line in found["plugin_complaints"] or ["no broken plugin"]:
        click.echo(line)


def _examine() -> dict[str, Any]:
    from importlib import metadata

    from dfukit import environment, images, pretrained, registry
    from dfukit.hardware import cpu_bf16, nvidia_gpus

    known = registry.load(anew=True)
    cache = images.cache_dir()
    existing = next(path for path in (cache, *cache.parents) if path.exists())
    return {
        "dfukit": metadata.version("dfukit"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": environment.versions(),
        "gpu": ", ".join(nvidia_gpus()) or "none",
        "cpu_bf16": cpu_bf16(),
        "cache": str(cache),
        "free_gib": round(shutil.disk_usage(existing).free / 2**30, 1),
        "weights": pretrained.default_store().list(),
        "components": len(known.offers),
        "broken_plugins": [str(culprit) for culprit in known.broken],
        "plugin_complaints": complaints(known),
        "working_directory_writable": _writable(Path.cwd()),
    }


def _writable(folder: Path) -> bool:
    import os

    return os.access(folder, os.W_OK)
