"""Is a run or a bundle what it says it is? Files against their sums, pictures against their manifest and generator,
weights against what they are called, and figures against what they were computed from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from attrs import define, evolve, field, frozen
from PIL import Image

from dfukit import lookup, manifest, provenance, recompute, rundir, sums, weights
from dfukit.errors import DataError, DfukitError, NotInstalledError
from dfukit.finding import ABSENT, Finding
from dfukit.images import find
from dfukit.lookup import Listed
from dfukit.manifest import Row
from dfukit.progress import Progress, Silent
from dfukit.recompute import Checked
from dfukit.rundir import RunDir
from dfukit.sample import LoadedGenerator, load_generator

REDRAWN = 16
"""Pictures of a set that its generator draws once more."""
ALIKE = 4.0
"""Mean difference in grey levels up to which a picture that was drawn once more is the same: devices round apart."""


@frozen
class Verified:
    """What came of verifying a folder. Nothing is wrong where `findings` is empty."""

    folder: str
    digest: str | None
    """SHA-256 of SHA256SUMS: kept elsewhere it covers every file. None where there are no sums."""
    pictures: int
    figures: int
    """Figures that were computed again."""
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    """What could not be checked, and why."""

    def as_table(self) -> dict[str, Any]:
        return {**attrs.asdict(self), "passed": not self.findings}

    def as_text(self) -> str:
        lines = [finding.as_text() for finding in self.findings]
        lines += [f"note: {note}" for note in self.notes]
        wrong = f"{len(self.findings)} wrong" if self.findings else "nothing wrong"
        lines.append(f"{self.folder}: {wrong}; {self.pictures} pictures and {self.figures} figures checked")
        if self.digest:
            lines.append(f"SHA-256 of {sums.FILE}: {self.digest} (who can change all files can change the sums too: ")
            lines[-1] += "keep this number elsewhere, and compare with --expect)"
        return "\n".join(lines)


@define
class _Report:
    """What is known so far."""

    findings: list[Finding] = field(factory=list)
    notes: list[str] = field(factory=list)
    pictures: int = 0
    figures: int = 0

    def wrong(self, file: str, figure: str, stated: Any, found: Any) -> None:
        self.findings.append(Finding(file, figure, stated, found))

    def unchecked(self, file: str, error: NotInstalledError) -> None:
        self.notes.append(f"{file} could not be looked into: {error}")

    def add(self, checked: Checked) -> None:
        self.findings += checked.findings
        self.notes += checked.notes
        self.figures += checked.figures


def verify(folder: Path, expect: str = "", progress: Progress | None = None) -> Verified:
    """Check a run folder, a bundle, or a folder that `dfukit sample` wrote.

    `expect` is the SHA-256 that its SHA256SUMS must have. Raises DataError where the folder is none of these.
    """
    run, progress = RunDir(folder), progress or Silent()
    listed, report = lookup.sets(folder), _Report()
    alone = all(one.folder == folder for one in listed)  # a set without its generator, which has no sums

    # Files against their sums, and files that must be there.
    digest = None
    if alone:
        report.notes.append(f"a folder of pictures has no {sums.FILE} and no generator to compare with")
    else:
        digest = _check_sums(folder, report)
        _check_record(run, report)
    if expect and digest != expect.lower():
        report.wrong(sums.FILE, "sha256", expect.lower(), digest or ABSENT)

    # Weights, and the pictures that the generator drew.
    generator, own = (None, None) if alone else (_check_weights(run, report), _own(run))
    counts = {}
    for one in listed:
        rows = _rows(folder, one, report)
        counts[one.folder] = len(rows)
        _check_pictures(folder, one, rows, generator, own, report, progress)
        if alone or one.folder != folder:  # what else lies in the folder of a run is for its sums to cover
            _check_unlisted(folder, one, rows, report)

    # Figures.
    flagged = counts.pop(run.flagged, 0) if run.config.is_file() else None
    report.add(recompute.classification(run))
    report.add(recompute.scores(run))
    report.add(recompute.release(run, sum(counts.values()), flagged))
    here = metadata.version("dfukit")
    for version in sorted(_made_by(run) - {here}):
        report.notes.append(
            f"figures here were made by dfukit {version}, this is {here}, which may compute them otherwise: "
            f"check with {version}"
        )
    return Verified(str(folder), digest, report.pictures, report.figures, tuple(report.findings), tuple(report.notes))


def _check_sums(folder: Path, report: _Report) -> str | None:
    run = RunDir(folder)
    if not run.sums.is_file():
        report.wrong(sums.FILE, "file", "one beside every run that ended, and in every bundle", ABSENT)
        return None
    try:
        for finding in sums.check(folder, sums.going_on(run) if run.config.is_file() else ()):
            if finding.file == run.model_card.name and run.config.is_file() and finding.found != ABSENT:
                finding = evolve(finding, found=f"{finding.found} (edited by hand? {sums.give_words(run)})")
            report.findings.append(finding)
    except DataError as error:
        report.wrong(sums.FILE, "content", "digests of files", str(error))
    return sums.digest(folder)


def _check_record(run: RunDir, report: _Report) -> None:
    """Whether there is a record of the release check: no bundle is made without, and without the scores behind it."""
    if not run.config.is_file():
        for path in (run.scores, run.release):
            if not path.is_file():
                report.wrong(path.name, "file", "one in every bundle", ABSENT)
    elif not run.release.is_file():
        report.notes.append(f"there is no {run.release.name}: nothing says that the set may leave")


def _check_weights(run: RunDir, report: _Report) -> LoadedGenerator | None:
    """Whether the weights load and are of the kind that they are called. Returns the generator where it does."""
    generator = None
    try:
        generator = load_generator(run.generator_weights)
    except NotInstalledError as error:
        report.unchecked(run.generator_weights.name, error)
    except DfukitError as error:
        report.wrong(run.generator_weights.name, "weights", "a generator", str(error))
    others = {run.critic_weights: "critic", run.classifier_weights: "classifier"}
    for path, kind in {**others, run.real_classifier_weights: "classifier"}.items():
        if path.is_file():
            try:
                weights.read(path, kind)
            except NotInstalledError as error:
                report.unchecked(path.name, error)
            except DfukitError as error:
                report.wrong(path.name, "weights", f"a {kind}", str(error))
    for name, stated in _stated_weights(run).items():
        # The classifiers of a bundle may have stayed at home.
        path = run.path / name
        found = provenance.file_sha256(path) if path.is_file() else stated
        if found != stated:
            report.wrong(name, f"sha256 in {run.classification.name}", stated, found)
    return generator


def _own(run: RunDir) -> str | None:
    """What pictures of the generator call their run, whether or not it can be loaded; None where it is not there."""
    path = run.generator_weights
    return provenance.run_of(provenance.file_sha256(path)) if path.is_file() else None


def _stated_weights(run: RunDir) -> dict[str, str]:
    """Digests of the classifiers in classification.json; where it cannot be read, that is said with its figures."""
    names = {run.classifier_weights.name, run.real_classifier_weights.name}
    try:
        stated = rundir.read_json(run.classification)["weights"]
        return {name: str(digest) for name, digest in stated.items() if name in names}
    except (DataError, KeyError, TypeError, AttributeError):
        return {}


def _made_by(run: RunDir) -> set[str]:
    """Versions of dfukit that made the figures, as far as they are told; a bundle tells those of its classifiers."""
    versions = set()
    for path in (run.environment, run.classification):
        try:
            versions.add(str(rundir.read_json(path)["dfukit"]))
        except (DataError, KeyError, TypeError):
            continue
    return versions


def _rows(folder: Path, listed: Listed, report: _Report) -> list[Row]:
    try:
        return list(manifest.read(listed.table))
    except DataError as error:
        report.wrong(listed.table.relative_to(folder).as_posix(), "content", "a table of pictures", str(error))
        return []


def _check_pictures(
    folder: Path,
    listed: Listed,
    rows: list[Row],
    generator: LoadedGenerator | None,
    own: str | None,
    report: _Report,
    progress: Progress,
) -> None:
    """Each picture against its row and the generator of the run `own`."""
    runs: dict[str, list[str]] = {}
    redrawn = {int(place) for place in np.linspace(0, len(rows) - 1, REDRAWN)} if rows else set()
    for place, row in enumerate(rows):
        path = listed.folder / row["path"]
        name = path.relative_to(folder).as_posix()
        report.pictures += 1
        try:
            picture = provenance.open_picture(path)
            findings = list(_check_picture(path, picture, row))
            run = str(provenance.read_marks(picture).get("run", ABSENT))
            runs.setdefault(run, []).append(name)
        except DataError as error:
            findings = [("file", f"in {listed.table.name}", str(error))]
        if generator is not None and not findings and run == own and place in redrawn:
            try:
                findings = list(_redraw(picture, row, generator))
            except DfukitError as error:
                report.notes.append(f"the pictures of {listed.folder.name} could not be drawn once more: {error}")
                redrawn = set()
        for figure, stated, found in findings:
            report.wrong(name, figure, stated, found)
        progress.update(f"checking the pictures of {listed.folder.name}", place + 1, len(rows))
    if own is not None:
        _check_runs(runs, own, report)


def _check_unlisted(folder: Path, listed: Listed, rows: list[Row], report: _Report) -> None:
    """Pictures, of any kind and anywhere in the set's folder, that no row names."""
    known = {row["path"] for row in rows}
    for entry in find.below(listed.folder):
        if entry.path not in known:
            name = (listed.folder / entry.path).relative_to(folder).as_posix()
            report.wrong(name, f"row in {listed.table.name}", ABSENT, entry.reason or "a picture")


def _check_runs(runs: Mapping[str, list[str]], own: str, report: _Report) -> None:
    """The run that the pictures name against the generator: where all name another, the generator is what is wrong."""
    foreign = {run: names for run, names in runs.items() if run != own}
    for run, names in foreign.items():
        if own in runs:
            for name in names:
                report.wrong(name, "run", own, run)
        else:
            report.wrong("generator.safetensors", "run", f"{run} in {len(names)} pictures", own)


def _check_picture(path: Path, picture: Image.Image, row: Row) -> Iterator[tuple[str, object, object]]:
    """(figure, stated, found) of what does not fit its row."""
    for figure, digest in (
        ("sha256", provenance.file_sha256(path)),
        ("pixels_sha256", provenance.pixels_sha256(picture)),
    ):
        if digest != row[figure]:
            yield f"{figure} in the manifest", row[figure], digest
    said = provenance.read_marks(picture)
    for key in ("label", "number", "seed"):
        if str(said.get(key, ABSENT)) != row[key]:
            yield f"{key} in the manifest", row[key], f"{said.get(key, ABSENT)} in the picture"
    if provenance.TRAINED not in str(picture.info.get(provenance.XMP_CHUNK, "")):
        yield "DigitalSourceType", provenance.TRAINED, ABSENT


def _redraw(picture: Image.Image, row: Row, generator: LoadedGenerator) -> Iterator[tuple[str, object, object]]:
    """Where everything fits but was rewritten, the generator itself still tells what it draws."""
    classes = generator.image.classes
    try:
        label, number, seed = classes.index(row["label"]), int(row["number"]), int(row["seed"])
    except ValueError as error:
        yield "label, number, seed", f"numbers, and a label of {', '.join(classes)}", str(error)
        return
    truncation = provenance.read_truncation(picture)
    drawn = generator.draw(np.array([label]), np.array([number]), seed, truncation).pictures()[0].convert("RGB")
    pixels = np.asarray(picture.convert("RGB"), np.float64)
    if drawn.size != picture.size:
        yield "pixels", f"{drawn.width}x{drawn.height} from the generator", f"{picture.width}x{picture.height}"
        return
    difference = float(np.abs(np.asarray(drawn, np.float64) - pixels).mean())
    if difference > ALIKE:
        yield "pixels", "what the generator draws with this seed and number", f"{difference:.1f} grey levels from it"
