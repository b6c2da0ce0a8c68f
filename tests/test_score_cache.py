"""Features and scores that were computed before come from the cache, where all that they depend on is as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from attrs import evolve
from PIL import Image
from scoring_parts import R64, Colour, Nothing, Said, pictures, scores_of, with_ours
from torch import Tensor

import dfukit
from dfukit import environment
from dfukit import registry as registries
from dfukit.component import Component
from dfukit.config import resolve
from dfukit.images import clear_cache, load, make_split, scores_dir, write_split
from dfukit.registry import Offer
from dfukit.rundir import write_toml
from dfukit.scoring import score_folders

WORK = {"features of real", "features of synthetic"}
REAL, FAKE = pictures(0, 14), pictures(1, 14)
FROM_CACHE = "from the cache: these pictures were scored before, with the same weights and versions"


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("DFUKIT_OFFLINE", "1")


class Watched(Said):
    """Also notes the tasks that were at work."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: set[str] = set()

    def update(self, task: str, done: int, total: int, note: str = "") -> None:
        self.tasks.add(f"{task} {note}".strip())


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A real and a synthetic folder."""
    for name, pixels in (("real", REAL), ("fake", FAKE)):
        (tmp_path / name).mkdir()
        for i, picture in enumerate(pixels):
            Image.fromarray(picture).save(tmp_path / name / f"{i}.png")
        (tmp_path / name / "broken.png").write_bytes(name.encode())
    return tmp_path / "real", tmp_path / "fake"


def ask(real: Any = REAL, fake: Any = FAKE, **changes: Any) -> tuple[dict[str, dict[str, Any]], Watched]:
    """Score two sets; the scores, and what was said and done."""
    watched = Watched()
    how: dict[str, Any] = {"metrics": ["kd", "psnr"], "extractor_settings": R64, "device": "cpu"}
    return score_folders(real, fake, **(how | changes), progress=watched), watched


def test_a_second_scoring_reads_no_picture_and_says_the_same(folders: tuple[Path, Path]) -> None:
    first, before = ask(*folders)
    second, after = ask(*folders)
    assert second == first
    assert before.tasks == WORK | {"reading real pictures", "reading synthetic pictures"}
    assert after.tasks == set()
    assert FROM_CACHE in after.lines
    assert [line for line in before.lines if "left out" in line] == [line for line in after.lines if "left out" in line]


def test_renamed_pictures_are_the_same_pictures(folders: tuple[Path, Path]) -> None:
    ask(*folders)
    for place, file in enumerate(sorted(folders[0].glob("[0-9]*.png"))):
        file.rename(folders[0] / f"a{place:03}.png")
    assert FROM_CACHE in ask(*folders)[1].lines


@pytest.mark.parametrize("change", [{"seed": 1}, {"metrics": ["kd"]}, {"metric_settings": {"kd": {"subsets": 7}}}])
def test_another_question_is_answered_anew_from_the_same_features(change: dict[str, Any]) -> None:
    ask()
    watched = ask(**change)[1]
    assert FROM_CACHE not in watched.lines
    assert "features of real from the cache" in watched.tasks
    assert "features of real" not in watched.tasks


def test_other_pictures_are_scored_anew() -> None:
    first = ask()[0]
    second, watched = ask(fake=pictures(9, 14))
    assert FROM_CACHE not in watched.lines
    assert {"features of real from the cache", "features of synthetic"} <= watched.tasks
    assert second != first


def test_another_version_of_dfukit_computes_everything_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    ask()
    monkeypatch.setattr(dfukit, "__version__", "9.9.9")
    assert ask()[1].tasks == WORK


def test_another_version_of_a_package_that_figures_depend_on_computes_everything_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ask()
    monkeypatch.setattr(environment, "versions", lambda: {"kornia": "9.9.9"})
    assert ask()[1].tasks == WORK


def test_other_boxes_of_a_runs_photographs_are_scored_anew(tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for place, pixels in enumerate(pictures(0, 40, 64)):
        Image.fromarray(pixels).save(photographs / f"{place:02d}.png")

    def boxes(x: int) -> None:
        rows = [f"{place:02d}.png,wound,{x},0,32,32" for place in range(40)]
        (photographs / "manifest.csv").write_text("\n".join(["path,label,x,y,w,h", *rows, ""]))

    boxes(0)
    config = resolve(registries.load(), preset="smoke", settings={"data.path": str(photographs)})
    write_toml(tmp_path / "run" / "config.toml", config.as_table())
    images = load(config.data)
    write_split(tmp_path / "run" / "split.csv", images, make_split(images, config.data))
    first, _ = ask(tmp_path / "run")
    again, watched = ask(tmp_path / "run")
    assert FROM_CACHE in watched.lines
    assert again == first
    boxes(32)
    moved, watched = ask(tmp_path / "run")
    assert FROM_CACHE not in watched.lines
    assert moved != first


def test_damaged_files_are_computed_anew() -> None:
    first = ask()[0]
    for file in scores_dir().iterdir():
        content = bytearray(file.read_bytes())
        content[len(content) * 2 // 3] ^= 1
        file.write_bytes(content)
    second, watched = ask()
    assert watched.tasks == WORK
    assert second == first
    for file in scores_dir().iterdir():
        file.write_bytes(file.read_bytes()[:20])
    assert ask()[0] == first


def test_files_of_something_else_under_their_name_are_computed_anew() -> None:
    ask(seed=1)
    other = {file.suffix: file.read_bytes() for file in scores_dir().iterdir()}
    clear_cache()
    first = ask()[0]
    names = [*scores_dir().iterdir()]
    tensors = [file for file in names if file.suffix == ".safetensors"]
    contents = [file.read_bytes() for file in tensors]
    for file, content in zip(tensors, contents[::-1], strict=True):
        file.write_bytes(content)
    for file in names:
        if file.suffix == ".json":
            file.write_bytes(other[".json"])
    second, watched = ask()
    assert watched.tasks == WORK
    assert second == first


def test_the_cache_is_emptied_with_that_of_pictures() -> None:
    ask()
    assert clear_cache() > 0
    assert not any(scores_dir().iterdir())
    assert ask()[1].tasks == WORK


def test_a_cache_that_cannot_be_written_is_told_and_takes_no_score(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path / "file"))
    said = Said()
    scores = score_folders(REAL, FAKE, metrics=["kd"], extractor_settings=R64, device="cpu", progress=said)
    assert scores["kd[r64]"]["value"] is not None
    assert any("cannot be written (Not a directory): set DFUKIT_CACHE_DIR" in line for line in said.lines)


class Weighted(Colour):
    """An extractor whose weights come from elsewhere than its settings and its version."""

    weight: ClassVar[float] = 1.0

    def __init__(self, settings: object) -> None:
        super().__init__(settings)
        self.register_buffer("factor", torch.tensor(Weighted.weight))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"features": super().forward(images)["features"] * self.factor}


def test_other_weights_make_other_features(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = with_ours()
    offer = Offer("extractor", Component("weighted", Nothing, f"{__name__}:Weighted", ""), "tests", "dfukit-tests", "1")
    registry = evolve(installed, offers=(*installed.offers, offer))

    def value() -> float:
        return scores_of({"train": pictures(0, 20)}, pictures(1, 20), ["fd"], registry, extractor="weighted")[
            "fd[weighted]"
        ]["value"]

    first, shown = value(), Colour.shown
    assert value() == first
    assert Colour.shown == shown
    monkeypatch.setattr(Weighted, "weight", 2.0)
    assert value() == pytest.approx(4 * first)
