"""How much finer structure synthetic pictures have than photographs.

python benchmarks/hatching.py PHOTOGRAPHS SYNTHETIC [BLURRED]: mean power of the grey levels of up to 300 pictures 128
pixels wide, in decibels above that of the photographs, by frequency in cycles for each picture width; rows and columns
that alternate pixel by pixel have 64. BLURRED is a folder for the synthetic pictures blurred by (1, 2, 1) / 4.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

SIZE, MOST, BAND = 128, 300, 8
BLUR = np.array([1, 2, 1]) / 4


def read(folder: str) -> list[Image.Image]:
    files = [file for file in sorted(Path(folder).rglob("*")) if file.suffix in (".jpg", ".png")]
    return [Image.open(file).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC) for file in files]


def power(pictures: list[Image.Image]) -> np.ndarray:
    """[S, S], of pictures that fade out towards their borders, which are no edge of what they show."""
    grey = np.stack([np.asarray(picture.convert("L"), float) for picture in pictures[:MOST]])
    grey -= grey.mean((1, 2), keepdims=True)
    return (np.abs(np.fft.fft2(grey * np.outer(np.hanning(SIZE), np.hanning(SIZE)))) ** 2).mean(0)


def blurred(picture: Image.Image) -> Image.Image:
    pixels = np.pad(np.asarray(picture, float), ((1, 1), (1, 1), (0, 0)), mode="edge")
    pixels = sum(weight * pixels[row : row + SIZE] for row, weight in enumerate(BLUR))
    pixels = sum(weight * pixels[:, column : column + SIZE] for column, weight in enumerate(BLUR))
    return Image.fromarray(pixels.round().astype(np.uint8))


if __name__ == "__main__":
    photographs, synthetic = read(sys.argv[1]), read(sys.argv[2])
    expected, found = power(photographs), power(synthetic)
    cycles = np.abs(np.fft.fftfreq(SIZE)) * SIZE
    for first in range(0, SIZE // 2, BAND):
        inside = (cycles >= first) & (cycles <= first + BAND)
        ratios = [found[part].sum() / expected[part].sum() for part in ((inside, slice(0, 2)), (slice(0, 2), inside))]
        rows, columns = 10 * np.log10(ratios)
        print(
            f"{first} to {first + BAND} cycles: from row to row {rows:.1f} dB, from column to column {columns:.1f} dB"
        )
    if len(sys.argv) > 3:
        Path(sys.argv[3]).mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(synthetic):
            blurred(picture).save(Path(sys.argv[3]) / f"{number:04}.png")
