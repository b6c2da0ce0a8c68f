"""The result of an experiment for a person."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from dfukit.lift.answer import ANSWERS
from dfukit.lift.records import LiftDir

NAMES = {"auroc": "AUROC", "recall": "recall", "log_loss": "log loss"}


@frozen
class Lift:
    """A finished experiment."""

    path: Path
    result: Mapping[str, Any]
    """The content of lift.json."""

    @property
    def answer(self) -> str:
        """better, worse, no difference larger than the margin, or too few patients to tell."""
        return str(self.result["answer"])

    def as_table(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {"lift": str(self.path), **self.result}

    def as_text(self) -> str:
        """What a person reads at the end."""
        design, of = self.result["design"], self.result["difference"]
        who = "patients" if self.result.get("patients_known", True) else "groups of near-duplicates"
        recall = f"recall at {100 * design['specificity']:g}% specificity"
        lines = [
            f"{self.answer}: AUROC {signed(of)} with synthetic pictures, ratio {design['ratio']:g}",
            f"{of['patients']} {who}, {design['folds']} folds, {design['seeds']} seeds, {min(design['steps'])} "
            f"steps, classifier {design['classifier']}; the interval covers {of['covers']}",
        ]
        lines += self._needed(who)
        lines += [f"the synthetic pictures: {design['generator']}", *self._look(), ""]
        lines.append(f"{'arm':28} {'AUROC':24} {recall:34} log loss")
        for arm, one in self.result["arms"].items():
            name = f"{arm} (exploratory)" if one["exploratory"] else arm
            name = f"{name} (on synthetic)" if one["tested_on"] == "synthetic" else name
            lines.append(f"{name:28} {plain(one['auroc']):24} {plain(one['recall']):34} {plain(one['log_loss'])}")
        lines.append("")
        for one in self.result["differences"]:
            told = ", ".join(f"{name} {signed(one[figure])}" for figure, name in NAMES.items())
            lines.append(f"{one['arm']} less {one['against']}{' (exploratory)' * one['exploratory']}: {told}")
        lines += ["", *self._labels(), f"{'all figures':28} {LiftDir(self.path).result}"]
        return "\n".join(lines)

    def _needed(self, who: str) -> list[str]:
        """What it would take to tell, where that cannot be told."""
        if not undecided(self.result):
            return []
        needed, design = self.result["patients_needed"], self.result["design"]
        if needed is None:
            lines = [
                f"with {design['seeds']} seeds no number of {who} would settle it (margin {design['margin']:g}), if "
                "the difference stays where it is, and the seeds spread as these do: it takes more of these (--seeds)"
            ]
        else:
            lines = [
                f"about {needed} {who} would settle it (margin {design['margin']:g}), if the difference stays where "
                "it is, and they and the seeds spread as these do"
            ]
        if self.result["more_seeds_first"]:
            lines.append("most of its width comes from the seeds: more of these (--seeds) come first")
        return lines

    def _look(self) -> list[str]:
        look = self.result["look"]
        return [f"{look['text']} at these test patients"] if look else []

    def _labels(self) -> list[str]:
        real, synthetic = self.result["labels"]["real"], self.result["labels"]["synthetic"]
        lines = [
            f"{real['flagged']} of {real['n']} real pictures look mislabelled (shown in lift.json, nothing was changed)"
        ]
        lines += [
            f"  {one['path']}: labelled {one['label']}, looks like {one['looks_like']}" for one in real["pictures"][:10]
        ]
        lines.append(
            f"{sum(synthetic['flagged'])} of {sum(synthetic['n'])} synthetic pictures do not look like their class, "
            f"{sum(synthetic['set_aside'])} were set aside"
        )
        if leaked := list(dict.fromkeys(one["path"] for one in self.result["leaked"])):
            lines.append(
                f"{len(leaked)} synthetic pictures are near-duplicates of real ones ({leaked[0]}, ...): kept "
                "out of the folds that test those patients"
            )
        return lines


def undecided(result: Mapping[str, Any]) -> bool:
    """Whether the interval of the answer leaves both open: a difference, and none that matters."""
    return bool(result["answer"] == ANSWERS[3] and result["difference"]["interval"])


def plain(figure: Mapping[str, Any]) -> str:
    """0.812 (0.760 to 0.855)."""
    if figure["value"] is None:
        return str(figure["reason"])
    interval = figure["interval"]
    return f"{figure['value']:.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")


def signed(figure: Mapping[str, Any]) -> str:
    """+0.041 (95% +0.012 to +0.070)."""
    if figure["value"] is None:
        return str(figure["reason"])
    interval = figure["interval"]
    told = f" (95% {interval[0]:+.3f} to {interval[1]:+.3f})" if interval else f" ({figure['reason']})"
    return f"{figure['value']:+.3f}{told}"
