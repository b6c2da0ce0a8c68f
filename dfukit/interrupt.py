"""Ctrl-C and SIGTERM: what they do while something runs, and the line that goes on from there."""

from __future__ import annotations

import errno
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from dfukit.errors import DfukitError, Interrupted

FINISH = getattr(signal, "SIGQUIT", getattr(signal, "SIGBREAK", None))
"""Ctrl-\\ (on Windows Ctrl-Break): stop training now, and go on to the report."""


UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
"""What a full disk, a quota, a folder without leave to write and a read-only disk say."""


class StopRequest:
    """Within its block, Ctrl-C and SIGTERM are noted and not raised; a second one of a kind is raised at once.

    One of each is a single request: a terminal sends Ctrl-C to a program and to those that it started, and that
    program ends them with SIGTERM.

    Ctrl-\\, or a file at `finish`, asks to end the training here and go on with what comes after it. Python hands
    signals to the main thread only: in another thread none is noted.
    """

    def __init__(self, finish: Path | None = None) -> None:
        self._noted: set[int] = set()
        self._finish = finish
        self._finishing = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # None stands for a handler that Python did not install and cannot put back.
                self._before[number] = signal.signal(number, self._note) or signal.SIG_DFL
            if FINISH is not None and self._finish is not None:
                self._before[FINISH] = signal.signal(FINISH, self._note_finish) or signal.SIG_DFL
        return self

    def __exit__(self, raised: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.asked and raised is None:  # too late for the block to see it, and not to be lost
            raise KeyboardInterrupt

    @property
    def asked(self) -> bool:
        """Whether Ctrl-C or SIGTERM was noted."""
        return bool(self._noted)

    @property
    def finishing(self) -> bool:
        """Whether the training is to end here and the run to go on."""
        return self._finishing or (self._finish is not None and self._finish.exists())

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number in self._noted:
            raise KeyboardInterrupt
        self._noted.add(number)

    def _note_finish(self, number: int, frame: FrameType | None) -> None:
        self._finishing = True


@contextmanager
def sigterm_like_ctrl_c() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt within the block, so that a job scheduler is answered as a person is.

    Ctrl-\\ does nothing, rather than dump a core: it means something while a GAN trains.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, interrupt) or signal.SIG_DFL}
    if FINISH is not None:
        before[FINISH] = signal.signal(FINISH, signal.SIG_IGN) or signal.SIG_DFL
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def continued_by(line: Callable[[], str]) -> Iterator[None]:
    """An interruption of the block, and a disk that takes no more, become errors that end with the line to go on.

    `line()` is asked then: what goes on may depend on how far the block came.
    """
    try:
        yield
    except (KeyboardInterrupt, Interrupted) as reason:
        raise Interrupted(f"{str(reason) or 'interrupted'}; go on with: {line()}") from None
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise DfukitError(
            f"{error.filename or 'a file'} cannot be written ({error.strerror}); earlier checkpoints are untouched: "
            f"make room or give leave to write, then go on with: {line()}"
        ) from None
