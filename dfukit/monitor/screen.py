"""The view in a terminal, drawn anew as the run goes on, until the user leaves."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import time
from types import FrameType
from typing import Any

from attrs import define, field
from rich.console import Console
from rich.live import Live
from rich.text import Text

from dfukit.interrupt import StopRequest
from dfukit.monitor.state import Monitor, State
from dfukit.monitor.view import draw

try:
    import termios
    import tty
except ImportError:  # Windows: there are no keys but Ctrl-C
    termios = None  # type: ignore[assignment]

TICK = 0.25
"""Seconds between looks at the keyboard and at the window's size."""
REFRESH = 1.0
"""Seconds between readings of the run's folder."""
HELP = "q leave"
HELP_STOP = "q leave   s stop training now"
ASK = "press s again to stop training now and go on to the report"
FORGET = 10.0
"""Seconds after which the first `s` counts no more."""
REPEATED = 0.75
"""Seconds within which another `s` is the same finger: a key that is held down repeats itself."""
ARROWS = re.compile(r"\x1b(\[[0-9;]*[A-Za-z~]|O.|)")
"""Arrows and the like, which are several characters."""


def watch(monitor: Monitor) -> None:
    """Show a run until q or Ctrl-C. Raises DataError where its folder goes away; the terminal is as it was then."""
    try:
        with StopRequest() as leave, Suspension() as suspension:
            while _show(monitor, leave, suspension):
                suspension.sleep()
    except KeyboardInterrupt:
        return


def _show(monitor: Monitor, leave: StopRequest, suspension: Suspension) -> bool:
    """Whether the terminal is only given back for a while."""
    console = Console()
    stopper = Stopper(monitor)
    shown: tuple[int, int] | None = None
    read = -REFRESH
    with Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False) as live, Keys() as keys:
        state = monitor.state
        while not leave.asked and not suspension.asked:
            size, clock = _size(), time.monotonic()
            if clock - read >= REFRESH:
                state, read, shown = monitor.refresh(), clock, None
            if size != shown:
                console.size = size  # rich would believe COLUMNS and LINES, which no resize changes
                lines = draw(
                    state, time.time(), *size, footer=stopper.footer(state), ascii_only=console.options.ascii_only
                )
                live.update(Text("\n", no_wrap=True).join(lines), refresh=True)
                shown = size
            for key in keys.wait(TICK):
                if key == "q":
                    return False
                stopper.press(key, state)
                shown = None
    return suspension.asked and not leave.asked


def _size() -> tuple[int, int]:
    try:
        width, height = os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        return 80, 24
    return width or 80, height or 24  # a serial line says 0


@define
class Stopper:
    """The key that stops the training: pressed twice, so that a slip of the finger does nothing."""

    monitor: Monitor
    _asked: float | None = None
    """When the first `s` came, and when the last did."""
    _last: float = 0.0
    _failed: str = ""

    def press(self, key: str, state: State) -> None:
        now = time.monotonic()
        if key != "s" or not self._possible(state):
            self._asked = None
            return
        held, self._last = now - self._last < REPEATED, now
        if not self._waiting:
            self._asked = now
            return
        if held:
            return
        self._asked = None
        try:
            self.monitor.folder.stop.touch()
        except OSError as error:
            self._failed = f"{self.monitor.folder.stop}: {error.strerror or error}"

    def footer(self, state: State) -> Text:
        if self._failed:
            return Text(self._failed, "bold red")
        if self._waiting and self._possible(state):
            return Text(ASK, "bold yellow")
        return Text(HELP_STOP if self._possible(state) else HELP, "dim")

    @property
    def _waiting(self) -> bool:
        return self._asked is not None and time.monotonic() - self._asked < FORGET

    @staticmethod
    def _possible(state: State) -> bool:
        """A run that is dead would read the file when it is resumed, and stop at once."""
        return state.phase == "gan" and state.status(time.time()) == "running"


@define
class Keys:
    """Single keys from the terminal, without echo; its settings are put back at the end."""

    _terminal: int | None = None
    _before: Any = None

    def __enter__(self) -> Keys:
        if termios is not None and sys.stdin is not None and sys.stdin.isatty():
            self._terminal = sys.stdin.fileno()
            self._before = termios.tcgetattr(self._terminal)
            tty.setcbreak(self._terminal)
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal is not None:
            termios.tcsetattr(self._terminal, termios.TCSADRAIN, self._before)

    def wait(self, seconds: float) -> str:
        """The keys that were pressed, after some seconds at most. A terminal that was closed counts as q."""
        if self._terminal is None:
            time.sleep(seconds)
            return ""
        if not select.select([self._terminal], [], [], seconds)[0]:
            return ""
        try:
            pressed = os.read(self._terminal, 32).decode("ascii", "replace")
        except OSError:
            pressed = ""
        return ARROWS.sub("", pressed) if pressed else "q"


@define
class Suspension:
    """Ctrl-Z gives the terminal back first."""

    asked: bool = False
    _before: dict[int, Any] = field(factory=dict)

    def __enter__(self) -> Suspension:
        if hasattr(signal, "SIGTSTP"):
            self._before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._note) or signal.SIG_DFL
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def sleep(self) -> None:
        """Until the shell brings this process back to the foreground."""
        self.asked = False
        os.kill(os.getpid(), signal.SIGSTOP)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
