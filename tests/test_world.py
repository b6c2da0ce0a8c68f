"""Several processes train one GAN: the same gradients, the same decisions, one writer, checkpoints for any number."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small_gan
import torch
from small_gan import CPU, IMAGE, pictures, small

from dfukit import ConfigError, Interrupted, checkpoint, gan
from dfukit.descent import Descent
from dfukit.health import Health
from dfukit.interfaces import Batch, Step
from dfukit.portions import Portions
from dfukit.progress import Silent
from dfukit.rundir import RunDir
from dfukit.world import ALONE, World, joined


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _enter(rank: int, size: int, port: int, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    with joined() as world:
        work(world, *arguments)
    # A thread of the group that outlives it aborts the interpreter now and then as it ends.
    left = [Path(f"/proc/self/task/{thread}/comm").read_text() for thread in os.listdir("/proc/self/task")]
    assert not [name for name in left if "gloo" in name or "tcpstore" in name], left


def together(size: int, work: Callable[..., Any], *arguments: Any) -> None:
    """`work(world, *arguments)` in so many processes."""
    context, port = multiprocessing.get_context("spawn"), free_port()
    processes = [
        context.Process(target=_enter, args=(rank, size, port, work, arguments), daemon=True) for rank in range(size)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * size


@pytest.mark.parametrize("n", [0, 1, 7, 64])
@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_shares_are_contiguous_and_differ_by_one_at_most(n: int, size: int) -> None:
    shares = [World(rank, size).share(n) for rank in range(size)]
    assert [row for share in shares for row in share] == list(range(n))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_alone_nothing_is_shared() -> None:
    assert "WORLD_SIZE" not in os.environ
    with joined() as world:
        assert world is ALONE
    rows = torch.arange(6).view(3, 2)
    assert ALONE.gather(rows, 3) is rows
    assert ALONE.any(True)
    assert not ALONE.any(False)
    assert ALONE.folder(Path("runs/a b")) == Path("runs/a b")


def talk(world: World) -> None:
    assert world.any(world.rank == 1)
    assert not world.any(False)
    assert world.largest(float(world.rank), -1.0) == (1.0, -1.0)
    assert world.agree(False, world.first) == (False, True)
    assert world.folder(Path("runs/é") if world.first else None) == Path("runs/é")
    rows = torch.arange(5).view(5, 1)
    mine = world.share(5)
    assert torch.equal(world.gather(rows[mine.start : mine.stop], 5), rows)
    assert torch.equal(world.each(5, lambda some: rows[some.start : some.stop] * 2), rows * 2)
    one, other = torch.tensor([1.0 + world.rank]), torch.ones(2, 2)
    world.sum([one, other])
    assert (one.item(), other.tolist()) == (3.0, [[2.0, 2.0], [2.0, 2.0]])


def test_processes_agree() -> None:
    together(2, talk)


def write_gradients(world: World, folder: Path) -> None:
    """Gradients of one critic and one generator step of the reference GAN, in float64, without dropout."""
    torch.manual_seed(0)
    config = small(**{"gan.batch_size": 9})
    generator, critic = config.generator.build(IMAGE).double(), config.critic.build(IMAGE).double()
    for module in generator.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()  # statistics of a batch are those of its parts
    loss = config.loss.build(IMAGE)
    real = torch.rand(9, 3, 16, 16, dtype=torch.float64) * 2 - 1
    label = torch.arange(9) % 2

    def batch(turn: Step, n: int) -> Batch:
        rows = slice(turn.first, turn.first + n)
        return Batch(real[rows], generator(turn.normal("latent", n, 100).double(), label[rows]), label[rows])

    def critic_terms(turn: Step, n: int) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            drawn = batch(turn, n)
        return loss.critic(critic, drawn, turn)

    def generator_terms(turn: Step, n: int) -> dict[str, torch.Tensor]:
        return loss.generator(critic, batch(turn, n), turn)

    found = {}
    for name, network, terms_of in (("critic", critic, critic_terms), ("generator", generator, generator_terms)):
        optimiser = torch.optim.Adam(network.parameters(), 0.0, fused=True)
        portions = Portions(9, "training", print, world)
        terms = Descent(network, optimiser, 9, portions, Health(CPU.device), world).step(Step(1, 5), terms_of)
        found |= {f"{name}.{key}": parameter.grad.clone() for key, parameter in network.named_parameters()}
        found |= {f"{name} {key}": term for key, term in terms.items()}
    if world.first:
        torch.save(found, folder / f"{world.size}.pt")


def test_two_processes_have_the_gradients_of_one(tmp_path: Path) -> None:
    write_gradients(ALONE, tmp_path)
    together(2, write_gradients, tmp_path)
    one, two = (torch.load(tmp_path / f"{size}.pt", weights_only=True) for size in (1, 2))
    assert list(one) == list(two)
    assert sum(bool(expected.abs().max() > 0) for expected in one.values()) > 20
    for name, expected in one.items():
        assert (expected - two[name]).abs().max() < 1e-9, name


def train_together(world: World, folder: Path, settings: dict[str, Any]) -> None:
    trained = small_gan.train(folder, None, Means(), world, **settings)
    if world.first:
        (folder / "summary.json").write_text(json.dumps(trained.summary))
    for network in (trained.generator, trained.critic):
        numbers = torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
        assert torch.equal(world.gather(numbers[None], world.size)[0], numbers)


class Means:
    """A distance that every process computes of all pictures."""

    name = "mean"

    def measure(self, fake: Any) -> tuple[float, float]:
        return float(fake.mean()), 0.0


@pytest.mark.parametrize(
    "settings", [{}, *(pytest.param(told, marks=pytest.mark.slow, id=name) for name, told in small_gan.OTHERS.items())]
)
def test_all_processes_end_with_the_same_weights_and_one_writes(tmp_path: Path, settings: dict[str, Any]) -> None:
    together(2, train_together, tmp_path, dict(settings))
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["steps"], summary["processes"], summary["pictures_at_a_time"]) == (8, 2, 4)
    steps = [event["step"] for event in RunDir(tmp_path).events() if "critic_loss" in event]
    assert steps == list(range(1, 9))
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1


def budget_together(world: World, folder: Path) -> None:
    """On its own each process would take another number of steps for enough to measure by."""
    gan.WARM_UP_STEPS, gan.WARM_UP_SECONDS = 3 + 2 * world.rank, 0.0
    train_together(world, folder, {"gan.budget": "2s"})


def test_a_time_budget_is_measured_by_as_many_steps_in_all_processes(tmp_path: Path) -> None:
    together(2, budget_together, tmp_path)
    assert json.loads((tmp_path / "summary.json").read_text())["processes"] == 2


def interrupt_together(world: World, folder: Path, step: int) -> None:
    import signal

    stopping = small_gan.Signal(step, lambda: signal.raise_signal(signal.SIGTERM) if world.rank == 1 else None)
    with pytest.raises(Interrupted, match=f"after step {step}, which is saved"):
        small_gan.train(folder, stopping, Means(), world)


@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 1)])
def test_a_checkpoint_moves_between_one_process_and_two(tmp_path: Path, first: int, then: int) -> None:
    def run(size: int, work: Callable[..., Any], *arguments: Any) -> None:
        work(ALONE, *arguments) if size == 1 else together(size, work, *arguments)

    cut, whole = tmp_path / "cut", tmp_path / "whole"
    if first == 2:  # a signal to one of them stops both
        together(2, interrupt_together, cut, 5)
    else:
        import signal

        with pytest.raises(Interrupted):
            small_gan.train(cut, small_gan.Signal(5, lambda: signal.raise_signal(signal.SIGTERM)), Means())
    run(then, train_together, cut, {})
    run(1, train_together, whole, {})
    found = [checkpoint.newest(folder / "checkpoints", print) for folder in (cut, whole)]
    assert [one.step for one in found if one] == [8, 8]
    assert [event["step"] for event in RunDir(cut).events() if "critic_loss" in event] == list(range(1, 9))
    # Sums in another order differ in their last bits, and batch norm sees other batches: alike, not equal.
    for name, tensor in found[0].of("critic").items():  # type: ignore[union-attr]
        other = found[1].of("critic")[name]  # type: ignore[union-attr]
        assert torch.allclose(tensor, other, atol=0.02), name


def test_a_batch_smaller_than_the_number_of_processes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gan\.batch_size must be at least the number of processes, 9, got 8"):
        gan.train(small(), IMAGE, pictures(), CPU, RunDir(tmp_path), {}, None, Silent(), World(0, 9))


def test_the_command_line_runs_under_torchrun(tmp_path: Path) -> None:
    """`dfukit run` on two processes: one folder, one report, scores like those of one process."""
    env = {**os.environ, "DFUKIT_CACHE_DIR": str(tmp_path / "cache"), "DFUKIT_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    settings = ["--preset", "smoke", "--classifier", "critic_lstm", "--precision", "fp32", "--out", str(tmp_path)]
    settings += ["--set", "gan.steps=20", "--set", "gan.evaluate_every=10", "--set", "data.phantom_patients=40"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    torchrun += ["--master-port", str(free_port())]
    made = {}
    for name, start in (("one", [sys.executable]), ("two", torchrun)):
        done = subprocess.run(
            [*start, "-m", "dfukit", "run", *settings, "--name", name, "--json"],
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        made[name] = json.loads(done.stdout)
    one, two = made["one"], made["two"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "one", "two"]
    assert Path(two["report"]).is_file()
    assert json.loads((tmp_path / "two" / "training.json").read_text())["processes"] == 2
    assert list(one["scores"]) == list(two["scores"])
    for name, entry in one["scores"].items():
        other = two["scores"][name]
        assert entry["n"] == other["n"]
        if entry["interval"]:
            low, high = entry["interval"]
            assert low <= other["value"] <= high, name
