"""A time budget becomes steps, and everything that depends on the length of a training fits itself to them."""

from __future__ import annotations

import attrs
import pytest

from dfukit import ConfigError, config, registry, schedule
from dfukit.sections import GanSettings
from dfukit.settings import seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1.5h", 5400), ("2d", 172_800), ("1h0m1s", 3601)],
)
def test_a_duration_is_read_in_seconds(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["30", "m", "30 minutes", "-5m", "0s", "1h30", "1e3s"])
def test_what_is_no_duration_is_refused_by_the_setting(text: str) -> None:
    with pytest.raises(ConfigError, match=r"gan\.budget must be a duration such as 30m or 1h30m, got"):
        config.resolve(registry.load(), settings={"gan.budget": text})


@pytest.mark.parametrize("step", [0.01, 0.5, 20.0])
@pytest.mark.parametrize("evaluation", [0.1, 3.0, 40.0])
@pytest.mark.parametrize("left", [60.0, 1800.0, 200_000.0])
def test_fitted_steps_and_evaluations_fill_the_time_that_is_left(left: float, step: float, evaluation: float) -> None:
    fitted = schedule.fit(GanSettings(), 0, left, step, evaluation)
    assert fitted.budget == ""
    evaluations = -(-fitted.steps // fitted.evaluate_every)
    spent = fitted.steps * step + evaluations * evaluation
    room = fitted.evaluate_every * step + evaluation  # a whole interval more would not fit
    assert spent <= max(left, step + evaluation) + 1e-6
    assert spent > left - 2 * room


@pytest.mark.parametrize(("left", "step", "evaluation"), [(2400, 3, 45), (600, 1, 13), (600, 2, 15), (1200, 0.5, 28)])
def test_a_short_budget_is_used_up_and_judged_at_least_four_times(left: float, step: float, evaluation: float) -> None:
    fitted = schedule.fit(GanSettings(), 0, left, step, evaluation)
    evaluations = fitted.steps // fitted.evaluate_every
    assert evaluations >= schedule.FEWEST
    assert 0.95 * left < fitted.steps * step + evaluations * evaluation <= left


def test_evaluations_that_take_as_long_as_the_training_leave_it_half_of_the_time() -> None:
    fitted = schedule.fit(GanSettings(), 0, left=200, step=0.01, evaluation=40)
    assert fitted.steps * 0.01 >= 100


def test_evaluations_take_a_tenth_of_the_time_at_most_where_there_are_enough_of_them() -> None:
    fitted = schedule.fit(GanSettings(), 0, left=7200, step=0.5, evaluation=5)
    evaluations = fitted.steps // fitted.evaluate_every
    assert evaluations * 5 < 0.1 * 7200
    assert evaluations >= schedule.FEWEST
    assert fitted.steps % fitted.evaluate_every == 0  # the last step is judged


def test_a_short_budget_shortens_the_memory_of_the_averaged_generator() -> None:
    short = schedule.fit(GanSettings(), 0, left=100, step=1, evaluation=0.1)
    long = schedule.fit(GanSettings(), 0, left=1e6, step=1, evaluation=0.1)
    assert 0.5 ** (1 / (schedule.HALF_LIFE * short.steps)) == pytest.approx(short.ema)
    assert long.ema == GanSettings().ema


def test_an_extension_by_time_adds_steps_and_leaves_the_average_as_it_was() -> None:
    fitted = schedule.fit(GanSettings(ema=0.99), done=1000, left=100, step=1, evaluation=0.1)
    assert 1000 < fitted.steps <= 1100
    assert fitted.ema == 0.99


@pytest.mark.parametrize(("left", "evaluation"), [(1500, 40), (120, 40), (5000, 13)])
def test_an_extension_has_the_time_for_all_of_its_evaluations(left: float, evaluation: float) -> None:
    done = 4860
    fitted = schedule.fit(GanSettings(), done, left, step=1, evaluation=evaluation)
    judged = {step for step in range(done + 1, fitted.steps + 1) if step % fitted.evaluate_every == 0} | {fitted.steps}
    assert fitted.steps - done + len(judged) * evaluation <= left


def test_a_budget_below_one_step_makes_one() -> None:
    assert schedule.fit(GanSettings(), 0, left=0.1, step=5, evaluation=5).steps == 1


@pytest.mark.parametrize(
    ("name", "rates"),
    [("constant", (1, 1, 1)), ("linear", (1, 0.5, 0.25)), ("cosine", (1, 0.5, 0.1464466))],
)
def test_learning_rates_follow_the_schedule(name: str, rates: tuple[float, ...]) -> None:
    settings = GanSettings(lr_schedule=name)
    assert [schedule.rate(settings, progress) for progress in (0, 0.5, 0.75)] == pytest.approx(rates)


def test_the_average_forgets_its_first_steps() -> None:
    settings = attrs.evolve(GanSettings(), ema=0.999)
    decays = [schedule.averaging(settings, done) for done in (0, 10, 100, 100_000)]
    assert decays[0] == 0.1
    assert decays == sorted(decays)
    assert decays[-1] == 0.999
    assert schedule.averaging(attrs.evolve(settings, ema=0.0), 50) == 0.0


def test_the_average_keeps_the_weights_of_another_run() -> None:
    settings = attrs.evolve(GanSettings(), ema=0.999, start_from="runs/other")
    assert [schedule.averaging(settings, done) for done in (0, 10_000)] == [0.999, 0.999]
