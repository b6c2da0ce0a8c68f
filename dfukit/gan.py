"""The adversarial loop."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from attrs import frozen
from torch import Tensor, nn

from dfukit import average, drawn, rundir, weights
from dfukit.checkpoint import Recovery
from dfukit.component import ImageSpec
from dfukit.config import RunConfig
from dfukit.device import Compute
from dfukit.interfaces import Augmentation, Batch, Critic, Generator, Loss, Scorer, Step
from dfukit.interrupt import StopRequest
from dfukit.judge import Judge
from dfukit.progress import Progress
from dfukit.resident import DevicePictures
from dfukit.rows import Pixels
from dfukit.rundir import RunDir
from dfukit.scoring import StoppingDistance
from dfukit.weights import Description


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
) -> TrainedGan:
    """Train a GAN; the best weights so far are always in the run folder. `facts` travel with the weights.

    Goes on from the newest checkpoint of the run folder, where there is one. Raises Interrupted, with its state saved,
    on Ctrl-C and SIGTERM.
    """
    settings, device, seed = config.gan, compute.device, config.run.seed
    torch.manual_seed(Step(seed, 0).seed_of("initial weights"))
    generator: Generator = _to(config.generator.build(image), device)
    critic: Critic = _to(config.critic.build(image), device)
    averaged = copy.deepcopy(generator).requires_grad_(False)
    loss: Loss = config.loss.build(image)
    augmentation: Augmentation = config.augmentation.build(image)
    betas = (settings.beta1, settings.beta2)
    generator_optimiser = torch.optim.Adam(generator.parameters(), settings.lr_generator, betas, fused=True)
    critic_optimiser = torch.optim.Adam(critic.parameters(), settings.lr_critic, betas, fused=True)
    generator_description = Description(config.generator, image, facts=facts)
    critic_description = Description(config.critic, image, facts=facts)
    real = DevicePictures(pictures.training, pictures.training_labels, device)
    batch_size = min(settings.batch_size, len(real))
    epoch_steps = max(1, len(real) // batch_size)
    steps = settings.steps or settings.epochs * epoch_steps
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
        steps=steps,
        seed=seed,
        picture_note=drawn.note(bool(facts.get("phantom"))),
        distance=distance,
    )

    def draw(turn: Step) -> Batch:
        """Random real pictures, and as many fakes of the same classes."""
        index = torch.randint(len(real), (batch_size,), generator=turn.rng("real"))
        latent = torch.randn(batch_size, generator.latent_size, generator=turn.rng("latent"))
        taken, label = real.take(index)
        chosen = _unit(taken)
        if settings.flips:
            flip = torch.rand(batch_size, 1, 1, 1, generator=turn.rng("flip")).to(device) < 0.5
            chosen = torch.where(flip, chosen.flip(3), chosen)
        with compute.autocast():
            fake = generator(latent.to(device), label)
        return Batch(chosen, fake.float(), label)

    def scorer(turn: Step) -> Scorer:
        """critic(augment(pictures), label), its changes drawn for this turn and call."""
        calls = iter(range(1_000))

        def score(images: Tensor, label: Tensor) -> Tensor:
            params = augmentation.draw(len(images), turn, f"augment {next(calls)}")
            with compute.autocast():
                scores: Tensor = critic(augmentation.forward((images + 1) / 2, params) * 2 - 1, label)
            return scores

        return score

    generator.train()
    critic.train()
    with StopRequest() as stop:
        recovery = Recovery(
            run=run,
            networks={"generator": generator, "critic": critic, "average": averaged},
            optimisers={"generator optimiser": generator_optimiser, "critic optimiser": critic_optimiser},
            augmentation=augmentation,
            judge=judge,
            stop=stop,
            progress=progress,
        )
        done = recovery.resume()
        while done < steps and not judge.early_stop.stops:
            step = Step(seed, done, done / steps)
            torch.manual_seed(step.seed_of("dropout"))

            # Critic steps.
            critic.requires_grad_(True)
            for repeat in range(loss.critic_steps):
                turn = step.turn(f"critic {repeat}")
                with torch.no_grad():
                    batch = draw(turn)
                terms = loss.critic(scorer(turn), batch, turn)
                with compute.autocast():
                    auxiliary = critic.auxiliary(batch.real, turn)
                total = terms["loss"] if auxiliary is None else terms["loss"] + auxiliary
                _descend(critic_optimiser, total)
                augmentation.observe({name: term.detach() for name, term in terms.items()})

            # Generator step.
            critic.requires_grad_(False)
            turn = step.turn("generator")
            generator_terms = loss.generator(scorer(turn), draw(turn), turn)
            _descend(generator_optimiser, generator_terms["loss"])

            # Average the generator.
            average.move(averaged, generator, min(settings.ema, (1 + done) / (10 + done)) if settings.ema else 0.0)

            # Log.
            done += 1
            if done % judge.log_every == 0 or done == steps:
                rate = done * batch_size / (judge.elapsed - judge.seconds)
                judge.log(done, terms, generator_terms, rate)

            # Judge, and keep the best.
            if judge.due(done) and judge.evaluate(done, averaged, critic):
                weights.write(run.generator_weights, averaged, generator_description)
                weights.write(run.critic_weights, critic, critic_description)
            progress.update("GAN steps", done, steps, judge.note)

            # Save.
            recovery.save(done)

    weights.load_into(averaged, run.generator_weights)
    weights.load_into(critic, run.critic_weights)
    critic.requires_grad_(True)
    return TrainedGan(
        averaged.cpu().eval(),
        generator_description,
        critic.cpu().eval(),
        critic_description,
        judge.summary(done),
    )


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


def _descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
