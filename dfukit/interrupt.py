"""Ctrl-C and SIGTERM: what they do while something runs, and the line that goes on from there."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from dfukit.errors import Interrupted


class StopRequest:
    """Within its block, Ctrl-C and SIGTERM are noted and not raised; a second one is raised at once.

    Python hands signals to the main thread only: in another thread nothing is noted.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # None stands for a handler that Python did not install and cannot put back.
                self._before[number] = signal.signal(number, self._note) or signal.SIG_DFL
        return self

    def __exit__(self, raised: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.asked and raised is None:  # too late for the block to see it, and not to be lost
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@contextmanager
def sigterm_like_ctrl_c() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt within the block, so that a job scheduler is answered as a person is."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt) or signal.SIG_DFL
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def continued_by(line: str) -> Iterator[None]:
    """An interruption of the block becomes one that ends with the line to go on."""
    try:
        yield
    except (KeyboardInterrupt, Interrupted) as reason:
        raise Interrupted(f"{str(reason) or 'interrupted'}; go on with: {line}") from None
