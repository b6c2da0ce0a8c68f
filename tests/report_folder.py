"""A small run folder as a run leaves it, without the time of a run: its figures are made up, its pictures drawn."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path

import numpy as np
from attrs import evolve, frozen
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dfukit import config, manifest, phantom, provenance, registry, release, rundir
from dfukit.config import RunConfig
from dfukit.images import ImageSet, Split, make_split
from dfukit.provenance import Origin
from dfukit.rundir import RunDir

SIZE = 32
STEPS = (100, 200, 300)
ARMS = ("real", "real+synthetic")


@frozen(eq=False)
class Finished:
    """A run folder with what `dfukit.report.write` is handed."""

    folder: RunDir
    config: RunConfig
    images: ImageSet
    split: Split


def finished_run(parent: Path, size: int = SIZE, patients: int = 12) -> Finished:
    """A run on the phantom set with two classes."""
    settings = {"data.phantom_patients": patients, "data.phantom_pictures": 2, "gan.size": size}
    resolved = config.resolve(registry.load(), preset="smoke", settings=settings)
    folder = rundir.create(parent, "", (resolved.generator.name, resolved.classifier.name))
    images = phantom.image_set(resolved.data)
    split = make_split(images, resolved.data)
    rng = np.random.default_rng(0)
    rundir.write_toml(folder.config, resolved.as_table())
    rundir.write_json(folder.environment, ENVIRONMENT)
    rundir.write_json(folder.training, TRAINING)
    rundir.write_json(folder.data, _data(images))
    _events(folder, rng)
    _samples(folder, images, split, size, rng)
    flagged = _flagged(folder, images, split, size)
    rundir.write_json(folder.scores, {**SCORES, release.AUDIT: {**COPIES, "pictures": flagged}})
    rundir.write_json(folder.release, RELEASE)
    _predictions(folder, images, split, rng)
    rundir.write_json(folder.classification, _classification(len(split.test), len(set(images.groups[split.test]))))
    rundir.write_json(folder.skin_tones, SKIN_TONES)
    rundir.write_json(folder.lift_result, LIFT)
    return Finished(folder, resolved, images, split)


ENVIRONMENT = {
    "dfukit": "0.1.0",
    "python": "3.11.2",
    "platform": "Linux x86_64",
    "processors": 2,
    "device": "cpu, float32",
    "threads": 2,
    "packages": {"numpy": "2.4.0", "torch": "2.15.0", "timm": "1.0.31"},
    "plugins": ["dfukit 0.1.0"],
    "broken_plugins": [],
}
TRAINING = {
    "steps": 300,
    "steps_planned": 400,
    "epochs": 150.0,
    "kept_step": 200,
    "kept_distance": 0.4123,
    "best_step": 200,
    "stopping_metric": "kd[r64]",
    "best_distance": 0.4123,
    "stopped": "no better for 10 evaluations",
    "alarms": {"collapse": 250},
    "seconds": 214.2,
    "seconds_of_evaluation": 20.1,
}
CONFUSION = {"true_positive": 6, "false_positive": 2, "false_negative": 1, "true_negative": 7}
BELOW = "below the measurement floor at this n"
NO_INCEPTION = "the Inception weights are not at hand: dfukit weights get inception"


def _score(value: float, floor: float, better: str = "lower") -> dict[str, object]:
    return {
        "better": better,
        "at_half": value * 1.1,
        "n_half": 8,
        "value": value,
        "n": [16, 16],
        "interval": [value * 0.8, value * 1.2],
        "real_vs_real": floor,
        "reason": None,
    }


def _floored(value: float, floor: float, better: str = "lower") -> dict[str, object]:
    """A score with the spread of its floor, over all and for each class; `infected` lies inside it."""
    whole = {**_score(value, floor, better), "floor": [floor / 2, floor * 1.5]}
    inside = {**whole, "value": floor, "n": [8, 8], "n_half": 4, "note": BELOW}
    outside = {**whole, "value": value * 1.5, "n": [8, 8], "n_half": 4}
    return {**whole, "classes": {"infected": inside, "non_infected": outside}}


def _missing(reason: str) -> dict[str, object]:
    return {"better": "lower", "value": None, "n": [16, 16], "interval": None, "real_vs_real": None, "reason": reason}


SCORES = {
    "fid": _missing(NO_INCEPTION),
    "fid@test": _missing(NO_INCEPTION),
    "kd[r64]": _floored(0.4123, 0.012),
    "kd[r64]@test": {**_floored(0.5071, 0.034), "note": BELOW},
    "coverage[r64]": _floored(0.62, 0.6, "higher"),
    "psnr": _score(17.31, 17.92, "neither"),
    "ssim": _score(0.4214, 0.4309, "neither"),
}


def _share(value: float, n: int) -> dict[str, object]:
    return {"value": value, "interval": [max(0.0, value - 0.06), min(1.0, value + 0.04)], "n": n}


COPIES = {
    "better": "neither",
    "value": 2 / 18,
    "n": [16, 18],
    "interval": [0.031, 0.328],
    "real_vs_real": 0.0125,
    "reason": None,
    "flagged": 2,
    "thresholds": {"pixels": 0.0512, "features": 0.21},
    "calibrated_on": "16 training pictures against those of other patients, and 4 held-out pictures",
    "statement": "2 of 18 pictures copy a training picture; the audit finds 97% of planted copies",
    "false_alarms": _share(0.0125, 80),
    "power": {
        "all": _share(0.97, 80),
        "exact": _share(1.0, 16),
        "mirrored": _share(1.0, 16),
        "cropped": _share(0.9375, 16),
        "recompressed": _share(1.0, 16),
        "brighter or darker": _share(0.9125, 16),
    },
    "nearest_ratio": {"value": 0.981, "interval": [0.955, 1.012], "n": 18, "expected": [0.93, 1.08]},
}
RELEASE = {
    "passed": True,
    "checks": [
        {
            "name": "min_power",
            "value": 0.97,
            "limit": 0.8,
            "passed": True,
            "text": "the audit finds 97% of planted copies, and must find 80%",
        }
    ],
    "pictures": 16,
    "flagged": 2,
    "reason": None,
}


def _figure(value: float, half: float) -> dict[str, object]:
    return {
        "value": value,
        "interval": [value - half, value + half],
        "standard_error": {"patients": half / 2, "seeds": half / 4},
    }


def _arm(value: float, tested_on: str = "real", exploratory: bool = False) -> dict[str, object]:
    return {
        "tested_on": tested_on,
        "exploratory": exploratory,
        "n": 24,
        "patients": 12,
        "auroc": _figure(value, 0.05),
        "recall": _figure(value - 0.2, 0.1),
        "log_loss": _figure(0.5, 0.06),
    }


def _less(arm: str, against: str, exploratory: bool = False) -> dict[str, object]:
    figures = {name: _figure(0.012, 0.05) for name in ("auroc", "recall", "log_loss")}
    return {"arm": arm, "against": against, "exploratory": exploratory, **figures}


LIFT = {
    "answer": "too few patients to tell",
    "patients_needed": 34,
    "more_seeds_first": False,
    "positive": "infected",
    "difference": {
        "figure": "auroc",
        "arm": "real+synthetic",
        "against": "real",
        **_figure(0.012, 0.05),
        "by_fold": [0.02, 0.004],
        "patients": 12,
        "n": 24,
        "covers": "the patients who happen to be here, and the seeds of the trainings",
    },
    "arms": {
        "real": _arm(0.81),
        "real+synthetic": _arm(0.822),
        "real+augmentation": _arm(0.83),
        "synthetic": _arm(0.7),
        "real+synthetic x2": _arm(0.8, exploratory=True),
        "mirror": _arm(0.75, tested_on="synthetic"),
    },
    "differences": [_less("real+synthetic", "real"), _less("real+synthetic x2", "real", exploratory=True)],
    "design": {
        "classifier": "effv2s_lstm",
        "folds": 2,
        "seeds": 3,
        "steps": [60, 60],
        "ratio": 1.0,
        "specificity": 0.9,
        "margin": 0.03,
        "generator": "the generator was trained anew inside each fold: no test patient touched it",
    },
    "labels": {
        "real": {
            "n": 24,
            "flagged": 1,
            "pictures": [
                {"path": "infected/patient_0001_1.png", "label": "infected", "looks_like": "non_infected"},
            ],
        },
        "synthetic": {"n": [24, 24], "flagged": [1, 2], "set_aside": [1, 2], "pictures": []},
    },
    "leaked": [{"path": "infected/synthetic_000001.png", "patient": "patient_0001"}],
}
TONES = {"very light": 10, "light": 20, "intermediate": 20, "tan": 20, "brown": 15, "dark": 15}
SKIN_TONES = {
    "training": {
        "n": 100,
        "patients": 50,
        "looked_at": 104,
        "shares": {name: _share(n / 100, n) for name, n in TONES.items()},
    },
    "synthetic": {
        "n": 16,
        "patients": 16,
        "looked_at": 16,
        "shares": {name: _share(n / 16, n) for name, n in zip(TONES, (4, 4, 4, 2, 2, 0), strict=True)},
    },
    "fewer": ["dark"],
}
ORIGIN = Origin("", "lstm_wgan", "dfukit", "0.1.0")


def _data(images: ImageSet) -> dict[str, object]:
    return {
        "name": images.name,
        "phantom": images.phantom,
        "classes": list(images.classes),
        "positive": images.positive,
        "pictures": len(images.labels),
        "patients": len(images.patients),
        "patients_known": True,
        "excluded": [
            {"path": "infected/broken_scan.jpg", "reason": "truncated JPEG"},
            {"path": "notes/visit_notes.jpg", "reason": "no picture: starts like a text"},
        ],
        "duplicates": 1,
        "warnings": [
            f"{len(images.labels)} pictures are fewer than 1000: expect wide intervals and a generator that copies",
            f"1 pictures seem to carry a date, for instance {images.paths[0]}: a date identifies",
        ],
        "patients_on_both_sides": 0,
    }


def _events(folder: RunDir, rng: np.random.Generator) -> None:
    events: list[dict[str, object]] = []
    for step in range(10, 310, 10):
        fall = float(np.exp(-step / 120))
        events.append(
            {
                "phase": "gan",
                "step": step,
                "epoch": step / 2,
                "critic_loss": -8 * fall + rng.normal() / 4,
                "generator_loss": 2 * fall + rng.normal() / 4,
                "critic_penalty": 0.1,
                "wasserstein": 9 * fall + rng.normal() / 4,
                "pictures_per_second": 41.0,
            }
        )
    for step in STEPS:
        events.append(
            {
                "phase": "gan",
                "step": step,
                "epoch": step / 2,
                "distance": 0.4 + abs(step - 200) / 500,
                "diversity": 40 - step / 20,
                "critic_overfitting": step / 1000,
            }
        )
    events.append(
        {"phase": "alarm", "step": 250, "alarm": "collapse", "text": "the pictures of a fixed batch grow alike"}
    )
    for arm in ARMS:
        for step in range(1, 61):
            event = {
                "phase": "classifier",
                "arm": arm,
                "step": step,
                "steps": 60,
                "epoch": -(-step // 10),
                "loss": 30 / (40 + step),
            }
            if step % 10 == 0:
                event["validation_loss"] = 32 / (42 + step)
            events.append(event)
    rundir.write_text(folder.metrics, "".join(json.dumps({"time": 0.0, **event}) + "\n" for event in events))


def _samples(folder: RunDir, images: ImageSet, split: Split, size: int, rng: np.random.Generator) -> None:
    """Blurred and noisy blends of training pictures stand for a generator's."""
    training = images.at(size)[split.train].astype(float)

    def picture() -> np.ndarray:
        first, second = training[rng.integers(len(training), size=2)]
        return np.clip((first + second) / 2 + rng.normal(0, 12, first.shape), 0, 255).astype(np.uint8)

    for path, rows in (
        *((folder.sample_grid(step), 8) for step in STEPS),
        (folder.class_sheet, 2),
        (folder.interpolation_sheet, 4),
    ):
        sheet = np.concatenate([np.concatenate([picture() for _ in range(8)], 1) for _ in range(rows)])
        rundir.write_bytes(path, _png(sheet))
    rundir.write_bytes(folder.generator_weights, b"no weights, but a file with a digest")
    made = []
    for number in range(16):
        label = images.classes[number % len(images.classes)]
        made.append({**_written(folder, folder.synthetic, picture(), label, number), "note": "synthetic"})
        made[-1]["nearest_training_distance"] = f"{0.2 + number / 100}"
    manifest.write(folder.manifest, manifest.COLUMNS, made)


def _written(folder: RunDir, place: Path, pixels: np.ndarray, label: str, number: int) -> dict[str, object]:
    """Write a synthetic picture with its marks. Returns what a table says of it."""
    origin = evolve(ORIGIN, run=provenance.run_of(provenance.file_sha256(folder.generator_weights)))
    content = _png(pixels, provenance.marks("synthetic", origin, label=label, seed=0, number=number))
    path = f"{label}/synthetic_{number + 1:06d}.png"
    rundir.write_bytes(place / path, content)
    return {
        "path": path,
        "label": label,
        "sha256": hashlib.sha256(content).hexdigest(),
        "pixels_sha256": provenance.pixels_sha256(Image.fromarray(pixels)),
        "seed": 0,
        "number": number,
    }


def _flagged(folder: RunDir, images: ImageSet, split: Split, size: int) -> list[dict[str, object]]:
    """Two copies of training pictures that the audit took out: one mirrored, one darker."""
    found = []
    rows = []
    for number, i, how in ((16, split.train[0], "mirrored"), (17, split.train[-1], "darker")):
        original = images.at(size)[i]
        copied = original[:, ::-1] if how == "mirrored" else (original * 0.9).astype(np.uint8)
        row = _written(folder, folder.flagged, np.ascontiguousarray(copied), images.classes[images.labels[i]], number)
        why: dict[str, object] = {"of": images.paths[i], "how": how, "distance": 0.0123}
        rows.append({**row, **why})
        found.append({"path": row["path"], **why})
    manifest.write(folder.flagged / manifest.FLAGGED_FILE, manifest.FLAGGED_COLUMNS, rows)
    return found


def _predictions(folder: RunDir, images: ImageSet, split: Split, rng: np.random.Generator) -> None:
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(("sha256", "patient", "label", "part", "arm", "raw_score", "calibrated_score"))
    for arm in ARMS:
        for part in ("validation", "test"):
            for i in getattr(split, part):
                label = images.classes[images.labels[i]]
                score = 1 / (1 + np.exp(-rng.normal(1.2 if label == images.positive else -1.2, 1.5)))
                rows.writerow(
                    (
                        images.sha256[i],
                        images.patients[images.groups[i]],
                        label,
                        part,
                        arm,
                        f"{score:.6f}",
                        f"{score:.6f}",
                    )
                )
    rundir.write_text(folder.predictions, table.getvalue())


def _classification(pictures: int, patients: int) -> dict[str, object]:
    def figures(shift: float) -> dict[str, object]:
        about = {"n": pictures, "patients": patients}
        names = ("accuracy", "precision", "recall", "f1", "auroc", "tpr", "fpr", "ece", "brier", "log_loss")
        values = {name: {"value": 0.8 + shift, "interval": [0.7 + shift, 0.9 + shift], **about} for name in names}
        point = {
            "threshold": 0.31,
            "target_sensitivity": 0.9,
            "chosen_on": "validation",
            "validation": {"sensitivity": 0.917, "n": 12},
            "prevalence": 0.2,
            "prevalence_of": "setting",
            "figures": dict.fromkeys(("tpr", "fpr", "ppv", "npv"), values["tpr"]),
        }
        return {**values, "ece": {**values["ece"], "calibrated_band": [0.04, 0.13]}, "operating_point": point}

    def group(n: int) -> dict[str, object]:
        one = {"n": n, "patients": n // 2, "threshold": 0.31, **{name: _share(0.8, n) for name in ("auroc", "tpr")}}
        empty = {"value": None, "interval": None, "n": 0, "reason": "none of these pictures is negative"}
        return {arm: {**one, "fpr": empty, "note": "fewer than 10 patients"} for arm in ARMS}

    return {
        "positive": "infected",
        "runs": {"real": figures(0.0), "real+synthetic": figures(0.02)},
        "chosen": "real+synthetic",
        "difference": {"auroc": {"value": 0.02, "interval": [-0.03, 0.07], "n": pictures, "patients": patients}},
        "confusion": dict.fromkeys(ARMS, CONFUSION),
        "threshold": 0.5,
        "subgroups": {
            "estimated_skin_tone": {"dark": group(2), "no estimate": group(2), "very light": group(4)},
            "ward": {"Northgate": group(4), "Southmead": group(4)},
        },
        "warnings": ["real: the scores run backwards, AUROC 0.2: look whether labels are swapped"],
        "training": {
            arm: {
                "best_epoch": 4,
                "epochs": 6,
                "prepared": "random initial weights",
                "steps": 60,
                "stopped": "classify.steps reached",
                "temperature": 1.3,
                "temperature_reason": None,
                "validation_loss": 0.41,
            }
            for arm in ARMS
        },
    }


def _png(pixels: np.ndarray, info: PngInfo | None = None) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()
