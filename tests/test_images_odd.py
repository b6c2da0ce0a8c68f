"""More than 200 malformed or odd files in one folder: each is used with the right pixels, or excluded with a reason."""

from __future__ import annotations

import importlib.util
import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from attrs import frozen
from PIL import Image, ImageCms

from dfukit import images
from dfukit.sections import DataSettings

RED, GREEN, BLUE, WHITE, GREY = (220, 30, 30), (30, 180, 60), (40, 60, 200), (255, 255, 255), (128, 128, 128)
CORNERS = (RED, GREEN, BLUE, WHITE)
"""Upper left, upper right, lower left, lower right of the test picture."""
LUMA = tuple((round(0.299 * r + 0.587 * g + 0.114 * b),) * 3 for r, g, b in CORNERS)


@frozen
class Odd:
    """A file's name and bytes.

    `corners`: the colours that it must show; `reason`: part of why it is excluded, empty for any reason. With neither,
    it may be used or not.
    """

    name: str
    data: bytes
    corners: tuple[tuple[int, int, int], ...] | None = None
    reason: str | None = None
    tolerance: int = 12


def quarters(mode: str = "RGB", width: int = 96, height: int = 64) -> Image.Image:
    image = Image.new("RGB", (width, height))
    for number, colour in enumerate(CORNERS):
        x, y = number % 2 * width // 2, number // 2 * height // 2
        image.paste(colour, (x, y, x + width // 2, y + height // 2))
    return image if mode == "RGB" else image.convert(mode)


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def jpeg(image: Image.Image, **options: object) -> bytes:
    return saved(image, "JPEG", **{"quality": 95, "subsampling": 0, **options})


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG written by hand, for what Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra
    return start + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def png16(channels: int) -> bytes:
    """16 bits a channel: grey (1), grey + alpha (2), RGB (3), RGBA (4); alpha is full."""
    pixels = np.asarray(quarters("L" if channels < 3 else "RGB"), np.uint16) * 257
    pixels = pixels.reshape(64, 96, -1)
    if channels in (2, 4):
        pixels = np.concatenate([pixels, np.full((64, 96, 1), 65535, np.uint16)], 2)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return png(96, 64, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], rows)


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """The picture as a camera that writes this EXIF orientation would store it."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    return image.transpose(undo[orientation]) if orientation in undo else image


def orientations() -> Iterator[Odd]:
    for orientation in range(1, 9):
        image = turned(quarters(), orientation)
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield Odd(f"exif{orientation}.jpg", jpeg(image, exif=exif), CORNERS)
        yield Odd(f"exif{orientation}.png", saved(image, "PNG", exif=exif), CORNERS)
        yield Odd(f"exif{orientation}.webp", saved(image, "WEBP", exif=exif, lossless=True), CORNERS)
        yield Odd(f"exif{orientation}.tif", saved(image, "TIFF", tiffinfo={274: orientation}), CORNERS)
    yield Odd("exif_broken.jpg", jpeg(quarters(), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + b"\xfe" * 40), CORNERS)
    yield Odd("exif_unknown.jpg", jpeg(quarters(), exif=b"Exif\0\0" + b"\0" * 60), CORNERS)


def modes() -> Iterator[Odd]:
    yield Odd("rgb.jpg", jpeg(quarters()), CORNERS)
    yield Odd("grey.jpg", jpeg(quarters("L")), LUMA)
    yield Odd("grey.png", saved(quarters("L"), "PNG"), LUMA)
    black_white = ((0,) * 3, (0,) * 3, (0,) * 3, WHITE)
    bits = quarters("L").point(lambda value: 255 * (value > 200)).convert("1")
    for format in ("PNG", "BMP", "TIFF", "GIF"):
        yield Odd(f"one_bit.{format.lower()}", saved(bits, format), black_white)
    yield Odd("fax.tif", saved(bits, "TIFF", compression="group4"), black_white)
    palette = quarters().quantize(16)
    for format in ("PNG", "BMP", "TIFF", "GIF"):
        yield Odd(f"palette.{format.lower()}", saved(palette, format), CORNERS)
    for depth in (1, 2, 4, 8):
        few = quarters().quantize(2**depth)
        colours = tuple(np.asarray(few.convert("RGB"))[y, x] for y in (5, 58) for x in (20, 75))
        yield Odd(f"palette{depth}.png", saved(few, "PNG", bits=depth), colours)
    cmyk = quarters("CMYK")
    plain = tuple(np.asarray(cmyk.convert("RGB"))[y, x] for y in (5, 58) for x in (20, 75))
    yield Odd("cmyk.jpg", jpeg(cmyk), plain)
    yield Odd("cmyk.tif", saved(cmyk, "TIFF"), plain)
    yield Odd("ycbcr.tif", saved(quarters("YCbCr"), "TIFF"), CORNERS)
    lab = ImageCms.profileToProfile(
        quarters(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    yield Odd("lab.tif", saved(lab, "TIFF"), CORNERS)
    for channels in (1, 2, 3, 4):
        yield Odd(f"sixteen_bit{channels}.png", png16(channels), LUMA if channels < 3 else CORNERS)
    grey = np.asarray(quarters("L"))
    wide = grey.astype(np.uint16) * 257
    yield Odd("sixteen_bit.tif", saved(Image.fromarray(wide), "TIFF"), LUMA)
    yield Odd(
        "sixteen_bit_big_endian.tif", saved(Image.frombytes("I;16B", (96, 64), wide.byteswap().tobytes()), "TIFF"), LUMA
    )
    yield Odd("thirty_two_bit.tif", saved(Image.fromarray(wide.astype(np.int32)), "TIFF"), LUMA)
    yield Odd("float.tif", saved(Image.fromarray(grey.astype(np.float32) / 255), "TIFF"), LUMA)
    yield Odd("float255.tif", saved(Image.fromarray(grey.astype(np.float32)), "TIFF"), LUMA)
    yield Odd(
        "float_huge.tif", saved(Image.fromarray(grey.astype(np.float32) * 1e30), "TIFF"), None, "its pixels reach"
    )
    yield Odd(
        "float_nan.tif", saved(Image.fromarray(np.full((64, 96), np.nan, np.float32)), "TIFF"), None, "not finite"
    )
    yield Odd("float_negative.tif", saved(Image.fromarray(-grey.astype(np.float32)), "TIFF"), None, "negative")


def transparent() -> Iterator[Odd]:
    image = quarters("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 48, 32))
    on_white = (WHITE, GREEN, BLUE, WHITE)
    yield Odd("alpha.png", saved(image, "PNG"), on_white)
    yield Odd("alpha.webp", saved(image, "WEBP", lossless=True), on_white)
    yield Odd("alpha.tif", saved(image, "TIFF"), on_white)
    yield Odd("alpha.gif", saved(image, "GIF"), on_white)
    yield Odd("alpha_palette.png", saved(image.quantize(16), "PNG"), on_white)
    faint = quarters("RGBA")
    faint.putalpha(128)
    half = tuple(tuple(round((c * 128 + 255 * 127) / 255) for c in colour) for colour in CORNERS)
    yield Odd("half_alpha.png", saved(faint, "PNG"), half)
    grey = quarters("LA")
    grey.putalpha(Image.new("L", grey.size, 0))
    yield Odd("nothing_but_alpha.png", saved(grey, "PNG"), (WHITE,) * 4)
    yield Odd("key_colour.png", saved(quarters(), "PNG", transparency=RED), on_white)
    yield Odd("key_grey.png", saved(quarters("L"), "PNG", transparency=LUMA[0][0]), (WHITE, *LUMA[1:]))


def animated() -> Iterator[Odd]:
    frames = [Image.new("RGB", (96, 64), colour) for colour in (GREY, RED)]
    for format, name in (("GIF", "gif"), ("PNG", "apng.png"), ("WEBP", "webp"), ("TIFF", "tif"), ("MPO", "mpo.jpg")):
        data = saved(quarters(), format, save_all=True, append_images=frames)
        yield Odd(f"animated.{name}", data, CORNERS)


def formats() -> Iterator[Odd]:
    for format in ("BMP", "DIB", "PNG", "TIFF"):
        yield Odd(f"plain.{format.lower()}", saved(quarters(), format), CORNERS)
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        yield Odd(f"{compression}.tif", saved(quarters(), "TIFF", compression=compression), CORNERS)
    yield Odd("jpeg.tif", saved(quarters(), "TIFF", compression="jpeg", quality=95), CORNERS)
    yield Odd("rgba.bmp", saved(quarters("RGBA"), "BMP"), CORNERS)
    yield Odd("lossy.webp", saved(quarters(), "WEBP", quality=95), CORNERS, tolerance=25)
    yield Odd("progressive.jpg", jpeg(quarters(), progressive=True), CORNERS)
    yield Odd("subsampled.jpg", jpeg(quarters(), subsampling=2), CORNERS)
    yield Odd("worst_quality.jpg", jpeg(quarters(), quality=1))
    yield Odd("interlaced.gif", saved(quarters(), "GIF", interlace=1), CORNERS)
    yield Odd("a png named.jpg", saved(quarters(), "PNG"), CORNERS)
    yield Odd("no extension", jpeg(quarters()), CORNERS)
    yield Odd("UPPER.JPG", jpeg(quarters()), CORNERS)
    yield Odd("größe 🦶 'quoted\".png", saved(quarters(), "PNG"), CORNERS)
    yield Odd("new\nline.png", saved(quarters(), "PNG"), CORNERS)
    yield Odd("n" * 200 + ".png", saved(quarters(), "PNG"), CORNERS)
    for format in ("PPM", "ICO", "JPEG2000", "AVIF", "TGA", "PCX", "SGI", "PDF", "EPS"):
        yield Odd(f"other.{format.lower()}", saved(quarters(), format), None, "not a picture")
    texts = {"csv": b"a,b\n1,2\n", "json": b"{}", "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>", "txt": b"hello"}
    texts |= {
        "zip": b"PK\3\4" + b"\0" * 60,
        "mp4": b"\0\0\0\x18ftypmp42" + b"\0" * 40,
        "html": b"<html>",
        "xml": b"<?xml?>",
    }
    for extension, data in texts.items():
        yield Odd(f"other.{extension}", data, None, "not a picture")
    for brand in (b"heic", b"mif1", b"hevc"):
        yield Odd(f"phone_{brand.decode()}.heic", b"\0\0\0\x18ftyp" + brand + b"\0" * 40, None, "")
    yield Odd("empty.jpg", b"", None, "empty file")
    yield Odd("blanks.jpg", b" " * 4096, None, "not a picture")
    yield Odd("zeros.png", bytes(4096), None, "not a picture")
    noise = np.random.default_rng(0)
    for number in range(5):
        yield Odd(f"noise{number}.jpg", noise.bytes(2000), None, "")


def truncated() -> Iterator[Odd]:
    for format in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"):
        data = saved(quarters(width=200, height=150), format)
        for percent in (2, 10, 50, 90):
            yield Odd(f"cut{percent}.{format.lower()}", data[: len(data) * percent // 100], None, "")


def damaged() -> Iterator[Odd]:
    random = np.random.default_rng(1)
    for format in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"):
        data = saved(quarters(), format)
        for number in range(8):
            bad = bytearray(data)
            for position in random.integers(len(data), size=1 + number):
                bad[position] ^= int(random.integers(1, 256))
            yield Odd(f"damaged{number}.{format.lower()}", bytes(bad))


def checksums() -> Iterator[Odd]:
    good = saved(quarters(), "PNG")
    for kind in (b"IHDR", b"IDAT"):
        bad = bytearray(good)
        start = good.index(kind)
        length = struct.unpack(">I", good[start - 4 : start])[0]
        bad[start + 4 + length] ^= 0xFF
        yield Odd(f"bad_crc_{kind.decode()}.png", bytes(bad), None, "")
    yield Odd("no_end.png", good[:-12])
    yield Odd("no_data.png", png(96, 64, 8, 2, b""), None, "")
    yield Odd("too_much_data.png", png(8, 8, 8, 0, bytes(5000)))
    yield Odd("zero_width.png", png(0, 64, 8, 2, b""), None, "")
    yield Odd("strange_depth.png", png(64, 64, 3, 2, b""), None, "")


def bombs() -> Iterator[Odd]:
    rows = zlib.compress(bytes(20_000 // 8 + 1) * 20_000, 9)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0))
    yield Odd(
        "bomb.png", b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b""), None, "megapixels"
    )
    yield Odd("claims.png", png(100_000, 100_000, 8, 2, b""), None, "megapixels")
    text = chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(200_000_000), 9))
    yield Odd("text_bomb.png", png(96, 64, 8, 0, b"\0" * 65 * 96, text))
    profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(200_000_000), 9))
    yield Odd("profile_bomb.png", png(96, 64, 8, 0, b"\0" * 97 * 64, profile))
    gif = bytearray(saved(quarters(), "GIF"))
    gif[6:10] = struct.pack("<HH", 65_000, 65_000)
    yield Odd("claims.gif", bytes(gif), None, "megapixels")
    bmp = bytearray(saved(quarters(), "BMP"))
    bmp[18:26] = struct.pack("<ii", 90_000, 90_000)
    yield Odd("claims.bmp", bytes(bmp), None, "megapixels")
    big = bytearray(jpeg(quarters()))
    frame = big.index(b"\xff\xc0")
    big[frame + 5 : frame + 9] = struct.pack(">HH", 65_500, 65_500)
    yield Odd("claims.jpg", bytes(big), None, "megapixels")


def sizes() -> Iterator[Odd]:
    for width, height in ((1, 1), (1, 5000), (5000, 1), (2, 2), (7, 7), (7, 300)):
        yield Odd(f"{width}x{height}.png", saved(quarters(width=width, height=height), "PNG"), None, "too small")
    for width, height in ((8, 8), (9, 3000), (3000, 9), (255, 257), (256, 256), (100, 20_000), (1001, 17)):
        image = Image.new("RGB", (width, height), GREEN)
        yield Odd(f"{width}x{height}.png", saved(image, "PNG"), (GREEN,) * 4)
    yield Odd("camera.jpg", jpeg(quarters(width=4000, height=3000)), CORNERS)
    yield Odd("camera.png", saved(quarters(width=3000, height=4000), "PNG"), CORNERS)


def profiles() -> Iterator[Odd]:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    yield Odd("srgb.jpg", jpeg(quarters(), icc_profile=srgb), CORNERS)
    # A profile whose red primary is blue and the other way round.
    swapped = srgb.replace(b"rXYZ", b"tmp_").replace(b"bXYZ", b"rXYZ").replace(b"tmp_", b"bXYZ")
    crossed = tuple(colour[::-1] for colour in CORNERS)
    yield Odd("swapped.jpg", jpeg(quarters(), icc_profile=swapped), crossed)
    yield Odd("swapped.png", saved(quarters(), "PNG", icc_profile=swapped), crossed)
    yield Odd("swapped.tif", saved(quarters(), "TIFF", icc_profile=swapped), crossed)
    yield Odd("swapped_palette.png", saved(quarters().quantize(8), "PNG", icc_profile=swapped), crossed)
    for name, broken in (("noise", b"\x01\x02" * 300), ("cut", srgb[:200]), ("short", b"x"), ("zeros", bytes(600))):
        yield Odd(f"profile_{name}.jpg", jpeg(quarters(), icc_profile=broken), CORNERS)
        yield Odd(f"profile_{name}.png", saved(quarters(), "PNG", icc_profile=broken), CORNERS)
    yield Odd("profile_of_others.jpg", jpeg(quarters("L"), icc_profile=srgb), LUMA)
    yield Odd("profile_of_others_cmyk.jpg", jpeg(quarters("CMYK"), icc_profile=srgb))


MAKERS: tuple[Callable[[], Iterator[Odd]], ...] = (
    orientations,
    modes,
    transparent,
    animated,
    formats,
    truncated,
    damaged,
    checksums,
    bombs,
    sizes,
    profiles,
)


@frozen(eq=False)
class Read:
    """What was made of the folder."""

    odd: dict[str, Odd]
    images: images.ImageSet
    visible: int


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    root = tmp_path_factory.mktemp("odd") / "pictures"
    odd = {}
    for maker in MAKERS:
        for one in (Odd("sound.png", saved(quarters(), "PNG"), CORNERS), *maker()):
            path = root / maker.__name__ / one.name
            path.parent.mkdir(parents=True, exist_ok=True)
            assert not path.exists(), path
            path.write_bytes(one.data)
            odd[f"{maker.__name__}/{one.name}"] = one
    beyond = root / "formats"
    os.mkfifo(beyond / "pipe.jpg")
    (beyond / "link.jpg").symlink_to(beyond / "plain.png")
    (beyond / "nowhere.jpg").symlink_to(beyond / "missing")
    (beyond / "folder link").symlink_to(root / "sizes")
    (beyond / "a folder.jpg").mkdir()
    (beyond / ".hidden.jpg").write_bytes(b"hidden")
    (root / ".hidden").mkdir()
    (root / ".hidden" / "also.jpg").write_bytes(b"hidden")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFUKIT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield Read(odd, images.load(DataSettings(path=str(root), positive="modes")), len(odd) + 4)


def test_there_are_more_than_200_odd_files(read: Read) -> None:
    assert len(read.odd) >= 200


def test_used_and_excluded_files_are_the_visible_files(read: Read) -> None:
    used, excluded = list(read.images.paths), [one.path for one in read.images.check.excluded]
    assert len(used) + len(excluded) == read.visible
    assert len({*used, *excluded}) == read.visible
    assert set(read.odd) <= {*used, *excluded}


def test_every_used_picture_shows_the_colours_that_it_must(read: Read) -> None:
    wrong = []
    for path, pixels in zip(read.images.paths, read.images.pixels, strict=True):
        one = read.odd[path]
        shown = [pixels[y, x].astype(int) for y in (40, 215) for x in (40, 215)]
        if one.reason is not None:
            wrong.append(f"{path} must be excluded")
        elif one.corners is not None and np.abs(np.array(shown) - np.array(one.corners)).max() > one.tolerance:
            wrong.append(f"{path}: {[colour.tolist() for colour in shown]} instead of {one.corners}")
    assert wrong == []


def test_every_excluded_file_has_its_reason(read: Read) -> None:
    wrong = []
    for one in read.images.check.excluded:
        assert one.reason
        assert "\n" not in one.reason
        if made := read.odd.get(one.path):
            if made.corners is not None:
                wrong.append(f"{one.path} must be used, but: {one.reason}")
            elif made.reason is not None and made.reason not in one.reason:
                wrong.append(f"{one.path}: {one.reason}, expected {made.reason}")
    assert wrong == []


def test_links_and_pipes_are_never_opened(read: Read) -> None:
    reasons = {one.path: one.reason for one in read.images.check.excluded}
    assert reasons["formats/pipe.jpg"] == "not a regular file"
    for name in ("link.jpg", "nowhere.jpg", "folder link"):
        assert "symbolic link" in reasons[f"formats/{name}"]


def test_heic_without_its_extra_names_the_remedy(read: Read) -> None:
    if importlib.util.find_spec("pillow_heif"):
        pytest.skip("the extra is installed")
    reasons = {one.path: one.reason for one in read.images.check.excluded}
    assert 'pip install "dfukit[heic]"' in reasons["formats/phone_heic.heic"]
