"""The example packages as installed plugins, without installing them."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def installed(name: str, place: Path) -> list[str]:
    """Paths that make examples/NAME importable, its entry points among them; `place` takes the metadata."""
    project = tomllib.loads((EXAMPLES / name / "pyproject.toml").read_text("utf-8"))["project"]
    metadata = place / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    offered = [f"{key} = {value}\n" for key, value in project["entry-points"]["dfukit"].items()]
    (metadata / "entry_points.txt").write_text("[dfukit]\n" + "".join(offered))
    return [str(place), str(EXAMPLES / name)]


def python_path(paths: list[str]) -> str:
    """PYTHONPATH of another process that sees them."""
    return os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])])
