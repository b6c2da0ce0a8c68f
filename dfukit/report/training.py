"""How the GAN and the classifiers were trained: where training stopped and why, and its curves."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dfukit.report import charts
from dfukit.report.charts import Chart, Curve
from dfukit.report.facts import Facts, Table
from dfukit.report.numbers import count, duration, figure, plural


def stage(facts: Facts) -> list[str]:
    """Sentences: at which stage the GAN's training stopped and why, and which weights were kept."""
    training = facts.training
    if training is None:
        return ["The run folder holds no record of the GAN's training."]
    metric, best = training.get("stopping_metric"), training.get("best_distance")
    kept = f"The weights of step {count(training['kept_step'])} are kept"
    if metric and best is not None and training["kept_step"] == training["best_step"]:
        kept += f": there the {metric} to the validation part was smallest ({figure(best)})."
    elif metric and best is not None:
        kept += (
            f": their {metric} to the validation part ({figure(training['kept_distance'])}) cannot be told from "
            f"the smallest ({figure(best)} at step {count(training['best_step'])}), and they were trained longer."
        )
    elif metric:
        kept += f", the latest: the {metric} to the validation part could not be measured."
    else:
        kept += "; there was no stopping distance, because the validation part is too small."
    troubles = []
    if skipped := training.get("skipped_steps"):
        troubles.append(
            f"{plural(skipped, 'step')} had numbers that were not finite and were skipped; training went back to an "
            f"earlier checkpoint {plural(training['roll_backs'], 'time')}."
        )
    return [
        f"The GAN stopped after {count(training['steps'])} of {count(training['steps_planned'])} planned steps "
        f"({training['epochs']:.1f} epochs, {duration(training['seconds'])}): {training['stopped']}.",
        kept,
        *troubles,
    ]


def classifier_stage(classification: Table | None) -> list[str]:
    """A sentence for each arm: where its training stopped and why."""
    return [
        f"The classifier trained on {arm} stopped after {plural(one['steps'], 'step')}: {one['stopped']}. "
        f"The weights of epoch {one['best_epoch']} of {one['epochs']} are kept."
        for arm, one in _arms(classification).items()
    ]


def classifier_origins(classification: Table | None) -> list[str]:
    """Sentences: which weights the classifiers started from, and how their scores were calibrated."""
    arms = _arms(classification)
    starts: dict[str, list[str]] = {}
    for arm, one in arms.items():
        starts.setdefault(one["prepared"], []).append(arm)
    sentences = [f"Initial weights ({', '.join(names)}): {start}." for start, names in starts.items()]
    for arm, one in arms.items():
        reason = f" ({one['temperature_reason']})" if one.get("temperature_reason") else ""
        sentences.append(f"Temperature of the calibration ({arm}): {figure(one['temperature'], 3)}{reason}.")
    return sentences


def _arms(classification: Table | None) -> Table:
    arms: Table = (classification or {}).get("training", {})
    return arms


def curves(facts: Facts) -> list[Chart]:
    """Curves of whatever was logged; an empty list where nothing was."""
    events = facts.of_phase("gan")
    best = facts.training.get("kept_step") if facts.training else None
    metric = (facts.training or {}).get("stopping_metric") or "distance"
    found = [
        _chart(
            "Losses of generator and critic",
            [_curve(events, "critic", "step", "critic_loss"), _curve(events, "generator", "step", "generator_loss")],
            "generator step",
            "loss",
            "They compete: neither curve alone says that the pictures get better.",
            best,
        ),
        _chart(
            "Critic's scores, real less synthetic",
            [_curve(events, "real − synthetic", "step", "wasserstein")],
            "generator step",
            "score, real − synthetic",
            "Falls as the critic can tell them apart less; trained with wgan_gp it estimates a Wasserstein distance.",
            best,
        ),
        _chart(
            "Stopping distance",
            [_curve(events, metric, "step", "distance")],
            "generator step",
            metric,
            "To the validation part; lower is better. The thin upright line marks the weights that are kept.",
            best,
        ),
        _chart(
            "Diversity",
            [_curve(events, "diversity", "step", "diversity")],
            "generator step",
            "grey levels",
            "Mean difference between two pictures of a fixed batch; a fall to a half rings the alarm of collapse.",
            best,
        ),
        _chart(
            "Overfitting of the critic",
            [_curve(events, "r_v", "step", "critic_overfitting")],
            "generator step",
            "r_v",
            "0: training and validation pictures look alike to the critic; 1: it knows the training pictures by heart.",
            best,
        ),
    ]
    classifier = facts.of_phase("classifier")
    for arm in dict.fromkeys(event.get("arm", "") for event in classifier):
        of_arm = [event for event in classifier if event.get("arm", "") == arm]
        title = f"Classifier losses, {arm}" if arm else "Classifier losses"
        found.append(
            _chart(
                title,
                [_curve(of_arm, "training", "step", "loss"), _curve(of_arm, "validation", "step", "validation_loss")],
                "step",
                "binary cross-entropy",
                "Training pictures are augmented, so their loss may lie above that of the validation part.",
                None,
            )
        )
    return [chart for chart in found if chart is not None]


def _curve(events: Sequence[Table], name: str, x: str, y: str) -> Curve:
    """The finite values of a series; a step that was done again, after a resumption or anew, counts once."""
    points: list[tuple[float, float]] = []
    for event in events:
        value = event.get(y)
        if isinstance(value, int | float) and math.isfinite(value) and x in event:
            while points and points[-1][0] >= event[x]:
                points.pop()
            points.append((event[x], value))
    return Curve(name, [place for place, _ in points], [value for _, value in points])


def _chart(
    title: str, curves: Sequence[Curve], x_label: str, y_label: str, note: str, mark: float | None
) -> Chart | None:
    drawn = [curve for curve in curves if len(curve.x)]
    return charts.lines(title, drawn, x_label, y_label, note, mark) if drawn else None
