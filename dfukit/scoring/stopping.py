"""The distance to the validation part by which the training of a GAN is judged and stopped."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from dfukit import registry as registries
from dfukit.component import Chosen
from dfukit.config import RunConfig
from dfukit.device import Compute
from dfukit.interfaces import Extractor, Metric, Step, View
from dfukit.portions import Portions
from dfukit.progress import Progress
from dfukit.rows import Pixels, Rows
from dfukit.scoring.extraction import BATCH, BEST, choose_extractor, extract
from dfukit.world import ALONE, World

PICTURES = 2000
"""Validation pictures that a distance looks at, at most: more say little more, and take minutes to extract."""


class StoppingDistance:
    """A distance of synthetic pictures to the validation part, whose features are extracted once.

    That is at the first `measure`, so that training starts at once.
    """

    def __init__(
        self,
        chosen: Chosen,
        extractor_name: str,
        extractor: Extractor,
        validation: Pixels,
        compute: Compute,
        step: Step,
        world: World = ALONE,
        note: Callable[[str], None] = lambda text: None,
        groups: np.ndarray | None = None,
    ) -> None:
        self._metric: Metric = chosen.build()
        self._portions = Portions(BATCH, "scoring", note, world)
        self.name = chosen.name if self._metric.extractor else f"{chosen.name}[{extractor_name}]"
        """`fid`, or `kd[<extractor>]`."""
        self._key, self._compute, self._step, self._world = chosen.name, compute, step, world
        self._extractor = extractor.to(compute.device)
        self._validation, self._groups = validation, groups

    def measure(self, fake: np.ndarray) -> tuple[float, float]:
        """The distance of pictures uint8 [N, S, S, 3] and its standard error, 0 where the metric knows none.

        Smaller is better; infinite where it cannot be measured.
        """
        rng = np.random.default_rng(self._step.seed_of("stopping distance"))
        score = self._metric.measure(self._real, self._view(fake), rng)[self._key]
        if score.value is None:
            return math.inf, 0.0
        return score.value, score.error or 0.0

    @cached_property
    def _real(self) -> View:
        return self._view(self._validation, self._groups)

    def _view(self, pixels: Pixels, groups: np.ndarray | None = None) -> View:
        def features(rows: range) -> Tensor:
            batches = [
                extract(self._extractor, pixels[some.start : some.stop], self._compute)["features"]
                for some in self._portions.of(rows)
            ]
            return torch.from_numpy(np.concatenate(batches))

        attempted = self._world.each(len(pixels), lambda rows: self._portions.attempt(lambda: features(rows)))
        return View(features=attempted.numpy(), groups=groups)


def stopping_distance(
    validation: Pixels,
    config: RunConfig,
    compute: Compute,
    progress: Progress,
    world: World = ALONE,
    groups: np.ndarray | None = None,
) -> StoppingDistance:
    """The stopping distance to the validation pictures uint8 [N, S, S, 3], of the patients `groups` [N].

    Of many pictures, 2,000 are drawn by the seed.

    FID where `gan.extractor` asks for inception, else the unbiased kernel distance on the extractor that it names, or
    for `auto` on whatever is at hand, said in the log. Several processes share the extraction. bfloat16 is allowed
    here: no reported score is made with it. Raises what `choose_extractor` does.
    """
    registry = registries.load()
    asked = config.gan.extractor
    name, extractor, line = choose_extractor(registry, asked, config.extractors)
    chosen = registry.choose("metric", "fid" if asked == BEST else "kd", {})
    step = Step(config.run.seed, 0)
    if (n := len(validation)) > PICTURES:
        rng = np.random.default_rng(step.seed_of("validation pictures of the stopping distance"))
        drawn = np.sort(rng.choice(n, PICTURES, replace=False))
        validation, groups = Rows(validation, drawn), None if groups is None else groups[drawn]
    distance = StoppingDistance(chosen, name, extractor, validation, compute, step, world, progress.say, groups)
    of = "" if len(validation) == n else f" of {n}"
    progress.say(f"stopping distance: {distance.name} to {len(validation)}{of} validation pictures; {line}")
    return distance
