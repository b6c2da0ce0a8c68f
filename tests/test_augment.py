"""The built-in augmentations."""

from __future__ import annotations

import pytest
import torch

from dfukit import registry
from dfukit.component import ImageSpec
from dfukit.interfaces import Augmentation, Step

IMAGE = ImageSpec(16, 3, ("infected", "other"), "infected")


def build(name: str, **settings: float) -> Augmentation:
    augmentation: Augmentation = registry.load().choose("augmentation", name, settings).build(IMAGE)
    return augmentation


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_none_leaves_pictures_as_they_are(images: torch.Tensor) -> None:
    augmentation = build("none")
    assert torch.equal(augmentation.forward(images, augmentation.draw(6, Step(0, 0))), images)


def test_wound_draws_the_same_for_the_same_step_and_purpose(images: torch.Tensor) -> None:
    augmentation = build("wound")
    first = augmentation.forward(images, augmentation.draw(6, Step(3, 5)))
    torch.rand(7)  # whatever else draws must not matter
    assert torch.equal(first, augmentation.forward(images, augmentation.draw(6, Step(3, 5))))
    assert not torch.equal(first, augmentation.forward(images, augmentation.draw(6, Step(3, 6))))
    assert not torch.equal(first, augmentation.forward(images, augmentation.draw(6, Step(3, 5), "other")))


def test_wound_leaves_the_global_random_state_alone() -> None:
    augmentation = build("wound")
    before = torch.get_rng_state()
    augmentation.draw(4, Step(0, 0))
    assert torch.equal(before, torch.get_rng_state())


def test_wound_keeps_pictures_in_range_and_size(images: torch.Tensor) -> None:
    augmentation = build("wound", rotation=180.0, zoom=0.5, contrast=0.9)
    changed = augmentation.forward(images, augmentation.draw(6, Step(0, 0)))
    assert changed.shape == images.shape
    assert changed.dtype == torch.float32
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert not torch.equal(changed, images)


def test_wound_draws_each_picture_separately() -> None:
    augmentation = build("wound")
    equal = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)).expand(8, -1, -1, -1)
    changed = augmentation.forward(equal, augmentation.draw(8, Step(0, 0)))
    assert len({picture.numpy().tobytes() for picture in changed}) == 8


def test_wound_brings_in_no_black_corners() -> None:
    augmentation = build("wound", rotation=45.0, zoom=0.5, contrast=0.0)
    white = torch.ones(8, 3, 16, 16)
    changed = augmentation.forward(white, augmentation.draw(8, Step(0, 0)))
    torch.testing.assert_close(changed, white)


STILL = dict.fromkeys(("rotation", "horizontal_flip", "vertical_flip", "zoom", "contrast"), 0.0)


def test_wound_flips_the_way_it_is_told(images: torch.Tensor) -> None:
    for setting, axis in (("horizontal_flip", 3), ("vertical_flip", 2)):
        flipping = build("wound", **STILL | {setting: 1.0})
        changed = flipping.forward(images, flipping.draw(6, Step(0, 0)))
        torch.testing.assert_close(changed, images.flip(axis), atol=1e-5, rtol=0)


def test_wound_zooms_both_in_and_out() -> None:
    square = torch.zeros(64, 3, 16, 16)
    square[..., 4:12, 4:12] = 1.0
    zooming = build("wound", **STILL | {"zoom": 0.3})
    area = zooming.forward(square, zooming.draw(64, Step(0, 0))).mean((1, 2, 3))
    assert area.min() < 0.2 < 0.25 < 0.3 < area.max()


def test_wound_with_everything_at_zero_changes_nothing(images: torch.Tensor) -> None:
    still = build("wound", **STILL)
    torch.testing.assert_close(still.forward(images, still.draw(6, Step(0, 0))), images, atol=1e-5, rtol=0)


def test_wound_passes_gradients_twice(images: torch.Tensor) -> None:
    augmentation = build("wound")
    images.requires_grad_(True)
    changed = augmentation.forward(images, augmentation.draw(6, Step(0, 0)))
    (gradient,) = torch.autograd.grad((changed**2).sum(), images, create_graph=True)
    gradient.norm().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
