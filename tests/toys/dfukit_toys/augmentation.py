"""Augmentations, sound and broken: each makes pictures darker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dfukit import ImageSpec
from dfukit.interfaces import Augmentation, Step
from dfukit_toys import ToySettings


class Sound(Augmentation):
    def __init__(self, settings: ToySettings, image: ImageSpec) -> None:
        pass

    def draw(self, n: int, step: Step, purpose: str = "augment") -> Tensor:
        return 0.5 + torch.rand(n, 1, 1, 1, generator=step.rng(purpose)) / 2

    def forward(self, images: Tensor, params: Tensor) -> Tensor:
        return images * params.to(images.device)


class LeavesRange(Sound):
    def forward(self, images: Tensor, params: Tensor) -> Tensor:
        return 2 * super().forward(images, params)


class Alike(Sound):
    def draw(self, n: int, step: Step, purpose: str = "augment") -> Tensor:
        return super().draw(1, step, purpose).expand(n, 1, 1, 1)


class Unrepeatable(Sound):
    def draw(self, n: int, step: Step, purpose: str = "augment") -> Tensor:
        return torch.rand(n, 1, 1, 1)


class BlocksGradient(Sound):
    def forward(self, images: Tensor, params: Tensor) -> Tensor:
        return super().forward(images, params).detach()


class AdmitsNoGradient(BlocksGradient):
    differentiable = False


class _Darkened(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, share: Tensor) -> Tensor:
        ctx.save_for_backward(share)
        return images * share

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (share,) = ctx.saved_tensors
        return gradient * share, None


class OnceOnly(Sound):
    def forward(self, images: Tensor, params: Tensor) -> Tensor:
        changed: Tensor = _Darkened.apply(images, params.to(images.device))
        return changed


class Counts(Sound):
    capturable = True

    def draw(self, n: int, step: Step, purpose: str = "augment") -> Tensor:
        return torch.rand(n, 1, 1, 1, generator=torch.Generator().manual_seed(step.index))


class Adapts(Sound):
    """The more the critic overfits, the darker."""

    adapts = True

    def __init__(self, settings: ToySettings, image: ImageSpec) -> None:
        self.darker = torch.zeros(())

    def forward(self, images: Tensor, params: Tensor) -> Tensor:
        return super().forward(images, params) * (1 - self.darker.to(images.device) / 2)

    def observe(self, terms: Mapping[str, Tensor]) -> None:
        moved = terms["real"].sign().mean() * len(terms["real"]) / 500_000
        self.darker = (self.darker.to(moved.device) + moved).clamp(0, 1)

    def state(self) -> dict[str, Tensor]:
        return {"darker": self.darker}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.darker = state["darker"]


class AdaptsTooFar(Adapts):
    """In range until the critic overfits."""

    def forward(self, images: Tensor, params: Tensor) -> Tensor:
        return super().forward(images, params) - self.darker.to(images.device)


class Forgets(Adapts):
    def state(self) -> dict[str, Tensor]:
        return {"darker": torch.zeros(())}


class AdaptsUnsaid(Adapts):
    adapts = False


class Ends(Sound):
    def forward(self, images: Tensor, params: Tensor) -> Tensor:
        raise SystemExit(0)
