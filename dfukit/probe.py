"""Trying foreign plugins in a process of their own, so that one that hangs or ends its process takes no command along.

A verdict is remembered in the user's cache until the plugin's files, what is installed, or Python changes. This guards
against faults, not against malice: a plugin that passed is imported with all rights of the user.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import pluggy
from attrs import asdict, field, frozen

from dfukit import hookspecs, loading, places
from dfukit.errors import ConfigError, reason_of

TIMEOUT = "DFUKIT_PLUGIN_TIMEOUT"
"""The variable that says how many seconds a plugin may take to load."""
SECONDS = 30.0
AT_ONCE = 4
"""Plugins that are tried at a time."""
RETRY_AFTER = 3600.0
"""Seconds for which a bad verdict counts: what made it, a network or a full machine, may have passed."""
FORGOTTEN_AFTER = 90 * 86400.0
CODE = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from dfukit import probe; probe.answer(*sys.argv[2:])"


def _notes(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(values)


@frozen
class Verdict:
    """What came of loading a plugin in a process of its own."""

    reason: str = ""
    """Why it does not load; empty where it does."""
    notes: tuple[str, ...] = field(default=(), converter=_notes)
    """What it should not do and does, without harm to others."""
    when: float = 0.0
    """Seconds since 1970."""


UNTRIED = Verdict()
"""Where no other process can be had: in a program that has Python built in, `sys.executable` may be anything."""


def verdicts(points: Sequence[EntryPoint], *, anew: bool = False) -> list[Verdict]:
    """A verdict on each entry point, in their order: a remembered one, or that of trying it now.

    With `anew`, bad verdicts are not taken from memory. Raises ConfigError where the time limit is no number.
    """
    seconds, now = time_limit(), time.time()
    memory = _remembered()
    installed = _installed()
    keys = [_key(point, installed) for point in points]
    found = {}
    for place, key in enumerate(keys):
        known = memory.get(key)
        if known is not None and (not known.reason or (not anew and now - known.when < RETRY_AFTER)):
            found[place] = known
    new = [place for place in range(len(points)) if place not in found]
    if new:
        found.update(zip(new, _try([points[place] for place in new], seconds), strict=True))
        current = {key: found[place] for place, key in enumerate(keys) if key and found[place] is not UNTRIED}
        _remember({**{key: one for key, one in memory.items() if now - one.when < FORGOTTEN_AFTER}, **current})
    return [found[place] for place in range(len(points))]


def time_limit() -> float:
    """Seconds that a plugin may take to load."""
    given = os.environ.get(TIMEOUT, "")
    try:
        seconds = float(given or SECONDS)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ConfigError(f"{TIMEOUT} must be a number of seconds above 0, got {given!r}")
    return seconds


def answer(file: str, package: str, name: str, value: str) -> None:
    """What the other process does: load one plugin, and write down what came of it."""
    Path(file).touch()
    manager = pluggy.PluginManager("dfukit")
    manager.add_hookspecs(hookspecs)
    before = loading.working_directory()
    reason = ""
    try:
        loading.components(manager, EntryPoint(name, value, "dfukit"), package)
    # Any exception is an answer, a plugin's own KeyboardInterrupt among them: the user's does not come here.
    except BaseException as error:
        reason = reason_of(error)
    notes = []
    if "torch" in sys.modules:
        notes.append("imports torch when it is loaded, which slows every command: import it in the target's module")
    if before is not None and loading.working_directory() != before:
        notes.append("changes the working directory when it is loaded")
        os.chdir(before)
    Path(file).write_text(json.dumps({"reason": reason, "notes": notes}), "utf-8")


def _try(points: Sequence[EntryPoint], seconds: float) -> list[Verdict]:
    """A verdict on each, from processes that run side by side."""
    found: dict[int, Verdict] = {}
    with tempfile.TemporaryDirectory() as folder:
        children: dict[int, _Child] = {}
        try:
            for number, point in enumerate(points):
                children[number] = _Child(point, Path(folder) / str(number))
                while len(children) == AT_ONCE or (children and number == len(points) - 1):
                    time.sleep(0.01)
                    for done in [number for number, child in children.items() if child.ended(seconds)]:
                        found[done] = children.pop(done).verdict(seconds)
        finally:
            for child in children.values():  # the user interrupts
                child.end()
    return [found[number] for number in range(len(points))]


class _Child:
    """A process that loads one plugin and writes down in `file` what came of it."""

    def __init__(self, point: EntryPoint, file: Path) -> None:
        self._process: subprocess.Popen[bytes] | None
        self._file, self._started = file, time.monotonic()
        self._out, self._errors = file.with_suffix(".out"), file.with_suffix(".err")
        arguments = [str(file), loading.package_of(point)[0], point.name, point.value]
        with self._out.open("wb") as out, self._errors.open("wb") as errors:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", CODE, json.dumps(sys.path), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=errors,
                    start_new_session=True,
                    env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
                )
            except OSError:
                self._process = None

    def ended(self, seconds: float) -> bool:
        """Whether it came to its end, or has had its time."""
        late = time.monotonic() - self._started > seconds
        return self._process is None or self._process.poll() is not None or late

    def end(self) -> None:
        """It is gone afterwards, with all that it started."""
        if self._process is None:
            return
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL) if hasattr(os, "killpg") else self._process.kill()
        self._process.wait()

    def verdict(self, seconds: float) -> Verdict:
        """What came of it, after its end."""
        code = self._process.poll() if self._process else None
        self.end()
        if not self._file.exists():
            return UNTRIED
        try:
            told = json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError):
            told = None
        if told is not None and told["reason"]:
            return Verdict(told["reason"], when=time.time())
        if code is None:
            what = "did not load" if told is None else "keeps a process from ending (a thread that it starts goes on)"
            return Verdict(f"{what} within {seconds:g} s ({TIMEOUT} gives it more)", when=time.time())
        if code or told is None:
            how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            when = "while it was loaded" if told is None else "after it was loaded"
            last = self._errors.read_text("utf-8", "replace").strip().splitlines()[-1:]
            return Verdict(" ".join([f"ended the process {when}, {how}", *last])[:300], when=time.time())
        printed = ["prints when it is loaded"] if self._out.stat().st_size else []
        return Verdict("", (*told["notes"], *printed), time.time())


def _key(point: EntryPoint, installed: str) -> str:
    """Changes with all that a verdict depends on; empty where that cannot be told, and nothing is remembered."""
    top = point.module.partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return ""
    if spec is None:
        return ""
    files = [Path(spec.origin)] if spec.origin and spec.has_location else []
    for folder in spec.submodule_search_locations or ():
        files += sorted(Path(folder).rglob("*.py"))
    stamps = []
    with contextlib.suppress(OSError):
        stamps = [(str(file), (stat := file.stat()).st_mtime_ns, stat.st_size) for file in files]
    told = [*loading.package_of(point), point.name, point.value, sys.version, sys.executable, installed, stamps]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _installed() -> str:
    """A digest of what is installed: it changes with every package that comes, goes or is upgraded."""
    names: set[str] = set()
    for folder in sys.path:
        with contextlib.suppress(OSError):
            names |= {name for name in os.listdir(folder or ".") if name.endswith("-info")}
    return hashlib.sha256("\n".join(sorted(names)).encode(errors="surrogateescape")).hexdigest()


def _memory() -> Path:
    return places.cache() / "plugins.json"


def _remembered() -> dict[str, Verdict]:
    try:
        table = json.loads(_memory().read_text("utf-8"))
        return {key: Verdict(**one) for key, one in table.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _remember(known: dict[str, Verdict]) -> None:
    """Where the cache cannot be written, plugins are tried each time."""
    from dfukit import rundir

    with contextlib.suppress(OSError):
        rundir.write_json(_memory(), {key: asdict(one) for key, one in known.items()})
