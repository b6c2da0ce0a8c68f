"""Clinical figures of a binary classifier, with n and intervals over patients. Nothing here imports torch."""

from dfukit.clinical.calibration import Temperature, calibrated, fit_temperature
from dfukit.clinical.differences import auroc_difference
from dfukit.clinical.figures import FIGURES, confusion, figures
from dfukit.clinical.operating import Threshold, at_threshold, choose_threshold
from dfukit.clinical.scored import Scored
from dfukit.clinical.subgroups import subgroups

__all__ = [
    "FIGURES",
    "Scored",
    "Temperature",
    "Threshold",
    "at_threshold",
    "auroc_difference",
    "calibrated",
    "choose_threshold",
    "confusion",
    "figures",
    "fit_temperature",
    "subgroups",
]
