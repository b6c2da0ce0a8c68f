"""Plugins are found by entry point; what broken ones do, test_hostile_plugins asks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dfukit import Component, ConfigError, PluginError, frozen, registry, whole
from dfukit.component import KINDS
from dfukit.registry import Broken, Offer, Registry

PLUGIN = {
    "good": "from dfukit import Component, frozen, hookimpl, whole\n"
    "@frozen\nclass S:\n    width: int = whole(8, 'channels', low=1)\n"
    "@hookimpl\ndef generators():\n    return [Component(name='good', settings=S, target='good:G', summary='good')]\n",
    "no_list": "from dfukit import hookimpl\n@hookimpl\ndef critics():\n    return 3\n",
}


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder of installed distributions, one for each plugin above."""
    for name, code in PLUGIN.items():
        (tmp_path / f"plugin_{name}.py").write_text(code)
        info = tmp_path / f"third_{name}-0.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: third-{name}\nVersion: 0.5\n")
        (info / "entry_points.txt").write_text(f"[dfukit]\n{name} = plugin_{name}\n")
    return tmp_path


def ask(installed: Path, code: str, **environment: str) -> str:
    """What a fresh interpreter prints that sees those distributions."""
    result = subprocess.run(
        [sys.executable, "-c", f"from dfukit import registry; known = registry.load(); {code}"],
        env={**os.environ, "PYTHONPATH": str(installed), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.strip()


def test_every_kind_has_a_built_in_component() -> None:
    for kind in KINDS:
        assert any(offer.package == "dfukit" for offer in registry.load().of_kind(kind)), kind


def test_a_missing_component_names_the_plugins_that_did_not_load(installed: Path) -> None:
    code = (
        "from dfukit import PluginError\ntry: known.find('critic', 'absent')\nexcept PluginError as error: print(error)"
    )
    assert "plugin no_list of third-no_list 0.5: critics() must return" in ask(installed, "\n" + code)


def test_plugins_can_be_restricted(installed: Path) -> None:
    packages = "print(*sorted({offer.package for offer in known.offers}), len(known.broken))"
    assert ask(installed, packages, DFUKIT_PLUGINS="") == "dfukit 0"
    assert ask(installed, packages, DFUKIT_PLUGINS="third-good") == "dfukit third-good 0"


@frozen
class Settings:
    width: int = whole(8, "channels", low=1)


def offer(name: str, package: str, target: str = "nowhere:Network") -> Offer:
    return Offer(
        "generator", Component(name=name, settings=Settings, target=target, summary=""), package, package, "1.0"
    )


def test_a_name_that_is_offered_twice_is_an_error_when_chosen() -> None:
    known = Registry((offer("twin", "first"), offer("twin", "second"), offer("single", "first")))
    assert known.find("generator", "single").package == "first"
    with pytest.raises(ConfigError, match=r"twin is offered by first 1\.0 and second 1\.0"):
        known.find("generator", "twin")


def test_an_unknown_kind_or_name_is_guessed() -> None:
    known = Registry((offer("lstm", "first"),), (Broken("b", "bad", "2", "ImportError: x"),))
    with pytest.raises(ConfigError, match='did you mean "lstm"'):
        known.find("generator", "lstn")
    with pytest.raises(ConfigError, match='did you mean "generator"'):
        known.find("generators", "lstm")


def test_a_target_that_cannot_be_imported_names_its_package() -> None:
    chosen = Registry((offer("lstm", "first"),)).choose("generator", "lstm", {})
    with pytest.raises(PluginError, match=r"generator lstm of first 1\.0: cannot import nowhere:Network"):
        chosen.build()
