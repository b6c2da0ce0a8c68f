"""The augmentation `wound` on a whole batch against torchvision's transforms doing the same picture by picture."""

from __future__ import annotations

from itertools import count

import pytest
import torch
from paired import compare, seconds
from pytest_benchmark.fixture import BenchmarkFixture
from torchvision.transforms import InterpolationMode, v2

from dfukit import ImageSpec, registry
from dfukit.interfaces import Step

SIZE, BATCH = 128, 64


@pytest.mark.benchmark(group="augmentation")
def test_augmentation(benchmark: BenchmarkFixture, rounds: int) -> None:
    where = "cuda" if torch.cuda.is_available() else "cpu"
    image = ImageSpec(SIZE, 3, ("a", "b"), "a")
    chosen = registry.load().choose("augmentation", "wound", {})
    augmentation, wound = chosen.build(image), chosen.settings
    images = torch.rand(BATCH, 3, SIZE, SIZE)
    there = images.to(where)
    # torchvision has no mirrored border: the picture is mirrored outwards, changed, and its middle cut out.
    border = SIZE // 4
    per_picture = v2.Compose(
        [
            v2.Pad(border, padding_mode="reflect"),
            v2.RandomAffine(
                wound.rotation, scale=(1 - wound.zoom, 1 + wound.zoom), interpolation=InterpolationMode.BILINEAR
            ),
            v2.CenterCrop(SIZE),
            v2.RandomHorizontalFlip(wound.horizontal_flip),
            v2.RandomVerticalFlip(wound.vertical_flip),
            v2.ColorJitter(contrast=wound.contrast),
        ]
    )
    turns = count()

    def dfukit() -> None:
        augmentation.forward(there, augmentation.draw(BATCH, Step(0, next(turns))))
        if where == "cuda":
            torch.cuda.synchronize()

    def torchvision() -> None:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # as in a worker of a DataLoader; more only slow such small pictures down
        torch.stack([per_picture(picture) for picture in images]).to(where)
        torch.set_num_threads(threads)

    compare(
        benchmark,
        rounds,
        f"augmentation of {BATCH} pictures at {SIZE}x{SIZE}, {where}",
        {"torchvision": seconds(torchvision), "dfukit wound": seconds(dfukit)},
    )
