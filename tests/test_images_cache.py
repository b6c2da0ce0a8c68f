"""The cache of decoded pictures: a second start decodes nothing, a change decodes what changed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread, Timer

import numpy as np
import pytest
from PIL import Image

from dfukit import images
from dfukit.errors import DataError
from dfukit.images.cache import locked
from dfukit.images.index import Index
from dfukit.images.pool import Decoded
from dfukit.sections import DataSettings


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(8):
        draw(tmp_path / "feet" / f"{number}.png", number)
    return tmp_path / "feet"


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def decoded(root: Path, **settings: object) -> tuple[images.ImageSet, int]:
    """The pictures, and how many were decoded for them."""
    calls: list[tuple[int, int]] = []
    loaded = images.load(DataSettings(path=str(root), **settings), lambda done, total: calls.append((done, total)))
    assert [done for done, _ in calls] == list(range(1, len(calls) + 1))
    return loaded, len(calls)


def lose_one(root: Path) -> images.ImageSet:
    """The pictures of 150 files, the last of which is not there when it is to be opened, and is there again then."""
    for number in range(8, 150):  # a decoder has at most 128 of them at hand
        draw(root / f"{number}.png", number)
    aside = root.with_name("99.png")

    def lose(done: int, total: int) -> None:
        if done == 1:
            (root / "99.png").rename(aside)

    loaded = images.load(DataSettings(path=str(root)), lose)
    aside.rename(root / "99.png")
    return loaded


def test_a_second_start_decodes_nothing_and_gives_the_same(root: Path) -> None:
    (root / "broken.jpg").write_bytes(b"no picture")
    first, count = decoded(root)
    assert count == 9
    again, count = decoded(root)
    assert count == 0
    assert np.array_equal(first.pixels, again.pixels)
    assert list(first.sha256) == list(again.sha256)
    assert first.check == again.check


def test_a_second_start_opens_no_picture(root: Path) -> None:
    first, _ = decoded(root)
    for path in root.iterdir():
        status = path.stat()
        path.write_bytes(b"?" * status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    again, count = decoded(root)
    assert count == 0
    assert list(again.sha256) == list(first.sha256)
    assert np.array_equal(again.pixels, first.pixels)


def test_only_changed_and_new_files_are_decoded(root: Path) -> None:
    first, _ = decoded(root)
    draw(root / "3.png", 100)
    draw(root / "1b.png", 101)
    (root / "5.png").unlink()
    changed, count = decoded(root)
    assert count == 2
    assert list(changed.paths) == ["0.png", "1.png", "1b.png", "2.png", "3.png", "4.png", "6.png", "7.png"]
    fresh = np.stack([images.decode_picture(root / path, DataSettings()) for path in changed.paths])
    assert np.array_equal(changed.pixels, fresh)
    assert not np.array_equal(changed.pixels[4], first.pixels[3])
    assert decoded(root)[1] == 0


def test_the_order_does_not_depend_on_history(root: Path, cache: Path) -> None:
    decoded(root)
    draw(root / "0a.png", 50)
    grown, _ = decoded(root)
    pixels, paths = np.array(grown.pixels), list(grown.paths)
    images.clear_cache()
    fresh, count = decoded(root)
    assert count == 9
    assert list(fresh.paths) == paths
    assert np.array_equal(fresh.pixels, pixels)


def test_removed_files_leave_the_cache(root: Path, cache: Path) -> None:
    decoded(root)
    for number in range(4):
        (root / f"{number}.png").unlink()
    decoded(root)
    (pixels,) = cache.rglob("pixels-????????????.u8")
    assert pixels.stat().st_size == 4 * 256 * 256 * 3


def test_an_interrupted_start_keeps_what_it_had_decoded(root: Path) -> None:
    for number in range(8, 150):
        draw(root / f"{number}.png", number)

    def stop(done: int, total: int) -> None:
        if done == 140:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        images.load(DataSettings(path=str(root)), stop)
    loaded, count = decoded(root)
    assert count == 150 - 128
    assert np.array_equal(loaded.pixels[77], images.decode_picture(root / loaded.paths[77], DataSettings()))


def test_a_killed_start_leaves_a_usable_cache(root: Path) -> None:
    for number in range(8, 150):
        draw(root / f"{number}.png", number)
    script = (
        "import os, signal, sys\n"
        "from dfukit import images\n"
        "from dfukit.config import DataSettings\n"
        "kill = lambda done, total: done == 100 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "images.load(DataSettings(path=sys.argv[1]), kill)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(root)]).returncode == -9
    loaded, count = decoded(root)
    assert count == 150 - 64
    assert len(loaded.pixels) == 150


def test_a_lost_pixel_file_is_made_again(root: Path, cache: Path) -> None:
    decoded(root)
    (pixels,) = cache.rglob("pixels-????????????.u8")
    pixels.unlink()
    assert decoded(root)[1] == 8


def test_a_shortened_pixel_file_is_made_again(root: Path, cache: Path) -> None:
    decoded(root)
    (pixels,) = cache.rglob("pixels-????????????.u8")
    pixels.write_bytes(pixels.read_bytes()[:-1])
    assert decoded(root)[1] == 8


def test_a_damaged_index_names_the_remedy(root: Path, cache: Path) -> None:
    decoded(root)
    (index,) = cache.rglob("index.sqlite")
    index.write_bytes(b"no database" * 1000)
    with pytest.raises(DataError, match=r"is damaged .*: empty it with `dfukit data clear`"):
        decoded(root)
    images.clear_cache()
    assert decoded(root)[1] == 8


def test_an_index_that_cannot_be_opened_is_not_called_damaged(root: Path, cache: Path) -> None:
    decoded(root)
    (index,) = cache.rglob("index.sqlite")
    index.unlink()
    index.mkdir()
    with pytest.raises(DataError, match=r"cannot be used \(unable to open database file\): make room"):
        decoded(root)


def test_a_full_disk_is_called_so(tmp_path: Path) -> None:
    index = Index(tmp_path)
    index.one("PRAGMA max_page_count = 20")

    def fill() -> None:
        with index.transaction():
            for number in range(10_000):
                index.put((f"{number}.png", "null", 1, 1), Decoded(b"", "not a picture"), "limits", "", 0)

    with pytest.raises(sqlite3.OperationalError, match="database or disk is full"):
        fill()
    index.close()


@pytest.mark.parametrize("torn", [lambda whole: b"", lambda whole: whole[:-20], lambda whole: whole[:40]])
def test_a_torn_file_of_near_duplicates_is_made_again(root: Path, cache: Path, torn: Callable[[bytes], bytes]) -> None:
    first, _ = decoded(root)
    (near,) = cache.rglob("*-near.npy")
    whole = near.read_bytes()
    near.write_bytes(torn(whole))
    assert np.array_equal(decoded(root)[0].groups, first.groups)
    assert near.read_bytes() == whole


def test_near_duplicates_of_other_pictures_are_found_anew(root: Path, cache: Path) -> None:
    decoded(root)
    (near,) = cache.rglob("*-near.npy")
    np.save(near, np.zeros(5, np.int64))
    assert decoded(root)[0].check.duplicates == 0


def test_two_processes_do_not_disturb_each_other(root: Path) -> None:
    script = (
        "import sys\n"
        "from dfukit import images\n"
        "from dfukit.config import DataSettings\n"
        "print(images.load(DataSettings(path=sys.argv[1])).pixels.astype(int).sum())\n"
    )
    command = [sys.executable, "-c", script, str(root)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    sums = {process.communicate()[0] for process in both}
    assert sums == {f"{decoded(root)[0].pixels.astype(int).sum()}\n"}


def test_a_picture_that_could_not_be_opened_is_tried_again(root: Path) -> None:
    lost = [(one.path, one.reason) for one in lose_one(root).check.excluded]
    assert lost == [("99.png", "cannot be read: No such file or directory")]
    loaded, count = decoded(root)
    assert (count, len(loaded.paths)) == (1, 150)
    assert decoded(root)[1] == 0


def test_who_waits_for_another_process_says_so_and_takes_what_that_one_found(root: Path) -> None:
    folder = Path(lose_one(root).check.cache)
    said: list[str] = []
    tried: list[int] = []
    found: list[images.ImageSet] = []

    def load() -> None:
        settings = DataSettings(path=str(root))
        found.append(images.load(settings, lambda done, total: tried.append(done), said.append))

    waiting = Thread(target=load)
    with locked(folder):
        waiting.start()
        end = time.monotonic() + 20
        while not said and time.monotonic() < end:
            time.sleep(0.05)
    waiting.join()
    assert said == ["another dfukit reads these pictures: waiting"]
    assert (len(found[0].paths), tried) == (149, [])


def test_waiting_for_another_process_hears_ctrl_c(tmp_path: Path) -> None:
    held, enough = Event(), Event()

    def hold() -> None:
        with locked(tmp_path):
            held.set()
            enough.wait(10)

    other = Thread(target=hold)
    other.start()
    assert held.wait(10)
    Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), locked(tmp_path):
        pass
    assert time.monotonic() - began < 5
    enough.set()
    other.join()


def test_each_fit_has_its_own_pictures(root: Path) -> None:
    assert decoded(root, fit="crop")[1] == 8
    assert decoded(root, fit="pad")[1] == 8
    assert decoded(root, fit="crop")[1] == 0


def test_the_cache_lies_outside_the_data_folder_and_clears(root: Path, cache: Path) -> None:
    loaded, _ = decoded(root)
    assert images.cache_dir().is_relative_to(cache)
    assert Path(loaded.check.cache).is_relative_to(images.cache_dir())
    assert len(list(root.iterdir())) == 8
    assert images.clear_cache() > 8 * 256 * 256 * 3
    assert images.clear_cache() == 0


def test_a_cache_that_is_a_link_to_another_disk_is_emptied(root: Path, cache: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    cache.mkdir()
    images.cache_dir().symlink_to(disk)
    decoded(root)
    assert images.clear_cache() > 8 * 256 * 256 * 3
    assert list(disk.iterdir()) == []
    assert decoded(root)[1] == 8


def test_what_cannot_be_deleted_is_named(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded(root)
    (pixels,) = cache.rglob("pixels-????????????.u8")
    unlink = os.unlink

    def refuse(path: str) -> None:  # who tests as root may delete everything
        if path == str(pixels):
            raise PermissionError(13, "Permission denied", path)
        unlink(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        with pytest.raises(DataError, match=rf"^{pixels} cannot be deleted \(Permission denied\): delete by hand"):
            images.clear_cache()
    assert images.clear_cache() == 8 * 256 * 256 * 3


def test_what_another_process_deletes_first_is_no_error(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded(root)
    unlink = os.unlink

    def second(path: str) -> None:
        unlink(path)
        unlink(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", second)
        assert images.clear_cache() == 0
    assert list(images.cache_dir().iterdir()) == []


def test_an_interrupted_size_leaves_nothing_behind(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(pixels: np.ndarray, size: int) -> np.ndarray:
        raise KeyboardInterrupt

    loaded, _ = decoded(root)
    with monkeypatch.context() as patch:
        patch.setattr("dfukit.images.imageset.resize", interrupted)
        with pytest.raises(KeyboardInterrupt):
            loaded.at(64)
    assert list(cache.rglob("*.part")) == []
    assert loaded.at(64).shape == (8, 64, 64, 3)


def test_what_a_kill_left_half_written_goes_and_what_is_being_written_stays(root: Path, cache: Path) -> None:
    decoded(root)
    (pixels,) = cache.rglob("pixels-????????????.u8")
    killed, busy = (pixels.with_name(f"{pixels.stem}-64.u8.{process}.part") for process in (1, 2))
    killed.touch()
    busy.touch()
    two_hours_ago = time.time() - 7200
    os.utime(killed, (two_hours_ago, two_hours_ago))
    decoded(root)
    assert list(cache.rglob("*.part")) == [busy]


def test_another_size_is_made_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, _ = decoded(root)
    small = loaded.at(64)
    assert small.shape == (8, 64, 64, 3)
    assert isinstance(small, np.memmap)
    assert np.array_equal(small, images.resize(loaded.pixels, 64))
    (file,) = Path(loaded.check.cache).glob("*-64.u8")
    written = file.stat().st_mtime_ns
    assert np.array_equal(decoded(root)[0].at(64), small)
    assert file.stat().st_mtime_ns == written
    assert loaded.at(256) is loaded.pixels


def test_reduction_averages_and_does_not_alias() -> None:
    stripes = np.zeros((1, 256, 256, 3), np.uint8)
    stripes[:, :, ::2] = 255
    reduced = images.resize(stripes, 64)
    assert abs(float(reduced[:, 4:-4, 4:-4].mean()) - 127.5) < 2
    assert np.ptp(reduced[:, 4:-4, 4:-4]) <= 2


def test_pictures_from_arrays_have_sizes_too(cache: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 256, 256, 3), np.uint8)
    made = images.from_arrays(
        name="phantom",
        pixels=pixels,
        labels=np.array([0, 1] * 3),
        groups=np.arange(6),
        classes=("healthy", "infected"),
        positive="infected",
        paths=[f"{i}.png" for i in range(6)],
        patients=[f"p{i}" for i in range(6)],
        phantom=True,
    )
    assert made.phantom
    assert made.at(32).shape == (6, 32, 32, 3)
    assert len(set(made.sha256)) == 6
    assert made.check.labels == {"healthy": 3, "infected": 3}
    assert images.make_split(made, DataSettings()).test.size >= 1


def test_an_unusable_cache_folder_names_its_variable(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(DataError, match="set DFUKIT_CACHE_DIR"):
        decoded(root)


def test_the_package_does_not_import_torch() -> None:
    script = "import sys, dfukit.images, dfukit.images.worker; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
