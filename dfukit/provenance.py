"""What a synthetic picture says of itself, and how it is known again: marks inside the file, a digest of its pixels."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dfukit.errors import DataError

CHUNK = "dfukit"
"""Keyword of the PNG text chunk that says which generator drew the picture."""
XMP_CHUNK = "XML:com.adobe.xmp"
TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's term for media made by a model that learnt from others; what platforms look for to label them."""
XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
    '  <rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">\n'
    f"   <Iptc4xmpExt:DigitalSourceType>{TRAINED}</Iptc4xmpExt:DigitalSourceType>\n"
    "  </rdf:Description>\n"
    " </rdf:RDF>\n"
    "</x:xmpmeta>\n"
    '<?xpacket end="r"?>'
)
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF")
"""Formats in which a picture may come back."""
RUN_DIGITS = 16


@frozen
class Origin:
    """Where a synthetic picture comes from. `run` names the generator by its weights: names of runs may be private."""

    run: str
    component: str
    package: str
    version: str


def run_of(digest: str) -> str:
    """The name of a run in its pictures: the first digits of the SHA-256 of its generator's weights file."""
    return digest[:RUN_DIGITS]


def marks(text: str, origin: Origin | None = None, **about: Any) -> PngInfo:
    """What goes into a PNG file beside its pixels: a description, XMP, and where it comes from, as far as known.

    No time, no path, nothing of a photograph; equal arguments give equal bytes.
    """
    info = PngInfo()
    info.add_text("Description", text)
    info.add_text("Software", "dfukit")
    info.add_itxt(XMP_CHUNK, XMP)
    if origin is not None:
        info.add_text(CHUNK, json.dumps({**attrs.asdict(origin), **about}, sort_keys=True))
    return info


def read_marks(picture: Image.Image) -> Mapping[str, Any]:
    """The content of the chunk `dfukit`; empty where there is none that can be read."""
    try:
        said = json.loads(picture.info.get(CHUNK, "{}"))
    except (TypeError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def read_origin(picture: Image.Image) -> Origin | None:
    """Where a synthetic picture says that it comes from; None where it does not."""
    said = read_marks(picture)
    names = [field.name for field in attrs.fields(Origin)]
    return Origin(*(str(said[name]) for name in names)) if set(names) <= said.keys() else None


def read_truncation(picture: Image.Image) -> float:
    """What a synthetic picture says that its latent was multiplied by: 1 where it says nothing, or what cannot be."""
    said = read_marks(picture).get("truncation", 1.0)
    return float(said) if isinstance(said, int | float) and 0 < said <= 1 else 1.0


def open_picture(path: Path) -> Image.Image:
    """A picture file, decoded. Raises DataError naming the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as picture:
                picture.load()
                return picture
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        reason = getattr(error, "strerror", None) or "not a whole picture file"
        raise DataError(f"{path} cannot be read as a picture: {reason}") from None


def pixels_sha256(picture: Image.Image) -> str:
    """SHA-256 of mode, size and decoded RGB pixels: the same for every lossless copy, whatever else is in the file."""
    colours = picture.convert("RGB")
    digest = hashlib.sha256(f"RGB {colours.width}x{colours.height}\n".encode())
    digest.update(colours.tobytes())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes. Raises DataError naming the file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
