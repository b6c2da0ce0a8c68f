"""One picture file in, 256x256 sRGB pixels out. Runs in a worker process: a hostile file can take nothing else down.

What becomes of each kind of picture:

- EXIF orientation is applied; where the EXIF block cannot be read, the picture stays as it is stored.
- An ICC profile is converted to sRGB; a broken profile, or one for other colours, is left out.
- Transparent pixels are laid on white. Palettes and key colours are resolved first.
- CMYK goes through its profile where it has one, else through Pillow's plain conversion.
- 16-bit grey is divided by 257, so that 65535 is white. Whole or real numbers without a stated range count as
  lying in the smallest of 0..1 (real numbers only), 0..255 and 0..65535 that holds them.
- Of an animation, a multi-page file or a phone's multi-picture file, the first picture counts.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import math
import warnings
from io import BufferedReader

import numpy as np
from attrs import frozen
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from dfukit.images.burned import has_burned_in_text
from dfukit.images.resample import FILTER

SIDE = 256
"""Width and height of a stored picture."""
SMALLEST = 8
"""A picture with fewer pixels on a side is excluded: blown up, it would be a flat patch."""
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "TIFF", "WEBP")
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
WHITE = (255, 255, 255)
ROWS = 256

Box = tuple[float, float, float, float]


class Unusable(Exception):
    """A picture that is excluded; the text is its reason."""


@frozen
class Limits:
    """How pictures are fitted, what is too large, and whether HEIC can be read."""

    fit: str
    max_megapixels: float
    heic: bool


@frozen(eq=False)
class Picture:
    """A decoded picture, uint8 [256, 256, 3], with what is worth knowing of its file; `text`: letters burned in.

    `native`, uint8 [W, W, 3], are the file's own pixels where it is a small square: resizing twice would change them.
    """

    pixels: np.ndarray
    width: int
    height: int
    format: str
    text: bool
    native: np.ndarray | None


def set_up() -> bool:
    """Prepare Pillow in this process, a decoder's own; whether it can read HEIC, which needs the extra `heic`."""
    Image.MAX_IMAGE_PIXELS = None  # `Limits` has the cap; Pillow's own only warns at first
    if not has_heic():
        return False
    import pillow_heif  # type: ignore[import-not-found, unused-ignore]

    pillow_heif.register_heif_opener()
    return True


def has_heic() -> bool:
    """Whether the extra `heic` is installed."""
    return importlib.util.find_spec("pillow_heif") is not None


def digest(file: BufferedReader) -> bytes:
    """SHA-256 of an open file, 32 bytes; the file stands at its start again."""
    value = hashlib.file_digest(file, "sha256").digest()
    file.seek(0)
    return value


def decode(file: BufferedReader, box: Box | None, limits: Limits) -> Picture:
    """Read one open file. `box` is (x, y, w, h) in pixels of the upright picture. Raises Unusable with the reason."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _decode(file, box, limits)
        except Unusable:
            raise
        except MemoryError:
            raise Unusable("needs too much memory to decode") from None
        except Exception as error:  # Pillow's parsers raise whatever a broken file leads them to
            text = " ".join(str(error).split()) or type(error).__name__
            raise Unusable(f"cannot be decoded: {text[:200]}") from error


def _decode(file: BufferedReader, box: Box | None, limits: Limits) -> Picture:
    image = _open(file, limits)
    kind = image.format or ""
    stored = image.size
    profile = image.info.get("icc_profile")
    # JPEG can be decoded at 1/2, 1/4 or 1/8 of its size, which saves most of the time on photographs.
    image.draft("RGB", _draft_size(stored, box, limits.fit))
    image.load()
    image = _upright(image)
    # Whoever applied the orientation, Pillow's reader or `_upright`: the longer side tells whether it was a turn.
    width, height = sorted(stored, reverse=image.width >= image.height)
    image = _resizable(image)
    native = None
    if box is None and image.width == image.height < SIDE:
        native = np.asarray(_to_srgb(image, profile))
    scale = image.width / width, image.height / height
    image = _fit(image, _area(box, width, height), scale, limits.fit)
    pixels = np.asarray(_to_srgb(image, profile))
    return Picture(pixels, width, height, kind, has_burned_in_text(pixels), native)


def _open(file: BufferedReader, limits: Limits) -> Image.Image:
    start = file.read(32)
    file.seek(0)
    if not start:
        raise Unusable("empty file")
    if start[4:8] == b"ftyp" and start[8:12] in HEIC_BRANDS and not limits.heic:
        raise Unusable('HEIC needs an extra: pip install "dfukit[heic]"')
    try:
        image = Image.open(file, formats=(*FORMATS, "HEIF") if limits.heic else FORMATS)
    except UnidentifiedImageError:
        raise Unusable("not a picture (JPEG, PNG, BMP, GIF, TIFF, WebP and, with an extra, HEIC are read)") from None
    width, height = image.size
    if width * height > limits.max_megapixels * 1e6:
        megapixels = width * height / 1e6
        raise Unusable(f"{megapixels:.4g} megapixels, above data.max_megapixels = {limits.max_megapixels:g}")
    if min(width, height) < SMALLEST:
        raise Unusable(f"{width}x{height} pixels: too small, at least {SMALLEST} on each side are needed")
    if image.format == "PNG":
        # Decoding alone does not look at the checksums of the pixel data.
        image.verify()
        file.seek(0)
        image = Image.open(file, formats=FORMATS)
    return image


def _draft_size(size: tuple[int, int], box: Box | None, fit: str) -> tuple[int, int]:
    """How large a JPEG must be decoded for its used part to keep twice the stored width: enough for the filter."""
    width, height = size
    used = float(max(size) if fit == "pad" else min(size))
    if box is not None:
        # It counts in the upright picture, which may lie across the stored one.
        sides = (_inside(box, width, height), _inside(box, height, width))
        used = min((side for side in sides if side >= SMALLEST), default=1.0)
    share = min(1.0, 2 * SIDE / max(used, 1.0))
    return max(1, int(width * share)), max(1, int(height * share))


def _inside(box: Box, width: int, height: int) -> float:
    """The shorter side of what lies of a box inside a picture."""
    x, y, w, h = box
    return min(min(x + w, width) - max(x, 0.0), min(y + h, height) - max(y, 0.0))


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # whatever a broken EXIF block leads its parser to: the picture itself is sound
        return image


def _resizable(image: Image.Image) -> Image.Image:
    """The picture in a mode whose pixels may be averaged: L, RGB, RGBA or CMYK."""
    if image.mode in ("F", "I") or image.mode.startswith("I;16"):
        return _scaled(image)
    if image.has_transparency_data and image.mode != "RGBA":
        return image.convert("RGBA")
    if image.mode in ("L", "RGB", "RGBA", "CMYK"):
        return image
    if image.mode == "1":
        return image.convert("L")
    try:
        return image.convert("RGB")
    except ValueError:
        raise Unusable(f"colour mode {image.mode} is not read: save it as RGB") from None


def _scaled(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        full = 65535.0
    elif not np.isfinite(values).all() or values.min() < 0:
        raise Unusable("its pixels are negative or not finite")
    else:
        ranges = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        high = float(values.max())
        fitting = [limit for limit in ranges if high <= limit]
        if not fitting:
            raise Unusable(f"its pixels reach {high:g}: save it with 8 or 16 bits")
        full = fitting[0]
    scaled = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), ROWS):  # in strips: large pictures would need several times their size
        scaled[start : start + ROWS] = values[start : start + ROWS].astype(np.float32) * (255.0 / full) + 0.5
    return Image.fromarray(scaled)


def _area(box: Box | None, width: int, height: int) -> Box:
    """The used part of the upright picture: left, top, right, bottom in its full pixels."""
    if box is None:
        return 0.0, 0.0, float(width), float(height)
    left, top = max(box[0], 0.0), max(box[1], 0.0)
    right, bottom = min(box[0] + box[2], width), min(box[1] + box[3], height)
    if right - left < SMALLEST or bottom - top < SMALLEST:
        raise Unusable(f"less than {SMALLEST} pixels of its box lie inside the picture ({width}x{height})")
    return left, top, float(right), float(bottom)


def _fit(image: Image.Image, area: Box, scale: tuple[float, float], fit: str) -> Image.Image:
    """256x256: the largest central square, or all of it between black bars, or stretched."""
    left, top, right, bottom = area
    width, height = right - left, bottom - top
    if fit == "crop":
        side = min(width, height)
        left, top = left + (width - side) / 2, top + (height - side) / 2
        right, bottom = left + side, top + side
    image, part = _cut(image, (left * scale[0], top * scale[1], right * scale[0], bottom * scale[1]))
    if fit != "pad":
        return image.resize((SIDE, SIDE), FILTER, box=part, reducing_gap=3.0)
    longer = max(width, height)
    size = max(1, round(SIDE * width / longer)), max(1, round(SIDE * height / longer))
    picture = image.resize(size, FILTER, box=part, reducing_gap=3.0)
    black = {"L": (0,), "RGB": (0, 0, 0), "RGBA": (0, 0, 0, 255), "CMYK": (0, 0, 0, 255)}[image.mode]
    square = Image.new(image.mode, (SIDE, SIDE), black)
    square.paste(picture, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return square


def _cut(image: Image.Image, part: Box) -> tuple[Image.Image, Box]:
    """The picture cut to whole pixels around `part`, and where that lies in it: the filter must not look further."""
    left, top = int(part[0]), int(part[1])
    right, bottom = min(math.ceil(part[2] - 1e-6), image.width), min(math.ceil(part[3] - 1e-6), image.height)
    inside = part[0] - left, part[1] - top, min(part[2], right) - left, min(part[3], bottom) - top
    whole = (left, top, right, bottom) == (0, 0, image.width, image.height)
    return image if whole else image.crop((left, top, right, bottom)), inside


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    colours = image.convert("RGB") if alpha else image
    converted = _through_profile(colours, profile) if profile else None
    flat = converted or colours.convert("RGB")
    if alpha is None:
        return flat
    return Image.composite(flat, Image.new("RGB", flat.size, WHITE), alpha)


def _through_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
