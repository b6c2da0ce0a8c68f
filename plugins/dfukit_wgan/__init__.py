"""The reference GAN: an LSTM generator, a convolutional critic and the Wasserstein loss with gradient penalty."""

from __future__ import annotations

from dfukit import Component, ConfigError, choice, frozen, hookimpl, real, whole

WGAN_GP = "Gulrajani et al., Improved Training of Wasserstein GANs, NeurIPS 2017"
PROJECTION = "Miyato and Koyama, cGANs with Projection Discriminator, ICLR 2018"


def check_size(size: int, smallest: int) -> None:
    """Raise ConfigError for a picture width that is not `smallest` times a power of two."""
    if size < smallest or size % smallest or (size // smallest) & (size // smallest - 1):
        sizes = ", ".join(str(smallest << doubling) for doubling in range(7))
        raise ConfigError(f"gan.size must be one of {sizes}, got {size}")


@frozen
class LstmGeneratorSettings:
    latent_size: int = whole(100, "length of the noise vector", low=1, high=4096)
    lstm_layers: int = whole(2, "layers of the LSTM", low=1, high=8)
    lstm_hidden: int = whole(256, "hidden size of the LSTM, and channels of the 8x8 map", low=8, high=2048)
    dropout: float = real(0.3, "dropout between the LSTM's layers", low=0.0, high=0.95)
    embedding: int = whole(32, "length of the embeddings of a cell's position and of the class", low=1, high=512)
    unroll: str = choice(
        "cells",
        ("cells", "once", "none"),
        "cells: the LSTM runs over the 64 cells; once: one step, then a linear map to them; none: that map alone",
    )

    def check(self, size: int) -> None:
        check_size(size, 16)


@frozen
class ConvCriticSettings:
    width: int = whole(64, "channels of the first convolution; each further one doubles them", low=1, high=512)

    def check(self, size: int) -> None:
        check_size(size, 16)


@frozen
class WganGpSettings:
    critic_steps: int = whole(5, "critic steps for each generator step", low=1, high=100)
    gradient_penalty: float = real(10.0, "weight of the gradient penalty", low=0.0, high=1e6)


@hookimpl
def generators() -> list[Component]:
    return [
        Component(
            name="lstm_wgan",
            settings=LstmGeneratorSettings,
            target="dfukit_wgan.networks:LstmGenerator",
            summary="an LSTM over the cells of an 8x8 map, then transposed convolutions",
            suggests={"critic": {"name": "conv"}, "loss": {"name": "wgan_gp"}},
            citation=WGAN_GP,
        )
    ]


@hookimpl
def critics() -> list[Component]:
    return [
        Component(
            name="conv",
            settings=ConvCriticSettings,
            target="dfukit_wgan.networks:ConvCritic",
            summary="four strided convolutions without batch norm, and a class projection",
            citation=PROJECTION,
        )
    ]


@hookimpl
def losses() -> list[Component]:
    return [
        Component(
            name="wgan_gp",
            settings=WganGpSettings,
            target="dfukit_wgan.loss:WassersteinGradientPenalty",
            summary="Wasserstein loss with gradient penalty",
            citation=WGAN_GP,
        )
    ]
