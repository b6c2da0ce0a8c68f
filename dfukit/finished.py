"""A run that has ended, as Python and the command line hand it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import frozen

from dfukit import release, rundir, scoring
from dfukit.predict import LoadedClassifier, load_classifier
from dfukit.release import Release
from dfukit.rundir import RunDir
from dfukit.sample import LoadedGenerator, load_generator


@frozen
class Run:
    """A finished run."""

    folder: RunDir

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def scores(self) -> dict[str, Any]:
        """The content of scores.json."""
        return dict(rundir.read_json(self.folder.scores)) if self.folder.scores.is_file() else {}

    @property
    def classification(self) -> dict[str, Any]:
        """The content of classification.json; empty where there is one class only."""
        return dict(rundir.read_json(self.folder.classification)) if self.folder.classification.is_file() else {}

    def generator(self) -> LoadedGenerator:
        return load_generator(self.folder.generator_weights)

    def classifier(self) -> LoadedClassifier:
        return load_classifier(self.folder.classifier_weights)

    @property
    def release(self) -> Release | None:
        """Whether the synthetic set may leave; None for a run that was not finished."""
        return release.read(self.folder)

    def as_table(self) -> dict[str, Any]:
        """What `--json` prints."""
        verdict = self.release
        return {
            "run": str(self.path),
            "release": verdict.as_table() if verdict else None,
            "report": str(self.folder.report) if self.folder.report.is_file() else None,
            "scores": self.scores,
            "classification": self.classification,
        }

    def as_text(self) -> str:
        """What a person reads at the end of a run."""
        lines = [scoring.as_text(self.scores)] if self.scores else []
        for arm, figures in self.classification.get("runs", {}).items():
            auroc = figures["auroc"]
            if auroc["value"] is not None:
                interval = (
                    auroc["reason"] if auroc["interval"] is None else "95% {:.3f} to {:.3f}".format(*auroc["interval"])
                )
                lines.append(f"{'AUROC, ' + arm:24} {auroc['value']:.3f}   {interval}   n {auroc['n']} test pictures")
        if (verdict := self.release) is not None:
            lines.append(f"{'release check':24} {verdict.as_text()}")
        lines.append(f"{'run folder':24} {self.path}")
        if self.folder.report.is_file():
            lines.append(f"{'report':24} {self.folder.report}")
        return "\n".join(lines)
