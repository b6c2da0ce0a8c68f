"""What an augmentation must hold."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from dfukit.interfaces import Augmentation
from dfukit.testing.suite import Suite, require, require_shape

SCORES = 100_000
"""Scores of a critic step, so many that an augmentation that adapts goes far in a few."""


class AugmentationSuite(Suite):
    """Changed pictures in [0, 1], each drawn separately, the same for the same step."""

    kind: ClassVar[str] = "augmentation"
    interface: ClassVar[type] = Augmentation

    def adapted(self) -> Any:
        """An augmentation that observed a critic that overfits: one that adapts may change nothing before."""
        augmentation: Any = self.build()
        real = torch.ones(SCORES, device=self.device)
        for _ in range(3):
            augmentation.observe({"loss": real.mean(), "real": real, "fake": -real})
        return augmentation

    def changed(self, images: Tensor, index: int = 0) -> Tensor:
        """Pictures as an adapted augmentation changes them in a step."""
        augmentation = self.adapted()
        made: Tensor = augmentation.forward(images, augmentation.draw(len(images), self.step(index)))
        return made

    def repeated(self) -> Tensor:
        """The same picture eight times."""
        return self.pictures(1).repeat(8, 1, 1, 1)

    def test_pictures_keep_their_shape(self) -> None:
        for n in (8, 1):
            require_shape(self.changed(self.pictures(n)), (n, 3, self.size, self.size), "changed pictures")

    def test_pictures_stay_between_zero_and_one(self) -> None:
        extremes = (self.pictures(8) > 0.5).float()
        for index in range(4):
            changed = self.changed(extremes, index)
            low, high = changed.min().item(), changed.max().item()
            require(low >= -1e-5 and high <= 1 + 1e-5, f"pictures must stay in [0, 1], got [{low:.3g}, {high:.3g}]")

    def test_it_is_differentiable_where_it_says_so(self) -> None:
        if not self.build().differentiable:
            return
        images = self.pictures(4).requires_grad_()
        changed = self.changed(images)
        text = "no gradient passes: say `differentiable = False` where it is for the classifier only"
        require(changed.requires_grad, text)
        (gradient,) = torch.autograd.grad(changed.square().mean(), images, create_graph=True)
        require(bool(gradient.isfinite().all()), "the gradient is not finite")
        require(bool((gradient.flatten(1) != 0).any(1).all()), text)
        try:
            (again,) = torch.autograd.grad(gradient.square().sum(), images)
        except RuntimeError as error:
            raise AssertionError(
                f"a gradient penalty, as of wgan_gp and r3gan, cannot be taken through it on {self.device} ({error}): "
                "make its backward differentiable, or say `differentiable = False` where it is for the classifier only"
            ) from None
        require(bool(again.isfinite().all()), "the gradient of a gradient penalty is not finite")

    def test_each_picture_is_drawn_separately(self) -> None:
        images = self.repeated()
        changed = self.changed(images)
        if torch.allclose(changed, images, atol=1e-5):
            return  # it changes nothing
        require(
            not torch.allclose(changed, changed[:1].expand_as(changed), atol=1e-5),
            "all pictures of a batch are changed alike",
        )

    def test_the_same_step_draws_the_same(self) -> None:
        images = self.repeated()
        torch.manual_seed(1)
        first, second = self.changed(images), self.changed(images)
        augmentation = self.adapted()
        torch.manual_seed(2)
        third = augmentation.forward(images, augmentation.draw(len(images), self.step()))
        same = torch.allclose(first, second, atol=1e-5) and torch.allclose(first, third, atol=1e-5)
        require(same, "the same step changes the same pictures differently: draw with step.rng(purpose)")

    def test_a_capturable_augmentation_follows_the_step(self) -> None:
        augmentation, images = self.adapted(), self.repeated()
        if not augmentation.capturable:
            return
        one, other = self.replayed(
            lambda step: augmentation.forward(images, augmentation.draw(len(images), step)), len(images)
        )
        require(
            torch.allclose(one, other, atol=1e-6),
            "replayed, pictures are changed as in another step: draw with step.uniform(), step.normal() or "
            "step.integers() alone, or say `capturable = False`",
        )

    def test_another_step_draws_anew(self) -> None:
        images = self.repeated()
        first, second = self.changed(images), self.changed(images, 1)
        if torch.allclose(first, images, atol=1e-5):
            return  # it changes nothing
        require(not torch.allclose(first, second, atol=1e-5), "every step draws the same changes")

    def test_drawing_leaves_the_global_random_state_alone(self) -> None:
        augmentation = self.build()
        before = torch.random.get_rng_state()
        augmentation.draw(4, self.step())
        require(torch.equal(before, torch.random.get_rng_state()), "draw() moves torch's global random state")

    def test_its_state_can_be_restored(self) -> None:
        learnt, fresh, images = self.adapted(), self.build(), self.repeated()
        state = learnt.state()
        require(
            isinstance(state, dict) and all(isinstance(values, Tensor) for values in state.values()),
            "state() must return a dict of tensors",
        )
        fresh.restore(state)
        one, other = (made.forward(images, made.draw(len(images), self.step())) for made in (learnt, fresh))
        require(
            torch.allclose(one, other, atol=1e-5),
            "another one with its state() changes pictures otherwise: state() must hold what observe() moves, and "
            "restore() take it back",
        )

    def test_it_says_that_it_adapts(self) -> None:
        augmentation = self.build()
        require(
            augmentation.adapts or type(augmentation).observe is Augmentation.observe,
            "it has an observe() of its own: say `adapts = True`, as nothing is observed where a classifier trains",
        )
