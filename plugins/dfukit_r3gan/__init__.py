"""The relativistic loss of R3GAN, for any critic without batch statistics."""

from __future__ import annotations

from dfukit import Component, frozen, hookimpl, real, whole


@frozen
class R3ganSettings:
    critic_steps: int = whole(1, "critic steps for each generator step", low=1, high=100)
    gamma: float = real(17.0, "weight of both gradient penalties as training begins", low=0.0, high=1e6)
    last_gamma: float = real(1.7, "their weight as it ends; between, it changes evenly", low=0.0, high=1e6)


@hookimpl
def losses() -> list[Component]:
    return [
        Component(
            name="r3gan",
            settings=R3ganSettings,
            target="dfukit_r3gan.loss:Relativistic",
            summary="relativistic pairing loss with gradient penalties on real and fake pictures",
            suggests={"gan": {"lr_generator": 2e-4, "lr_critic": 2e-4, "beta1": 0.0, "beta2": 0.99}},
            citation="Huang et al., The GAN is dead; long live the GAN! A Modern GAN Baseline, NeurIPS 2024",
        )
    ]
