"""`dfukit sample`: pictures are saved as they are drawn, into a folder that holds nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Ask
from PIL import Image

from dfukit import ConfigError, config, manifest, registry, weights
from dfukit.component import ImageSpec
from dfukit.progress import Silent
from dfukit.sample import BATCH, LoadedGenerator, load_generator
from dfukit.weights import Description

COUNT = 2 * BATCH + 3


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of a small untrained generator."""
    tables = {"generator": {"name": "lstm_wgan", "lstm_hidden": 8, "lstm_layers": 1}}
    resolved = config.resolve(registry.load(), preset="smoke", flags=tables)
    description = Description(resolved.generator, ImageSpec(16, 3, ("clean", "infected"), "infected"))
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("generator") / "generator.safetensors"
    weights.write(path, description.build(), description)
    return path


@pytest.fixture
def whole(generator: Path, tmp_path: Path) -> dict[str, bytes]:
    """The pictures and the table that Python writes at once."""
    load_generator(generator).sample(COUNT, seed=3).save(tmp_path / "whole")
    return files(tmp_path / "whole")


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def command(generator: Path, out: Path, *more: object) -> tuple[object, ...]:
    return ("sample", generator, "--count", COUNT, "--seed", 3, "--out", out, *more)


def interrupt(monkeypatch: pytest.MonkeyPatch, batch: int) -> Callable[[], None]:
    """Ctrl-C as this batch, from 0, is drawn. Returns what takes it back."""
    draw, drawn = LoadedGenerator.draw, []

    def interrupted(*told: Any) -> Any:
        if len(drawn) == batch:
            raise KeyboardInterrupt
        drawn.append(told)
        return draw(*told)

    monkeypatch.setattr(LoadedGenerator, "draw", interrupted)
    return lambda: monkeypatch.setattr(LoadedGenerator, "draw", draw)


def test_the_command_writes_what_python_writes(
    generator: Path, whole: dict[str, bytes], tmp_path: Path, ask: Ask
) -> None:
    code, out, err = ask(*command(generator, tmp_path / "made", "--json"))
    assert (code, json.loads(out)) == (0, {"folder": str(tmp_path / "made"), "pictures": COUNT})
    assert files(tmp_path / "made") == whole
    assert f"drawing pictures: {COUNT}/{COUNT}" in err


def test_an_interruption_keeps_what_was_drawn_and_the_same_command_goes_on_to_the_same_bytes(
    generator: Path, whole: dict[str, bytes], tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "made"
    undo = interrupt(monkeypatch, 1)
    code, out, err = ask(*command(generator, made))
    assert (code, out) == (130, "")
    assert err.splitlines()[-1].endswith(f"the pictures so far are in {made}: the same command goes on")
    undo()
    first = files(made)
    assert len(first) == BATCH
    assert manifest.FILE not in first

    # The picture that was being written when the power went.
    (made / "clean" / ".synthetic_000070.png.1.tmp").write_bytes(b"half")
    written = [(made / name).stat().st_mtime_ns for name in first]
    assert ask(*command(generator, made))[0] == 0
    assert [(made / name).stat().st_mtime_ns for name in first] == written  # not drawn again
    assert {name: content for name, content in files(made).items() if ".tmp" not in name} == whole


@pytest.mark.parametrize("other", [("--seed", 4), ("--count", BATCH - 1), ("--truncation", 0.5)])
def test_another_command_does_not_go_on_in_the_folder_of_an_interrupted_one(
    generator: Path, tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch, other: tuple[object, ...]
) -> None:
    undo = interrupt(monkeypatch, 1)
    ask(*command(generator, tmp_path / "made"))
    undo()
    before = files(tmp_path / "made")
    code, _, err = ask(*command(generator, tmp_path / "made", *other))
    assert (code, "none of the pictures that this command draws" in err) == (2, True)
    assert files(tmp_path / "made") == before


@pytest.mark.parametrize("name", ["infected/visit.jpg", "infected/synthetic_000001.png", "notes.txt"])
def test_nothing_is_written_into_a_folder_that_holds_anything_else(
    generator: Path, tmp_path: Path, ask: Ask, name: str
) -> None:
    picture = tmp_path / "photographs" / name
    picture.parent.mkdir(parents=True)
    Image.new("RGB", (40, 40)).save(picture, "PNG")
    before = files(tmp_path / "photographs")
    code, _, err = ask(*command(generator, tmp_path / "photographs"))
    assert (code, err.count("\n")) == (2, 1)
    assert f"photographs is not empty, and {name} is none of the pictures" in err
    assert files(tmp_path / "photographs") == before


def test_an_empty_folder_takes_pictures_whatever_a_desktop_left_there(generator: Path, tmp_path: Path) -> None:
    (tmp_path / "made" / "clean").mkdir(parents=True)
    (tmp_path / "made" / ".DS_Store").touch()
    load_generator(generator).sample_into(tmp_path / "made", 2, Silent())
    assert len(manifest.read(tmp_path / "made" / manifest.FILE)) == 2


def test_a_link_to_photographs_is_no_empty_folder(generator: Path, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "clean").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="clean is none of the pictures"):
        load_generator(generator).sample_into(tmp_path / "made", 2, Silent())


def test_a_device_that_is_not_there_is_named(generator: Path, tmp_path: Path, ask: Ask) -> None:
    code, _, err = ask(*command(generator, tmp_path / "made", "--device", "warp"))
    assert (code, "device warp is not available" in err) == (2, True)
    assert not (tmp_path / "made").exists()


def test_a_folder_that_cannot_be_written_is_named(generator: Path, tmp_path: Path, ask: Ask) -> None:
    (tmp_path / "file").touch()
    code, _, err = ask(*command(generator, tmp_path / "file" / "made"))
    assert (code, f"--out {tmp_path / 'file' / 'made'}: cannot write there" in err) == (2, True)
