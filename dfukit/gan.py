"""The adversarial loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch
from attrs import evolve, frozen
from torch import Tensor, nn

from dfukit import average, drawn, rundir, schedule, sheets, weights
from dfukit.component import ImageSpec
from dfukit.config import RunConfig
from dfukit.descent import Descent, finite, scalars
from dfukit.device import Compute
from dfukit.errors import ConfigError, WeightsError
from dfukit.health import Health
from dfukit.interfaces import Augmentation, Batch, Critic, Generator, Loss, Scorer, Step
from dfukit.interrupt import StopRequest
from dfukit.judge import Judge
from dfukit.pairing import check_finite, check_pair
from dfukit.portions import Portions
from dfukit.progress import Progress
from dfukit.recovery import Recovery
from dfukit.replay import BEFORE, Replay, Terms
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
    torch.manual_seed(Step(seed, 0).seed_of("initial weights"))
    generator: Generator = _to(config.generator.build(image), device)
    critic: Critic = _to(config.critic.build(image), device)
    check_finite(generator, config.generator, device)
    averaged = average.begin(generator)
    loss: Loss = config.loss.build(image)
    check_pair(config, loss, critic)
    augmentation: Augmentation = config.augmentation.build(image)
    betas = (settings.beta1, settings.beta2)
    generator_optimiser = torch.optim.Adam(generator.parameters(), settings.lr_generator, betas, fused=True)
    critic_optimiser = torch.optim.Adam(critic.parameters(), settings.lr_critic, betas, fused=True)
    generator_description = Description(config.generator, image, facts=facts)
    critic_description = Description(config.critic, image, facts=facts)
    real = DevicePictures(pictures.training, pictures.training_labels, device)
    batch_size = min(settings.batch_size, len(real))
    if batch_size < world.size:
        raise ConfigError(f"gan.batch_size must be at least the number of processes, {world.size}, got {batch_size}")
    epoch_steps = max(1, len(real) // batch_size)
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
    health = Health(device)
    portions = Portions(len(world.share(batch_size)), "training", judge.say, world)
    parts = f"the {config.loss} with the {config.generator}, the {config.critic} and the {config.augmentation}"
    capturable = all(part.capturable for part in (generator, critic, loss, augmentation))
    replayed = config.run.graphs and capturable and device.type == "cuda" and real.resident
    descend_critic, descend_generator = (
        Descent(
            network,
            optimiser,
            batch_size,
            portions,
            health,
            world,
            parts,
            Replay(device, judge.say) if replayed else None,
        )
        for network, optimiser in ((critic, critic_optimiser), (generator, generator_optimiser))
    )

    def begin() -> None:
        """The first weights, where they are not random."""
        if settings.start_from:
            other = RunDir(Path(settings.start_from))
            _take_weights(generator, other.generator_weights)
            _take_weights(averaged, other.generator_weights)
            _take_weights(critic, other.critic_weights)

    def draw(turn: Step, n: int) -> Batch:
        """Random real pictures, and as many fakes of the same classes."""
        latent = turn.normal("latent", n, generator.latent_size)
        taken, label = real.take(turn.integers("real", len(real), n))
        chosen = _unit(taken)
        if settings.flips:
            flip = turn.uniform("flip", n, 1, 1, 1).to(device) < 0.5
            chosen = torch.where(flip, chosen.flip(3), chosen)
        with compute.autocast():
            fake = generator(latent.to(device), label)
        return Batch(chosen, fake.float(), label)

    def scorer(turn: Step) -> Scorer:
        """critic(augment(pictures), label), its changes drawn for this turn and call."""
        calls = iter(range(1_000))
        # A loss may score real and fake pictures together, so that these are not the rows of the batch.
        alone = turn.part(turn.first, 0)

        def score(images: Tensor, label: Tensor) -> Tensor:
            params = augmentation.draw(len(images), alone, f"augment {next(calls)}")
            seen = augmentation.forward((images + 1) / 2, params) * 2 - 1  # in full precision: places are numbers, too
            with compute.autocast():
                scores: Tensor = critic(seen, label)
            return scores

        return score

    def critic_terms(turn: Step, n: int) -> Terms:
        with torch.no_grad():
            batch = draw(turn, n)
        terms = loss.critic(scorer(turn), batch, turn)
        with compute.autocast():
            auxiliary = critic.auxiliary(batch.real, turn)
        if auxiliary is None:
            return terms
        return {**terms, "loss": terms["loss"] + auxiliary, "auxiliary": auxiliary.detach()}

    def generator_terms(turn: Step, n: int) -> Terms:
        return loss.generator(scorer(turn), draw(turn, n), turn)

    def take_step(done: int) -> tuple[Terms, Terms]:
        """Step `done` + 1 of the training: the terms of its last critic step and of its generator step."""
        step = Step(seed, done, done / judge.steps)
        torch.manual_seed(step.part(world.share(batch_size).start, batch_size).rng("dropout").initial_seed())
        rate = schedule.rate(judge.settings, done / judge.steps) * health.rate
        _set_rate(critic_optimiser, settings.lr_critic * rate)
        _set_rate(generator_optimiser, settings.lr_generator * rate)

        # Critic steps.
        critic.requires_grad_(True)
        for repeat in range(loss.critic_steps):
            of_critic = descend_critic.step(step.turn(f"critic {repeat}"), critic_terms)
            augmentation.observe(finite(of_critic))

        # Generator step.
        critic.requires_grad_(False)
        of_generator = descend_generator.step(step.turn("generator"), generator_terms)

        # Average the generator.
        average.move(averaged, generator, schedule.averaging(judge.settings, done))
        health.end_step()
        return of_critic, of_generator

    generator.train()
    critic.train()
    with StopRequest(finish=run.stop) as stop:
        recovery = Recovery(
            run=run,
            networks={"generator": generator, "critic": critic, "average": averaged},
            optimisers={"generator optimiser": generator_optimiser, "critic optimiser": critic_optimiser},
            augmentation=augmentation,
            judge=judge,
            health=health,
            portions=portions,
            progress=progress,
            world=world,
        )
        done = recovery.resume(begin)
        if settings.budget:
            first_steps = 1 + BEFORE if replayed else 1
            fitted = _fit_budget(settings, done, take_step, first_steps, judge, recovery, averaged, critic)
            judge.settings, judge.steps = fitted, fitted.steps
            if world.first:
                rundir.write_toml(run.config, evolve(config, gan=fitted).as_table())
        judge.begin(done)
        judge.show_settings(tomli_w.dumps(evolve(config, gan=judge.settings).as_table()))
        while done < judge.steps and not judge.stops:
            of_critic, of_generator = take_step(done)
            done += 1
            judge.at = done

            # Steps were skipped where their numbers were not finite.
            logging = judge.due(done) or done % judge.log_every == 0
            if (logging or device.type == "cpu") and health.lost:
                done = recovery.roll_back(done)
                continue

            # Log.
            if logging:
                learnt = {f"augmentation_{name}": float(value) for name, value in scalars(augmentation.state()).items()}
                judge.log(of_critic, of_generator, batch_size, **health.figures(), **learnt)
            progress.update("GAN steps", done, judge.steps, judge.note)
            finishing, interrupted, late = world.agree(stop.finishing, stop.asked, recovery.late)
            due = judge.due(done) or finishing

            # Judge, and keep the best.
            if due and judge.evaluate(averaged, critic) and world.first:
                weights.write(run.generator_weights, averaged, generator_description)
                weights.write(run.critic_weights, critic, critic_description)
            if finishing:
                judge.ended = "asked to stop"

            # Save.
            if due or interrupted or late:
                recovery.save(done, interrupted)

    if world.first:
        run.stop.unlink(missing_ok=True)
    world.wait()  # the others read what the first has written
    weights.load_into(averaged, run.generator_weights)
    weights.load_into(critic, run.critic_weights)
    critic.requires_grad_(True)
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
            "pictures_at_a_time": portions.size,
            "processes": world.size,
            "replayed": descend_critic.replay is not None and descend_critic.replay.captured,
        },
    )


def _fit_budget(
    settings: GanSettings,
    done: int,
    take_step: Callable[[int], object],
    first_steps: int,
    judge: Judge,
    recovery: Recovery,
    averaged: Generator,
    critic: Critic,
) -> GanSettings:
    """The settings that fill the time budget, after a measurement whose steps are taken back."""
    left = seconds(settings.budget) - (0.0 if done else judge.elapsed)
    began = time.monotonic()
    before = recovery.state(done)
    for _ in range(first_steps):  # which allocate and capture, and are no measure
        take_step(done)
    times: list[float] = []
    while len(times) < WARM_UP_STEPS or sum(times) < WARM_UP_SECONDS:
        started = time.monotonic()
        take_step(done)
        float(next(averaged.parameters()).sum())  # a device has ended its work when a number of it is known
        times.append(time.monotonic() - started)
    judge.rehearse(averaged, critic)  # the first one takes what later ones find ready, too
    evaluation = judge.rehearse(averaged, critic)
    recovery.take(before)
    left -= time.monotonic() - began
    step, evaluation, left = recovery.world.largest(float(np.median(times)), evaluation, left)
    fitted = schedule.fit(settings, done, max(left, step), step, evaluation)
    judge.say(
        f"budget {settings.budget}: {fitted.steps - done} steps of {step:.3g} s, an evaluation of {evaluation:.3g} s "
        f"after each {fitted.evaluate_every}"
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


def _set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate


def read(run: RunDir) -> TrainedGan:
    """What `train` returned, from the run folder of a training that has ended."""
    generator, generator_description = weights.read(run.generator_weights, "generator")
    critic, critic_description = weights.read(run.critic_weights, "critic")
    cpu = torch.device("cpu")  # in the memory layout of training, or pictures differ in their last bits
    return TrainedGan(
        _to(generator, cpu), generator_description, _to(critic, cpu), critic_description, rundir.read_json(run.training)
    )


def _to(network: nn.Module, device: torch.device) -> Any:
    return network.to(device).to(memory_format=torch.channels_last)


def _unit(images: Tensor) -> Tensor:
    """uint8 -> float32 in [-1, 1]."""
    return images.float() / 127.5 - 1
