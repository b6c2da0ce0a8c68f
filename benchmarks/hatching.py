"""How much finer structure synthetic pictures have than photographs.

python benchmarks/hatching.py PHOTOGRAPHS SYNTHETIC [BLURRED]: mean power of the grey levels of up to 300 pictures 128
pixels wide, in decibels above that of the photographs, by frequency in cycles for each picture width; rows and columns
that alternate pixel by pixel have 64. Then the same by frequency in any direction, of brightness and of the differences
of blue and red from it. BLURRED is a folder for the synthetic pictures blurred by (1, 2, 1) / 4.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from dfukit_fastgan.whitening import JPEG_COLOURS

SIZE, MOST, BAND = 128, 300, 8
BLUR = np.array([1, 2, 1]) / 4


def read(folder: str) -> list[Image.Image]:
    files = [file for file in sorted(Path(folder).rglob("*")) if file.suffix in (".jpg", ".png")]
    return [Image.open(file).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC) for file in files]


def power(pictures: list[Image.Image]) -> np.ndarray:
    """[3, S, S] of brightness and the differences of blue and red from it, of up to MOST pictures.

    They fade out towards their borders, which are no edge of what they show.
    """
    colours = np.stack([np.asarray(picture, float) for picture in pictures[:MOST]]) @ np.array(JPEG_COLOURS).T
    colours -= colours.mean((1, 2), keepdims=True)
    fading = np.outer(np.hanning(SIZE), np.hanning(SIZE))[:, :, None]
    return (np.abs(np.fft.fft2(colours * fading, axes=(1, 2))) ** 2).mean(0).transpose(2, 0, 1)


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
        parts = ((0, inside, slice(0, 2)), (0, slice(0, 2), inside))
        ratios = [found[part].sum() / expected[part].sum() for part in parts]
        rows, columns = 10 * np.log10(ratios)
        print(
            f"{first} to {first + BAND} cycles: from row to row {rows:.1f} dB, from column to column {columns:.1f} dB"
        )
    around = np.hypot(cycles[:, None], cycles)
    for first in range(0, SIZE // 2, BAND):
        ring = (around >= first) & (around < first + BAND)
        brightness, blue, red = 10 * np.log10(found[:, ring].sum(1) / expected[:, ring].sum(1))
        print(f"{first} to {first + BAND} cycles: brightness {brightness:.1f} dB, blue {blue:.1f} dB, red {red:.1f} dB")
    if len(sys.argv) > 3:
        Path(sys.argv[3]).mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(synthetic):
            blurred(picture).save(Path(sys.argv[3]) / f"{number:04}.png")
