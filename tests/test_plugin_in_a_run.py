"""A plugin that fails inside a run ends it by its name; a run outlives the plugins that it was made with."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hostile
import moody
import pytest

import dfukit
from dfukit import PluginError, registry
from dfukit.rundir import RunDir

pytestmark = pytest.mark.usefixtures("offline")

Ask = Callable[..., tuple[int, str, str]]
QUICK = {"run.threads": 1, "run.precision": "fp32"}


@pytest.fixture
def installed(tmp_path: Path, offline: None) -> Iterator[None]:
    with moody.installed(tmp_path / "site"):
        yield


def components(**failing: str) -> dict[str, Any]:
    """Arguments of a run with a moody part that fails, quick classifiers, and settings."""
    slot, does = next(iter(failing.items()))
    kind = "augmentation" if slot == "classifier_augmentation" else slot
    section = f"{kind}.moody" if kind in ("metric", "extractor") else slot
    settings: dict[str, Any] = {**QUICK, f"{section}.does": does}
    named: dict[str, Any] = {"classifier": "critic_lstm"}
    if slot == "metric":
        named["metrics"] = ["moody", "psnr"]
    elif slot == "extractor":
        settings |= {"gan.extractor": "moody", "data.phantom_patients": 40}  # enough for a stopping distance
    elif slot == "classifier_augmentation":
        settings["classifier_augmentation.name"] = "moody"
    else:
        named[slot] = "moody"
    return {**named, "settings": settings}


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("slot", "does"),
    [
        ("generator", "raises"),
        ("generator", "shape"),
        ("generator", "nan"),
        ("critic", "raises"),
        ("loss", "raises"),
        ("loss", "detaches"),
        ("augmentation", "exits"),
        ("classifier", "raises"),
        pytest.param("extractor", "raises", marks=pytest.mark.slow),
        pytest.param("classifier_augmentation", "raises", marks=pytest.mark.slow),
    ],
)
def test_a_part_that_fails_ends_the_run_by_its_name(slot: str, does: str, tmp_path: Path) -> None:
    kind = slot.removeprefix("classifier_")
    with pytest.raises(PluginError, match=f"{kind} moody of dfukit-moody 0.5 ") as ended:
        dfukit.run(preset="smoke", out=tmp_path, name="failing", **components(**{slot: does}))
    kept = RunDir(tmp_path / "failing").traceback
    assert kept.is_file() == (does not in ("shape", "nan"))  # where nothing was raised, the text says all
    if kept.is_file():
        assert ("parts.py" if does != "detaches" else "backward") in kept.read_text()
        assert str(kept) in str(ended.value)


@pytest.mark.usefixtures("installed")
def test_the_command_ends_with_4_and_one_line(ask: Ask, tmp_path: Path) -> None:
    options = ("--out", tmp_path, "--name", "failing", "--set", "generator.does=raises")
    code, out, err = ask("run", "--preset", "smoke", "--generator", "moody", *options)
    assert (code, out) == (4, "")
    assert err.strip().splitlines()[-1] == (
        "Error: generator moody of dfukit-moody 0.5 failed: ValueError: not in the mood "
        f"(traceback in {tmp_path / 'failing' / 'traceback.txt'})"
    )
    assert "Traceback" not in err


@pytest.mark.usefixtures("installed")
def test_a_repaired_plugin_goes_on_with_the_run(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDir(tmp_path / "failing")
    with pytest.raises(PluginError):
        dfukit.run(preset="smoke", out=tmp_path, name="failing", **components(loss="raises"))
    import dfukit_moody.parts as parts

    monkeypatch.setattr(parts, "mood", lambda does, result: result)
    code, _, err = ask("train", "--resume", run.path)
    assert code == 0, err
    assert run.generator_weights.is_file()
    assert not run.traceback.exists()


@pytest.mark.usefixtures("installed")
def test_a_metric_that_fails_leaves_a_whole_run_that_exits_4(ask: Ask, tmp_path: Path) -> None:
    options = ["--set", "metric.moody.does=raises", "--set", "run.threads=1", "--classifier", "critic_lstm"]
    options += ["--metric", "moody", "--metric", "psnr", "--out", str(tmp_path), "--name", "failing", "--json"]
    code, out, err = ask("run", "--preset", "smoke", *options)
    assert code == 4, err
    run = RunDir(tmp_path / "failing")
    assert run.report.is_file()
    scores = json.loads(out)["scores"]
    assert scores["psnr"]["value"] is not None
    (failed,) = [entry for name, entry in scores.items() if entry.get("failed") and "@" not in name]
    assert failed["reason"] == "metric moody of dfukit-moody 0.5 failed: ValueError: not in the mood"
    assert "metric moody of dfukit-moody 0.5 failed" in err.strip().splitlines()[-1]


def test_a_run_goes_on_without_a_plugin_that_it_does_not_name(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(hostile.install(tmp_path / "site", hostile.codes("exit_1", "good"))))
    registry.load.cache_clear()
    code, _, err = ask("train", "--preset", "smoke", "--set", "run.threads=1", "--out", tmp_path, "--name", "going")
    registry.load.cache_clear()
    assert code == 0, err
    (warning,) = [line for line in err.splitlines() if "left out" in line]
    assert warning.startswith("warning: left out: plugin exit_1 of third-exit-1 0.5: ended the process")
    assert "pip uninstall third-exit-1" in warning
    environment = json.loads(RunDir(tmp_path / "going").environment.read_text())
    assert environment["broken_plugins"]
    assert environment["components"]["generator/lstm_wgan"].startswith("dfukit ")


@pytest.fixture(scope="module")
def outlived(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> dfukit.Run:
    """A run of parts that were uninstalled since."""
    folder = tmp_path_factory.mktemp("outlived")
    with pytest.MonkeyPatch.context() as patch, moody.installed(folder / "site"):
        patch.setenv("DFUKIT_CACHE_DIR", str(cache))
        patch.setenv("DFUKIT_OFFLINE", "1")
        return dfukit.run(
            preset="smoke",
            generator="moody",
            classifier="moody",
            metrics=["moody", "psnr", "copies"],
            settings={**QUICK, "generator.width": 4, "extractor.moody.width": 8},
            out=folder,
            name="outlived",
        )


@pytest.fixture
def uninstalled(outlived: dfukit.Run, monkeypatch: pytest.MonkeyPatch) -> dfukit.Run:
    for name in [name for name in sys.modules if name.startswith(("dfukit_moody", "dfukit_toys"))]:
        monkeypatch.delitem(sys.modules, name)
    registry.load.cache_clear()
    assert not any(offer.component.name == "moody" for offer in registry.load().offers)
    return outlived


def test_its_report_is_written_anew(uninstalled: dfukit.Run, ask: Ask) -> None:
    report = RunDir(uninstalled.path).report
    report.unlink()
    code, _, err = ask("report", uninstalled.path)
    assert code == 0, err
    assert "generator.width" in report.read_text()


def test_its_pictures_are_scored(uninstalled: dfukit.Run, ask: Ask) -> None:
    code, out, err = ask("score", uninstalled.path, uninstalled.path, "--metric", "psnr", "--device", "cpu", "--json")
    assert code == 0, err
    assert json.loads(out)["psnr"]["value"] is not None


@pytest.mark.parametrize(
    ("command", "part"),
    [
        (["sample", "RUN", "--count", "2", "--out", "OUT"], "generator"),
        (["predict", "RUN", "missing.png"], "classifier"),
    ],
)
def test_its_weights_say_which_package_is_missing(
    uninstalled: dfukit.Run, ask: Ask, tmp_path: Path, command: list[str], part: str
) -> None:
    places = {"RUN": str(uninstalled.path), "OUT": str(tmp_path / "out")}
    code, _, err = ask(*(places.get(word, word) for word in command))
    assert code == 3
    assert f"needs the {part} moody of dfukit-moody 0.5 (pip install dfukit-moody==0.5)" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("command", "part"), [(["classify"], "classifier"), (["run", "--resume"], "generator")])
def test_training_it_on_says_which_package_is_missing(
    uninstalled: dfukit.Run, ask: Ask, command: list[str], part: str
) -> None:
    sums = RunDir(uninstalled.path).sums.read_bytes()
    code, _, err = ask(*command, uninstalled.path)
    assert code == 4
    assert RunDir(uninstalled.path).sums.read_bytes() == sums
    assert f"{part} moody of dfukit-moody 0.5 is not installed: pip install dfukit-moody==0.5" in err


def test_a_wrong_setting_of_what_is_installed_is_still_a_wrong_setting(
    uninstalled: dfukit.Run, ask: Ask, tmp_path: Path
) -> None:
    copied = RunDir(tmp_path / "copied")
    shutil.copytree(uninstalled.path, copied.path)
    copied.config.write_text(copied.config.read_text().replace("critic_steps", "critic_step"))
    for command in (["report"], ["run", "--resume"]):
        code, _, err = ask(*command, copied.path)
        assert code == 2
        assert 'loss.critic_step is not a setting, did you mean "critic_steps"?' in err


def test_it_is_verified_but_for_its_weights(uninstalled: dfukit.Run, ask: Ask) -> None:
    code, out, err = ask("verify", uninstalled.path)
    assert code == 0, out + err
    for name in ("generator", "classifier"):
        assert f"note: {name}.safetensors could not be looked into: " in out
    assert "pip install dfukit-moody==0.5" in out
    assert "nothing wrong" in out
