"""A training that begins with the weights of another run: what these learnt from counts as learnt."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import evolve

from dfukit import ancestry, phantom, registry, release, rundir, synthetic
from dfukit.config import RunConfig, resolve
from dfukit.device import Compute
from dfukit.errors import DataError
from dfukit.images import ImageSet, Split, load, make_split, write_split
from dfukit.progress import Silent
from dfukit.rundir import RunDir
from dfukit.sample import Samples

SMALL = {"gan.size": 32, "score.metrics": ["copies"], "release.min_nearest_ratio": 0.0, "metric.copies.planted": 10}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of photographs, `old` and `new`, that have no picture in common."""
    folder = tmp_path_factory.mktemp("drawn")
    for seed, name in enumerate(("old", "new")):
        phantom.write_folder(folder / name, 16, 2, seed, 64)
    return folder


@pytest.fixture(autouse=True)
def folders(drawn: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Copies of them that a test may change."""
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("DFUKIT_OFFLINE", "1")
    for name in ("old", "new"):
        shutil.copytree(drawn / name, tmp_path / name)


def configured(data: Path, **settings: Any) -> RunConfig:
    return resolve(registry.load(), preset="smoke", settings={**SMALL, "data.path": str(data), **settings})


def divided(config: RunConfig) -> tuple[ImageSet, Split]:
    images = load(config.data)
    return images, make_split(images, config.data)


def earlier_run(folder: Path, **settings: Any) -> RunDir:
    """What is left of a run on the folder `old`: its configuration and its split."""
    run, config = RunDir(folder), configured(folder.parent / "old", **settings)
    folder.mkdir()
    rundir.write_toml(run.config, config.as_table())
    write_split(run.split, *divided(config))
    return run


def test_the_runs_behind_the_first_weights_are_followed(tmp_path: Path) -> None:
    first = earlier_run(tmp_path / "first")
    second = earlier_run(tmp_path / "second", **{"gan.start_from": str(first.path)})
    assert [run.name for run in ancestry.ancestors(str(second.path))] == ["second", "first"]
    assert [run.name for run in ancestry.ancestors(str(tmp_path / "gone"))] == ["gone"]
    assert ancestry.ancestors("") == []


def check(config: RunConfig, said: Any = Silent) -> None:
    ancestry.check(config, *divided(config), said())


def test_test_pictures_that_the_first_weights_learnt_from_are_refused(tmp_path: Path) -> None:
    first = earlier_run(tmp_path / "first")
    second = earlier_run(tmp_path / "second", **{"gan.start_from": str(first.path)})
    told = {"gan.start_from": str(second.path)}
    check(configured(tmp_path / "old", **told))  # the same pictures in the same parts
    check(configured(tmp_path / "new", **told))
    with pytest.raises(
        DataError, match=rf"gan\.start_from: {second.path} learnt from \d+ pictures of this run's"
    ) as no:
        check(configured(tmp_path / "old", **told, **{"data.split_seed": 1}))
    assert "leave out all pictures of these patients, or give the data settings of that run" in str(no.value)


def test_test_patients_that_the_first_weights_learnt_from_are_refused_with_other_pictures(tmp_path: Path) -> None:
    first = earlier_run(tmp_path / "first")
    shutil.rmtree(tmp_path / "old")
    phantom.write_folder(tmp_path / "old", 16, 2, 2, 64)
    told = {"gan.start_from": str(first.path), "data.split_seed": 1}
    with pytest.raises(
        DataError, match=r"learnt from \d+ patients of this run's validation and test part \(patient_00\d\d"
    ):
        check(configured(tmp_path / "old", **told))
    check(configured(tmp_path / "old", **told, **{"data.patient_pattern": r"(\d+_\d)\.png"}))  # others, by their names


def test_patients_of_another_folder_who_are_called_alike_are_warned_of(tmp_path: Path) -> None:
    first = earlier_run(tmp_path / "first")
    config = configured(tmp_path / "new", **{"gan.start_from": str(first.path), "data.split_seed": 1})
    images, split = divided(config)

    def warnings(**changed: bool) -> list[str]:
        said: list[str] = []
        ancestry.check(config, evolve(images, **changed), split, heard(said)())
        return said

    (warning,) = warnings()
    assert re.search(rf"\d+ patients .* are called like patients that {first.path} learnt from \(patient_00", warning)
    assert warnings(phantom=True) == warnings(patients_known=False) == []


def heard(said: list[str]) -> type[Silent]:
    """A progress that notes what it is told."""

    class Heard(Silent):
        def say(self, text: str) -> None:
            said.append(text)

    return Heard


def test_a_run_whose_split_is_gone_is_warned_of(tmp_path: Path) -> None:
    said: list[str] = []
    first = earlier_run(tmp_path / "first")
    first.split.unlink()
    check(configured(tmp_path / "new", **{"gan.start_from": str(first.path)}), heard(said))
    assert said == [
        f"warning: {first.path} has no split.csv: whether it learnt from pictures of this run's validation and test "
        "part cannot be told"
    ]


def audited(folder: RunDir, first: RunDir) -> tuple[release.Release, list[str], list[str]]:
    """The verdict on a set of noise and two training pictures of the first run, what it copies, and their names."""
    config = configured(first.path.parent / "new", **{"gan.start_from": str(first.path)})
    images, split = divided(config)
    before, parts = divided(configured(first.path.parent / "old"))
    index = parts.train[:2]
    noise = np.random.default_rng(0).integers(0, 256, (38, 32, 32, 3))
    made = np.concatenate([before.at(32)[index], noise]).astype(np.uint8)
    samples = Samples(made, np.arange(40) % 2, images.classes, 1, "synthetic")
    folder.path.mkdir()
    compute = Compute(torch.device("cpu"), bf16=False)
    _, verdict = synthetic.score_samples(config, folder, compute, images, split, samples, Silent())
    found = []
    if folder.flagged.is_dir():
        with (folder.flagged / "flagged.csv").open(newline="") as file:
            found = [row["of"] for row in csv.DictReader(file)]
    return verdict, found, [f"first: {before.paths[i]}" for i in index]


def test_pictures_that_the_first_weights_learnt_from_are_audited(tmp_path: Path) -> None:
    first = earlier_run(tmp_path / "first")
    verdict, found, names = audited(RunDir(tmp_path / "second"), first)
    assert (verdict.passed, verdict.flagged, found) == (True, 2, names)


def test_a_set_is_not_passed_where_they_cannot_be_had(tmp_path: Path) -> None:
    first = earlier_run(tmp_path / "first")
    first.split.unlink()
    verdict, found, _ = audited(RunDir(tmp_path / "second"), first)
    assert (verdict.passed, found) == (None, [])
    assert "the training pictures of 1 earlier runs (gan.start_from) could not be compared with" in verdict.as_text()
