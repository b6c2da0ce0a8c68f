"""What is checked of parts that work together, before any training."""

from __future__ import annotations

import torch

from dfukit.component import Chosen
from dfukit.config import RunConfig
from dfukit.errors import ConfigError, PluginError
from dfukit.interfaces import Augmentation, Critic, Generator, Loss, Step


def check_pair(config: RunConfig, loss: Loss, critic: Critic) -> None:
    """Raise ConfigError where the loss cannot train the critic."""
    if loss.per_picture and not critic.per_picture:
        raise ConfigError(
            f"loss {config.loss.name} takes gradients of single pictures' scores, and critic {config.critic.name} "
            "mixes the pictures of a batch: name another critic or another loss"
        )


def check_augmentation(chosen: Chosen, augmentation: Augmentation) -> None:
    """Raise ConfigError where no generator can learn from a critic that sees pictures through the augmentation."""
    if not augmentation.differentiable:
        raise ConfigError(
            f"augmentation.name must not be {chosen.name}, which passes no gradient on to the generator: name another, "
            "as diffaugment"
        )


def check_classifier_augmentation(chosen: Chosen, augmentation: Augmentation) -> None:
    """Raise ConfigError where the augmentation of a classifier's pictures waits for a critic."""
    if augmentation.adapts:
        raise ConfigError(
            f"classifier_augmentation.name must not be {chosen.name}, which adapts to a critic and would stay as it "
            "begins: name another, as wound"
        )


@torch.no_grad()
def check_finite(generator: Generator, chosen: Chosen, device: torch.device) -> None:
    """Raises PluginError where pictures are no numbers before any training: no lower learning rate helps there."""
    latent = Step(0, 0).normal("first look", 2, generator.latent_size)
    generator.eval()  # a look leaves no trace in batch norms
    pictures = generator(latent.to(device), torch.zeros(2, dtype=torch.int64, device=device))
    generator.train()
    if not pictures.isfinite().all():
        raise PluginError(f"{chosen} draws numbers that are not finite before any training")
