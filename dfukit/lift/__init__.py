"""Do the synthetic pictures help? Classifiers with and without them, on patients whom none of them saw."""

from dfukit.lift.start import lift_folders, lift_run
from dfukit.lift.table import Lift

__all__ = ["Lift", "lift_folders", "lift_run"]
