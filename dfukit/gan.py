"""The adversarial loop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch
from attrs import evolve, frozen
from torch import nn

from dfukit import drawn, rundir, schedule, sheets, weights
from dfukit.adversaries import Adversaries, build, on_device
from dfukit.component import ImageSpec
from dfukit.config import RunConfig
from dfukit.device import Compute
from dfukit.errors import WeightsError
from dfukit.interfaces import Critic, Generator
from dfukit.interrupt import StopRequest
from dfukit.judge import Judge
from dfukit.progress import Progress
from dfukit.recovery import Recovery
from dfukit.resident import DevicePictures
from dfukit.rows import Pixels
from dfukit.rundir import RunDir
from dfukit.scoring import StoppingDistance
from dfukit.sections import GanSettings
from dfukit.settings import seconds
from dfukit.weights import Description
from dfukit.world import ALONE, World

WARM_UP_STEPS, WARM_UP_SECONDS = 3, 2.0
"""What a time budget is measured on at least."""


@frozen(eq=False)
class GanPictures:
    """What the loop trains on: uint8 [N, S, S, C] at the GAN's size and labels [N], of two parts of the split."""

    training: Pixels
    training_labels: np.ndarray
    validation: Pixels
    validation_labels: np.ndarray


@frozen(eq=False)
class TrainedGan:
    """The networks of the best evaluation, on the CPU, and how training went."""

    generator: Generator
    generator_description: Description
    critic: Critic
    critic_description: Description
    summary: Mapping[str, Any]


def train(
    config: RunConfig,
    image: ImageSpec,
    pictures: GanPictures,
    compute: Compute,
    run: RunDir,
    facts: Mapping[str, Any],
    distance: StoppingDistance | None,
    progress: Progress,
    world: World = ALONE,
) -> TrainedGan:
    """Train a GAN; the best weights so far are always in the run folder. `facts` travel with the weights.

    Goes on from the newest checkpoint of the run folder, where there is one. A time budget becomes steps, which are
    written into the run's config.toml. Raises Interrupted, with its state saved, on Ctrl-C and SIGTERM, and
    DivergedError where no lower learning rate helps.
    """
    settings, device, seed = config.gan, compute.device, config.run.seed
    real = DevicePictures(pictures.training, pictures.training_labels, device)
    adversaries = build(config, image, real, compute, lambda text: judge.say(text), world)
    generator, averaged, critic = adversaries.generator, adversaries.averaged, adversaries.critic
    generator_description = Description(config.generator, image, facts=facts)
    critic_description = Description(config.critic, image, facts=facts)
    epoch_steps = max(1, len(real) // adversaries.batch_size)
    judge = Judge(
        settings=settings,
        run=run,
        compute=compute,
        progress=progress,
        training=real,
        validation=DevicePictures(pictures.validation, pictures.validation_labels, device),
        classes=len(image.classes),
        latent_size=generator.latent_size,
        epoch_steps=epoch_steps,
        steps=schedule.steps(settings, epoch_steps),
        seed=seed,
        picture_note=drawn.note(bool(facts.get("phantom"))),
        distance=distance,
        world=world,
    )
    health = adversaries.health

    def begin() -> None:
        """The first weights, where they are not random."""
        if settings.start_from:
            other = RunDir(Path(settings.start_from))
            _take_weights(generator, other.generator_weights)
            _take_weights(averaged, other.generator_weights)
            _take_weights(critic, other.critic_weights)

    def keep() -> None:
        """The networks as they are become the weights of the run folder."""
        weights.write(run.generator_weights, averaged, generator_description)
        weights.write(run.critic_weights, critic, critic_description)

    with StopRequest(finish=run.stop) as stop:
        recovery = Recovery(
            run=run,
            networks={"generator": generator, "critic": critic, "average": averaged},
            optimisers=adversaries.optimisers,
            augmentation=adversaries.augmentation,
            judge=judge,
            health=health,
            portions=adversaries.portions,
            progress=progress,
            world=world,
            keep=keep,
        )
        done = recovery.resume(begin)
        if settings.budget:
            fitted = _fit_budget(settings, done, adversaries, judge, recovery)
            judge.settings, judge.steps = fitted, fitted.steps
            if world.first:
                rundir.write_toml(run.config, evolve(config, gan=fitted).as_table())
        judge.begin(done)
        judge.show_settings(tomli_w.dumps(evolve(config, gan=judge.settings).as_table()))
        while done < judge.steps and not judge.stops:
            of_critic, of_generator = adversaries.step(judge.settings, done, judge.steps)
            done += 1
            judge.at = done

            # Steps were skipped where their numbers were not finite.
            logging = judge.due(done) or done % judge.log_every == 0
            if (logging or device.type == "cpu") and health.lost:
                done = recovery.roll_back(done)
                continue

            # Log.
            if logging:
                judge.log(of_critic, of_generator, adversaries.batch_size, **adversaries.figures())
            progress.update("GAN steps", done, judge.steps, judge.note)
            finishing, interrupted, late = world.agree(stop.finishing, stop.asked, recovery.late)
            due = judge.due(done) or finishing

            # Judge.
            if due:
                judge.evaluate(averaged, critic)
            if finishing:
                judge.ended = "asked to stop"

            # Save, and keep the best.
            if due or interrupted or late:
                recovery.save(done, interrupted)

    if world.first:
        run.stop.unlink(missing_ok=True)
    world.wait()  # the others read what the first has written
    weights.load_into(averaged, run.generator_weights)
    weights.load_into(critic, run.critic_weights)
    adversaries.let_critic_learn(True)
    if world.first:
        sheets.write(run, averaged, len(image.classes), seed, judge.picture_note)
    return TrainedGan(
        averaged.cpu().eval(),
        generator_description,
        critic.cpu().eval(),
        critic_description,
        {
            **judge.summary(done),
            "skipped_steps": health.skipped,
            "roll_backs": health.roll_backs,
            "pictures_at_a_time": adversaries.portions.size,
            "processes": world.size,
            "replayed": adversaries.replayed,
        },
    )


def _fit_budget(
    settings: GanSettings, done: int, adversaries: Adversaries, judge: Judge, recovery: Recovery
) -> GanSettings:
    """The settings that fill the time budget, after a measurement whose steps are taken back."""
    left = seconds(settings.budget) - (0.0 if done else judge.elapsed)
    began = time.monotonic()
    before, world = recovery.state(done), recovery.world
    # All processes make the same number of steps, as each step waits for the others.
    for _ in range(int(world.largest(adversaries.first_steps)[0])):
        adversaries.step(settings, done, judge.steps)
    times: list[float] = []
    while world.any(len(times) < WARM_UP_STEPS or sum(times) < WARM_UP_SECONDS):
        started = time.monotonic()
        adversaries.step(settings, done, judge.steps)
        float(next(adversaries.averaged.parameters()).sum())  # a device has ended its work when a number of it is known
        times.append(time.monotonic() - started)
    judge.rehearse(adversaries.averaged, adversaries.critic)  # the first one takes what later ones find ready, too
    evaluation = judge.rehearse(adversaries.averaged, adversaries.critic)
    recovery.take(before)
    spent = time.monotonic() - began
    judge.count(spent)
    left -= spent
    step, evaluation, left = world.largest(float(np.median(times)), evaluation, left)
    fitted = schedule.fit(settings, done, max(left, step), step, evaluation)
    more = fitted.steps - done
    judge.say(
        f"budget {settings.budget}: {more} steps of {step:.3g} s = {schedule.passes(more / judge.epoch_steps)}, an "
        f"evaluation of {evaluation:.3g} s after each {fitted.evaluate_every}"
    )
    return fitted


def _take_weights(network: nn.Module, path: Path) -> None:
    """The weights of another run. Raises WeightsError where they are those of another network."""
    weights.describe(path)
    try:
        weights.load_into(network, path)
    except WeightsError:
        raise WeightsError(
            f"gan.start_from: {path} does not fit this run's networks: use the components, their settings and the "
            "gan.size of that run, and pictures of as many classes"
        ) from None


def read(run: RunDir) -> TrainedGan:
    """What `train` returned, from the run folder of a training that has ended."""
    generator, generator_description = weights.read(run.generator_weights, "generator")
    critic, critic_description = weights.read(run.critic_weights, "critic")
    cpu = torch.device("cpu")
    return TrainedGan(
        on_device(generator, cpu),
        generator_description,
        on_device(critic, cpu),
        critic_description,
        rundir.read_json(run.training),
    )
