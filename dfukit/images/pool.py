"""The parent's side of decoding: processes that are replaced when a picture kills or hangs them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from dfukit import hardware
from dfukit.errors import DataError
from dfukit.images.decode import SIDE, Box

if TYPE_CHECKING:
    from dfukit.sections import DataSettings

BATCH = 8
"""Pictures of one round trip."""
START_SECONDS = 120.0
GRACE_SECONDS = 1.0
"""How long a decoder may take to end by itself."""
WORKERS = 8
"""Decoders at most."""


@frozen
class Job:
    """A file to decode; `path` is absolute."""

    path: Path
    box: Box | None = None


@frozen(eq=False)
class Decoded:
    """What became of a job: pixels uint8 [256, 256, 3], or the reason why there are none.

    `native`, uint8 [W, W, 3], are the file's own pixels where it is a square smaller than that. `passing`: the reason
    lies outside of the file, which may be decoded another time.
    """

    sha256: bytes
    reason: str | None
    pixels: np.ndarray | None = None
    width: int = 0
    height: int = 0
    format: str = ""
    text: bool = False
    native: np.ndarray | None = None
    passing: bool = False


def decode_all(jobs: Iterable[Job], settings: DataSettings, workers: int = 0) -> Generator[Decoded, None, None]:
    """The jobs' results, in their order; `workers` processes at once (0: as many as there are cores, at most 8).

    Raises DataError where no decoder process can be started. A failing picture never raises.
    """
    workers = workers or min(hardware.cpus(), WORKERS)
    free: SimpleQueue[_Decoder] = SimpleQueue()
    decoders = [_Decoder(settings) for _ in range(workers)]
    for decoder in decoders:
        free.put(decoder)

    def work(batch: Sequence[Job]) -> list[Decoded]:
        decoder = free.get()
        try:
            return decoder.decode(batch)
        finally:
            free.put(decoder)

    remaining = iter(jobs)
    waiting: deque[Future[list[Decoded]]] = deque()
    with ThreadPoolExecutor(workers) as threads:
        try:
            while True:
                while len(waiting) < 2 * workers and (batch := list(islice(remaining, BATCH))):
                    waiting.append(threads.submit(work, batch))
                if not waiting:
                    return
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            for decoder in decoders:
                decoder.close()


class _Decoder:
    """One decoder process, started when it is first needed and again after it died."""

    def __init__(self, settings: DataSettings) -> None:
        self._limits = {"fit": settings.fit, "max_megapixels": settings.max_megapixels}
        self._seconds = settings.seconds_per_picture
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._unanswered: deque[Job] = deque()

    def decode(self, batch: Sequence[Job]) -> list[Decoded]:
        """The results of the jobs, in their order. The first unanswered job is at fault where the process ends."""
        self._unanswered = deque(batch)
        self._write()
        results: list[Decoded] = []
        crashed = False
        while self._unanswered and not self._closed:
            answer, body, slow = self._receive(self._seconds)
            if answer is not None:
                self._unanswered.popleft()
                results.append(_decoded(answer, body))
                crashed = False
                continue
            code = self._stop()
            # It may have died of something else, for instance when memory was short: a picture has a second try.
            crashed = not slow and not crashed
            if not crashed:
                self._unanswered.popleft()
                too_slow = f"took longer than data.seconds_per_picture = {self._seconds:g} to decode"
                reason = too_slow if slow else f"crashed the decoder twice (exit status {code})"
                results.append(Decoded(b"", reason, passing=True))
            if self._unanswered and not self._closed:
                self._write()
        if self._closed:
            self._stop()  # close() came while a new process was being started
        return results

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._closed = True
        self._stop()

    def _write(self) -> None:
        """Hand over the unanswered jobs, to a new process where there is none."""
        process = self._process or self._start()
        lines = [json.dumps({"path": str(job.path), "box": job.box}) for job in self._unanswered]
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it died: the missing answer tells
            process.stdin.write(("\n".join(lines) + "\n").encode())
            process.stdin.flush()

    def _start(self) -> subprocess.Popen[bytes]:
        package = str(Path(__file__).resolve().parents[2])
        # Appended, not put first: the folder may be site-packages, which must not hide the standard library.
        command = f"import sys; sys.path.append({package!r}); from dfukit.images.worker import serve; serve()"
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Each thread of OpenBLAS would reserve address space, of which a decoder has a limited amount.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it died: the missing answer tells
            self._process.stdin.write(json.dumps(self._limits).encode() + b"\n")
            self._process.stdin.flush()
        answer, _, _ = self._receive(START_SECONDS)
        if answer is None:
            raise DataError(f"the decoder process does not start (exit status {self._stop()}): {sys.executable} -c ...")
        return self._process

    def _receive(self, seconds: float) -> tuple[dict[str, Any] | None, bytes, bool]:
        """An answer with its pixels, or None where the process ended; and whether it was ended for being slow."""
        process = self._process
        if process is None or process.stdout is None:
            return None, b"", False
        slow = threading.Event()

        def end() -> None:
            slow.set()
            process.kill()

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            line = process.stdout.readline()
            answer = json.loads(line) if line.endswith(b"\n") else None
            if answer is None or "width" not in answer:
                return answer, b"", slow.is_set()
            size = SIDE * SIDE * 3 + answer["native"]
            body = process.stdout.read(size)
        finally:
            timer.cancel()
        return (answer if len(body) == size else None), body, slow.is_set()

    def _stop(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):  # jobs that a dead process did not take
            process.stdin.close()
        # An idle decoder ends when its jobs end, and one that crashed keeps its own exit status.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
        process.kill()
        code = process.wait()
        process.stdout.close()
        return code


def _decoded(answer: dict[str, Any], body: bytes) -> Decoded:
    sha256 = bytes.fromhex(answer["sha256"])
    if answer["reason"] is not None:
        return Decoded(sha256, answer["reason"], passing=answer["passing"])
    pixels = np.frombuffer(body, np.uint8, SIDE * SIDE * 3).reshape(SIDE, SIDE, 3)
    native = None
    if answer["native"]:
        native = np.frombuffer(body, np.uint8, offset=pixels.size).reshape(answer["width"], answer["height"], 3)
    return Decoded(sha256, None, pixels, answer["width"], answer["height"], answer["format"], answer["text"], native)
