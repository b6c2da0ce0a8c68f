"""Taking out of texts what must not leave the building: paths, file names, patients and the host."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from pathlib import Path

from attrs import frozen

from dfukit.config import RunConfig
from dfukit.images import ImageSet
from dfukit.rundir import RunDir
from dfukit.sections import SECTIONS

LEFT_OUT = "[left out]"
GAP = "\0"
"""Stands for it until all is taken out: a folder may be called "left"."""
ABSOLUTE_PATH = re.compile(
    r"""(?:file://|(?<![^\s"'(=,;<\[])~?/|(?<=:)/(?!/)|(?<!\w)[A-Za-z]:[\\/]|\\\\)[^\s"'(),;<>\[\]]*[^\s"'(),;:<>.\[\]]"""
)
FILE_NAME = re.compile(r"[\w.+-]+\.(?:jpe?g|png|bmp|gif|tiff?|webp|heic|csv)\b", re.IGNORECASE)
SMALLEST = 2
"""Places and folders with a shorter name are not taken out of texts."""
GENERIC = frozenset(
    {*SECTIONS, "images", "photos", "pictures", "real", "synthetic", "train", "validation", "test", ".", ".."}
    | {"lower", "higher", "neither", "crop", "pad", "stretch"}
)
"""Names that tell nothing of anybody, and that the page, scores and weights need: a folder "lower" may be of legs."""


@frozen(eq=False)
class Redaction:
    """What is private about a run."""

    places: re.Pattern[str]
    """The host, and the paths that the run reads and writes."""
    names: frozenset[str]
    """File names, paths, folders and patients of the data set, and the name of its own folder."""

    @classmethod
    def of_run(cls, folder: RunDir, config: RunConfig, images: ImageSet) -> Redaction:
        places = {platform.node(), platform.node().split(".")[0]}
        names = set(_names(images))
        for setting in filter(None, (config.data.path, config.data.patients)):
            path = Path(setting)
            names |= {path.absolute().name, path.resolve().name}
            places |= {str(path), str(path.absolute()), str(path.resolve())}
        places |= {str(folder.path), str(folder.path.absolute()), str(folder.path.resolve())}
        # Class names stay, though a folder of one class gives it its own name.
        kept = GENERIC.union(images.classes)
        long = sorted((place for place in places - kept if len(place) >= SMALLEST), key=len, reverse=True)
        pattern = "|".join(re.escape(place) for place in long) or r"(?!)"
        return cls(re.compile(rf"(?<!\w)(?:{pattern})(?!\w)"), frozenset(names - kept))

    def text(self, text: str) -> str:
        """The text without paths, file names and host."""
        for pattern in (self.places, ABSOLUTE_PATH, FILE_NAME):
            text = pattern.sub(GAP, text)
        return text.replace(GAP, LEFT_OUT)

    def free_text(self, text: str) -> str:
        """A warning or reason likewise, and without patients and the data set's own names."""
        for name in sorted((name for name in self.names if name in text), key=len, reverse=True):
            # A number alone is a patient only where the text says so.
            before = r"(?<=patient )|(?<=['\"])" if name.isdigit() else r"(?<!\w)"
            text = re.sub(rf"(?:{before}){re.escape(name)}(?!\w)", GAP, text)
        return self.text(text)


def _names(images: ImageSet) -> Iterable[str]:
    folders: set[str] = set()
    for path in images.paths:
        yield path
        yield Path(path).stem
        folders.update(Path(path).parent.parts)
    for one in images.check.excluded:  # a folder may be among them: a link
        yield one.path
        folders.update(Path(one.path).parts)
    yield from (name for name in folders if len(name) >= SMALLEST)
    yield from (name for name in images.patients if name)
