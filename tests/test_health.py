"""Numbers that are not finite, and memory that ends: steps are skipped, taken back, or made in smaller portions."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_gan import Faulty, Listening, Signal, train
from torch import nn

import dfukit_augment.pipelines
from dfukit import DfukitError, DivergedError, Interrupted, PluginError, checkpoint, recovery, rundir
from dfukit.descent import Descent
from dfukit.drawn import to_uint8
from dfukit.health import Health
from dfukit.interfaces import Augmentation, Step
from dfukit.portions import Portions
from dfukit.rundir import RunDir
from dfukit.world import ALONE

NAN, INF = math.nan, math.inf


@pytest.fixture(autouse=True)
def _without_fault() -> Iterator[None]:
    yield
    Faulty.fault = staticmethod(lambda turn, step: None)


def fault(turn: str, steps: set[int], factor: float) -> None:
    """The loss of that turn is multiplied in those steps, counted from 1."""
    Faulty.fault = staticmethod(lambda at, step: factor if at == turn and step.index + 1 in steps else None)


def state(folder: Path, step: int) -> checkpoint.Checkpoint:
    found = checkpoint.newest(folder / "checkpoints", lambda text: None)
    assert found is not None
    assert found.step == step
    return found


@pytest.mark.parametrize("factor", [NAN, INF])
@pytest.mark.parametrize(
    ("turn", "owner", "other"), [("critic", "critic", "generator"), ("generator", "generator", "critic")]
)
def test_a_step_that_is_not_finite_is_skipped_and_counted(
    tmp_path: Path, turn: str, owner: str, other: str, factor: float
) -> None:
    train(tmp_path / "before", **{"gan.steps": 1, "gan.evaluate_every": 1})
    fault(owner, {2}, factor)
    trained = train(tmp_path / "faulty", **{"gan.steps": 2, "gan.evaluate_every": 1})
    before, after = state(tmp_path / "before", 1), state(tmp_path / "faulty", 2)
    learnt = {name: dict(getattr(trained, name).named_parameters()) for name in (owner, other)}
    same = {
        owner: all(torch.equal(before.of(owner)[name], after.of(owner)[name]) for name in names)
        for owner, names in learnt.items()
    }
    assert same == {owner: True, other: False}
    assert before.of(f"{owner} optimiser")["0/step"] == after.of(f"{owner} optimiser")["0/step"]
    assert trained.summary["skipped_steps"] == 1
    assert RunDir(tmp_path / "faulty").events()[-2]["skipped"] == 1


def test_training_goes_on_after_two_skipped_steps(tmp_path: Path) -> None:
    fault("critic", {3, 4, 6}, NAN)
    summary = train(tmp_path).summary
    assert (summary["steps"], summary["skipped_steps"], summary["roll_backs"]) == (8, 3, 0)
    for tensor in state(tmp_path, 8).tensors.values():
        assert tensor.isfinite().all()


def test_three_skipped_steps_in_a_row_go_back_to_the_checkpoint_at_half_the_rate(tmp_path: Path) -> None:
    tries: list[tuple[int, str]] = []

    def once(turn: str, step: Step) -> float | None:
        tries.append((step.index + 1, turn))
        again = tries.count((step.index + 1, turn)) > 1
        return NAN if turn == "generator" and step.index + 1 in (3, 4, 5) and not again else None

    Faulty.fault = staticmethod(once)
    listening = Listening()
    summary = train(tmp_path, listening).summary
    assert [step for step, turn in tries if turn == "generator"] == [1, 2, 3, 4, 5, 5, 6, 7, 8]  # back to 4
    assert (summary["steps"], summary["skipped_steps"], summary["roll_backs"]) == (8, 3, 1)
    (line,) = [line for line in listening.said if "back to step" in line]
    assert "back to step 4, with 0.5 times the learning rates" in line
    events = RunDir(tmp_path).events()
    assert [event["text"] for event in events if event["phase"] == "note"] == [line]
    assert [event["rate"] for event in events if "rate" in event] == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5]


def test_the_time_left_after_a_roll_back_is_counted_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step takes a second, those that are lost too."""
    clock, lost = [0.0], [5, 6, 7]

    def tick(turn: str, step: Step) -> float | None:
        if turn == "critic":
            return None
        clock[0] += 1
        if step.index + 1 not in lost:
            return None
        lost.remove(step.index + 1)
        return NAN

    Faulty.fault = staticmethod(tick)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    assert train(tmp_path).summary["roll_backs"] == 1
    left = {event["step"]: event["seconds_left"] for event in RunDir(tmp_path).events() if "seconds_left" in event}
    assert left == {step: 8 - step for step in range(1, 9)}


def test_before_the_first_checkpoint_training_goes_back_to_its_beginning(tmp_path: Path) -> None:
    asked: list[int] = []

    def once(turn: str, step: Step) -> float | None:
        asked.append(step.index + 1)
        if turn != "critic" or step.index >= 3 or len(asked) >= 7:
            return None
        time.sleep(0.2)
        return NAN

    Faulty.fault = staticmethod(once)
    summary = train(tmp_path, **{"gan.evaluate_every": 4}).summary
    assert (summary["steps"], summary["roll_backs"], summary["skipped_steps"]) == (8, 1, 3)
    assert asked[6] == 1
    assert summary["seconds"] >= 0.6  # what is lost was training, too


@pytest.mark.parametrize("turn", ["critic", "generator"])
def test_the_third_roll_back_ends_training_with_the_last_good_weights(tmp_path: Path, turn: str) -> None:
    good = train(tmp_path / "good", **{"gan.steps": 4, "gan.evaluate_every": 4})
    assert good.summary["kept_step"] == 4
    fault(turn, {5, 6, 7}, NAN)
    with pytest.raises(
        DivergedError,
        match=r"3 steps in a row .* 3 times, .* step 7; the weights of step 4 are in .*; lower gan\.lr_generator",
    ) as ended:
        train(tmp_path / "bad", **{"gan.steps": 20, "gan.evaluate_every": 4})
    assert ended.value.exit_code == 5
    for name in ("generator.safetensors", "critic.safetensors"):
        assert (tmp_path / "bad" / name).read_bytes() == (tmp_path / "good" / name).read_bytes()


def test_a_run_interrupted_after_a_roll_back_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    def faults() -> None:
        seen: set[int] = set()

        def once(turn: str, step: Step) -> float | None:
            first = step.index not in seen
            seen.add(step.index)
            return NAN if turn == "critic" and step.index in (2, 3, 4) and first else None

        Faulty.fault = staticmethod(once)

    faults()
    train(tmp_path / "whole")
    faults()
    with pytest.raises(Interrupted):
        train(tmp_path / "cut", Signal(6, lambda: signal.raise_signal(signal.SIGTERM)))
    assert state(tmp_path / "cut", 6).engine["health"] == {"roll_backs": 1, "skipped": 3, "in_a_row": 0}
    summary = train(tmp_path / "cut").summary
    assert (summary["roll_backs"], summary["skipped_steps"]) == (1, 3)
    for name in ("generator.safetensors", "critic.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


class Distance:
    """Answers what it is told, in turn."""

    name = "told"

    def __init__(self, *answers: float | Exception) -> None:
        self.answers = iter(answers)

    def measure(self, fake: np.ndarray) -> tuple[float, float]:
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer, 0.0


@pytest.mark.parametrize("bad", [NAN, INF])
def test_a_score_that_is_not_finite_is_no_improvement_and_ends_nothing(tmp_path: Path, bad: float) -> None:
    trained = train(tmp_path, distance=Distance(3.0, bad, 2.0, bad), **{"gan.patience": 2})
    assert (trained.summary["steps"], trained.summary["kept_step"], trained.summary["best_distance"]) == (8, 6, 2.0)
    scored = [event for event in RunDir(tmp_path).events() if "diversity" in event]
    assert [event.get("distance") for event in scored] == [3.0, None, 2.0, None]


def assert_weights_of(step: int, folder: Path, other: Path) -> None:
    """The weights of a run folder are those of a training, in another, that ended at a step."""
    train(other, **{"gan.steps": step})
    for name in ("generator.safetensors", "critic.safetensors"):
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name


def test_a_training_whose_distance_is_never_measured_keeps_its_last_weights(tmp_path: Path) -> None:
    summary = train(tmp_path / "infinite", distance=Distance(INF, NAN, INF, INF)).summary
    assert (summary["steps"], summary["kept_step"]) == (8, 8)
    assert summary["kept_distance"] is summary["best_distance"] is None
    assert_weights_of(8, tmp_path / "infinite", tmp_path / "unjudged")


def test_scoring_does_not_change_training(tmp_path: Path) -> None:
    train(tmp_path / "often", distance=Distance(*range(9)), **{"gan.evaluate_every": 1})
    train(tmp_path / "never", **{"gan.evaluate_every": 8})
    often, never = state(tmp_path / "often", 8), state(tmp_path / "never", 8)
    for owner in ("generator", "critic", "generator optimiser", "critic optimiser"):
        assert all(torch.equal(often.of(owner)[name], value) for name, value in never.of(owner).items())


def test_where_evaluations_are_far_apart_training_is_saved_on_the_way_and_stays_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path / "seldom", **{"gan.evaluate_every": 8})
    monkeypatch.setattr(recovery, "SECONDS", 0.0)
    found: list[list[str]] = []

    class Looking(Listening):
        def update(self, task: str, done: int, total: int, note: str = "") -> None:
            found.append(sorted(path.name for path in (tmp_path / "often" / "checkpoints").glob("0*")))

    train(tmp_path / "often", Looking(), **{"gan.evaluate_every": 8})
    assert found[4] == ["00000003", "00000004"]  # after the fifth step, before it is saved
    for name in ("generator.safetensors", "critic.safetensors"):
        assert (tmp_path / "often" / name).read_bytes() == (tmp_path / "seldom" / name).read_bytes()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training without a fault."""
    folder = tmp_path_factory.mktemp("plain")
    assert train(folder).summary["pictures_at_a_time"] == 8
    return folder


def no_memory() -> Exception:
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize(
    "error",
    [
        no_memory(),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    ],
)
@pytest.mark.parametrize("turn", ["critic", "generator"])
def test_out_of_memory_halves_the_portions_once_and_trains_the_same(
    plain: Path, tmp_path: Path, turn: str, error: Exception
) -> None:
    parts: list[int] = []

    def full(at: str, step: Step) -> None:
        if at == turn and step.index == 1 and not parts:
            parts.append(step.index)
            raise error

    Faulty.fault = staticmethod(full)
    listening = Listening()
    trained = train(tmp_path / "full", listening)
    assert [line for line in listening.said if "out of memory" in line] == [
        "out of memory: training goes on with 4 pictures at a time"
    ]
    assert trained.summary["pictures_at_a_time"] == 4
    assert trained.summary["steps"] == 8
    assert any(
        "4 pictures at a time" in event["text"]
        for event in RunDir(tmp_path / "full").events()
        if event["phase"] == "note"
    )
    for name in ("generator.safetensors", "critic.safetensors"):
        found, expected = (load_file(folder / name) for folder in (tmp_path / "full", plain))
        apart = torch.cat([(found[part] - expected[part]).abs().flatten() for part in expected]).mean()
        assert apart < 5e-6  # sums in another order; a step less is 6e-5


def test_portions_that_are_still_too_large_are_halved_down_to_one_picture_and_then_it_is_an_error(
    tmp_path: Path,
) -> None:
    def full(at: str, step: Step) -> None:
        raise no_memory()

    Faulty.fault = staticmethod(full)
    listening = Listening()
    with pytest.raises(DfukitError, match=r"out of memory: training does not fit even one picture .* lower gan\.size"):
        train(tmp_path, listening)
    assert [line.split(" with ")[1][0] for line in listening.said if "out of memory" in line] == ["4", "2", "1"]


def test_smaller_portions_are_kept_across_an_interruption(tmp_path: Path) -> None:
    def full(at: str, step: Step) -> None:
        if step.index == 0 and not step.first:
            Faulty.fault = staticmethod(lambda turn, step: None)
            raise no_memory()

    Faulty.fault = staticmethod(full)
    with pytest.raises(Interrupted):
        train(tmp_path, Signal(3, lambda: signal.raise_signal(signal.SIGINT)))
    assert train(tmp_path).summary["pictures_at_a_time"] == 4


def test_another_error_of_torch_is_no_lack_of_memory(tmp_path: Path) -> None:
    def broken(at: str, step: Step) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    Faulty.fault = staticmethod(broken)
    with pytest.raises(PluginError, match="loss faulty of test 1 failed: RuntimeError: mat1"):
        train(tmp_path)


def test_out_of_memory_while_scoring_halves_its_portions_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def full(pictures: torch.Tensor) -> torch.Tensor:
        sizes.append(len(pictures))
        if len(sizes) == 1:
            raise no_memory()
        return to_uint8(pictures)

    monkeypatch.setattr("dfukit.examination.to_uint8", full)
    listening = Listening()
    trained = train(tmp_path, listening, Distance(4.0, 3.0, 2.0, 1.0))
    assert sizes[0] == 64
    assert max(sizes[1:]) == 32
    assert "out of memory: scoring goes on with 32 pictures at a time" in listening.said
    assert (trained.summary["pictures_at_a_time"], trained.summary["kept_step"]) == (8, 8)


@pytest.mark.parametrize("portion", [1, 3, 5])
def test_gradients_of_portions_add_up_to_those_of_the_batch(portion: int) -> None:
    torch.manual_seed(0)
    network, data = nn.Linear(6, 1).double(), torch.randn(10, 6, dtype=torch.float64)

    def terms(turn: Step, n: int) -> dict[str, torch.Tensor]:
        scores = network(data[turn.first : turn.first + n]).squeeze(1)
        noise = turn.uniform("noise", n).double()
        return {"loss": (scores * noise).square().mean(), "fake": scores}

    def gradients(size: int) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
        optimiser = torch.optim.Adam(network.parameters(), 0.0, fused=True)
        descent = Descent(network, optimiser, 10, Portions(size, "training", print), Health(torch.device("cpu")), ALONE)
        found = descent.step(Step(0, 0), terms)
        return [parameter.grad.clone() for parameter in network.parameters()], found

    (whole, of_whole), (parts, of_parts) = gradients(10), gradients(portion)
    for one, other in zip(whole, parts, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-12)
    assert of_whole["loss"].item() == pytest.approx(of_parts["loss"].item(), abs=1e-12)
    assert torch.allclose(of_whole["fake"], of_parts["fake"], rtol=0, atol=1e-12)


def test_what_a_step_draws_does_not_depend_on_how_its_batch_is_divided() -> None:
    step = Step(3, 7)
    for draw in (Step.uniform, Step.normal):
        whole = draw(step, "x", 10, 2)
        parts = [draw(step.part(first, 10), "x", 4 if first else 6, 2) for first in (0, 6)]
        assert torch.equal(whole, torch.cat(parts))
    assert step.part(6, 10).rng("x").initial_seed() != step.rng("x").initial_seed()
    with pytest.raises(ValueError, match="5 pictures from 6 on are more than a batch of 10 has"):
        step.part(6, 10).uniform("x", 5)


def test_an_augmentation_draws_for_all_pictures_that_are_scored_together(tmp_path: Path) -> None:
    drawn: list[int] = []

    class Numbers(Augmentation):
        def __init__(self, settings: object, image: object) -> None: ...

        def draw(self, n: int, step: Step, purpose: str = "augment") -> torch.Tensor:
            drawn.append(len(step.uniform(purpose, n)))
            return step.uniform(purpose, n, 1, 1, 1)

        def forward(self, images: torch.Tensor, params: torch.Tensor) -> torch.Tensor:
            return images * params.to(images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dfukit_augment.pipelines, "Unchanged", Numbers)
        train(tmp_path, **{"gan.steps": 1, "gan.batch_size": 8})
    assert drawn == [16, 8, 8]  # real and fake together, the penalty's, and the generator's


def send(folder: Path) -> Callable[[], None]:
    return (folder / "stop").touch


@pytest.mark.parametrize("how", ["file", "keyboard"])
@pytest.mark.parametrize("step", [3, 4])  # between two evaluations, and at one
def test_training_is_ended_at_once_and_what_it_reached_is_judged_and_kept(tmp_path: Path, how: str, step: int) -> None:
    run = RunDir(tmp_path)
    ask = run.stop.touch if how == "file" else lambda: signal.raise_signal(signal.SIGQUIT)
    before = signal.getsignal(signal.SIGQUIT)
    summary = train(tmp_path, Signal(step, ask)).summary
    assert (summary["steps"], summary["stopped"], summary["kept_step"]) == (step, "asked to stop", step)
    assert run.sample_grid(step).is_file()
    assert not run.stop.exists()
    assert signal.getsignal(signal.SIGQUIT) is before
    # Killed before it was written down that the training has ended: it has.
    assert train(tmp_path).summary["steps"] == step


@pytest.mark.parametrize(
    ("file", "kept_step"), [("SHA256SUMS", 2), ("generator.safetensors", 4), ("critic.safetensors", 4)]
)
def test_a_run_stopped_while_it_writes_ends_with_the_weights_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, kept_step: int
) -> None:
    """Stopped at once before a file of its second evaluation; resumed, and ended after a step that is worse."""
    run, write = RunDir(tmp_path / "cut"), rundir.write_bytes
    seen: list[str] = []

    def stopped(path: Path, content: bytes) -> None:
        seen.append(path.name)
        if seen.count(file) == 2:
            raise KeyboardInterrupt
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(rundir, "write_bytes", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(run.path, distance=Distance(3.0, 2.0))
    run.stop.touch()
    summary = train(run.path, distance=Distance(9.0)).summary
    assert (summary["steps"], summary["kept_step"]) == (kept_step + 1, kept_step)
    assert_weights_of(kept_step, run.path, tmp_path / "whole")
