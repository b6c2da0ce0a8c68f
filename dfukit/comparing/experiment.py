"""A comparison, from contestants to a table: trained at the same expense, chosen by one part, judged by another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from dfukit import device, hardware, rundir, settings
from dfukit.comparing import judging, sheet, table, trials
from dfukit.comparing.contestants import Contestant
from dfukit.comparing.trials import Trial
from dfukit.config import read_toml
from dfukit.errors import ConfigError, DataError
from dfukit.images import make_split, read_split
from dfukit.images.prepare import refuse_inside
from dfukit.interfaces import Loss
from dfukit.pictures import image_spec, load_images
from dfukit.progress import Progress, Silent

TIME, PICTURES = "time", "pictures"
DOCUMENT, TABLE = "compare.json", "README.md"
EVALUATIONS = 20
"""At equal pictures, by which each keeps its best weights; about as many for all, as more find lower distances."""


@frozen
class Comparison:
    """A finished comparison."""

    path: Path
    result: dict[str, Any]
    """The content of compare.json."""

    def as_table(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {"compare": str(self.path), **self.result}

    def as_text(self) -> str:
        """What a person reads at the end."""
        return table.as_markdown(self.result) + f"\nall figures: {self.path / DOCUMENT}"


def compare(
    contestants: Sequence[Contestant],
    folder: Path,
    *,
    time: str = "",
    pictures: int = 0,
    seeds: int = 1,
    together: int = 1,
    smaller: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Train each contestant with each seed, and judge what they draw.

    `time` is that of each training, such as 40m; `pictures` the real ones that the critic of each sees, counted each
    time that it sees them; with both there are two rounds. `together` trainings run side by side. With `smaller` the
    scores are also made of pictures reduced to that width. Each training keeps the weights that are best on the
    validation part, by which the contestants are ranked too; the test part, which neither saw, judges. What is finished
    in `folder` is not made again. Raises ConfigError and DataError as a run does, ConfigError where the folder holds a
    table that is no comparison's, and DataError where no training came to its end.
    """
    say = progress or Silent()
    config = contestants[0].config
    rounds = _rounds(time, pictures)
    judging.check_smaller(smaller, config.gan.size)
    if seeds < 1 or together < 1:
        raise ConfigError(f"--seeds and --together must be at least 1, got {min(seeds, together)}")
    refuse_inside(folder, config.data)
    rundir.make_out(folder)
    _refuse_foreign(folder)
    compute = device.choose(config.run)

    # The pictures, and how they are split: the same for all.
    images = load_images(config, say)
    split = make_split(images, config.data)
    image = image_spec(config, images)
    for warning in images.check.warnings:
        say.say(f"warning: {warning}")

    # Train.
    threads = config.run.threads
    if not threads and compute.device.type == "cpu" and together > 1:
        threads = max(hardware.cpus() // together, 1)
    planned = []
    for budget in rounds:
        for seed in range(seeds):
            for contestant in contestants:
                own = contestant.config
                gan = evolve(own.gan, patience=0, budget=time if budget == TIME else "")
                if budget == PICTURES:
                    loss: Loss = own.loss.build(image)
                    at_a_step = min(own.gan.batch_size, len(split.train)) * loss.critic_steps
                    steps = max(round(pictures / at_a_step), 1)
                    gan = evolve(gan, steps=steps, evaluate_every=max(math.ceil(steps / EVALUATIONS), 1))
                run = evolve(own.run, seed=own.run.seed + seed, threads=threads)
                place = folder / budget / f"{contestant.stem}-seed{run.seed}"
                asked = evolve(own, gan=gan, run=run).as_table()
                planned.append(Trial(contestant.name, budget, run.seed, place, asked))
    for trial in planned:
        if trial.run.split.is_file():
            read_split(trial.run.split, images)  # refuses pictures that are not those which it was trained on
    failed = trials.train(planned, together, say)
    if len(failed) == len(planned):
        raise DataError(f"no training came to its end; the first: {failed[planned[0]]}")

    # Judge; what is known so far is on disk after each.
    found: list[dict[str, Any]] = []
    heard = Once(say)
    sizes = len(split.train), len(split.validation), len(split.test)
    for trial in planned:
        about = {"contestant": trial.contestant, "budget": trial.budget, "seed": trial.seed, "run": str(trial.place)}
        if trial in failed:
            found.append({**about, "reason": failed[trial]})
        else:
            judged = judging.judge(trial, config, images, split, smaller, compute, heard)
            found.append({**about, "gan": read_toml(trial.run.config)["gan"], **judged})
        result = table.result(contestants, found, rounds, *sizes, smaller, planned=len(planned))
        rundir.write_json(folder / DOCUMENT, result)
        rundir.write_text(folder / TABLE, table.as_markdown(result))
    for budget in rounds:
        first = {one.contestant: one.run for one in reversed(planned) if one.budget == budget and one not in failed}
        shown = [(one.name, first[one.name]) for one in contestants if one.name in first]
        if shown:
            sheet.write(folder / f"samples-equal-{budget}.png", shown, images.classes)
    return Comparison(folder, result)


class Once:
    """A progress that says each line once: contestants are judged alike, and most of it is the same for all."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._said: set[str] = set()

    def say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._progress.say(text)

    def update(self, task: str, done: int, total: int, note: str = "") -> None:
        pass


def _refuse_foreign(folder: Path) -> None:
    """Raises ConfigError where the table would take the place of another file, such as the model card of a run."""
    if any(path.is_file() for budget in (TIME, PICTURES) for path in (folder / budget).glob("*.toml")):
        return
    for name in (DOCUMENT, TABLE):
        if (folder / name).exists():
            raise ConfigError(
                f"--out {folder} has a {name}, and no training of a comparison: name another folder, or remove {name}"
            )


def _rounds(time: str, pictures: int) -> dict[str, str]:
    """{"time": "40m", "pictures": "20000"}: what is the same for all, in each round."""
    if not time and not pictures:
        raise ConfigError("say what is the same for all: --time 40m, or --pictures 20000, or both")
    if time:
        try:
            positive = settings.seconds(time) > 0
        except ValueError:
            positive = False
        if not positive:
            raise ConfigError(f"--time {time}: expected a duration such as 40m or 1h30m")
    if pictures < 0:
        raise ConfigError(f"--pictures must be above 0, got {pictures}")
    return {name: value for name, value in ((TIME, time), (PICTURES, str(pictures or ""))) if value}
