"""What a dry run says that a run would cost."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
from small_gan import CPU, IMAGE, small

from dfukit import config, plan, registry


@pytest.mark.parametrize(("epochs", "steps"), [(3, 0), (3, 2)])
def test_the_estimate_counts_each_gan_step_and_each_picture_of_both_classifiers(
    monkeypatch: pytest.MonkeyPatch, epochs: int, steps: int
) -> None:
    monkeypatch.setattr(plan, "gan_step", lambda *told: 0.5)
    monkeypatch.setattr(plan, "classifier_step", lambda *told: 1.0 * plan.SMALL_BATCH)  # a second for each picture
    settings = {"classify.epochs": epochs, "classify.steps": steps, "run.device": "cpu"}
    told = {**settings, "classifier.name": "critic_lstm"}
    made = config.resolve(registry.load(), preset="smoke", settings=told)
    estimate = plan.describe(made)["estimate"]
    training = int(estimate["pictures"] * made.data.train)
    assert estimate["gan_seconds"] == 0.5 * estimate["gan_steps"] > 0
    seen = steps * made.classify.batch_size if steps else epochs * training
    assert estimate["classifier_seconds"] == 2 * seen


def test_on_a_cpu_a_gan_step_is_measured_on_a_small_batch_and_scaled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr(plan, "time", SimpleNamespace(perf_counter=lambda: next(clock)))  # each step takes a second
    assert plan.gan_step(small(), IMAGE, CPU, 3 * plan.SMALL_BATCH) == 3.0
