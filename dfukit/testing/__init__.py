"""Suites that every component must pass, for authors of plugins to inherit.

    from dfukit.testing import GeneratorSuite

    class TestMine(GeneratorSuite):
        component = "mine"
        settings = {"width": 8}

Each check is a plain method without pytest: it returns, raises AssertionError saying what is wrong, or raises
unittest.SkipTest where it cannot be made. `dfukit plugins check` runs the same ones. Pictures are small, and a GPU is
used where there is one.
"""

from __future__ import annotations

from dfukit.testing.augmentations import AugmentationSuite
from dfukit.testing.checking import Outcome, check
from dfukit.testing.classifiers import ClassifierSuite
from dfukit.testing.critics import CriticSuite
from dfukit.testing.extractors import ExtractorSuite
from dfukit.testing.generators import GeneratorSuite
from dfukit.testing.losses import LossSuite
from dfukit.testing.metrics import MetricSuite
from dfukit.testing.suite import Suite

SUITES: dict[str, type[Suite]] = {
    suite.kind: suite
    for suite in (
        GeneratorSuite,
        CriticSuite,
        LossSuite,
        AugmentationSuite,
        ClassifierSuite,
        ExtractorSuite,
        MetricSuite,
    )
}

__all__ = [
    "SUITES",
    "AugmentationSuite",
    "ClassifierSuite",
    "CriticSuite",
    "ExtractorSuite",
    "GeneratorSuite",
    "LossSuite",
    "MetricSuite",
    "Outcome",
    "Suite",
    "check",
]
