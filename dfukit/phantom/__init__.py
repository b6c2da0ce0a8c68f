"""The built-in procedural set: made-up pictures of foot ulcers, for trying dfukit and for its tests.

No picture shows a patient, and no result on them says anything about real wounds. "infected" and "non_infected" differ
in a latent severity, which drives reddened and swollen skin, exudate and slough, and overlaps between the classes.
"""

from dfukit.phantom.drawing import CLASSES, draw_patient, draw_set
from dfukit.phantom.storing import image_set, write_folder

__all__ = ["CLASSES", "draw_patient", "draw_set", "image_set", "write_folder"]
