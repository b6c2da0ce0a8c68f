"""Do the synthetic pictures help? The classifier on real pictures against the classifier on real and synthetic ones."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import frozen
from torch import Tensor

from dfukit import clinical, fitting, ledger, likeness, provenance, rundir, weights
from dfukit.component import ImageSpec
from dfukit.config import RunConfig
from dfukit.device import Compute
from dfukit.errors import WeightsError
from dfukit.fitting import Pictures, Trained
from dfukit.images import ImageSet, Split
from dfukit.interfaces import Critic, Parts, Step
from dfukit.progress import Progress
from dfukit.rows import Rows
from dfukit.rundir import RunDir
from dfukit.sample import Samples
from dfukit.weights import Description

REAL, BOTH = "real", "real+synthetic"
JUDGED = ("validation", "test")
COLUMNS = ("sha256", "patient", "group", "label", "part", "arm", "raw_score", "calibrated_score", "positive")
"""`group` numbers the patients: the bootstrap draws them in this order, so that its intervals can be had again."""
THRESHOLD = 0.5
"""Calibrated score from which on a picture is called positive."""


@frozen(eq=False)
class Judged:
    """Logits of an arm for the pictures of one part, its calibration, and what they really are."""

    logits: np.ndarray
    calibrated: np.ndarray
    labels: np.ndarray


def compare_arms(
    config: RunConfig,
    folder: RunDir,
    compute: Compute,
    images: ImageSet,
    split: Split,
    image: ImageSpec,
    samples: Samples | None,
    critic: Critic | None,
    critic_description: Description | None,
    progress: Progress,
    command: str = "classify",
) -> dict[str, Any]:
    """Train both arms with one seed and budget, choose one on the validation part, then judge both on the test part.

    Writes both classifiers, the chosen one as the run's classifier, predictions.csv and classification.json, whose
    content comes back. Without samples only the arm "real" is trained. Everything reaches the classifiers at the GAN's
    size (`image.size`), so that sharpness tells neither the class nor the origin. The ledger names `command`.
    Raises DataError for parts that cannot be trained on, DivergedError, and WeightsError where pretrained weights are
    insisted on and not to be had.
    """
    parts = Parts(critic=critic)
    pictures = {part: _pictures(images, getattr(split, part), image) for part in ("train", *JUDGED)}
    arms: dict[str, Pictures | None] = {REAL: None}
    if samples is not None and len(samples) and config.classify.synthetic_ratio > 0:
        arms[BOTH] = Pictures(samples.pixels, samples.labels, np.full(len(samples), -1, np.int64))

    # Train and calibrate.
    trained: dict[str, Trained] = {}
    for arm, synthetic in arms.items():
        trained[arm] = _train(config, folder, compute, image, pictures, synthetic, parts, arm, progress)
        if arm == REAL:
            progress.say(f"classifier: {trained[arm].prepared}")

    if len({one.prepared for one in trained.values()}) > 1:
        lines = "; ".join(f"{arm}: {one.prepared}" for arm, one in trained.items())
        raise WeightsError(
            f"the arms started from different weights ({lines}): set classifier.pretrained to true or false"
        )

    # Choose, and write down what was chosen, before anything sees the test part.
    chosen = min(trained, key=lambda arm: trained[arm].validation_loss)
    facts = {"phantom": images.phantom, "fit": config.data.fit}
    beside = {arm: _likeness(one, pictures, compute) for arm, one in trained.items()}
    for arm, path in ((REAL, folder.real_classifier_weights), (chosen, folder.classifier_weights)):
        known = {} if critic_description is None else {"critic": critic_description}
        built_on = {name: known[name] for name in trained[arm].network.needs}
        description = _describe(config, image, built_on, trained[arm], arm, facts)
        weights.write(path, trained[arm].network, description, beside[arm])

    # Judge; from here on the test part is looked at.
    digests = {provenance.file_sha256(path) for path in (folder.real_classifier_weights, folder.classifier_weights)}
    look = ledger.record(folder, (images.sha256[place] for place in split.test), digests, command)
    judged = {(arm, part): _judge(trained[arm], pictures[part], image, compute) for arm in trained for part in JUDGED}
    _write_predictions(folder, images, split, judged)
    result = _classification(config, folder, image, pictures["test"].groups, trained, judged, chosen)
    result["look"] = look.as_table()
    rundir.write_json(folder.classification, result)
    for arm, one in trained.items():
        progress.say(f"classifier, {arm}: {one.steps} steps, best after epoch {one.best_epoch}, {one.stopped}")
    return result


def _pictures(images: ImageSet, index: np.ndarray, image: ImageSpec) -> Pictures:
    return Pictures(Rows(images.at(image.size), index), images.labels[index], images.groups[index])


def _likeness(trained: Trained, pictures: Mapping[str, Pictures], compute: Compute) -> dict[str, Tensor]:
    known = likeness.fit(trained.network, pictures["train"].pixels, pictures["validation"].pixels, compute)
    return known.as_tensors() if known else {}


def _train(
    config: RunConfig,
    folder: RunDir,
    compute: Compute,
    image: ImageSpec,
    pictures: Mapping[str, Pictures],
    synthetic: Pictures | None,
    parts: Parts,
    arm: str,
    progress: Progress,
) -> Trained:
    task = f"Training the classifier on {arm.replace('+', ' + ')} pictures"

    def report(event: dict[str, Any]) -> None:
        note = f"validation loss {event['validation_loss']:.3f}" if "validation_loss" in event else ""
        folder.event("classifier", arm=arm, **event)
        progress.update(task, event["step"], event["steps"], note)

    return fitting.train(
        config.classifier,
        image,
        config.classify,
        config.classifier_augmentation.build(image),
        pictures["train"],
        pictures["validation"],
        synthetic,
        parts,
        config.run.seed,
        compute,
        report,
        progress.say,
    )


def _describe(
    config: RunConfig,
    image: ImageSpec,
    parts: Mapping[str, Description],
    trained: Trained,
    arm: str,
    facts: Mapping[str, Any],
) -> Description:
    return Description(
        config.classifier,
        image,
        parts,
        {
            **facts,
            "arm": arm,
            "positive": image.positive,
            "prepared": trained.prepared,
            "temperature": trained.temperature.value,
            "threshold": THRESHOLD,
            "validation_loss": trained.validation_loss,
        },
    )


def _judge(trained: Trained, pictures: Pictures, image: ImageSpec, compute: Compute) -> Judged:
    logits = fitting.logits(trained.network, pictures.pixels, compute)
    calibrated = clinical.calibrated(logits, trained.temperature.value)
    return Judged(logits, calibrated, fitting.positives(image, pictures))


def _write_predictions(
    folder: RunDir, images: ImageSet, split: Split, judged: Mapping[tuple[str, str], Judged]
) -> None:
    """predictions.csv: scores with all their digits, so that every figure can be computed again."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for (arm, part), scores in judged.items():
        raw = clinical.calibrated(scores.logits, 1.0)
        for place, raw_score, calibrated in zip(getattr(split, part), raw, scores.calibrated, strict=True):
            label = images.classes[images.labels[place]]
            patient = images.patients[images.groups[place]]
            numbers = (repr(float(raw_score)), repr(float(calibrated)))
            group = int(images.groups[place])
            row = (images.sha256[place], patient, group, label, part, arm, *numbers, images.positive)
            writer.writerow(row)
    rundir.write_text(folder.predictions, table.getvalue())


def compared(
    tested: Mapping[str, Judged], groups: np.ndarray, seed: int, resamples: int, threshold: float
) -> dict[str, Any]:
    """What the arms' scores of the test part say: "runs", "difference" and "confusion" of classification.json.

    Intervals come from the seed alone: the same scores and groups [N] give the same figures. Raises DataError for
    scores that are not probabilities.
    """

    def rng(purpose: str) -> np.random.Generator:
        return np.random.default_rng(Step(seed, 0).seed_of(purpose))

    runs, calls = {}, {}
    for arm, said in tested.items():
        runs[arm] = clinical.figures(said.labels, said.calibrated, groups, rng("figures"), resamples, threshold)
        calls[arm] = clinical.confusion(said.labels, said.calibrated, threshold)
    difference = None
    if BOTH in tested:
        first, second = tested[REAL], tested[BOTH]
        difference = clinical.auroc_difference(
            first.labels, first.calibrated, second.calibrated, groups, rng("difference"), resamples
        )
    return {"runs": runs, "confusion": calls, "difference": {"auroc": difference}}


def _classification(
    config: RunConfig,
    folder: RunDir,
    image: ImageSpec,
    groups: np.ndarray,
    trained: Mapping[str, Trained],
    judged: Mapping[tuple[str, str], Judged],
    chosen: str,
) -> dict[str, Any]:
    """The content of classification.json."""
    seed, resamples = config.run.seed, config.classify.bootstrap
    return {
        **compared({arm: judged[arm, "test"] for arm in trained}, groups, seed, resamples, THRESHOLD),
        "positive": image.positive,
        "chosen": chosen,
        "seed": seed,
        "bootstrap": resamples,
        "weights": {
            path.name: provenance.file_sha256(path)
            for path in (folder.classifier_weights, folder.real_classifier_weights)
        },
        "threshold": THRESHOLD,
        "training": {
            arm: {
                "best_epoch": one.best_epoch,
                "epochs": len(one.validation_losses),
                "prepared": one.prepared,
                "steps": one.steps,
                "stopped": one.stopped,
                "temperature": one.temperature.value,
                "temperature_reason": one.temperature.reason,
                "validation_loss": one.validation_loss,
                "validation_losses": list(one.validation_losses),
            }
            for arm, one in trained.items()
        },
    }
