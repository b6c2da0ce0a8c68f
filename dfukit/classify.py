"""Do the synthetic pictures help? The classifier on real pictures against the classifier on real and synthetic ones."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any

import numpy as np
from torch import Tensor

from dfukit import clinical, comparison, fitting, ledger, likeness, predictions, provenance, rundir, weights
from dfukit.comparison import BOTH, REAL, THRESHOLD, Judged, Rules
from dfukit.component import ImageSpec
from dfukit.config import RunConfig
from dfukit.device import Compute
from dfukit.errors import DataError, DivergedError, WeightsError
from dfukit.fitting import Pictures, Trained
from dfukit.images import ImageSet, Split, check_apart
from dfukit.interfaces import Critic, Parts
from dfukit.pairing import check_classifier_augmentation
from dfukit.predictions import About
from dfukit.progress import Progress
from dfukit.rows import Rows
from dfukit.rundir import RunDir
from dfukit.sample import Samples
from dfukit.weights import Description

JUDGED = ("validation", "test")


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
    content comes back. Without samples of both classes only the arm "real" is trained. Everything reaches the
    classifiers at the GAN's size (`image.size`), so that sharpness tells neither the class nor the origin. The ledger
    names `command`.
    Raises DataError for parts that cannot be trained on or share a patient, and for classes that are not those of the
    pictures; DivergedError; and WeightsError where pretrained weights are insisted on and not to be had.
    """
    _check_classes(image, images, samples)
    check_apart(images, split)
    check_classifier_augmentation(config.classifier_augmentation, config.classifier_augmentation.build(image))
    parts = Parts(critic=critic)
    pictures = {part: _pictures(images, getattr(split, part), image) for part in ("train", *JUDGED)}
    arms: dict[str, Pictures | None] = {REAL: None}
    left_out = _no_synthetic(config, image, samples)
    if samples is not None and not left_out:
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
    judged = {(arm, "validation"): _judge(trained[arm], pictures, "validation", image, compute, arm) for arm in trained}
    facts = {"phantom": images.phantom, "fit": config.data.fit}
    beside = {arm: _likeness(one, pictures, compute) for arm, one in trained.items()}
    for arm, path in ((REAL, folder.real_classifier_weights), (chosen, folder.classifier_weights)):
        known = {} if critic_description is None else {"critic": critic_description}
        built_on = {name: known[name] for name in trained[arm].network.needs}
        operating = clinical.choose_threshold(
            judged[arm, "validation"].labels, judged[arm, "validation"].calibrated, config.classify.target_sensitivity
        )
        facts |= {"operating_threshold": operating.value, "target_sensitivity": config.classify.target_sensitivity}
        description = _describe(config, image, built_on, trained[arm], arm, facts)
        weights.write(path, trained[arm].network, description, beside[arm])

    # Judge; from here on the test part is looked at.
    digests = {provenance.file_sha256(path) for path in (folder.real_classifier_weights, folder.classifier_weights)}
    look = ledger.record(folder, (images.sha256[place] for place in split.test), digests, command)
    judged |= {(arm, "test"): _judge(trained[arm], pictures, "test", image, compute, arm) for arm in trained}
    indices = {part: getattr(split, part) for part in JUDGED}
    about = {part: About.of(images, index, image.size) for part, index in indices.items()}
    rundir.write_text(folder.predictions, predictions.as_csv(images, indices, about, judged))
    result = _classification(config, folder, images, pictures["test"].groups, about["test"], trained, judged, chosen)
    result["look"] = look.as_table()
    if left_out:
        result["arms_left_out"] = {BOTH: left_out}
        progress.say(f"no classifier of {BOTH.replace('+', ' + ')} pictures: {left_out}")
    rundir.write_json(folder.classification, result)
    for name, reason in result["columns_left_out"].items():
        progress.say(f"no figures by the manifest's column {name}: {reason}")
    for warning in result["warnings"]:
        progress.say(f"warning: {warning}")
    for arm, one in trained.items():
        progress.say(f"classifier, {arm}: {one.steps} steps, best after epoch {one.best_epoch}, {one.stopped}")
    return result


def _no_synthetic(config: RunConfig, image: ImageSpec, samples: Samples | None) -> str:
    """Why there is nothing to mix with the real pictures; empty where there is."""
    if config.classify.synthetic_ratio == 0:
        return "classify.synthetic_ratio is 0"
    if samples is None or not len(samples):
        return "there are no synthetic pictures"
    present = {image.classes[label] == image.positive for label in np.unique(samples.labels)}
    if len(present) < 2:
        lacking = "others" if True in present else str(image.positive)
        return f"the synthetic set has no pictures of {lacking}, and being synthetic would give the label away"
    return ""


def _pictures(images: ImageSet, index: np.ndarray, image: ImageSpec) -> Pictures:
    return Pictures(Rows(images.at(image.size), index), images.labels[index], images.groups[index])


def _likeness(trained: Trained, pictures: Mapping[str, Pictures], compute: Compute) -> dict[str, Tensor]:
    known = likeness.fit(trained.network, pictures["train"].pixels, pictures["validation"].pixels, compute.exact())
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


def _check_classes(image: ImageSpec, images: ImageSet, samples: Samples | None) -> None:
    """Class indices mean the same everywhere: a swapped pair of names would turn every figure around."""
    told = [("the pictures", images.classes, images.positive)]
    if samples is not None:
        told.append(("the synthetic set", samples.classes, image.positive))
    for whose, classes, positive in told:
        if (tuple(classes), positive) != (tuple(image.classes), image.positive):
            raise DataError(
                f"the classes of {whose} are {', '.join(classes)} (positive: {positive}), those of the classifier "
                f"{', '.join(image.classes)} (positive: {image.positive}): use those of one run"
            )


def _judge(
    trained: Trained, pictures: Mapping[str, Pictures], part: str, image: ImageSpec, compute: Compute, arm: str
) -> Judged:
    logits = fitting.logits(trained.network, pictures[part].pixels, compute.exact())
    if not np.isfinite(logits).all():
        raise DivergedError(
            f"the classifier trained on {arm} gives {int((~np.isfinite(logits)).sum())} of {len(logits)} pictures of "
            f"the {part} part a score that is no finite number: lower classify.lr, or set run.precision to fp32"
        )
    calibrated = clinical.calibrated(logits, trained.temperature.value)
    return Judged(logits, calibrated, fitting.positives(image, pictures[part]))


def _classification(
    config: RunConfig,
    folder: RunDir,
    images: ImageSet,
    groups: np.ndarray,
    about: About,
    trained: Mapping[str, Trained],
    judged: Mapping[tuple[str, str], Judged],
    chosen: str,
) -> dict[str, Any]:
    """The content of classification.json."""
    settings = config.classify
    rules = Rules(config.run.seed, settings.bootstrap, THRESHOLD, settings.target_sensitivity, settings.prevalence)
    validated, tested = ({arm: judged[arm, part] for arm in trained} for part in JUDGED)
    return {
        **comparison.compared(validated, tested, groups, about.columns(), rules),
        **rules.as_table(),
        "dfukit": metadata.version("dfukit"),
        "positive": images.positive,
        "covers": "patients" if images.patients_known else "groups of near-duplicates",
        "columns_left_out": predictions.left_out(images),
        "chosen": chosen,
        "weights": {
            path.name: provenance.file_sha256(path)
            for path in (folder.classifier_weights, folder.real_classifier_weights)
        },
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
