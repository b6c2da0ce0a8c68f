"""The settings of a run, in sections, and how the layers that set them are put together."""

from __future__ import annotations

import copy
import importlib.resources
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from dfukit import settings as s
from dfukit.component import Chosen
from dfukit.errors import ConfigError
from dfukit.registry import Registry


@frozen
class RunSettings:
    """Where and how a run computes."""

    seed: int = s.whole(0, "seed of everything random", low=0, high=2**31 - 1)
    device: str = s.text("auto", "auto, cpu, cuda, cuda:1, mps")
    precision: str = s.choice("auto", ("auto", "fp32", "bf16"), "bf16 where the hardware is fast at it, else fp32")
    threads: int = s.whole(0, "CPU threads; 0 leaves it to torch", low=0)


@frozen
class DataSettings:
    """Which pictures, whose, and how they are fitted and split."""

    path: str = s.text("", "folder of pictures; empty: the built-in phantom set")
    positive: str = s.text("", "name of the positive class; empty: `infected` where it exists")
    patients: str = s.text("", "csv with path,patient (a column `group` is read as patient)")
    patient_pattern: str = s.text("", "regular expression on the path; its first group is the patient")
    fit: str = s.choice("crop", ("crop", "pad", "stretch"), "how a picture becomes a square")
    train: float = s.real(0.70, "share of the patients in the training part", above=0.0, high=1.0)
    validation: float = s.real(0.15, "share of the patients in the validation part; the rest is the test part", low=0.0, high=1.0)
    split_seed: int = s.whole(0, "seed of the split, apart from the run's so that runs can be compared", low=0)
    max_megapixels: float = s.real(179.0, "larger pictures are excluded", above=0.0)
    seconds_per_picture: float = s.real(20.0, "a picture that takes longer to decode is excluded", above=0.0)
    phantom_patients: int = s.whole(120, "patients of the phantom set", low=6, high=100_000)
    phantom_pictures: int = s.whole(3, "pictures for each phantom patient", low=1, high=100)


@frozen
class GanSettings:
    """The adversarial loop."""

    size: int = s.whole(128, "width of the pictures it makes", low=8, high=1024)
    batch_size: int = s.whole(64, "pictures in a step", low=2)
    epochs: int = s.whole(200, "epochs at most; an epoch is one generator step for each batch in the training part", low=0)
    steps: int = s.whole(0, "generator steps; 0: as many as the epochs make", low=0)
    lr_generator: float = s.real(1e-4, "learning rate of the generator (Adam)", above=0.0, high=1.0)
    lr_critic: float = s.real(2e-4, "learning rate of the critic (Adam)", above=0.0, high=1.0)
    beta1: float = s.real(0.0, "Adam's first decay rate", low=0.0, high=0.9999)
    beta2: float = s.real(0.9, "Adam's second decay rate", low=0.0, high=0.99999)
    ema: float = s.real(0.999, "decay of the averaged generator for each step; 0: none", low=0.0, high=0.99999)
    evaluate_every: int = s.whole(0, "steps between evaluations; 0: an epoch, but at least 20 steps", low=0)
    evaluate_pictures: int = s.whole(256, "pictures drawn for an evaluation", low=10)
    patience: int = s.whole(10, "evaluations without a better distance to the validation part before it stops; 0: never", low=0)
    extractor: str = s.text("auto", "extractor of the stopping distance; auto: inception where it can be had, else r64")
    sample_every: int = s.whole(0, "steps between sample grids; 0: with each evaluation", low=0)


@frozen
class SampleSettings:
    """The synthetic set that a run makes."""

    count: int = s.whole(0, "synthetic pictures; 0: as many as there are training pictures", low=0)


@frozen
class ScoreSettings:
    """How the synthetic set is scored."""

    metrics: tuple[str, ...] = s.names(("inception_score", "fid", "kid", "psnr", "ssim"), "metrics of the report")
    extractor: str = s.text("auto", "extractor of kd and fd where the Inception weights cannot be had")
    pictures: int = s.whole(5000, "pictures of each set that are scored, at most", low=10)


@frozen
class ClassifySettings:
    """Training of the classifier."""

    batch_size: int = s.whole(32, "pictures in a step", low=2)
    epochs: int = s.whole(100, "epochs at most", low=0)
    steps: int = s.whole(0, "steps at most; 0: as many as the epochs make", low=0)
    lr: float = s.real(3e-4, "learning rate (AdamW)", above=0.0, high=1.0)
    weight_decay: float = s.real(1e-2, "weight decay (AdamW)", low=0.0, high=10.0)
    patience: int = s.whole(15, "epochs without a lower validation loss before it stops; 0: never", low=0)
    synthetic_ratio: float = s.real(1.0, "synthetic pictures for each real one in the arm real+synthetic", low=0.0, high=100.0)
    bootstrap: int = s.whole(1000, "resamples behind the intervals", low=100, high=100_000)


@frozen
class ReportSettings:
    """The report and the model card."""

    share: bool = s.flag(False, "leave out real pixels, file names, paths and host")
    title: str = s.text("", "heading of the report; empty: the run's name")


SECTIONS: dict[str, type] = {
    "run": RunSettings,
    "data": DataSettings,
    "gan": GanSettings,
    "sample": SampleSettings,
    "score": ScoreSettings,
    "classify": ClassifySettings,
    "report": ReportSettings,
}
