"""Every path in a run folder, named once, and writing that leaves a file whole or absent."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import tomli_w
from attrs import frozen

from dfukit.errors import ConfigError, DataError


@frozen
class RunDir:
    """A run folder."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def data(self) -> Path:
        return self.path / "data.json"

    @property
    def split(self) -> Path:
        return self.path / "split.csv"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def generator_weights(self) -> Path:
        return self.path / "generator.safetensors"

    @property
    def critic_weights(self) -> Path:
        return self.path / "critic.safetensors"

    @property
    def classifier_weights(self) -> Path:
        return self.path / "classifier.safetensors"

    @property
    def real_classifier_weights(self) -> Path:
        return self.path / "classifier-real.safetensors"

    @property
    def synthetic(self) -> Path:
        return self.path / "synthetic"

    @property
    def synthetic_set(self) -> Path:
        """Where the synthetic set lies: `synthetic/`, or `held-back/` once it failed its release check."""
        return self.held_back if self.held_back.is_dir() else self.synthetic

    @property
    def manifest(self) -> Path:
        return self.synthetic_set / "manifest.csv"

    @property
    def flagged(self) -> Path:
        """Synthetic pictures that were taken out of the set because they copy a training picture."""
        return self.path / "flagged"

    @property
    def held_back(self) -> Path:
        """Where a synthetic set lies that failed its release check."""
        return self.path / "held-back"

    @property
    def release(self) -> Path:
        """The record of the release check."""
        return self.path / "release.json"

    @property
    def features(self) -> Path:
        """What the extractors made of the pictures: figures are recomputed from it."""
        return self.path / "features"

    @property
    def sums(self) -> Path:
        """SHA-256 of the files of a finished run, as `sha256sum -c` reads them."""
        return self.path / "SHA256SUMS"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions.csv"

    @property
    def scores(self) -> Path:
        return self.path / "scores.json"

    @property
    def classification(self) -> Path:
        return self.path / "classification.json"

    @property
    def lift(self) -> Path:
        """The experiment whether the synthetic pictures help: lift.json, lift-predictions.csv, and what it took."""
        return self.path / "lift"

    @property
    def lift_result(self) -> Path:
        return self.lift / "lift.json"

    @property
    def skin_tones(self) -> Path:
        """Estimated skin tones of the training and of the synthetic pictures."""
        return self.path / "skin-tones.json"

    @property
    def training(self) -> Path:
        return self.path / "training.json"

    @property
    def stop(self) -> Path:
        """A file that asks the training to end now, and the run to go on to its report."""
        return self.path / "stop"

    @property
    def traceback(self) -> Path:
        """What a plugin raised that ended the run; gone once the run goes on."""
        return self.path / "traceback.txt"

    @property
    def ledger(self) -> Path:
        """Looks at test parts that this run's classifiers had."""
        return self.path / "ledger.jsonl"

    def evaluation(self, name: str) -> Path:
        """Figures on the pictures of another place."""
        return self.path / f"evaluation-{name}.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def model_card(self) -> Path:
        return self.path / "README.md"

    @property
    def edited_model_card(self) -> Path:
        """Model cards as they were edited by hand, before they were written anew."""
        return self.path / "README.edited.md"

    @property
    def class_sheet(self) -> Path:
        """The same latents in each class, a class a row, by the weights that were kept."""
        return self.samples / "classes.png"

    @property
    def interpolation_sheet(self) -> Path:
        """Rows of pictures from one latent to another, by the weights that were kept."""
        return self.samples / "interpolation.png"

    def sample_grid(self, step: int) -> Path:
        return self.samples / f"{step:06d}.png"

    def event(self, phase: str, **values: Any) -> None:
        """Append one line to metrics.jsonl."""
        line = json.dumps({"time": round(time.time(), 3), "phase": phase, **values})
        with _named(self.metrics), self.metrics.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def events(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; a torn last line is left out."""
        if not self.metrics.is_file():
            return []
        events = []
        for line in self.metrics.read_text("utf-8").splitlines():
            with suppress(json.JSONDecodeError):
                events.append(json.loads(line))
        return events

    def keep_events(self, kept: Callable[[Mapping[str, Any]], bool]) -> None:
        """Strike events from metrics.jsonl, and a torn last line with them."""
        write_text(self.metrics, "".join(json.dumps(event) + "\n" for event in self.events() if kept(event)))


def create(parent: Path, name: str, components: Iterable[str]) -> RunDir:
    """Make a run folder: `name`, or the UTC time and the components; with -2 and so on where that is taken."""
    if name and (not re.fullmatch(r"\w[\w .+-]*", name) or name in (".", "..")):
        raise ConfigError(f"--name {name}: letters, digits, dots, dashes and underscores only")
    stem = name or "-".join((time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), *components))
    make_out(parent)
    with _out(parent):
        for number in range(1, 10_000):
            path = parent / (stem if number == 1 else f"{stem}-{number}")
            with suppress(FileExistsError):
                path.mkdir()
                return RunDir(path)
    raise ConfigError(f"--out {parent}: {stem} is taken 10,000 times")


def make_out(folder: Path) -> None:
    """Make a folder that `--out` names, and those above it; raises ConfigError where a file is in the way."""
    with _out(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def _out(folder: Path) -> Iterator[None]:
    """An error of the disk is one of the option."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"--out {folder}: cannot write there ({error.strerror or error})") from None


def open_run(reference: str | Path, parent: Path = Path("runs")) -> RunDir:
    """An existing run folder by path, by its name in `parent`, or `latest`."""
    if str(reference) == "latest":
        runs = [path for path in parent.glob("*") if (path / "config.toml").is_file()] if parent.is_dir() else []
        if not runs:
            raise DataError(
                f"no run in {parent}: name a run folder, or where the runs lie (--out; --log-dir of monitor)"
            )
        return RunDir(max(runs, key=lambda path: (path / "config.toml").stat().st_mtime))
    for path in (Path(reference), parent / reference):
        if (path / "config.toml").is_file():
            return RunDir(path if path.name not in ("", "..") else path.resolve())  # a run has a name, also from within
    raise DataError(f"{reference} is no run folder (it has no config.toml)")


@contextmanager
def at_work(run: RunDir) -> Iterator[None]:
    """Keep other commands that write out of a run folder; of the processes that torchrun started, the first does.

    Raises ConfigError where another is at work there.
    """
    if os.environ.get("RANK", "0") != "0":
        yield
        return
    watch = shlex.join(["dfukit", "monitor", str(run.path)])
    with alone(run.path, f"another dfukit is at work in {run.path}: wait for it, or watch it with `{watch}`"):
        yield


@contextmanager
def alone(folder: Path, taken: str) -> Iterator[list[int]]:
    """Lock a folder for the block, and for as long as a process lives that inherits the file; no file is put there.

    The lock ends with these, however they end. Raises ConfigError, which says `taken`, where another holds it. Where
    folders cannot be locked nothing is kept out.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield []
        return
    file = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(taken) from None
        except OSError:  # some network file systems
            pass
        yield [file]
    finally:
        os.close(file)


def taken(run: RunDir) -> bool:
    """Whether a process of this machine is at work in a run folder; False, too, where that cannot be known."""
    try:
        import fcntl

        file = os.open(run.path, os.O_RDONLY)
    except (ImportError, OSError):  # Windows; a folder that is gone
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # some network file systems
        return False
    finally:
        os.close(file)
    return False


def unchanged(path: Path) -> Callable[[], bool]:
    """Asks whether a file, or its absence, is still what it is now: an extension that has begun took training.json."""

    def content() -> bytes | None:
        return path.read_bytes() if path.is_file() else None

    before = content()
    return lambda: content() == before


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _named(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """An error of the disk names the file: a write to a full one does not."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def sync(folder: Path) -> None:
    """Names in a folder reach the disk as well."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows syncs no folders
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(run: RunDir) -> None:
    """Remove what writes that were killed left in a run folder, by who is at work there: another's may be going on."""
    for folder in (run.path, run.samples, run.checkpoints, run.synthetic, run.features):
        for litter in folder.glob(".*.tmp"):
            shutil.rmtree(litter) if litter.is_dir() else litter.unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, content: Any) -> None:
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_toml(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, tomli_w.dumps(content))


def read_json(path: Path) -> Any:
    """A JSON file of a run. Raises DataError naming the file."""
    try:
        return json.loads(path.read_text("utf-8"), parse_constant=_finite, parse_float=_finite)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON: {error}") from None


def _finite(text: str) -> float:
    """Python would read NaN and Infinity, which are no JSON, and infinity for 1e999."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number
