"""Pictures: a folder or manifest in, a checked and cached ImageSet and its Split out. Nothing here imports torch."""

from dfukit.images.cache import cache_dir, clear_cache, ledger_dir, scores_dir
from dfukit.images.check import DataCheck, Excluded
from dfukit.images.imageset import ImageSet, choose_positive, decode_picture, from_arrays, inspect, load
from dfukit.images.resample import resize
from dfukit.images.split import Split, check_apart, make_split, read_split, write_split

__all__ = [
    "DataCheck",
    "Excluded",
    "ImageSet",
    "Split",
    "cache_dir",
    "check_apart",
    "choose_positive",
    "clear_cache",
    "decode_picture",
    "from_arrays",
    "inspect",
    "ledger_dir",
    "load",
    "make_split",
    "read_split",
    "resize",
    "scores_dir",
    "write_split",
]
