"""FastGAN, for some hundreds of pictures: a light generator, a critic that also reconstructs, and the hinge loss."""

from __future__ import annotations

from dfukit import Component, ConfigError, frozen, hookimpl, real, whole

FASTGAN = "Liu et al., Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image Synthesis, ICLR 2021"
HINGE = "Lim and Ye, Geometric GAN, 2017 (arXiv 1705.02894)"
GRAIN = 2.0
"""Of untrained pictures: about that of photographs."""
SHIFTS_ALONE = {"brightness": 0.0, "saturation": 0.0, "contrast": 0.0, "cutout": 0.0}
"""What is left of `diffaugment`: colours leak into what this generator makes, and colours and squares
together slow it (docs/studies.md)."""
SIZES = (16, 32, 64, 128, 256, 512)
LEAST_SHARE = 0.01
"""Of the scores of the grain: the others are repeated until those have their share, which takes memory."""


def _check_size(size: int) -> None:
    if size not in SIZES:
        raise ConfigError(f"gan.size must be one of {', '.join(map(str, SIZES))}, got {size}")


@frozen
class FastGeneratorSettings:
    latent_size: int = whole(256, "length of the noise vector", low=16, high=4096)
    width: int = whole(
        32, "channels of the 128x128 map, 64 in the paper; the 4x4 map has 16 times as many", low=8, high=512
    )
    grain: float = real(
        GRAIN,
        "independent noise in the first weights, for each 1 that is smooth; 0: untrained pictures are a blur",
        low=0.0,
        high=1e4,
    )

    def check(self, size: int) -> None:
        _check_size(size)


@frozen
class FastCriticSettings:
    width: int = whole(
        256,
        "channels of the 4x4 map; each map twice as wide has half as many, at 1024 those of the authors' critic",
        low=32,
        high=4096,
    )
    scored_map: int = whole(
        8,
        "width of the map that is scored window by window, 4x4 each, 8 as the authors'; 4 makes one score of it",
        low=4,
        high=64,
    )
    fine_share: float = real(
        0.0,
        f"about which share of the scores is of the grain, in windows of 22 pixels, at least {LEAST_SHARE}; 0: none",
        low=0.0,
        high=0.9,
    )
    reconstruction: float = real(1.0, "weight of the task to reconstruct real pictures; 0: none", low=0.0, high=1e6)

    def check(self, size: int) -> None:
        _check_size(size)
        widths = [width for width in (4, 8, 16, 32, 64) if width < size]
        if self.scored_map not in widths:
            raise ConfigError(f"critic.scored_map must be one of {', '.join(map(str, widths))}, got {self.scored_map}")
        if 0 < self.fine_share < LEAST_SHARE:
            raise ConfigError(f"critic.fine_share must be 0 or at least {LEAST_SHARE}, got {self.fine_share}")
        # Its decoders halve their channels each time that they double the width.
        multiple = min(size // 4, 32)
        if self.reconstruction and self.width % multiple:
            raise ConfigError(
                f"critic.width must be a multiple of {multiple}, for the reconstruction (critic.reconstruction), "
                f"got {self.width}"
            )


@frozen
class HingeSettings:
    critic_steps: int = whole(1, "critic steps for each generator step", low=1, high=100)
    jitter: float = real(0.2, "the margin is drawn for each picture from this far below 1 up to 1", low=0.0, high=1.0)


@hookimpl
def generators() -> list[Component]:
    return [
        Component(
            name="fastgan",
            settings=FastGeneratorSettings,
            target="dfukit_fastgan.generator:FastGenerator",
            summary="upsampling convolutions, small maps gating large ones: for some hundreds of pictures",
            suggests={
                "critic": {"name": "fastgan", "fine_share": 0.25},
                "loss": {"name": "hinge"},
                "augmentation": {"name": "diffaugment", **SHIFTS_ALONE},
                "gan": {
                    "batch_size": 8,
                    "lr_generator": 4e-4,
                    "lr_critic": 4e-4,
                    "lr_schedule": "linear",
                    "beta1": 0.5,
                    "beta2": 0.999,
                    "ema": 0.999,
                    "flips": True,
                    "patience": 0,  # its rates fall until the last step, which it therefore has to reach
                },
            },
            citation=FASTGAN,
        )
    ]


@hookimpl
def critics() -> list[Component]:
    return [
        Component(
            name="fastgan",
            settings=FastCriticSettings,
            target="dfukit_fastgan.critic:FastCritic",
            summary="gated down-blocks with batch norm, which also reconstruct real pictures from their maps",
            citation=FASTGAN,
        )
    ]


@hookimpl
def losses() -> list[Component]:
    return [
        Component(
            name="hinge",
            settings=HingeSettings,
            target="dfukit_fastgan.loss:Hinge",
            summary="hinge loss with a jittered margin",
            citation=HINGE,
        )
    ]
