"""A trained classifier on other labelled pictures, another hospital's, with the figures that a run's test part has."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen

from dfukit import clinical, device, ledger, overlap, provenance, rundir, settings, sums
from dfukit.comparison import THRESHOLD
from dfukit.errors import ConfigError, DataError
from dfukit.images import ImageSet, inspect, load
from dfukit.interfaces import Step
from dfukit.overlap import Overlap
from dfukit.predict import LoadedClassifier, load_classifier
from dfukit.progress import Progress, Silent, counter
from dfukit.rundir import RunDir
from dfukit.sections import ClassifySettings, DataSettings, RunSettings

SEED = 0
CHUNK = 256
"""Pictures scored between two lines of progress."""
MANY = 0.1
"""Share of pictures unlike the training set from which on that is said."""
COLUMNS = ("sha256", "patient", "group", "label", "calibrated_score", "distance")


@frozen
class Evaluation:
    """The figures of a classifier on the pictures of another place."""

    table: Mapping[str, Any]
    file: Path | None
    """Where they are written down; None for weights that belong to no run."""

    def as_table(self) -> dict[str, Any]:
        """What `--json` prints."""
        return dict(self.table)

    def as_text(self) -> str:
        """What a person reads."""
        table, who = self.table, "patient" if self.table["patients_known"] else "group"
        counts = ", ".join(f"{count} {label}" for label, count in table["labels"].items())
        lines = [f"{table['name']}: {table['pictures']} pictures of {table['patients']} {who}s ({counts})"]
        (figures,) = table["runs"].values()
        named = {name: figure for name, figure in figures.items() if "value" in figure}
        lines += [_line(name, figure, who) for name, figure in named.items()]
        point = figures["operating_point"]
        lines.append(f"called {table['positive']} from a score of {point['threshold']:.3f} on:")
        lines += [_line(f"  {name}", figure, who) for name, figure in point["figures"].items()]
        if table["unlike"] is not None:
            lines.append(_line("unlike training", table["unlike"], who))
        lines.append(f"{'test ledger':16} {table['look']['text']} at these pictures with a classifier")
        lines += [f"warning: {warning}" for warning in table["warnings"]]
        if self.file:
            lines.append(f"{'written to':16} {self.file}")
        return "\n".join(lines)


def evaluate(
    source: str | Path,
    folder: str | Path,
    *,
    patients: str | Path = "",
    patient_pattern: str = "",
    name: str = "",
    device_name: str = "",
    progress: Progress | None = None,
) -> Evaluation:
    """Judge the classifier of a run folder or a weights file on a folder of labelled pictures.

    The folder is read as the data of a run is, fitted to a square as the training pictures were; its labels must be
    names of the classifier's classes. In a run, `evaluation-<name>.json` and `.csv` are written, the name being the
    folder's unless given. Figures and their intervals are those of classification.json.

    Raises DataError where a label is none of the classes, and where pictures are among those that the classifier was
    trained, calibrated or chosen on, as far as that can be told; ConfigError where the name is taken by other pictures,
    or another command is at work in the run.
    """
    progress = progress or Silent()
    source, folder = Path(source), Path(folder)
    compute = device.choose(RunSettings(device=device_name or RunSettings().device, precision="fp32"))
    classifier = load_classifier(source, compute)
    run = RunDir(source) if RunDir(source).config.is_file() else None
    weights = RunDir(source).classifier_weights if source.is_dir() else source
    values = {"path": str(folder), "patients": str(patients), "patient_pattern": patient_pattern}
    told = {**values, "fit": classifier.description.facts["fit"]}
    images = _load(classifier, settings.build(DataSettings, told, "data"), progress)

    # Only pictures that it never learnt from count, and each look at them.
    shared = overlap.check(run or RunDir(weights.parent), images, progress)
    with rundir.at_work(run) if run else nullcontext():
        file = _target(run, name or images.name, images)
        digest = provenance.file_sha256(weights)
        look = ledger.record(run, images.sha256, [digest], "evaluate")

        scores, distances = _judge(classifier, images, progress)
        about = {
            "name": images.name,
            "classifier": {"weights": digest, "run": run.name if run else None},
            "content": ledger.digest(images.sha256),
            "look": look.as_table(),
            "overlap": shared.as_table(),
        }
        table = {**about, **_figures(classifier, images, scores, distances, shared)}
        if run and file:
            rundir.write_json(file, table)
            rundir.write_text(file.with_suffix(".csv"), _predictions(images, scores, distances))
            if run.sums.is_file():
                sums.add(run.path, (file.name, file.with_suffix(".csv").name))
        return Evaluation(table, file)


def _load(classifier: LoadedClassifier, told: DataSettings, progress: Progress) -> ImageSet:
    report = counter(progress, "Reading pictures")
    labels = list(inspect(told, report, progress.say).labels)
    classes = classifier.image.classes
    if unknown := [label for label in labels if label not in classes]:
        raise DataError(
            f"{told.path} has the label{'s' * (len(unknown) > 1)} {', '.join(unknown)}, and the classifier's classes "
            f"are {', '.join(classes)} ({classifier.positive} the positive one): name each label as the class it means"
        )
    # Which one is positive the classifier says; reading several classes without its own needs any name.
    return load(
        evolve(told, positive=classifier.positive if classifier.positive in labels else labels[0]), report, progress.say
    )


def _target(run: RunDir | None, name: str, images: ImageSet) -> Path | None:
    """The file in the run. Raises ConfigError for one that holds the figures of other pictures."""
    if run is None:
        return None
    file = run.evaluation(re.sub(r"[^\w.+-]+", "_", name).strip(".") or "pictures")
    if file.is_file() and rundir.read_json(file).get("content") != ledger.digest(images.sha256):
        raise ConfigError(f"{file} holds the figures of other pictures: give these another name with --name")
    return file


def _judge(classifier: LoadedClassifier, images: ImageSet, progress: Progress) -> tuple[np.ndarray, np.ndarray | None]:
    pixels = images.at(classifier.image.size)
    scores, distances = [], []
    for start in range(0, len(pixels), CHUNK):
        score, distance = classifier.judge(pixels[start : start + CHUNK])
        scores.append(score)
        distances += [] if distance is None else [distance]
        progress.update("scoring pictures", min(start + CHUNK, len(pixels)), len(pixels))
    return np.concatenate(scores), np.concatenate(distances) if distances else None


def _figures(
    classifier: LoadedClassifier,
    images: ImageSet,
    scores: np.ndarray,
    distances: np.ndarray | None,
    shared: Overlap,
) -> dict[str, Any]:
    arm, resamples = str(classifier.description.facts.get("arm", "classifier")), ClassifySettings().bootstrap
    labels = np.array([images.classes[label] == classifier.positive for label in images.labels])

    def figures(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, dict[str, Any]]:
        rng = np.random.default_rng(Step(SEED, 0).seed_of("figures"))
        return clinical.figures(labels, scores, images.groups, rng, resamples, threshold)

    point = {
        "threshold": classifier.threshold,
        "target_sensitivity": classifier.target_sensitivity,
        "chosen_on": "validation" if classifier.target_sensitivity is not None else None,
        "prevalence": float(labels.mean()),
        "prevalence_of": "these pictures",
        "figures": clinical.at_threshold(labels, scores, images.groups, classifier.threshold, 0),
    }
    own = figures(labels, scores, THRESHOLD)
    unlike = None
    if distances is not None:
        # The share that lies too far, of all: as recall is the share that is called, of the positive ones.
        unlike = figures(np.ones(len(scores), bool), (distances > 1).astype(float), 0.5)["recall"]
    counts = np.bincount(images.labels, minlength=len(images.classes))
    return {
        "classes": list(classifier.image.classes),
        "positive": classifier.positive,
        "labels": {label: int(count) for label, count in zip(images.classes, counts, strict=True)},
        "pictures": len(scores),
        "patients": len(np.unique(images.groups)),
        "patients_known": images.patients_known,
        "excluded": len(images.check.excluded),
        "runs": {arm: {**own, "operating_point": point}},
        "confusion": {arm: clinical.confusion(labels, scores, THRESHOLD)},
        "threshold": THRESHOLD,
        "seed": SEED,
        "bootstrap": resamples,
        "unlike": unlike,
        "warnings": _warnings(classifier, images, own["auroc"], unlike, shared),
    }


def _warnings(
    classifier: LoadedClassifier,
    images: ImageSet,
    auroc: Mapping[str, Any],
    unlike: Mapping[str, Any] | None,
    shared: Overlap,
) -> list[str]:
    check = images.check
    found = [*(warning for warning in check.warnings if warning not in check.of_training), *shared.warnings]
    if not images.patients_known:
        found.append(
            "not every picture's patient is known: groups of near-duplicates stand in their place, and intervals are "
            "too narrow by what a patient's visits share; give --patients CSV or --patient-pattern REGEX"
        )
    if len(images.classes) == 1:
        found.append(f"all pictures are {images.classes[0]}: figures that need both classes are empty")
    elif classifier.positive not in images.classes:
        found.append(f"no picture is {classifier.positive}: figures that need both classes are empty")
    if auroc["interval"] is not None and auroc["interval"][1] < 0.5:
        found.append(
            f"the scores run backwards (AUROC {auroc['value']:.3f}, its interval ends below 0.5): "
            f"look whether the labels {' and '.join(images.classes)} are swapped"
        )
    if unlike is not None and unlike["value"] > MANY:
        found.append(
            f"{unlike['value']:.0%} of these pictures are unlike the training pictures: "
            "the figures say what it does on them, the training says little about it"
        )
    return found


def _predictions(images: ImageSet, scores: np.ndarray, distances: np.ndarray | None) -> str:
    """What every figure can be computed from again, scores with all their digits."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for place, score in enumerate(scores):
        group, label = int(images.groups[place]), images.classes[images.labels[place]]
        distance = "" if distances is None else repr(float(distances[place]))
        writer.writerow((images.sha256[place], images.patients[group], group, label, repr(float(score)), distance))
    return table.getvalue()


def _line(name: str, figure: Mapping[str, Any], who: str) -> str:
    about = f"n {figure['n']} pictures of {figure['patients']} {who}s"
    reason = figure.get("reason", "").replace("patient", who)
    if figure["value"] is None:
        return f"{name:16} none: {reason}"
    interval = figure["interval"]
    bounds = reason if interval is None else f"95% {interval[0]:.3f} to {interval[1]:.3f}"
    return f"{name:16} {figure['value']:.3f}   {bounds}   {about}"
