"""Plugins that do their worst, and installing them."""

from __future__ import annotations

from pathlib import Path

START = """
from dfukit import Component, frozen, hookimpl, whole

@frozen
class Settings:
    width: int = whole(8, "channels", low=1)

def one(name, **other):
    return Component(**{"name": name, "settings": Settings, "target": "nowhere:Network", "summary": name, **other})
"""


def offering(hook: str, value: str, before: str = "") -> str:
    """The code of a plugin whose hook returns a value."""
    return f"{START}\n{before}\n@hookimpl\ndef {hook}():\n    return {value}\n"


HOSTILE: dict[str, tuple[str, str]] = {
    # name: (code, part of the reason that is given)
    "import_error": ("import not_there", "ModuleNotFoundError: No module named 'not_there'"),
    "syntax_error": ("def broken(:", "SyntaxError"),
    "system_exit": ("raise SystemExit(0)", "SystemExit: 0"),
    "keyboard_interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "base_exception": ("class Own(BaseException): pass\nraise Own('own words')", "Own: own words"),
    "unprintable": (
        "class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute",
        "Mute: no message",
    ),
    "exit_0": ("import os; os._exit(0)", "ended the process while it was loaded, with exit code 0"),
    "exit_1": ("import os; os._exit(1)", "ended the process while it was loaded, with exit code 1"),
    "abort": ("import os; os.abort()", "ended the process while it was loaded, by SIGABRT"),
    "hang": ("import time; time.sleep(1000)", "did not load within"),
    "asks": ("input('Licence key: ')", "EOFError"),
    "thread": (
        offering("generators", "[one('threaded')]", "import threading, time\n")
        + "threading.Thread(target=time.sleep, args=(1000,)).start()\n",
        "keeps a process from ending",
    ),
    "misspelt": (offering("generatorz", "[]"), "generatorz"),
    "none": (offering("generators", "None"), "generators() must return a list of Component, got NoneType"),
    "string": (offering("losses", "'loss'"), "losses() must return a list of Component, got str"),
    "strings": (offering("critics", "['critic']"), "critics() must return Component objects, got str"),
    "raises": (offering("generators", "[one('x'), 1 / 0]"), "ZeroDivisionError: division by zero"),
    "generates": (
        offering("metrics", "(one(str(1 // (1 - n))) for n in range(3))"),
        "metrics() must return a list of Component, got generator",
    ),
    "future": (offering("losses", "[one('tomorrow', api=9)]"), "tomorrow is written for plugin API 9"),
    "no_settings": (
        offering("generators", "[one('bare', settings=object)]"),
        "settings of bare must be an attrs class",
    ),
    "no_target": (offering("generators", "[one('lost', target='lost')]"), 'must read "package.module:Name"'),
    "no_name": (offering("generators", "[one(None)]"), "whose name is no name: None"),
    "dotted": (offering("generators", "[one('small.unet')]"), "the name of small.unet must have no dot"),
    "auto": (offering("extractors", "[one('auto')]"), "an extractor cannot be called auto"),
    "named": (
        offering(
            "critics", "[one('named', settings=Named)]", "@frozen\nclass Named:\n    name: int = whole(1, 'own')\n"
        ),
        "named cannot have a setting called name",
    ),
    "checking": (
        offering(
            "losses", "[one('checking', settings=Own)]", "@frozen\nclass Own:\n    check: int = whole(1, 'own')\n"
        ),
        "checking cannot have a setting called check",
    ),
    "namesake": (offering("generators", "[one('lstm_wgan')]"), "its generator lstm_wgan is left out"),
    "module_getattr": (
        "def __getattr__(name):\n    raise RuntimeError(f'no {name} here')\n",
        "RuntimeError: no hooks here",
    ),
    "undecorated": ("def generators():\n    return []\n", "implements no hook (is @hookimpl missing?)"),
    "missing_module": ("", "ModuleNotFoundError"),
    "ends_badly": (
        offering("generators", "[]", "import atexit, os\natexit.register(os._exit, 3)\n"),
        "ended the process after it was loaded, with exit code 3",
    ),
}
HEAVY = "import sys, types\nsys.modules.setdefault('torch', types.ModuleType('torch'))\n"
"""As good as importing torch, and quicker."""
GOOD = {
    "good": offering("generators", "[one('good')]"),
    "chatty": offering("generators", "[one('chatty')]", "import os\nprint('hello')\nos.system('echo hello')\n"),
    "heavy": offering("generators", "[one('heavy')]", HEAVY),
    "moves": offering(
        "generators", "[one('moving')]", "import os, warnings\nos.chdir('/')\nwarnings.simplefilter('error')\n"
    ),
    "undeclared": offering(
        "generators", "[one('undeclared', settings=Plain)]", "@frozen\nclass Plain:\n    width: int = 8\n"
    ),
    "demanding": offering(
        "generators", "[one('demanding', settings=Plain)]", "@frozen\nclass Plain:\n    width: int\n"
    ),
    "naming": offering(
        "metrics", "[one('naming', settings=Own)]", "@frozen\nclass Own:\n    name: int = whole(1, 'own')\n"
    ),
    "twin_one": offering("generators", "[one('twin')]"),
    "twin_two": offering("generators", "[one('twin')]"),
}


ENTRY = {"module_getattr": "plugin_module_getattr:hooks"}
"""Entry points that are not simply the module."""


def install(folder: Path, plugins: dict[str, str]) -> Path:
    """Make a folder of installed distributions, `third-NAME` 0.5 each, for PYTHONPATH."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, code in plugins.items():
        if name != "missing_module":
            (folder / f"plugin_{name}.py").write_text(code)
        distribution(folder, f"third_{name}", f"[dfukit]\n{name} = {ENTRY.get(name, f'plugin_{name}')}\n".encode())
    return folder


def distribution(folder: Path, name: str, entry_points: bytes) -> None:
    info = folder / f"{name}-0.5.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 0.5\n")
    (info / "entry_points.txt").write_bytes(entry_points)


def codes(*names: str) -> dict[str, str]:
    return {name: GOOD[name] if name in GOOD else HOSTILE[name][0] for name in names}


def package(name: str) -> str:
    """The distribution that a plugin is installed as."""
    return f"third-{name.replace('_', '-')}"
