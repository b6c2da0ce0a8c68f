"""Pictures, and metrics and extractors of a plugin's, for the tests of scoring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from attrs import evolve, frozen
from torch import Tensor

from dfukit import registry as registries
from dfukit.component import Component
from dfukit.device import Compute
from dfukit.errors import WeightsError
from dfukit.interfaces import Extractor, Found, Metric, Score, View
from dfukit.progress import Silent
from dfukit.registry import Offer, Registry
from dfukit.scoring import score

CPU = Compute(torch.device("cpu"), bf16=False)
R64 = {"r64": {"size": 32}}


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def pictures(seed: int, n: int, size: int = 32) -> np.ndarray:
    """Blots of random place and colour on grey, uint8 [n, size, size, 3]."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(size), np.arange(size))
    centre, colour = rng.uniform(0.2, 0.8, (2, n, 1, 1)) * size, rng.uniform(-120, 120, (n, 1, 1, 3))
    blot = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (size / 4) ** 2)[..., None]
    return np.asarray((128 + blot * colour + rng.normal(0, 4, (n, size, size, 3))).clip(0, 255), np.uint8)


def noise(seed: int, n: int, size: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def scores_of(
    parts: Mapping[str, np.ndarray],
    fake: np.ndarray,
    metrics: Sequence[str],
    registry: Registry | None = None,
    **changes: Any,
) -> dict[str, dict[str, Any]]:
    registry = registry or registries.load()
    chosen = [registry.choose("metric", name, {}) for name in metrics]
    how: dict[str, Any] = {
        "extractor": "auto",
        "extractor_settings": R64,
        "groups": {},
        "pictures": 5000,
        "compute": CPU,
        "seed": 0,
        "progress": Silent(),
    }
    return score(parts, fake, chosen, registry, **(how | changes))


@frozen
class Nothing:
    """No settings."""


class Colour(Extractor):
    """The mean colour, and a record of how many pictures it was shown."""

    source = "arithmetic"
    shown = 0

    def __init__(self, settings: object) -> None:
        super().__init__()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        Colour.shown += len(images)
        return {"features": images.float().mean((2, 3))}


class Absent(Colour):
    def __init__(self, settings: object) -> None:
        raise WeightsError("its weights are on another planet")


class Raising(Colour):
    def __init__(self, settings: object) -> None:
        raise ValueError("a defect of the plugin")


class Breaking(Colour):
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        raise IndexError("no\nsuch layer")


class SharedPatients(Metric):
    """How many patients of the one set are in the other."""

    reads = "features"

    def __init__(self, settings: object) -> None:
        pass

    def measure(self, real: View, fake: View, rng: np.random.Generator) -> dict[str, Score]:
        shared = 0
        if real.groups is not None and fake.groups is not None:
            shared = len(np.intersect1d(real.groups, fake.groups))
        return {"shared_patients": Score(float(shared), (real.n, fake.n))}


class Failing(SharedPatients):
    def measure(self, real: View, fake: View, rng: np.random.Generator) -> dict[str, Score]:
        raise ZeroDivisionError("no\nluck")


class Infinite(SharedPatients):
    def measure(self, real: View, fake: View, rng: np.random.Generator) -> dict[str, Score]:
        return {"infinite": Score(float("inf"), (real.n, fake.n))}


class Numpy(SharedPatients):
    """Its numbers are numpy's."""

    def measure(self, real: View, fake: View, rng: np.random.Generator) -> dict[str, Score]:
        n = (np.int64(real.n), np.int64(fake.n))
        return {"numpy": Score(np.float32(1.5), n, (np.float32(1), np.float32(2)))}  # type: ignore[arg-type]


class Fickle(SharedPatients):
    """It gives its second name for large sets alone."""

    def measure(self, real: View, fake: View, rng: np.random.Generator) -> dict[str, Score]:
        score = Score(1.0, (real.n, fake.n))
        return {"first": score, "second": score} if real.n > 50 else {"first": score}


class Usurping(SharedPatients):
    """It gives a figure that is another metric's."""

    def measure(self, real: View, fake: View, rng: np.random.Generator) -> dict[str, Score]:
        score = Score(0.0, (real.n, fake.n))
        return {"kd": score, "usurping": score}


class Auditor(Metric):
    """No audit, though it calls its second figure as one."""

    reads = "pixels"

    def __init__(self, settings: object) -> None:
        pass

    def measure(self, real: View, fake: View, rng: np.random.Generator) -> dict[str, Score]:
        score = Score(0.0, (real.n, fake.n))
        return {"auditor": score, "copies": score}


class Odd(SharedPatients):
    """Of its two figures the first is what a test says."""

    floor = False
    said: ClassVar[Mapping[str, Any]] = {}

    def measure(self, real: View, fake: View, rng: np.random.Generator) -> dict[str, Score]:
        sound: dict[str, Any] = {"value": 1.0, "n": (real.n, fake.n)}
        return {"odd": Score(**{**sound, **Odd.said}), "sound": Score(**sound)}


class Unsure(SharedPatients):
    reads = "logits"


class Equal(Metric):
    """An audit that objects to pictures equal to a training picture, pixel for pixel."""

    reads = "pixels+features"
    better = "neither"
    audit = True

    def __init__(self, settings: object) -> None:
        pass

    def measure(self, real: View, fake: View, rng: np.random.Generator) -> dict[str, Score]:
        assert real.pixels is not None
        assert fake.pixels is not None
        assert real.features is not None
        assert real.features.shape == (real.n, 3)
        places = {picture.tobytes(): place for place, picture in enumerate(np.asarray(real.pixels))}
        found = [(i, places.get(picture.tobytes())) for i, picture in enumerate(np.asarray(fake.pixels))]
        return {
            "equal": Score(
                value=sum(of is not None for _, of in found) / fake.n,
                n=(real.n, fake.n),
                details={"held_out": real.held_out.n if real.held_out else 0, "nothing": np.float64("nan")},
                found=tuple(Found(i, of, "exact", 0.0) for i, of in found if of is not None),
                distances=np.array([float(of is None) for _, of in found], np.float32),
            )
        }


class Astray(Equal):
    """An audit that speaks of pictures that there are not."""

    said: ClassVar[Mapping[str, Any]] = {}

    def measure(self, real: View, fake: View, rng: np.random.Generator) -> dict[str, Score]:
        return {"astray": evolve(super().measure(real, fake, rng)["equal"], **Astray.said)}


class Views(Metric):
    """Keeps every pair of views that it is handed."""

    reads = "features"
    seen: ClassVar[list[tuple[View, View]]] = []

    def __init__(self, settings: object) -> None:
        pass

    def measure(self, real: View, fake: View, rng: np.random.Generator) -> dict[str, Score]:
        Views.seen.append((real, fake))
        return {"views": Score(1.0, (real.n, fake.n))}


class OtherViews(Views):
    """The same under another name."""


def offers(kind: str, **targets: type) -> tuple[Offer, ...]:
    return tuple(
        Offer(kind, Component(name, Nothing, f"{__name__}:{target.__name__}", ""), "tests", "dfukit-tests", "1")
        for name, target in targets.items()
    )


def with_ours() -> Registry:
    """The installed plugins and those of this file."""
    installed = registries.load()
    ours = offers("extractor", colour=Colour, absent=Absent, raising=Raising, breaking=Breaking)
    ours += offers("metric", shared_patients=SharedPatients, failing=Failing, infinite=Infinite, unsure=Unsure)
    ours += offers("metric", equal=Equal, views=Views, other_views=OtherViews, numpy=Numpy, fickle=Fickle)
    ours += offers("metric", usurping=Usurping, odd=Odd, astray=Astray, auditor=Auditor)
    return evolve(installed, offers=installed.offers + ours)
