"""One sheet of what each contestant draws, unselected: the first pictures of its synthetic set."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dfukit import rundir
from dfukit.rundir import RunDir
from dfukit.sample import read_samples

COLUMNS, ROWS = 12, 2
"""Pictures of each contestant."""
LINE = 22
"""Height of a name, in pixels."""


def write(path: Path, runs: Sequence[tuple[str, RunDir]], classes: Sequence[str]) -> None:
    """A PNG: for each (name, run) its name and its first pictures, in the order of their numbers."""
    drawn = [(name, read_samples(run, tuple(classes)).pixels[: COLUMNS * ROWS]) for name, run in runs]
    size = max(pixels.shape[1] for _, pixels in drawn)
    block = LINE + ROWS * size
    page = Image.new("RGB", (COLUMNS * size, block * len(drawn)), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=14)
    for place, (name, pixels) in enumerate(drawn):
        draw.text((6, place * block + 3), name, fill="black", font=font)
        for number, picture in enumerate(pixels):
            row, column = divmod(number, COLUMNS)
            page.paste(
                Image.fromarray(np.ascontiguousarray(picture)), (column * size, place * block + LINE + row * size)
            )
    buffer = io.BytesIO()
    page.save(buffer, "PNG", optimize=True)
    rundir.write_bytes(path, buffer.getvalue())
