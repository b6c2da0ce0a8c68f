"""Every registered component passes the suite of its kind, so that a new one is tested by being registered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from dfukit import registry
from dfukit.testing import SUITES, Suite
from dfukit.testing.checking import names

BACKBONE = {"pretrained": "false", "input_size": 32, "lstm_hidden": 32}
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "generator/lstm_wgan": {"lstm_hidden": 32},
    "generator/fastgan": {"width": 8},
    "critic/conv": {"width": 16},
    "critic/fastgan": {"width": 64},
    "classifier/effv2s_lstm": BACKBONE,
    "classifier/effv2m_lstm": BACKBONE,
    "classifier/timm_lstm": {**BACKBONE, "backbone": "mobilenetv3_small_050.lamb_in1k", "input_size": 64},
    "classifier/critic_lstm": {"lstm_hidden": 32},
    "extractor/r64": {"size": 32},
    "metric/copies": {"planted": 10},
}
"""Settings that keep a component small; the others are checked as they come."""
LARGE = ("classifier/effv2s_lstm", "classifier/effv2m_lstm")
"""Networks that take long to build and train."""


TWINS = {
    "classifier/effv2m_lstm": (
        "test_it_is_of_its_kind",
        "test_logits_have_the_promised_shape",
        "test_pictures_of_any_size_are_taken",
    )
}
"""Of components that are another one with a larger backbone, what that could break; the other passes the rest."""


def checks() -> Iterator[Any]:
    for offer in registry.load().offers:
        reference, suite = f"{offer.kind}/{offer.component.name}", SUITES[offer.kind]
        for name in names(suite):
            builds = name not in vars(Suite) or name == "test_it_is_of_its_kind"
            if builds and name not in TWINS.get(reference, (name,)):
                continue
            marks = [pytest.mark.slow] if reference in LARGE and builds else []
            yield pytest.param(suite, reference, name, marks=marks, id=f"{reference}-{name.removeprefix('test_')}")


@pytest.mark.parametrize(("suite", "reference", "name"), checks())
def test_a_registered_component_passes(suite: type[Suite], reference: str, name: str) -> None:
    under_test = suite()
    under_test.component = reference.partition("/")[2]
    under_test.settings = SETTINGS.get(reference, {})
    getattr(under_test, name)()
