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

LEFT_OUT = "[left out]"
ABSOLUTE_PATH = re.compile(
    r"""(?:file://|(?<![^\s"'(=,;<\[])~?/|(?<=:)/(?!/)|(?<!\w)[A-Za-z]:[\\/]|\\\\)[^\s"'(),;<>\[\]]*[^\s"'(),;:<>.\[\]]"""
)
FILE_NAME = re.compile(r"[\w.+-]+\.(?:jpe?g|png|bmp|gif|tiff?|webp|heic|csv)\b", re.IGNORECASE)
SMALLEST = 2
"""Host and folder names shorter than this are too common to be taken out of texts."""


@frozen(eq=False)
class Redaction:
    """What is private about a run."""

    places: re.Pattern[str]
    """The host, and the names of the folders that the run reads and writes."""
    names: frozenset[str]
    """File names, paths and patients of the data set."""

    @classmethod
    def of_run(cls, folder: RunDir, config: RunConfig, images: ImageSet) -> Redaction:
        places = {platform.node(), platform.node().split(".")[0]}
        for setting in (config.data.path, config.data.patients):
            if setting:
                path = Path(setting).absolute()
                places |= {setting, str(path), str(path.resolve()), path.name}
        places |= {str(folder.path), str(folder.path.absolute()), str(folder.path.resolve())}
        if not images.phantom:
            places.add(images.name)
        # Class names stay: a folder of one class gives it its own name.
        long = sorted((p for p in places - set(images.classes) if len(p) >= SMALLEST), key=len, reverse=True)
        pattern = "|".join(re.escape(place) for place in long) or r"(?!)"
        return cls(re.compile(rf"(?<!\w)(?:{pattern})(?!\w)"), frozenset(_names(images)))

    def text(self, text: str) -> str:
        """The text without paths, file names, folders of the run, and host."""
        for pattern in (self.places, ABSOLUTE_PATH, FILE_NAME):
            text = pattern.sub(LEFT_OUT, text)
        return text

    def free_text(self, text: str) -> str:
        """A warning or reason likewise, and without patients and the data set's own names."""
        for name in sorted((name for name in self.names if name in text), key=len, reverse=True):
            # A number alone is a patient only where the text says so.
            before = r"(?<=patient )|(?<=['\"])" if name.isdigit() else r"(?<!\w)"
            text = re.sub(rf"(?:{before}){re.escape(name)}(?!\w)", LEFT_OUT, text)
        return self.text(text)


def _names(images: ImageSet) -> Iterable[str]:
    for path in images.paths:
        yield path
        yield Path(path).stem
    yield from (name for name in images.patients if name)
