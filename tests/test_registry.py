"""Plugins are found by entry point; a broken one is named and harms nobody."""

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
    "import_error": "import not_there\n",
    "system_exit": "raise SystemExit(3)\n",
    "no_list": "from dfukit import hookimpl\n@hookimpl\ndef critics():\n    return 3\n",
    "no_component": "from dfukit import hookimpl\n@hookimpl\ndef critics():\n    return [3]\n",
    "misspelt": "from dfukit import hookimpl\n@hookimpl\ndef generatorz():\n    return []\n",
    "future": "from dfukit import Component, hookimpl\n@hookimpl\ndef losses():\n"
    "    return [Component(name='f', settings=object, target='f:F', summary='f', api=9)]\n",
}
REASONS = {
    "import_error": "ModuleNotFoundError: No module named 'not_there'",
    "system_exit": "SystemExit: 3",
    "no_list": "critics() must return a list of Component, got int",
    "no_component": "critics() must return Component objects, got int",
    "misspelt": "generatorz",
    "future": "f is written for plugin API 9; this dfukit speaks 1",
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


def test_each_broken_plugin_is_named_and_the_others_work(installed: Path) -> None:
    assert ask(installed, "print(known.find('generator', 'good').package)") == "third-good"
    told = ask(installed, "print(*known.broken, sep=chr(10))").splitlines()
    assert len(told) == len(REASONS)
    for name, reason in REASONS.items():
        assert any(f"third-{name} 0.5: " in line and reason in line for line in told), (name, told)


def test_a_missing_component_names_the_plugins_that_did_not_load(installed: Path) -> None:
    code = (
        "from dfukit import PluginError\ntry: known.find('critic', 'absent')\nexcept PluginError as error: print(error)"
    )
    assert "plugin no_list of third-no_list 0.5: critics() must return" in ask(installed, "\n" + code)


def test_plugins_can_be_restricted(installed: Path) -> None:
    count = "print(sum(offer.package != 'dfukit' for offer in known.offers), len(known.broken))"
    assert ask(installed, count, DFUKIT_PLUGINS="") == "0 0"
    assert ask(installed, count, DFUKIT_PLUGINS="third-good") == "1 0"
    assert ask(installed, count, DFUKIT_PLUGINS="good,misspelt") == "1 1"
    assert int(ask(installed, "print(len(known.offers))", DFUKIT_PLUGINS="")) > 10


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
