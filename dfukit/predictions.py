"""predictions.csv: what each arm said of each validation and test picture, and what subgroups these belong to."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

import numpy as np
from attrs import frozen

from dfukit import clinical
from dfukit.clinical import skin
from dfukit.comparison import Judged
from dfukit.images import ImageSet

ANGLE = "typology_angle"
COLUMNS = (
    "sha256",
    "patient",
    "group",
    "label",
    "part",
    "arm",
    "raw_score",
    "calibrated_score",
    "positive",
    ANGLE,
)
"""`group` numbers the patients: the bootstrap draws them in this order, so that its intervals can be had again."""
TAKEN = (*COLUMNS, skin.COLUMN)
"""Names that a further column of a manifest cannot have."""


@frozen(eq=False)
class About:
    """What subgroups are made by, of some pictures [N]: the estimated typology angle, and the manifest's columns."""

    angles: np.ndarray
    """Degrees, nan where there is no estimate."""
    further: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, images: ImageSet, index: np.ndarray, size: int) -> About:
        pixels = images.at(size)
        kept = {name: column.of(index) for name, column in images.columns.kept.items() if name not in TAKEN}
        return cls(skin.typology_angles(pixels[place] for place in index), kept)

    @classmethod
    def read(cls, rows: Sequence[Mapping[str, str]]) -> About:
        """From rows of predictions.csv; columns that it does not have are left out."""
        angles = [float(row[ANGLE] or "nan") for row in rows]
        further = [name for name in (rows[0] if rows else ()) if name not in TAKEN]
        return cls(np.array(angles, np.float64), {name: [row[name] for row in rows] for name in further})

    def columns(self) -> dict[str, Sequence[str]]:
        """The value of each picture by column."""
        return {skin.COLUMN: [skin.tone(angle) for angle in self.angles], **self.further}


def left_out(images: ImageSet) -> dict[str, str]:
    """Further columns of the manifest that no figures are made by, and why."""
    clash = {name: "dfukit has a column of that name" for name in images.columns.kept if name in TAKEN}
    return {**images.columns.left_out, **clash}


def as_csv(
    images: ImageSet,
    parts: Mapping[str, np.ndarray],
    about: Mapping[str, About],
    judged: Mapping[tuple[str, str], Judged],
) -> str:
    """The table; scores have all their digits, so that every figure can be computed again.

    `parts` are positions of pictures, `judged` is by arm and part.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    further = [name for name in images.columns.kept if name not in TAKEN]
    writer.writerow((*COLUMNS, *further))
    for (arm, part), scores in judged.items():
        raw = clinical.calibrated(scores.logits, 1.0)
        for row, place in enumerate(parts[part]):
            group = int(images.groups[place])
            writer.writerow(
                (
                    images.sha256[place],
                    images.patients[group],
                    group,
                    images.classes[images.labels[place]],
                    part,
                    arm,
                    repr(float(raw[row])),
                    repr(float(scores.calibrated[row])),
                    images.positive,
                    _degrees(about[part].angles[row]),
                    *(about[part].further[name][row] for name in further),
                )
            )
    return table.getvalue()


def _degrees(angle: float) -> str:
    return "" if np.isnan(angle) else repr(float(angle))
