"""Generator and critic, and one step of the training of both: what the loop repeats, and what a plan measures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.optim import Optimizer

from dfukit import average, schedule
from dfukit.component import Chosen, ImageSpec
from dfukit.config import RunConfig
from dfukit.descent import Descent, Terms, finite, scalars
from dfukit.device import Compute
from dfukit.errors import ConfigError, PluginError
from dfukit.health import Health
from dfukit.interfaces import Augmentation, Batch, Critic, Generator, Loss, Scorer, Step
from dfukit.pairing import check_augmentation, check_finite, check_pair
from dfukit.portions import Portions
from dfukit.replay import BEFORE, Replay
from dfukit.resident import DevicePictures
from dfukit.sections import GanSettings
from dfukit.world import ALONE, World


@frozen(eq=False)
class Adversaries:
    """Two networks in training, with all that a step of them takes."""

    real: DevicePictures
    compute: Compute
    seed: int
    world: World
    batch_size: int
    generator: Generator
    averaged: Generator
    critic: Critic
    loss: Loss
    augmentation: Augmentation
    health: Health
    portions: Portions
    of_generator: Descent
    of_critic: Descent
    flips: bool

    @property
    def optimisers(self) -> dict[str, Optimizer]:
        """By the names of checkpoints."""
        return {"generator optimiser": self.of_generator.optimiser, "critic optimiser": self.of_critic.optimiser}

    @property
    def replayed(self) -> bool:
        """Whether steps are replayed by now."""
        return self.of_critic.replay is not None and self.of_critic.replay.captured

    @property
    def first_steps(self) -> int:
        """Steps that take memory, choose kernels and are captured, and are no measure of those after them."""
        return 1 + BEFORE if self.of_critic.replay else 1

    def figures(self) -> dict[str, float]:
        """For the training log: how healthy the steps are, and what the augmentation learnt."""
        learnt = scalars(self.augmentation.state())
        return {**self.health.figures(), **{f"augmentation_{name}": float(value) for name, value in learnt.items()}}

    def step(self, settings: GanSettings, done: int, steps: int) -> tuple[Terms, Terms]:
        """Step `done` + 1 of `steps`: the terms of its last critic step and of its generator step."""
        step = Step(self.seed, done, done / steps)
        first = self.world.share(self.batch_size).start
        torch.manual_seed(step.part(first, self.batch_size).rng("dropout").initial_seed())
        rate = schedule.rate(settings, done / steps) * self.health.rate
        _set_rate(self.of_critic.optimiser, settings.lr_critic * rate)
        _set_rate(self.of_generator.optimiser, settings.lr_generator * rate)

        # Critic steps.
        self.let_critic_learn(True)
        for repeat in range(self.loss.critic_steps):
            of_critic = self.of_critic.step(step.turn(f"critic {repeat}"), self._critic_terms)
            self.augmentation.observe(finite(of_critic))

        # Generator step.
        self.let_critic_learn(False)
        of_generator = self.of_generator.step(step.turn("generator"), self._generator_terms)

        # Average the generator.
        average.move(self.averaged, self.generator, schedule.averaging(settings, done))
        self.health.end_step()
        return of_critic, of_generator

    def let_critic_learn(self, learns: bool) -> None:
        """Take gradients of the critic's parameters, or none; those that its component froze stay frozen."""
        for group in self.of_critic.optimiser.param_groups:
            for parameter in group["params"]:
                parameter.requires_grad_(learns)

    def _critic_terms(self, turn: Step, n: int) -> Terms:
        with torch.no_grad():
            batch = self._draw(turn, n)
        terms = self.loss.critic(self._scorer(turn), batch, turn)
        with self.compute.autocast():
            auxiliary = self.critic.auxiliary(batch.real, turn)
        if auxiliary is None:
            return terms
        return {**terms, "loss": terms["loss"] + auxiliary, "auxiliary": auxiliary.detach()}

    def _generator_terms(self, turn: Step, n: int) -> Terms:
        return self.loss.generator(self._scorer(turn), self._draw(turn, n), turn)

    def _draw(self, turn: Step, n: int) -> Batch:
        """Random real pictures, and as many fakes of the same classes."""
        device = self.compute.device
        latent = turn.normal("latent", n, self.generator.latent_size)
        taken, label = self.real.take(turn.integers("real", len(self.real), n))
        chosen = _unit(taken)
        if self.flips:
            flip = turn.uniform("flip", n, 1, 1, 1).to(device) < 0.5
            chosen = torch.where(flip, chosen.flip(3), chosen)
        with self.compute.autocast():
            fake = self.generator(latent.to(device), label)
        return Batch(chosen, fake.float(), label)

    def _scorer(self, turn: Step) -> Scorer:
        """critic(augment(pictures), label), its changes drawn for this turn and call."""
        calls = iter(range(1_000))
        # A loss may score real and fake pictures together, so that these are not the rows of the batch.
        alone = turn.part(turn.first, 0)

        def score(images: Tensor, label: Tensor) -> Tensor:
            params = self.augmentation.draw(len(images), alone, f"augment {next(calls)}")
            seen = self.augmentation.forward((images + 1) / 2, params) * 2 - 1  # in full precision: places are numbers
            with self.compute.autocast():
                scores: Tensor = self.critic(seen, label)
            return scores

        return score


def build(
    config: RunConfig,
    image: ImageSpec,
    real: DevicePictures,
    compute: Compute,
    note: Callable[[str], None],
    world: World = ALONE,
) -> Adversaries:
    """New networks of random weights, in train mode; `real` are the pictures that they learn from, and `note` is told
    what a person should know.

    Parameters that a component froze when it was built stay as they are. Raises ConfigError for components that cannot
    train together, and PluginError for a generator without finite numbers or a network without a parameter to train.
    """
    settings, device, seed = config.gan, compute.device, config.run.seed
    torch.manual_seed(Step(seed, 0).seed_of("initial weights"))
    generator: Generator = on_device(config.generator.build(image), device)
    critic: Critic = on_device(config.critic.build(image), device)
    check_finite(generator, config.generator, device)
    averaged = average.begin(generator)
    loss: Loss = config.loss.build(image)
    check_pair(config, loss, critic)
    augmentation: Augmentation = config.augmentation.build(image)
    check_augmentation(config.augmentation, augmentation)
    batch_size = min(settings.batch_size, len(real))
    if batch_size < world.size:
        raise ConfigError(f"gan.batch_size must be at least the number of processes, {world.size}, got {batch_size}")
    health = Health(device)
    portions = Portions(len(world.share(batch_size)), "training", note, world)
    parts = f"the {config.loss} with the {config.generator}, the {config.critic} and the {config.augmentation}"
    capturable = all(part.capturable for part in (generator, critic, loss, augmentation))
    replayed = config.run.graphs and capturable and device.type == "cuda" and real.resident

    def descent(network: nn.Module, chosen: Chosen, rate: float) -> Descent:
        learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
        if not learning:
            raise PluginError(f"{chosen} has no parameter that can be trained: freeze fewer of them")
        optimiser = torch.optim.Adam(learning, rate, (settings.beta1, settings.beta2), fused=True)
        replay = Replay(device, note) if replayed else None
        return Descent(network, optimiser, batch_size, portions, health, world, parts, replay)

    return Adversaries(
        real=real,
        compute=compute,
        seed=seed,
        world=world,
        batch_size=batch_size,
        generator=generator.train(),
        averaged=averaged,
        critic=critic.train(),
        loss=loss,
        augmentation=augmentation,
        health=health,
        portions=portions,
        of_generator=descent(generator, config.generator, settings.lr_generator),
        of_critic=descent(critic, config.critic, settings.lr_critic),
        flips=settings.flips,
    )


def on_device(network: nn.Module, device: torch.device) -> Any:
    """The network on a device, in the memory layout of training: in another one, pictures differ in their last bits."""
    return network.to(device).to(memory_format=torch.channels_last)


def _set_rate(optimiser: Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate


def _unit(images: Tensor) -> Tensor:
    """uint8 -> float32 in [-1, 1]."""
    return images.float() / 127.5 - 1
