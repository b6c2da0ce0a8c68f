"""What is measured of a trained contestant: its kept generator against the training and the test part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dfukit import pretrained, registry, rundir, weights
from dfukit.comparing.trials import Trial
from dfukit.config import RunConfig
from dfukit.device import Compute
from dfukit.errors import ConfigError
from dfukit.images import ImageSet, Split
from dfukit.progress import Progress
from dfukit.provenance import file_sha256
from dfukit.rows import Pixels
from dfukit.sample import Samples, read_samples
from dfukit.scoring.cache import circumstances, identity
from dfukit.scoring.extraction import BEST
from dfukit.synthetic import measure_samples


def judge(
    trial: Trial,
    config: RunConfig,
    images: ImageSet,
    split: Split,
    smaller: int,
    compute: Compute,
    progress: Progress,
) -> dict[str, Any]:
    """Figures of a trial, from memory where its generator and what is asked are the same.

    {"training", "parameters": {"generator", "critic"}, "scores", "scores_smaller"}
    """
    run, place = trial.run, trial.place.parent / f"{trial.place.name}.json"
    asked = {
        "generator_sha256": file_sha256(run.generator_weights),
        "metrics": [identity(metric) for metric in config.metrics],
        "extractor": config.score.extractor,
        "extractors": [
            identity(registry.load().choose("extractor", name, config.extractors.get(name, {}), f"extractor.{name}"))
            for name in sorted({config.score.extractor, *config.extractors} - {"auto"})
        ],
        "smaller": smaller,
        "seed": config.run.seed,  # of the halvings
        # Weights that came later, or another version, measure otherwise.
        "inception": pretrained.default_store().stored(BEST) is not None,
        **circumstances(compute.device.type),
    }
    if place.is_file():
        known = rundir.read_json(place)
        if known.get("asked") == asked:
            # A training that was extended may have kept the weights that it had.
            return {**_in_order(known["figures"], known["order"]), "training": rundir.read_json(run.training)}
    progress.say(f"judging {trial.name}")
    samples = read_samples(run, images.classes)
    figures = {
        "training": rundir.read_json(run.training),
        "parameters": {
            kind: sum(parameter.numel() for parameter in weights.read(path, kind)[0].parameters())
            for kind, path in (("generator", run.generator_weights), ("critic", run.critic_weights))
        },
        "scores": scores(config, images, split, samples, 1, compute, progress),
    }
    if smaller:
        factor = config.gan.size // smaller
        figures["scores_smaller"] = scores(config, images, split, samples, factor, compute, progress)
    order = {kind: list(figures[kind]) for kind in ("scores", "scores_smaller") if kind in figures}
    rundir.write_json(place, {"asked": asked, "order": order, "figures": figures})
    return figures


def _in_order(figures: Mapping[str, Any], order: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Figures from the disk, where keys are sorted, with the scores in their first order again."""
    return {name: {key: one[key] for key in order[name]} if name in order else one for name, one in figures.items()}


def scores(
    config: RunConfig,
    images: ImageSet,
    split: Split,
    samples: Samples,
    factor: int,
    compute: Compute,
    progress: Progress,
) -> Mapping[str, Any]:
    """As scores.json, of pictures reduced by a whole factor: real and synthetic ones in the same way."""
    found = measure_samples(
        config, images, split, samples, config.metrics, compute, progress, change=lambda pixels: reduced(pixels, factor)
    )
    for entry in found.values():
        entry.pop("distances", None)
        entry.pop("pictures", None)
    return found


def reduced(pixels: Pixels, factor: int) -> Pixels:
    """uint8 [N, S, S, C] -> [N, S/factor, S/factor, C]: means of squares."""
    if factor == 1:
        return pixels
    n, size, _, channels = pixels.shape
    small = size // factor
    out = np.empty((n, small, small, channels), np.uint8)
    for place in range(n):  # one at a time: floats of all pictures would be many
        squares = pixels[place].reshape(small, factor, small, factor, channels).astype(np.float32)
        out[place] = squares.mean(axis=(1, 3)).round()
    return out


def check_smaller(smaller: int, size: int) -> None:
    """Raises ConfigError where pictures of `size` cannot be reduced to `smaller` by a whole factor."""
    if smaller and (smaller < 16 or smaller >= size or size % smaller):
        raise ConfigError(f"--smaller must be a width of at least 16 that divides {size}, got {smaller}")
