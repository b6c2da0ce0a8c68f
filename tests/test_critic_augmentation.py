"""What a critic sees through: gradients, separate draws, weak colours, and a probability that follows overfitting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import small_gan
import torch
from kornia.geometry.transform import warp_affine
from small_gan import CPU, IMAGE, pictures
from torch import Tensor

from dfukit import ConfigError, config, gan, registry
from dfukit.component import ImageSpec
from dfukit.interfaces import Step
from dfukit.pairing import check_augmentation, check_classifier_augmentation
from dfukit.progress import Silent
from dfukit.rundir import RunDir
from dfukit_augment import NoSettings
from dfukit_augment.pipelines import Unchanged
from dfukit_augment.warping import warped

BOTH = ("diffaugment", "ada")
STILL = {"brightness": 0.0, "saturation": 0.0, "contrast": 0.0, "translation": 0.0}
KINDS = {"diffaugment": STILL | {"cutout": 0.0}, "ada": STILL | {"zoom": 0.0, "rotation": 0.0}}


def build(name: str, size: int = 16, **settings: float) -> Any:
    """An augmentation at full strength: ADA with a probability of 1."""
    made = registry.load().choose("augmentation", name, settings).build(ImageSpec(size, 3, ("a", "b"), "a"))
    if name == "ada":
        made.restore({"probability": torch.tensor(1.0), "sign": torch.tensor(0.0)})
    return made


def some(n: int = 4, size: int = 16, dtype: torch.dtype = torch.float32) -> Tensor:
    """Pictures away from black and white, where nothing is cut off."""
    rng = torch.Generator().manual_seed(0)
    return torch.rand(n, 3, size, size, generator=rng, dtype=dtype) * 0.4 + 0.3


def change(augmentation: Any, images: Tensor, index: int = 0) -> Tensor:
    changed: Tensor = augmentation.forward(images, augmentation.draw(len(images), Step(0, index)))
    return changed


@pytest.mark.parametrize("name", BOTH)
def test_the_gradient_is_that_of_finite_differences(name: str) -> None:
    augmentation, images = build(name), some(dtype=torch.float64).requires_grad_()
    direction = torch.randn(images.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weights = torch.randn(images.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def value(at: Tensor) -> Tensor:
        return (weights * change(augmentation, at).square()).sum()

    (gradient,) = torch.autograd.grad(value(images), images)
    with torch.no_grad():
        small = 1e-5
        slope = (value(images + small * direction) - value(images - small * direction)) / (2 * small)
    assert (gradient * direction).sum().item() == pytest.approx(slope.item(), rel=1e-6)


@pytest.mark.parametrize("name", BOTH)
def test_a_gradient_penalty_passes(name: str) -> None:
    augmentation, images = build(name), some().requires_grad_()
    (gradient,) = torch.autograd.grad(change(augmentation, images).square().sum(), images, create_graph=True)
    (again,) = torch.autograd.grad(gradient.square().sum(), images)
    assert again.isfinite().all()
    assert (again.flatten(1) != 0).any(1).all()


@pytest.mark.parametrize("name", BOTH)
def test_each_picture_is_drawn_separately(name: str) -> None:
    changed = change(build(name), some(1).repeat(16, 1, 1, 1))
    assert len({picture.contiguous().numpy().tobytes() for picture in changed}) == 16


@pytest.mark.parametrize("name", BOTH)
def test_each_picture_draws_alone_whatever_the_portion(name: str) -> None:
    augmentation, images = build(name), some(6)
    whole = augmentation.forward(images, augmentation.draw(6, Step(3, 1).part(0, 6)))
    rest = augmentation.forward(images[2:], augmentation.draw(4, Step(3, 1).part(2, 6)))
    assert torch.allclose(whole[2:], rest, atol=1e-6)


@pytest.mark.parametrize("name", BOTH)
def test_extremes_stay_between_black_and_white(name: str) -> None:
    images = some(32).round()
    changed = change(build(name, brightness=1.0, saturation=1.0, contrast=1.0), images)
    assert 0 <= changed.min() <= changed.max() <= 1


@pytest.mark.parametrize("name", BOTH)
def test_with_everything_at_zero_it_changes_nothing_but_places(name: str) -> None:
    images = some()
    changed = change(build(name, **KINDS[name]), images)
    values = [torch.sort(picture.flatten(1), dim=1).values for picture in (images.flatten(0, 1), changed.flatten(0, 1))]
    assert torch.allclose(*values, atol=1e-5)
    assert name == "ada" or torch.equal(changed, images)


@pytest.mark.parametrize("name", BOTH)
def test_colours_change_little_unless_it_is_told_otherwise(name: str) -> None:
    """A red as of inflamed skin stays more than half as red, and becomes no more than half as red again."""
    red = torch.tensor([0.7, 0.4, 0.35]).view(1, 3, 1, 1).expand(64, 3, 16, 16).contiguous()
    settings = {"cutout": 0.0} if name == "diffaugment" else {}
    redness = [picture[0].mean() - picture[1:].mean() for picture in change(build(name, **settings), red)]
    assert torch.stack(redness).sub(0.325).abs().max() < 0.5 * 0.325


@pytest.mark.parametrize("name", BOTH)
def test_nothing_black_comes_in_from_outside(name: str) -> None:
    settings = KINDS[name] | {"translation": 0.4} | ({"rotation": 45.0, "zoom": 0.5} if name == "ada" else {})
    white = torch.ones(16, 3, 16, 16)
    assert torch.allclose(change(build(name, **settings), white), white, atol=1e-5)


def test_a_translation_moves_by_whole_pixels_and_mirrors_the_border() -> None:
    images = torch.arange(16.0).div(16).expand(1, 3, 16, 16)
    augmentation = build("diffaugment", **KINDS["diffaugment"] | {"translation": 0.125})
    widths = set()
    for index in range(40):
        row = (change(augmentation, images, index)[0, 0, 0] * 16).round().int().tolist()
        shift = row[8] - 8
        widths.add(shift)
        assert row == [min(abs(place + shift), 30 - (place + shift)) for place in range(16)]
    assert widths == {-2, -1, 0, 1, 2}


def test_cutout_covers_at_most_a_quarter_with_grey() -> None:
    changed = change(build("diffaugment", **KINDS["diffaugment"] | {"cutout": 0.5}), torch.ones(64, 3, 16, 16))
    covered = (changed == 0.5).float().mean((1, 2, 3))
    assert covered.max() == 0.25
    assert 0.06 <= covered.min() < 0.1  # the centre lies in a corner
    assert ((changed == 0.5) | (changed == 1.0)).all()


def only(change: int, far: dict[int, float]) -> Tensor:
    """What ADA draws where it makes one of its eight kinds of change alone, as far as `far` says (0.5: not at all)."""
    made, how_far = torch.ones(1, 8), torch.full((1, 9), 0.5)
    made[:, change] = 0.0
    for place, value in far.items():
        how_far[:, place] = value
    return torch.cat([made, how_far], dim=1)


def quarter_turns(images: Tensor) -> list[Tensor]:
    """To either side."""
    return [torch.rot90(images, quarters, (2, 3)) for quarters in (1, 3)]


def test_ada_rotates_by_degrees_and_by_quarters() -> None:
    images = some(1)
    half_of_180 = build("ada", **KINDS["ada"] | {"rotation": 180.0}).forward(images, only(2, {2: 0.75}))
    assert any(torch.allclose(half_of_180, turned, atol=1e-4) for turned in quarter_turns(images))
    a_quarter = build("ada", **KINDS["ada"]).forward(images, only(1, {1: 0.25}))
    assert any(torch.allclose(a_quarter, turned, atol=1e-4) for turned in quarter_turns(images))


def test_ada_shifts_by_a_share_of_the_width() -> None:
    images = some(1)
    half_of_two_pixels = build("ada", **KINDS["ada"] | {"translation": 2 / 16})
    moved = half_of_two_pixels.forward(images, only(4, {4: 0.75}))
    assert torch.allclose(moved[..., 1:], images[..., :-1], atol=1e-4)


def test_each_strength_of_colour_is_that_of_its_own_change() -> None:
    """At full strength, as far down as it goes: grey without contrast, and without saturation."""
    images = some(1)
    flat = build("ada", **KINDS["ada"] | {"contrast": 1.0}).forward(images, only(7, {8: 0.0}))
    assert torch.allclose(flat, images.mean().expand_as(images), atol=1e-4)
    params = torch.full((1, 7), 0.5)
    params[:, 1] = 0.0
    grey = build("diffaugment", **KINDS["diffaugment"] | {"saturation": 1.0}).forward(images, params)
    assert torch.allclose(grey, images.mean(1, keepdim=True).expand_as(images), atol=1e-5)


def test_nothing_is_changed_before_the_critic_overfits() -> None:
    images = some()
    fresh = registry.load().choose("augmentation", "ada", {}).build(IMAGE)
    assert torch.allclose(change(fresh, images), images, atol=1e-4)


@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_the_probability_settles_where_the_critic_overfits_as_much_as_it_may(shift: float) -> None:
    """A critic that overfits less the more is augmented: r_t = 1 - 0.8 p, so that 0.6 is reached at p = 0.5. Its
    scores may have any zero, as those of Wasserstein losses do."""
    ada = registry.load().choose("augmentation", "ada", {"ramp": 20_000}).build(IMAGE)
    rng, seen = torch.Generator().manual_seed(0), []
    for _ in range(2000):
        overfitting = 1 - 0.8 * float(ada.state()["probability"])
        right = torch.rand(32, generator=rng) < (1 + overfitting) / 2
        real = torch.where(right, 1.0, -1.0) + shift
        ada.observe({"real": real, "fake": 2 * shift - real})
        seen.append(float(ada.state()["probability"]))
    assert seen[0] <= 32 / 20_000 + 1e-6
    settled = seen[1000:]
    assert sum(settled) / len(settled) == pytest.approx(0.5, abs=0.05)
    assert 1 - 0.8 * sum(settled) / len(settled) == pytest.approx(0.6, abs=0.05)


def test_the_probability_has_bounds() -> None:
    ada = registry.load().choose("augmentation", "ada", {"ramp": 100, "highest": 0.3}).build(IMAGE)
    for value, expected in ((1.0, 0.3), (-1.0, 0.0)):
        for _ in range(100):
            ada.observe({"real": torch.full((8,), value), "fake": torch.full((8,), -value)})
        assert float(ada.state()["probability"]) == pytest.approx(expected)


def test_what_it_has_learnt_is_restored() -> None:
    first, again = (registry.load().choose("augmentation", "ada", {"ramp": 64}).build(IMAGE) for _ in range(2))
    for _ in range(60):
        first.observe({"real": torch.ones(8), "fake": -torch.ones(8)})
    again.restore(first.state())
    assert torch.equal(change(first, some()), change(again, some()))
    assert again.state()["probability"] == first.state()["probability"] > 0


def test_the_probability_is_logged(tmp_path: Path) -> None:
    settings = {"augmentation.name": "ada", "augmentation.ramp": 100, "augmentation.target": -1.0}
    made = config.resolve(registry.load(), preset="smoke", settings={**settings, "run.precision": "fp32"})
    gan.train(made, IMAGE, pictures(), CPU, RunDir(tmp_path), {}, None, Silent())
    logged = [event for event in RunDir(tmp_path).events() if "augmentation_probability" in event]
    assert [event["step"] for event in logged] == [1, 2, 3, 4]
    assert logged[-1]["augmentation_probability"] > logged[0]["augmentation_probability"] > 0


@pytest.mark.parametrize("name", BOTH)
def test_real_and_fake_pictures_are_changed_in_both_steps(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    chosen = registry.load().choose("augmentation", name, {})
    kind, counts = type(chosen.make(IMAGE)), []
    forward = kind.forward

    def counted(self: Any, images: Tensor, params: Any) -> Tensor:
        counts.append((len(images), images.requires_grad))
        changed: Tensor = forward(self, images, params)
        return changed

    monkeypatch.setattr(kind, "forward", counted)
    settings = {"augmentation.name": name, "loss.name": "hinge", "gan.steps": 1, "run.precision": "fp32"}
    made = config.resolve(registry.load(), preset="smoke", settings=settings)
    gan.train(made, IMAGE, pictures(), CPU, RunDir(tmp_path), {}, None, Silent())
    assert counts == [(8, False), (8, False), (8, True)]


def test_places_are_exact_under_autocast() -> None:
    ada = build("ada")
    params, images = ada.draw(4, Step(0, 0)), some(4)
    exact = ada.forward(images, params)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(ada.forward(images, params), exact, atol=1e-2)


def test_pictures_are_changed_in_full_precision(tmp_path: Path, monkeypatch: Any) -> None:
    halved: list[bool] = []

    def look(self: Any, images: Tensor, params: Any) -> Tensor:
        halved.append(torch.is_autocast_enabled("cpu"))
        return images

    monkeypatch.setattr("dfukit_augment.pipelines.Unchanged.forward", look)
    settings = {"generator.name": "fastgan", "augmentation.name": "none", "run.precision": "bf16", "gan.steps": 1}
    small_gan.train(tmp_path, **{**small_gan.OTHERS["fastgan"], **settings})
    assert halved
    assert not any(halved)


def test_moved_pictures_are_kornias_and_have_gradients_of_gradients() -> None:
    images = some(2, 8, torch.float64).requires_grad_()
    matrices = torch.tensor([[[0.9, -0.4, 2.0], [0.4, 0.9, -1.0]], [[-1.0, 0.0, 7.0], [0.0, 1.0, 0.5]]]).double()
    kornias = warp_affine(images, matrices, (8, 8), padding_mode="reflection")
    assert torch.allclose(warped(images, matrices), kornias, atol=1e-6)
    assert torch.autograd.gradgradcheck(lambda at: warped(at, matrices).square(), images)


class Blocked(Unchanged):
    differentiable = False


def test_one_that_passes_no_gradient_is_refused_for_a_critic() -> None:
    chosen = registry.load().choose("augmentation", "none", {})
    check_augmentation(chosen, Unchanged(NoSettings(), IMAGE))
    with pytest.raises(ConfigError, match=r"augmentation\.name must not be none, which passes no gradient"):
        check_augmentation(chosen, Blocked(NoSettings(), IMAGE))


def test_one_that_adapts_to_a_critic_is_refused_for_a_classifier() -> None:
    known = {name: registry.load().choose("augmentation", name, {}) for name in ("none", "wound", "diffaugment", "ada")}
    ada = known.pop("ada")
    for chosen in known.values():
        check_classifier_augmentation(chosen, chosen.build(IMAGE))
    with pytest.raises(ConfigError, match=r"classifier_augmentation\.name must not be ada.*name another, as wound"):
        check_classifier_augmentation(ada, ada.build(IMAGE))
