"""Photographs of a painted surface: the view, the light and the faults of a made-up camera."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dfukit.phantom.noise import Field, smooth
from dfukit.phantom.surface import EXTENT, Surface

# Paper pad, blue drape, green drape, grey floor, dark room, sRGB.
DRAPES = ((0.90, 0.90, 0.88), (0.42, 0.53, 0.64), (0.44, 0.55, 0.51), (0.45, 0.44, 0.43), (0.13, 0.13, 0.14))
VIEWER = np.array((0.0, 0.0, 1.0), np.float32)


def photograph(rng: np.random.Generator, surface: Surface, size: int) -> NDArray[np.uint8]:
    """One picture [size, size, 3] of a surface, from a view, in a light and with a camera at random."""
    seen = look(rng, surface, size)
    picture = light(rng, seen)
    return expose(rng, picture)


def look(rng: np.random.Generator, surface: Surface, size: int) -> Surface:
    """The part of the surface that the picture shows: turned, mirrored or not, nearer or farther, shifted."""
    turn, zoom = rng.uniform(-np.pi, np.pi), np.exp(rng.uniform(-0.16, 0.22))
    tilt = rng.uniform(0.85, 1.0)
    shift = rng.normal(0, 0.07, 2)
    points = surface.height.shape[-1]
    scale = points / (EXTENT * size * zoom)
    rotation = np.array(((np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))))
    step = rotation @ np.diag((1.0, 1 / tilt)) * scale
    start = points / 2 * (1 + shift / EXTENT) - step @ np.array((size / 2, size / 2))
    affine = (*step[0], start[0], *step[1], start[1])

    def view(plane: Field) -> Field:
        image = Image.fromarray(plane)
        turned = image.transform((size, size), Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC)
        return np.asarray(turned, np.float32)

    # Bicubic sampling overshoots at edges.
    return Surface(
        np.clip([view(plane) for plane in surface.colour], 0, 1),
        view(surface.height),
        np.clip(view(surface.gloss), 0, 1),
        np.clip(view(surface.foot), 0, 1),
    )


def light(rng: np.random.Generator, seen: Surface) -> Field:
    """Linear light [3, size, size] from the lit surface and the drape beside it."""
    size = len(seen.height)
    down, across = np.gradient(seen.height * np.float32(size / 2))
    length = np.sqrt(across**2 + down**2 + 1)
    azimuth, lean = rng.uniform(0, 2 * np.pi), rng.uniform(0.25, 0.95)
    towards = np.array((np.cos(azimuth) * lean, np.sin(azimuth) * lean, 1.0), np.float32)
    towards /= np.linalg.norm(towards)
    half = (towards + VIEWER) / np.linalg.norm(towards + VIEWER)

    def facing(direction: Field) -> Field:
        cosine: Field = np.maximum((direction[2] - across * direction[0] - down * direction[1]) / length, 0)
        return cosine

    ambient = np.float32(rng.uniform(0.25, 0.55))
    diffuse = ambient + (1 - ambient) * facing(towards)
    shine = np.float32(rng.uniform(0.2, 0.9)) * seen.gloss**2 * facing(half) ** 60
    sheen = np.float32(rng.uniform(0.0, 0.10)) * facing(half) ** 14
    foot = seen.colour**2.2 * diffuse + shine + sheen

    cloth = np.array(DRAPES[rng.integers(len(DRAPES))], np.float32) ** 2.2
    folds = np.clip(0.75 + 0.18 * smooth(rng, size, (5, 4)), 0.2, 1.2)
    drape = cloth[:, None, None] * folds
    lit: Field = drape + (foot - drape) * seen.foot
    return lit


def expose(rng: np.random.Generator, linear: Field) -> NDArray[np.uint8]:
    """8-bit sRGB [size, size, 3] from linear light [3, size, size], through a made-up lens and sensor."""
    size = linear.shape[-1]
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    centre = rng.normal(0, 0.25, 2).astype(np.float32)
    falloff = (axis[:, None] - centre[0]) ** 2 + (axis[None, :] - centre[1]) ** 2
    warmth, tint = rng.normal(0, 0.055), rng.normal(0, 0.025)
    balance = np.exp(np.array((warmth, tint, -warmth), np.float32) + np.float32(rng.normal(0.12, 0.16)))
    linear = linear * balance[:, None, None] / (1 + np.float32(rng.uniform(0, 0.35)) * falloff)
    linear = blur(linear, np.float32(rng.uniform(0, 0.8)))
    grain = rng.standard_normal(linear.shape, dtype=np.float32) * np.float32(rng.uniform(0.004, 0.02))
    encoded = np.clip(linear, 0, 4) ** np.float32(1 / 2.2)
    # Highlights bend towards white instead of being cut off, as a camera's tone curve does.
    encoded = np.where(encoded > 0.85, 0.85 + 0.15 * np.tanh((encoded - 0.85) / 0.15), encoded)
    contrast = np.float32(rng.uniform(0.9, 1.15))
    encoded = (encoded - 0.5) * contrast + 0.5 + grain
    return np.ascontiguousarray(np.rint(np.clip(encoded, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))


def blur(planes: Field, amount: np.float32) -> Field:
    """Planes [3, size, size] with a share of a five-point binomial blur."""
    size = planes.shape[-1]
    for axis in (1, 2):
        padded = np.pad(planes, [(2, 2) if other == axis else (0, 0) for other in range(3)], mode="edge")
        taps = [np.take(padded, range(start, start + size), axis) for start in range(5)]
        blurred = (taps[0] + 4 * taps[1] + 6 * taps[2] + 4 * taps[3] + taps[4]) / 16
        planes = planes + amount * (blurred - planes)
    return planes
