"""Labels that look wrong: confident learning (Northcutt et al. 2021) with a classifier that takes a second.

The classifier is a logistic regression on the colours of a picture, in rings around its middle; for real pictures also
on the labels of the patient's other pictures, as far as these say anything in this set. It sees colours and where they
are, and no texture: it finds a red wound among the pale ones, not a subtle sign.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from attrs import frozen
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from dfukit.images import resize
from dfukit.rows import Pixels

SIDE = 32
RINGS = ((0.0, 0.35), (0.35, 0.7), (0.7, 1.0), (1.0, 2.0))
"""Distances from the middle, in half picture widths."""
QUANTILES = (0.1, 0.5, 0.9)
STRENGTH = 0.1
"""Inverse penalty of the regression."""
SURE = 0.6
"""Probability from which on another class counts as sure, where that class's mean confidence is still higher: the
patient's other labels make a classifier so sure on average that it would overlook most errors."""
UNLIKE = 0.05
"""Share of the real pictures of a class that look less like it than a synthetic picture must to be flagged."""
PARTS = 5
BLOCK = 512


@frozen(eq=False)
class Doubts:
    """What an audit makes of the labels of N pictures."""

    flagged: np.ndarray
    """bool [N]"""
    given: np.ndarray
    """Probability of the given label, [N]; nan where no classifier could be trained."""
    suggested: np.ndarray
    """The most probable class, int64 [N]."""


def colours(pixels: Pixels) -> np.ndarray:
    """Colour statistics [N, D] of pictures uint8 [N, S, S, 3]: mean, spread and quantiles in rings round the middle."""
    rows, columns = (np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2) / (SIDE / 2)
    distance = np.hypot(rows, columns)
    rings = [(distance >= low) & (distance < high) for low, high in RINGS]
    found = []
    for start in range(0, len(pixels), BLOCK):
        red, green, blue = np.moveaxis(resize(np.asarray(pixels[start : start + BLOCK]), SIDE) / np.float32(255), -1, 0)
        light = red + green + blue + 1e-3
        shades = np.stack(
            (
                red / light,
                green / light,
                np.log(light),
                np.log((red + 0.02) / (green + 0.02)),
                np.log((green + 0.02) / (blue + 0.02)),
            ),
            -1,
        )
        of_rings = (shades[:, ring] for ring in rings)
        figures = [(of.mean(1), of.std(1), *np.quantile(of, QUANTILES, axis=1)) for of in of_rings]
        found.append(np.concatenate([column for ring in figures for column in ring], 1))
    return np.concatenate(found).astype(np.float64)


def audit_real(features: np.ndarray, labels: np.ndarray, units: np.ndarray, fold: np.ndarray, classes: int) -> Doubts:
    """Real pictures that look mislabelled: features [N, D] (`colours`), labels, units (patients) and folds int64 [N].

    Each picture is judged by a classifier of the other folds' patients. A whole patient that is mislabelled alike is
    not found, where the patient's labels usually agree.
    """
    told = np.concatenate([features, _others(labels, units, classes)], 1)
    probability = _out_of_fold(told, labels, fold, classes)
    sure = np.minimum(_mean_confidence(probability, labels), SURE)
    return _doubts(probability, labels, sure)


def audit_synthetic(
    features: np.ndarray,
    labels: np.ndarray,
    units: np.ndarray,
    synthetic: np.ndarray,
    synthetic_labels: np.ndarray,
    classes: int,
) -> Doubts:
    """Synthetic pictures [M, D] that do not look like their class, judged by real ones [N, D] of training patients.

    Flagged is what looks less like its class than 95 of 100 real pictures of it do, and is confidently another one.
    """
    inner = np.unique(units, return_inverse=True)[1] % PARTS
    probability = _out_of_fold(features, labels, inner, classes)
    real = _self_confidence(probability, labels)
    sure = _mean_confidence(probability, labels)
    doubts = _doubts(_predict(_fit(features, labels), synthetic, classes), synthetic_labels, sure)
    unlike = np.zeros(len(synthetic_labels), bool)
    for label in np.unique(synthetic_labels):
        known = real[(labels == label) & np.isfinite(real)]
        if len(known):
            unlike |= (synthetic_labels == label) & (doubts.given < np.quantile(known, UNLIKE))
    return Doubts(doubts.flagged & unlike, doubts.given, doubts.suggested)


def _others(labels: np.ndarray, units: np.ndarray, classes: int) -> np.ndarray:
    """The shares of the classes among the other pictures of the patient, [N, K], less what is usual; 0 without any."""
    one_hot = np.eye(classes)[labels]
    total = np.zeros((int(units.max()) + 1, classes))
    np.add.at(total, units, one_hot)
    others = total[units] - one_hot
    count = others.sum(1, keepdims=True)
    return np.where(count > 0, others / np.maximum(count, 1) - one_hot.mean(0), 0.0)


def _out_of_fold(features: np.ndarray, labels: np.ndarray, fold: np.ndarray, classes: int) -> np.ndarray:
    """Probabilities [N, K] by classifiers of the other folds; nan where those hold one class only."""
    probability = np.full((len(labels), classes), np.nan)
    for inside in _each(fold):
        if len(np.unique(labels[~inside])) > 1:
            model = _fit(features[~inside], labels[~inside])
            probability[inside] = _predict(model, features[inside], classes)
    return probability


def _each(fold: np.ndarray) -> Iterator[np.ndarray]:
    return (fold == number for number in np.unique(fold))


def _fit(features: np.ndarray, labels: np.ndarray) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=2000)).fit(features, labels)


def _predict(model: Pipeline, features: np.ndarray, classes: int) -> np.ndarray:
    probability = np.zeros((len(features), classes))
    probability[:, model[-1].classes_] = model.predict_proba(features)
    return probability


def _self_confidence(probability: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.asarray(probability[np.arange(len(labels)), labels])


def _mean_confidence(probability: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The thresholds [K] of confident learning: the mean probability of a class among the pictures labelled so."""
    own = _self_confidence(probability, labels)
    known = [own[(labels == label) & np.isfinite(own)] for label in range(probability.shape[1])]
    return np.array([of_class.mean() if len(of_class) else 1.0 for of_class in known])


def _doubts(probability: np.ndarray, labels: np.ndarray, sure: np.ndarray) -> Doubts:
    own = _self_confidence(probability, labels)
    known = np.nan_to_num(probability, nan=0.0)
    suggested = known.argmax(1)
    best = known.max(1)
    flagged = (suggested != labels) & (best >= sure[suggested]) & np.isfinite(own)
    return Doubts(flagged, own, np.where(np.isfinite(own), suggested, labels))
