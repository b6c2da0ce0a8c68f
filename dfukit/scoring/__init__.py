"""How near a synthetic set is to a real one, measured by whatever metrics and extractors are installed."""

from dfukit.scoring.entries import insist
from dfukit.scoring.extraction import choose_extractor
from dfukit.scoring.folders import score_folders
from dfukit.scoring.kept import rescore
from dfukit.scoring.scores import score
from dfukit.scoring.stopping import StoppingDistance, stopping_distance
from dfukit.scoring.table import as_text

__all__ = [
    "StoppingDistance",
    "as_text",
    "choose_extractor",
    "insist",
    "rescore",
    "score",
    "score_folders",
    "stopping_distance",
]
