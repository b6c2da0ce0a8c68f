"""`dfukit compare`: generators, or configurations of one, on the same pictures at the same expense."""

from dfukit.comparing.contestants import Contestant, read_contestants
from dfukit.comparing.experiment import Comparison, compare

__all__ = ["Comparison", "Contestant", "compare", "read_contestants"]
