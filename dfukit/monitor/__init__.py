"""A run in another process, or a finished one, watched in a terminal: its folder is read and nothing else.

`tail` reads the new lines of metrics.jsonl, `state` makes of them what is known, `view` draws it, `screen` shows that
until the user leaves.
"""

from __future__ import annotations

from dfukit.monitor.page import sparkline
from dfukit.monitor.screen import watch
from dfukit.monitor.series import Series
from dfukit.monitor.state import Monitor, State, Told
from dfukit.monitor.tail import Tail
from dfukit.monitor.training import Arm, Gan
from dfukit.monitor.view import draw

__all__ = ["Arm", "Gan", "Monitor", "Series", "State", "Tail", "Told", "draw", "sparkline", "watch"]
