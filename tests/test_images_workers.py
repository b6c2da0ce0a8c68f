"""The decoder processes: what dies or hangs is replaced, and only the picture at fault is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dfukit.images.pool import Job, decode_all
from dfukit.sections import DataSettings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="uses named pipes and /proc")


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    for number in range(40):
        Image.new("RGB", (32, 32), (number, 0, 0)).save(tmp_path / f"{number}.png")
    return [tmp_path / f"{number}.png" for number in range(40)]


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A file that never ends to open: nobody writes into it."""
    os.mkfifo(tmp_path / "pipe.png")
    return tmp_path / "pipe.png"


def children() -> set[int]:
    """The processes that this one started."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(number) for task in tasks for number in task.read_text().split()}


@contextmanager
def killing_readers(pipe: Path, times: int) -> Iterator[None]:
    """Kill decoder processes from outside, so many of them, each when it waits for what the pipe holds."""
    before, done = children(), threading.Event()

    def kill() -> None:
        for _ in range(times):
            writer = None
            while writer is None and not done.wait(0.05):
                with suppress(OSError):  # nobody reads yet
                    writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            readers = children() - before
            for reader in readers:
                os.kill(reader, signal.SIGKILL)
            while readers & children() and not done.wait(0.05):
                pass
            if writer is not None:
                os.close(writer)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        done.set()
        killer.join()


def test_results_come_in_the_order_of_the_jobs(pictures: list[Path]) -> None:
    results = list(decode_all(map(Job, pictures), DataSettings(), workers=3))
    assert [int(result.pixels[0, 0, 0]) for result in results if result.pixels is not None] == list(range(40))


def test_a_picture_that_takes_too_long_is_excluded_and_the_rest_is_used(pictures: list[Path], pipe: Path) -> None:
    jobs = [Job(path) for path in (*pictures[:3], pipe, *pictures[3:])]
    start = time.monotonic()
    results = list(decode_all(jobs, DataSettings(seconds_per_picture=1.5), workers=1))
    assert time.monotonic() - start < 30
    assert [i for i, result in enumerate(results) if result.pixels is None] == [3]
    assert results[3].reason == "took longer than data.seconds_per_picture = 1.5 to decode"
    assert results[3].passing


def test_a_picture_that_kills_its_decoder_twice_is_excluded_and_the_rest_is_used(
    pictures: list[Path], pipe: Path
) -> None:
    with killing_readers(pipe, times=2):
        results = list(decode_all(map(Job, (pipe, *pictures)), DataSettings(seconds_per_picture=60.0), workers=1))
    assert [i for i, result in enumerate(results) if result.pixels is None] == [0]
    assert results[0].reason == "crashed the decoder twice (exit status -9)"
    assert results[0].passing


def test_a_file_that_cannot_be_opened_may_be_another_time_and_one_that_is_no_picture_not(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    jobs = [Job(tmp_path / "gone.png"), Job(tmp_path / "text.png")]
    assert [result.passing for result in decode_all(jobs, DataSettings(), workers=1)] == [True, False]


def test_a_decoder_that_dies_of_something_else_costs_no_picture(pictures: list[Path]) -> None:
    before = children()
    seen: list[int | None] = []
    for result in decode_all(map(Job, pictures * 5), DataSettings(), workers=1):
        if not seen:
            decoders = children() - before
            assert decoders
            for decoder in decoders:
                os.kill(decoder, signal.SIGKILL)
        seen.append(None if result.pixels is None else int(result.pixels[0, 0, 0]))
    assert seen == list(range(40)) * 5


def test_no_decoder_is_left_behind(pictures: list[Path]) -> None:
    before = children()
    results: Iterator[object] = decode_all(map(Job, pictures), DataSettings(), workers=2)
    next(results)
    assert children() - before
    results.close()  # type: ignore[attr-defined]
    assert children() - before == set()


def test_no_decoder_is_left_behind_that_hangs(pictures: list[Path], pipe: Path) -> None:
    before = children()
    results: Iterator[object] = decode_all(map(Job, [*pictures[:8], pipe]), DataSettings(), workers=2)
    for _ in pictures[:8]:
        next(results)
    time.sleep(0.5)  # one of them opens the pipe
    results.close()  # type: ignore[attr-defined]
    assert children() - before == set()


def test_a_script_without_a_main_guard_may_load_pictures(pictures: list[Path], tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from dfukit import images\n"
        "from dfukit.config import DataSettings\n"
        f"print(len(images.load(DataSettings(path={str(pictures[0].parent)!r})).paths))\n"
    )
    environment = {**os.environ, "DFUKIT_CACHE_DIR": str(tmp_path.parent / "script cache")}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment)
    assert done.stdout == "40\n", done.stderr


def test_a_large_photograph_needs_no_memory_here(tmp_path: Path) -> None:
    pixels = np.zeros((9000, 9000, 3), np.uint8)
    pixels[:, :4500] = (200, 20, 20)
    Image.fromarray(pixels).save(tmp_path / "large.png", compress_level=1)
    del pixels
    (result,) = decode_all([Job(tmp_path / "large.png")], DataSettings(seconds_per_picture=120.0), workers=1)
    assert result.reason is None
    assert (result.width, result.height) == (9000, 9000)
