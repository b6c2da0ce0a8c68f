"""A bundle for sharing: what a run made, without anything of the photographs that it was made from."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from dfukit import absent, manifest, recompute, registry, release, report, rundir, settings, sums, weights
from dfukit.clinical import skin
from dfukit.errors import ConfigError, DataError, ReleaseCheckError
from dfukit.finding import ABSENT
from dfukit.images import read_split
from dfukit.images.prepare import refuse_inside
from dfukit.pictures import load_images
from dfukit.predictions import ANGLE, COLUMNS
from dfukit.progress import Progress, Silent
from dfukit.report.privacy import Redaction
from dfukit.rundir import RunDir

ABOUT = """
## This bundle

| file | what it is |
|---|---|
{rows}

It was made by `dfukit export`. No photograph is in it, nor a file name, path, patient or host of those who have them,
and not the critic, which would tell best who was in the training data. Patients in predictions.csv are numbers.

- `dfukit verify` with the name of this folder checks all of it and prints the SHA-256 of SHA256SUMS: get that number
  from the sender by another way, and compare.
- `dfukit verify` with `--picture` and a file says whether that is one of these synthetic pictures.
- `dfukit sample` draws more pictures from the generator. No audit has seen those.
"""
DRAWN_AGAIN = """\
- {flagged} pictures were taken out of this set as copies of training pictures. The generator can still draw them: do
  not ask it for the numbers that the manifest leaves out.
"""
FILES = {
    "generator.safetensors": "the generator",
    "classifier.safetensors": "the classifier",
    "synthetic": "the synthetic pictures, and manifest.csv, which lists them",
    "release.json": "the record of the release check",
    "scores.json": "scores of the synthetic pictures",
    "classification.json": "figures of the classifiers",
    "predictions.csv": "their scores of each validation and test picture: what the figures were computed from",
    "report.html": "the report",
}
NOT_HERE = "not in this bundle"


@frozen
class Bundle:
    """A bundle on the disk."""

    folder: Path
    pictures: int
    digest: str
    """SHA-256 of its SHA256SUMS."""

    def as_table(self) -> dict[str, Any]:
        return {**attrs.asdict(self), "folder": str(self.folder)}

    def as_text(self) -> str:
        return f"{self.pictures} pictures in {self.folder}\nSHA-256 of {sums.FILE}: {self.digest} (keep it elsewhere)"


def export(run: RunDir, out: Path, classifier: bool = False, progress: Progress | None = None) -> Bundle:
    """Make the bundle of a finished run that passed its release check, whole or not at all.

    `classifier` adds the classifier. The pictures that the run was made from must be at hand, because their names are
    what is looked for in texts. Raises ReleaseCheckError where the run did not pass, the classifier holds the critic,
    or a setting of a network a path; DataError where the run is not finished or was changed since; ConfigError where
    `out` exists, lies in the run or among the photographs, or cannot be written.
    """
    progress = progress or Silent()
    if out.exists():
        raise ConfigError(f"--out {out} exists: name a new folder")
    if out.resolve().is_relative_to(run.path.resolve()):
        raise ConfigError(
            f"--out {out} lies in the run {run.path}, whose files stay as they are: name a folder outside"
        )
    flagged = _check(run, classifier, progress)
    resolved = absent.reopen(run, registry.load())
    refuse_inside(out, resolved.data)
    images = load_images(resolved, progress)
    split = read_split(run.split, images)
    private = Redaction.of_run(run, resolved, images)

    staged = RunDir(out.with_name(f".{out.name}.{os.getpid()}.tmp"))
    try:
        rows = manifest.read(run.manifest)
        for done, row in enumerate(rows, 1):
            _copy(run.synthetic / row["path"], staged.synthetic / row["path"])
            progress.update("copying the pictures", done, len(rows))
        _copy(run.manifest, staged.manifest)
        _copy_weights(run.generator_weights, staged.generator_weights, private)
        if classifier:
            _copy_weights(run.classifier_weights, staged.classifier_weights, private)
        for source, target in (
            (run.scores, staged.scores),
            (run.classification, staged.classification),
            (run.release, staged.release),
        ):
            if source.is_file():
                rundir.write_json(target, _without_private(rundir.read_json(source), private.free_text))
        if run.predictions.is_file():
            rundir.write_text(staged.predictions, _anonymous(run.predictions))
        page, card = report.render(run, resolved, images, split, True, classifier)
        rundir.write_text(staged.report, page)
        rundir.write_text(staged.model_card, card + _about(staged, flagged))
        sums.write(staged.path)
        staged.path.rename(out)
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot write there ({error.strerror or error})") from None
    finally:
        shutil.rmtree(staged.path, ignore_errors=True)
    if flagged:
        progress.say(
            f"warning: {flagged} pictures were taken out as copies, and the generator in {out} draws them again when "
            f"asked for the numbers that the manifest leaves out; release.max_copies = 0 holds such a run back"
        )
    return Bundle(out, len(rows), sums.digest(out))


def _check(run: RunDir, classifier: bool, progress: Progress) -> int:
    """Whether the run may leave the building, as far as it knows. Returns how many pictures its audit flagged."""
    again = f"dfukit run --resume {run.path}"
    for path in (run.generator_weights, run.scores, run.report, run.sums):
        if not path.is_file():
            raise DataError(f"{run.path} is not finished (it has no {path.name}): {again}")
    if classifier and not run.classifier_weights.is_file():
        raise DataError(f"{run.path} has no classifier: leave --classifier out, or train one (dfukit classify)")
    _check_sums(run, progress)
    release.insist(run)
    record = release.read(run)
    if record is None or record.passed is None:
        why = f" ({record.reason})" if record else ""
        raise ReleaseCheckError(
            f"{run.path} was not audited for copies of patients{why}: make a run with --metric copies, whose audit has "
            "all pictures that its generator learnt from, and export that"
        )
    if not run.manifest.is_file():
        raise DataError(f"{run.path} is not finished (it has no {run.manifest.name}): {again}")
    return record.flagged


def _check_sums(run: RunDir, progress: Progress) -> None:
    """Raises DataError where something is missing, changed, or added that a bundle is made of; other files may lie
    there, because nobody reads them."""
    made_of = {
        run.config,
        run.data,
        run.split,
        run.environment,
        run.training,
        run.generator_weights,
        run.classifier_weights,
        run.manifest,
        run.scores,
        run.skin_tones,
        run.classification,
        run.predictions,
        run.release,
        run.lift_result,
    }
    for finding in sums.check(run.path, sums.going_on(run)):
        path = run.path / finding.file
        if finding.stated == ABSENT and path not in made_of:
            continue
        if path == run.model_card and finding.found != ABSENT:
            progress.say(f"warning: {path} was edited by hand: the bundle's is made anew; {sums.give_words(run)}")
            continue
        was = "was added" if finding.stated == ABSENT else "is gone" if finding.found == ABSENT else "was changed"
        mended = path in (run.config, run.report, run.model_card, run.lift_result)
        mend = f"; where that was you: dfukit report {run.path}" if mended else ""
        raise DataError(f"{path} {was} since the run ended: see dfukit verify {run.path}{mend}")


def _copy(source: Path, target: Path) -> None:
    rundir.write_bytes(target, source.read_bytes())


def _copy_weights(source: Path, target: Path, private: Redaction) -> None:
    """Weights with their description, whose settings may hold what a plugin's user wrote there."""
    description = weights.describe(source)
    if "critic" in description.parts:
        raise ReleaseCheckError(
            f"{description.chosen.name} holds the critic, which stays here because it tells best who was in the "
            f"training data: leave --classifier out, or take a classifier that is not built on it"
        )
    for name, value in _texts(description):
        if private.free_text(value) != value:
            raise ReleaseCheckError(
                f"{source.name} holds a path or a name of the data in its setting {name}: train with another value"
            )
    _copy(source, target)


def _texts(description: weights.Description) -> list[tuple[str, str]]:
    """Settings and facts of a network that are texts, those in lists too."""
    table = {**settings.as_table(description.chosen.settings), **description.facts}
    return [(name, value) for name, value in recompute.flat(table).items() if isinstance(value, str)]


def _without_private(value: Any, clean: Callable[[str], str]) -> Any:
    """A JSON document without the audit's list of pictures, which names photographs, its texts cleaned."""
    if isinstance(value, Mapping):
        # Of an entry of scores.json; in release.json "pictures" is a number.
        kept = {key: inner for key, inner in value.items() if key != "pictures" or not isinstance(inner, list)}
        # Sites, wards, devices: names that the manifest's author chose.
        if "subgroups" in kept:
            kept["subgroups"] = {name: inner for name, inner in kept["subgroups"].items() if name == skin.COLUMN}
        kept.pop("columns_left_out", None)
        return {key: _without_private(inner, clean) for key, inner in kept.items()}
    if isinstance(value, list):
        return [_without_private(inner, clean) for inner in value]
    return clean(value) if isinstance(value, str) else value


def _anonymous(predictions: Path) -> str:
    """predictions.csv without digests of photographs and what tells of their patients.

    Patients are numbered in the order that the bootstrap draws; subgroups that they belong to would make them known.
    """
    try:
        with predictions.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        numbers = np.unique([int(row.pop("group")) for row in rows], return_inverse=True)[1]
    except (ValueError, KeyError) as error:
        raise DataError(f"{predictions} was not written by this version of dfukit ({error}): dfukit classify") from None
    table = io.StringIO()
    columns = [name for name in COLUMNS if name not in ("sha256", "group", ANGLE)]
    writer = csv.DictWriter(table, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "patient": int(number)} for row, number in zip(rows, numbers, strict=True))
    return table.getvalue()


def _about(bundle: RunDir, flagged: int) -> str:
    """The end of the model card: what lies beside it."""
    rows = "\n".join(
        f"| {name} | {about if (bundle.path / name).exists() else NOT_HERE} |" for name, about in FILES.items()
    )
    return ABOUT.format(rows=rows) + (DRAWN_AGAIN.format(flagged=flagged) if flagged else "")
