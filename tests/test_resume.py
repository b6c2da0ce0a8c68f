"""A run that was interrupted goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import small_gan
import torch
from torch import Tensor

import dfukit
from dfukit import (
    Component,
    ConfigError,
    DataError,
    ImageSpec,
    Interrupted,
    checkpoint,
    config,
    frozen,
    gan,
    pipeline,
    registry,
)
from dfukit.checkpoint import Checkpoint
from dfukit.component import Chosen
from dfukit.config import RunConfig
from dfukit.device import Compute
from dfukit.gan import GanPictures
from dfukit.interfaces import Augmentation, Step
from dfukit.interrupt import StopRequest
from dfukit.progress import Silent
from dfukit.rundir import RunDir

TINY = {
    "run.threads": 1,
    "run.precision": "fp32",
    "classifier.lstm_hidden": 16,
    "classifier.lstm_layers": 1,
    "gan.steps": 12,
    "gan.patience": 0,
}
SAME = (
    "generator.safetensors",
    "critic.safetensors",
    "scores.json",
    "classification.json",
    "classifier.safetensors",
    "synthetic/manifest.csv",
    "samples/classes.png",
    "samples/interpolation.png",
    "split.csv",
)


pytestmark = pytest.mark.usefixtures("offline")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunDir:
    """A run that nobody interrupted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFUKIT_CACHE_DIR", str(cache))
        patch.setenv("DFUKIT_OFFLINE", "1")
        return begin(tmp_path_factory.mktemp("runs"), Silent()).folder


class Signal(Silent):
    """A user who asks to stop once so many steps are done."""

    def __init__(self, step: int, number: int = signal.SIGINT, times: int = 1) -> None:
        self.step, self.number, self.times = step, number, times

    def update(self, task: str, done: int, total: int, note: str = "") -> None:
        if task == "GAN steps" and done == self.step:
            for _ in range(self.times):
                signal.raise_signal(self.number)


class Listening(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def begin(out: Path, progress: Silent) -> dfukit.Run:
    return dfukit.run(preset="smoke", classifier="critic_lstm", settings=TINY, out=out, name="run", progress=progress)


def steps(run: RunDir, phase: str = "gan") -> list[tuple[int, list[str]]]:
    """Step and kind of each event; pictures per second are nobody's to repeat."""
    return [(event["step"], sorted(event)) for event in run.events() if event["phase"] == phase]


def assert_same(resumed: RunDir, whole: RunDir) -> None:
    for name in SAME:
        assert (resumed.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    for phase in ("gan", "alarm", "classifier"):
        assert steps(resumed, phase) == steps(whole, phase)
    mine, other = (json.loads(run.training.read_text()) for run in (resumed, whole))
    assert {**mine, "seconds": 0, "seconds_of_evaluation": 0} == {**other, "seconds": 0, "seconds_of_evaluation": 0}
    assert not list(resumed.path.rglob(".*"))
    assert [path.name for path in sorted(resumed.checkpoints.iterdir())] == ["00000010", "00000012"]


def test_an_interrupted_run_ends_as_if_nothing_had_happened(whole: RunDir, tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match=r"after step 7, which is saved; go on with: dfukit\.run\(resume='.*run'"):
        begin(tmp_path, Signal(7))  # between two evaluations
    assert not RunDir(tmp_path / "run").training.exists()
    assert_same(dfukit.run(resume="latest", out=tmp_path).folder, whole)


def test_a_second_ctrl_c_stops_at_once_and_the_checkpoint_before_counts(whole: RunDir, tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match=r"^interrupted; go on with"):
        begin(tmp_path, Signal(7, times=2))
    listening = Listening()
    assert_same(dfukit.run(resume=tmp_path / "run", progress=listening).folder, whole)
    assert "going on after step 6" in listening.said


def test_a_run_interrupted_again_and_again_ends_the_same(whole: RunDir, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        begin(tmp_path, Signal(1, signal.SIGTERM))
    for step in (2, 5, 9):
        with pytest.raises(Interrupted):
            dfukit.run(resume=tmp_path / "run", progress=Signal(step))
    assert_same(dfukit.run(resume=tmp_path / "run").folder, whole)


def test_a_run_that_was_stopped_after_its_gan_goes_on_from_there(whole: RunDir, tmp_path: Path) -> None:
    shutil.copytree(whole.path, tmp_path / "run")
    run = RunDir(tmp_path / "run")
    for path in (run.scores, run.classification, run.report, run.classifier_weights, run.manifest):
        path.unlink()
    for path in (run.path / ".classifier.safetensors.7.tmp", run.features / ".r64.safetensors.7.tmp"):  # it was killed
        path.write_bytes(b"half")
    before = run.generator_weights.stat().st_mtime_ns
    listening = Listening()
    assert_same(dfukit.run(resume=run.path, progress=listening).folder, whole)
    assert run.report.is_file()
    assert run.generator_weights.stat().st_mtime_ns == before
    assert any("the GAN of run is trained" in line for line in listening.said)


def test_classifiers_trained_anew_leave_no_half_of_a_file_that_was_killed(whole: RunDir, tmp_path: Path) -> None:
    shutil.copytree(whole.path, tmp_path / "run")
    run = RunDir(tmp_path / "run")
    (run.path / ".predictions.csv.7.tmp").write_bytes(b"half")
    pipeline.execute_classify(run, Silent())
    assert not list(run.path.rglob(".*"))
    assert ".tmp" not in run.sums.read_text()


def test_a_run_killed_before_its_first_checkpoint_starts_anew(whole: RunDir, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        begin(tmp_path, Signal(1, times=2))
    run = RunDir(tmp_path / "run")
    assert not run.checkpoints.exists()
    assert [step for step, _ in steps(run)] == [1]
    assert_same(dfukit.run(resume=run.path).folder, whole)


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [tear, flip, Path.unlink])
@pytest.mark.parametrize("file", [checkpoint.TENSORS, checkpoint.TABLE, checkpoint.SUMS])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, file: str, damage: Callable[[Path], None]
) -> None:
    for step in (1, 2):
        checkpoint.write(tmp_path, Checkpoint(step, {"a/b": torch.full((50,), step)}, {"x": 1}))
    damage(tmp_path / "00000002" / file)
    said: list[str] = []
    found = checkpoint.newest(tmp_path, said.append)
    assert found is not None
    assert found.step == 1
    assert found.of("a")["b"].tolist() == [1] * 50
    assert len(said) == 1
    assert "00000002 is damaged" in said[0]
    assert said[0].endswith("using the one before it")


def test_where_no_whole_checkpoint_is_left_training_begins_anew_and_says_so(tmp_path: Path) -> None:
    for step in (1, 2):
        checkpoint.write(tmp_path / "checkpoints", Checkpoint(step, {"a/b": torch.zeros(1)}, {}))
        tear(tmp_path / "checkpoints" / f"{step:08d}" / checkpoint.TENSORS)
    listening = Listening()
    assert train(tmp_path, listening, **{"gan.steps": 1}).summary["steps"] == 1
    before = [line for line in listening.said if "checkpoint" in line]
    assert [line.rsplit(": ", 1)[1] for line in before] == [
        "using the one before it",
        "there is none before it",
        "training begins at step 0",
    ]


def test_a_run_whose_newest_checkpoint_is_torn_ends_the_same(whole: RunDir, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        begin(tmp_path, Signal(7))
    tear(tmp_path / "run" / "checkpoints" / "00000007" / checkpoint.TENSORS)
    listening = Listening()
    assert_same(dfukit.run(resume=tmp_path / "run", progress=listening).folder, whole)
    assert "going on after step 6" in listening.said


def test_the_last_two_checkpoints_are_kept_and_litter_is_cleaned(tmp_path: Path) -> None:
    for step in range(1, 5):
        (tmp_path / f".{step:08d}.1.tmp").mkdir(parents=True)
        checkpoint.write(tmp_path, Checkpoint(step, {"a/b": torch.zeros(1)}, {}))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000003", "00000004"]
    # What a desktop leaves in a folder that is looked at is its own.
    (tmp_path / ".DS_Store").touch()
    checkpoint.write(tmp_path, Checkpoint(4, {"a/b": torch.zeros(1)}, {}))
    (tmp_path / ".DS_Store").unlink()
    # After a fall-back the later, damaged ones go when the next is written.
    checkpoint.write(tmp_path, Checkpoint(2, {"a/b": torch.zeros(1)}, {}))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000002"]


def test_a_save_killed_at_any_moment_leaves_the_checkpoint_before_it(tmp_path: Path) -> None:
    """kill -9 before the first, second ... call that changes the disk, until there is none left."""
    killed = 0
    for moment in range(1, 50):
        folder = tmp_path / str(moment)
        for step in (1, 2, 3):
            checkpoint.write(folder, Checkpoint(step, {"a/b": torch.full((50,), step)}, {}))
        child = os.fork()
        if child == 0:
            try:
                kill_at(moment)
                checkpoint.write(folder, Checkpoint(4, {"a/b": torch.full((50,), 4)}, {}))
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        said: list[str] = []
        found = checkpoint.newest(folder, said.append)
        assert found is not None
        assert found.step in (3, 4)
        assert found.of("a")["b"].tolist() == [found.step] * 50
        assert said == []
        checkpoint.write(folder, Checkpoint(5, {"a/b": torch.zeros(1)}, {}))
        assert sorted(path.name for path in folder.iterdir()) == [f"{found.step:08d}", "00000005"]
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            break
        killed += 1
    assert killed >= 14  # three files, their folder, its name, the folder above, and the oldest one's end


def kill_at(moment: int) -> None:
    """From here on, this process is killed before a call that changes the disk."""
    left = iter(range(moment - 1, -1, -1))

    def fatal(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if next(left, 1) == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        return call

    for home, name in ((os, "fsync"), (os, "rename"), (os, "replace"), (Path, "mkdir"), (shutil, "rmtree")):
        setattr(home, name, fatal(getattr(home, name)))


def test_equal_states_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        checkpoint.write(
            tmp_path / name, Checkpoint(1, {"b/x": torch.ones(2), "a/y": torch.zeros(3)}, {"z": 1, "a": 2})
        )
    for file in (checkpoint.TENSORS, checkpoint.TABLE, checkpoint.SUMS):
        assert (tmp_path / "first/00000001" / file).read_bytes() == (tmp_path / "second/00000001" / file).read_bytes()


def test_a_checkpoint_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").touch()
    with pytest.raises(OSError, match="checkpoints/00000001"):
        checkpoint.write(tmp_path / "checkpoints", Checkpoint(1, {}, {}))


@frozen
class NoSettings:
    """Nothing to set."""


class Learning(Augmentation):
    """Its strength is what it has observed, so that forgetting it changes training."""

    def __init__(self, settings: NoSettings, image: ImageSpec) -> None:
        self.strength = torch.zeros(())

    def draw(self, n: int, step: Step, purpose: str = "augment") -> Tensor:
        return torch.rand(n, 1, 1, 1, generator=step.rng(purpose)) * self.strength

    def forward(self, images: Tensor, params: Tensor) -> Tensor:
        return images * (1 - params)

    def observe(self, terms: Mapping[str, Tensor]) -> None:
        self.strength = (self.strength + 0.1).clamp(max=0.9)

    def state(self) -> dict[str, Tensor]:
        return {"strength": self.strength}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.strength = state["strength"]


class Alike:
    """A distance that is best at its first evaluation."""

    name = "alike"

    def __init__(self) -> None:
        self.asked = 0

    def measure(self, fake: np.ndarray) -> tuple[float, float]:
        self.asked += 1
        return float(self.asked), 0.0


def train(folder: Path, progress: Silent, distance: Any = None, **settings: Any) -> gan.TrainedGan:
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    learning = Chosen(
        "augmentation", Component("learning", NoSettings, f"{__name__}:Learning", ""), NoSettings(), "test", "1"
    )
    told = {"generator.lstm_hidden": 16, "gan.steps": 8, "run.precision": "fp32", "gan.beta1": 0.5, **settings}
    made: RunConfig = config.resolve(registry.load(), preset="smoke", settings=told)
    pictures = GanPictures(
        rng.integers(0, 255, (20, 16, 16, 3), np.uint8),
        np.arange(20) % 2,
        rng.integers(0, 255, (12, 16, 16, 3), np.uint8),
        np.arange(12) % 2,
    )
    return gan.train(
        attrs.evolve(made, augmentation=learning),
        ImageSpec(16, 3, ("a", "b"), "a"),
        pictures,
        Compute(torch.device("cpu"), bf16=False),
        RunDir(folder),
        {},
        distance,
        progress,
    )


def test_what_an_augmentation_has_learnt_is_resumed(tmp_path: Path) -> None:
    train(tmp_path / "whole", Silent())
    with pytest.raises(Interrupted):
        train(tmp_path / "cut", Signal(5))
    train(tmp_path / "cut", Silent())
    for name in ("generator.safetensors", "critic.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_patience_counts_on_across_an_interruption(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", Silent(), Alike(), **{"gan.patience": 2})
    distance = Alike()
    with pytest.raises(Interrupted):
        train(tmp_path / "cut", Signal(5), distance, **{"gan.patience": 2})
    cut = train(tmp_path / "cut", Silent(), distance, **{"gan.patience": 2})
    assert whole.summary["steps"] == cut.summary["steps"] == 6
    assert whole.summary["kept_step"] == cut.summary["kept_step"] == 2
    assert cut.summary["stopped"] == "no better for 2 evaluations"
    # Killed between its last checkpoint and training.json: nothing is left to train.
    assert train(tmp_path / "cut", Silent(), distance, **{"gan.patience": 2}).summary["steps"] == 6
    assert distance.asked == 3


def test_networks_of_another_shape_are_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(tmp_path / "cut", Signal(5))
    with pytest.raises(DataError, match=r"step 5 does not fit the settings in config\.toml.*put those settings back"):
        train(tmp_path / "cut", Silent(), **{"generator.lstm_hidden": 24})


def test_what_the_optimiser_remembers_of_another_critic_is_refused(tmp_path: Path) -> None:
    """The weights of a critic without a look at the grain may serve one with it; a checkpoint does not."""
    fastgan = {**small_gan.OTHERS["fastgan"], "gan.steps": 2}
    small_gan.train(tmp_path, **fastgan, **{"critic.fine_share": 0.0})
    with pytest.raises(DataError, match=r"does not fit the settings in config\.toml: what the optimiser remembers"):
        small_gan.train(tmp_path, **fastgan, **{"critic.fine_share": 0.25})


def test_a_request_that_comes_too_late_is_not_lost() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), StopRequest():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_and_the_sigterm_of_the_program_that_started_it_are_one_request() -> None:
    seen = []

    def work() -> None:
        with StopRequest() as stop:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.raise_signal(number)
                seen.append(stop.asked)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert seen == [True, True]


def test_other_pictures_than_those_it_began_with_are_refused(whole: RunDir, tmp_path: Path) -> None:
    shutil.copytree(whole.path, tmp_path / "run")
    table = tmp_path / "run" / "config.toml"
    table.write_text(table.read_text().replace("phantom_pictures = 2", "phantom_pictures = 3"))
    with pytest.raises(DataError, match=r"split\.csv lists: put its pictures back, or start a new run"):
        dfukit.run(resume=tmp_path / "run")


@pytest.mark.parametrize(
    ("other", "named"),
    [({"data": "x"}, r"data\.path"), ({"settings": {"gan.steps": 3}}, "settings"), ({"seed": 0}, r"run\.seed")],
)
def test_a_resumed_run_takes_no_settings_from_python(whole: RunDir, other: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=f"^{named} cannot be given for a resumed run"):
        dfukit.run(resume=whole.path, **other)


# The command line, in processes of its own.


def command(out: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "dfukit", *arguments, "--out", str(out)]


def new_run(command_name: str = "run") -> list[str]:
    told = {**TINY, "gan.steps": 40, "gan.evaluate_every": 2}
    settings = [part for key, value in told.items() for part in ("--set", f"{key}={value}")]
    return [command_name, "--preset", "smoke", "--classifier", "critic_lstm", "--name", "run", *settings]


@pytest.fixture
def process() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command; whatever still runs when the test ends is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(arguments: list[str]) -> subprocess.Popen[str]:
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        started.append(subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env))
        return started[-1]

    yield start
    for one in started:
        if one.poll() is None:
            one.kill()
        one.communicate()


def wait_for(there: Callable[[], bool], one: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not there() and one.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunDir:
    """`dfukit train`, not interrupted."""
    out = tmp_path_factory.mktemp("trained")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "DFUKIT_CACHE_DIR": str(cache), "DFUKIT_OFFLINE": "1"}
    subprocess.run(command(out, *new_run("train")), check=True, env=env, capture_output=True)
    return RunDir(out / "run")


def assert_same_training(resumed: RunDir, trained: RunDir) -> None:
    for name in ("generator.safetensors", "critic.safetensors", "synthetic/manifest.csv"):
        assert (resumed.path / name).read_bytes() == (trained.path / name).read_bytes(), name
    assert steps(resumed) == steps(trained)
    assert not list(resumed.path.rglob(".*"))
    assert [path.name for path in sorted(resumed.checkpoints.iterdir())] == ["00000038", "00000040"]


# The command line, killed at a given fsync of its checkpoints: each checkpoint has five.
FATAL = """
import os, signal, sys
from dfukit import checkpoint, cli
left, sync, write = int(sys.argv.pop(1)), os.fsync, checkpoint.write
def fatal(handle):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    sync(handle)
def inside(*arguments):
    os.fsync = fatal
    write(*arguments)
    os.fsync = sync
checkpoint.write = inside
cli.main()
"""
Moment = Callable[[], bool] | int


def kill_and_resume(out: Path, start: Callable[..., subprocess.Popen[str]], moments: list[Moment]) -> None:
    """kill -9 at each moment in turn (a number: at that fsync of a save), resuming in between; then let it end."""
    arguments = new_run("train")
    for moment in moments:
        if isinstance(moment, int):
            one = start([sys.executable, "-c", FATAL, str(moment), *command(out, *arguments)[3:]])
            one.wait(timeout=300)
        else:
            one = start(command(out, *arguments))
            wait_for(moment, one)
            one.kill()
        one.communicate()
        assert one.returncode == -signal.SIGKILL
        if (out / "run" / "config.toml").is_file():
            arguments = ["train", "--resume", "latest"]
    last = start(command(out, *arguments))
    _, err = last.communicate(timeout=300)
    assert last.returncode == 0, err


def reached(out: Path, step: int) -> Moment:
    return lambda: any(int(path.name) >= step for path in (out / "run" / "checkpoints").glob("0*"))


def test_a_killed_process_is_resumed_to_the_same_bytes(
    trained: RunDir, tmp_path: Path, process: Callable[..., subprocess.Popen[str]]
) -> None:
    kill_and_resume(tmp_path, process, [(tmp_path / "run" / "config.toml").is_file, 13, reached(tmp_path, 14)])
    assert_same_training(RunDir(tmp_path / "run"), trained)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_process_killed_again_and_again_is_resumed_to_the_same_bytes(
    trained: RunDir, tmp_path: Path, process: Callable[..., subprocess.Popen[str]], seed: int
) -> None:
    rng = random.Random(seed)
    starting = time.monotonic() + rng.random() * 6
    moments: list[Moment] = [
        lambda: time.monotonic() > starting,
        reached(tmp_path, rng.randint(1, 10)),
        rng.randint(1, 20),
        reached(tmp_path, rng.randint(20, 24)),
        rng.randint(1, 15),
    ]
    kill_and_resume(tmp_path, process, moments)
    assert_same_training(RunDir(tmp_path / "run"), trained)


def interrupted(one: subprocess.Popen[str], number: int, run: Path) -> str:
    """The command to go on with, of a training that was sent a signal."""
    one.send_signal(number)
    out, err = one.communicate(timeout=120)
    assert (one.returncode, out) == (130, "")
    last = err.strip().splitlines()[-1]
    assert last.startswith("Error: interrupted")
    assert last.endswith(f"go on with: dfukit train --resume {run}")
    assert "Traceback" not in err
    return last.split("go on with: ")[1]


def test_ctrl_c_while_it_starts_exits_130_with_the_line_to_continue(
    tmp_path: Path, process: Callable[..., subprocess.Popen[str]]
) -> None:
    one = process(command(tmp_path, *new_run("train")))
    wait_for((tmp_path / "run" / "config.toml").exists, one)
    time.sleep(0.1)
    interrupted(one, signal.SIGINT, tmp_path / "run")


def test_sigterm_while_it_trains_exits_130_with_a_line_that_continues(
    trained: RunDir, tmp_path: Path, process: Callable[..., subprocess.Popen[str]]
) -> None:
    one = process(command(tmp_path, *new_run("train")))
    wait_for((tmp_path / "run" / "checkpoints").exists, one)
    time.sleep(0.1)
    line = interrupted(one, signal.SIGTERM, tmp_path / "run")
    again = process([sys.executable, "-m", *shlex.split(line)])
    _, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    assert "going on after step" in err
    assert_same_training(RunDir(tmp_path / "run"), trained)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "--resume", "latest", "--set", "gan.steps=3"], 2, "--set cannot be given for a resumed run"),
        (["run", "--resume", "latest", "--seed", "1"], 2, "--seed cannot be given for a resumed run"),
        (["run", "--resume", "latest", "--dry-run"], 2, "--dry-run cannot be given for a resumed run"),
        (["run", "--resume", "latest", "--name", "x"], 2, "--name cannot be given for a resumed run"),
        (["train", "--resume", "latest", "--preset", "smoke"], 2, "--preset cannot be given for a resumed run"),
        (["run", "--resume", "latest"], 3, "no run in"),
        (["train", "--resume", "absent"], 3, "absent is no run folder"),
    ],
)
def test_a_wrong_resume_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    from dfukit import cli

    monkeypatch.setattr(sys, "argv", ["dfukit", *arguments, "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    captured = capsys.readouterr()
    assert ended.value.code == code
    assert captured.out == ""
    assert captured.err.startswith("Error: ")
    assert words in captured.err
    assert len(captured.err.splitlines()) == 1
