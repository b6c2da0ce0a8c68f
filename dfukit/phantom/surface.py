"""The skin and the wound of one made-up patient, painted flat; the camera turns them into pictures."""

from __future__ import annotations

import numpy as np
from attrs import define, frozen

from dfukit.phantom.noise import Field, fractal, ramp, smooth
from dfukit.phantom.traits import Traits

EXTENT = 2.0
"""Half the width of the painted square, in half picture widths."""

Colour = tuple[float, float, float]
Shades = tuple[Colour, Colour]

# Fitzpatrick I to VI, sRGB.
SKIN = ((241, 205, 188), (229, 184, 160), (211, 163, 134), (184, 132, 101), (140, 94, 70), (92, 62, 49))

GRANULATION: Shades = ((0.44, 0.09, 0.09), (0.80, 0.35, 0.31))
SLOUGH: Shades = ((0.62, 0.49, 0.26), (0.87, 0.79, 0.54))
NECROSIS: Shades = ((0.07, 0.055, 0.05), (0.25, 0.19, 0.15))
DYING: Shades = ((0.30, 0.17, 0.10), (0.52, 0.36, 0.20))
CALLUS: Shades = ((0.52, 0.38, 0.22), (0.93, 0.84, 0.62))
EXUDATE: Shades = ((0.66, 0.56, 0.25), (0.90, 0.84, 0.58))
MACERATION: Shades = ((0.88, 0.80, 0.74), (0.95, 0.90, 0.86))

# How strongly blood under the skin darkens red, green and blue.
BLOOD = np.array((0.18, 0.72, 0.64), np.float32)[:, None, None]


@define(eq=False)
class Surface:
    """A foot, flat: maps over the square from -EXTENT to EXTENT, [S, S] each."""

    colour: Field
    """[3, S, S], sRGB in [0, 1]."""
    height: Field
    """Relief, in half picture widths."""
    gloss: Field
    """How wet it is, 0 to 1."""
    foot: Field
    """Where the foot is, 0 to 1; beyond it lies the drape."""

    def lay(self, shades: Shades, shade: Field, cover: Field) -> None:
        """Paint a tissue over what is there: `shade` goes from the first colour (0) to the second (1)."""
        dark, light = (np.array(colour, np.float32)[:, None, None] for colour in shades)
        self.colour += (dark + (light - dark) * np.clip(shade, 0, 1) - self.colour) * cover


@frozen(eq=False)
class Outline:
    """The wound's edge. Both are [S, S]."""

    distance: Field
    """From the edge in half picture widths, negative inside."""
    angle: Field


def paint(rng: np.random.Generator, traits: Traits, size: int) -> Surface:
    """A patient's surface with size x size points."""
    axis = np.linspace(-EXTENT, EXTENT, size, dtype=np.float32)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    outline = draw_outline(rng, traits, x, y)
    surface = bare_skin(rng, traits, x, y)
    redden(rng, traits, outline, surface)
    lay_callus(rng, traits, outline, surface)
    open_wound(rng, traits, outline, surface)
    lay_exudate(rng, traits, outline, surface)
    return surface


def draw_outline(rng: np.random.Generator, traits: Traits, x: Field, y: Field) -> Outline:
    """An irregular outline around the middle: an ellipse with lobes, on a plane that is bent a little."""
    size = len(x)
    u = x * np.float32(np.sqrt(traits.aspect)) + 0.05 * smooth(rng, size, (5, 5)) + 0.016 * fractal(rng, size, 16, 3)
    v = y / np.float32(np.sqrt(traits.aspect)) + 0.05 * smooth(rng, size, (5, 5)) + 0.016 * fractal(rng, size, 16, 3)
    angle = np.arctan2(v, u)
    lobes = np.zeros_like(angle)
    for k in range(2, 6):
        lobes += np.float32(rng.normal(0, 0.22 / k)) * np.cos(k * angle + np.float32(rng.uniform(0, 2 * np.pi)))
    return Outline(np.hypot(u, v) - np.float32(traits.radius) * np.exp(lobes), angle)


def bare_skin(rng: np.random.Generator, traits: Traits, x: Field, y: Field) -> Surface:
    """Skin of the patient's tone: mottled, finely lined across the foot, and curved away at its sides and end."""
    size = len(x)
    tones = np.array(SKIN, np.float32) / 255
    tone = np.array([np.interp(traits.tone, range(len(tones)), tones[:, c]) for c in range(3)], np.float32)
    tone = tone * (1 + rng.normal(0, 0.03, 3).astype(np.float32))
    mottle = np.float32(0.10 * traits.mottling) * fractal(rng, size, 7, 5)
    pores = smooth(rng, size, (150, 150))
    wrinkles = ramp(np.abs(smooth(rng, size, (34, 16))), 0.30, 0.0)
    wrinkles += ramp(np.abs(smooth(rng, size, (18, 30))), 0.25, 0.0)
    freckles = ramp(smooth(rng, size, (60, 60)), 2.3, 3.2) * np.float32(traits.mottling)
    colour = tone[:, None, None] * (1 - 0.025 * pores - 0.02 * wrinkles - 0.25 * freckles)
    colour = colour * np.exp(-np.maximum(mottle + 0.05, 0) * BLOOD) * (1 - 0.30 * mottle)

    bend = 0.10 * smooth(rng, size, (4, 4))
    beyond = np.maximum(y + bend - np.float32(traits.end) + 0.8, 0) / 0.8
    across = np.hypot(x / np.float32(traits.width) * (1 - np.float32(traits.taper) * y) + bend, beyond)
    curve = np.sqrt(np.maximum(1.02 - np.minimum(across, 1) ** 2, 0)) * np.float32(0.75)
    height = curve + 0.0010 * pores - 0.002 * wrinkles + 0.015 * fractal(rng, size, 6, 3)
    return Surface(colour, height, np.full_like(x, 0.10), ramp(across, 1.0, 0.97))


def redden(rng: np.random.Generator, traits: Traits, outline: Outline, surface: Surface) -> None:
    """Erythema and swelling that fade outwards; a narrow pink rim is part of healing and always there."""
    size = len(outline.distance)
    outside = np.maximum(outline.distance, 0)
    reach = 0.10 + 0.45 * traits.spread
    uneven = np.clip(1 + 0.35 * fractal(rng, size, 5, 3), 0, 2)
    halo = np.exp(-((outside * uneven / np.float32(reach)) ** 2))
    rim = 0.30 * np.exp(-outside / 0.05)
    blood = np.float32(1.15 * traits.erythema) * halo * (1 + 0.2 * fractal(rng, size, 12, 3)) + rim
    surface.colour *= np.exp(-blood * BLOOD)
    surface.height += np.float32(0.10 * traits.swelling) * np.exp(-((outside / 0.22) ** 2))
    surface.gloss += np.float32(0.25 * traits.swelling) * halo


def lay_callus(rng: np.random.Generator, traits: Traits, outline: Outline, surface: Surface) -> None:
    """A thick, flaking, yellowish ring, more on one side; nearest to the wound it is macerated and pale."""
    size = len(outline.distance)
    side = 1 + 0.6 * np.cos(outline.angle - np.float32(rng.uniform(0, 2 * np.pi)))
    reach = np.float32(0.03 + 0.20 * traits.callus) * side * (1 + 0.3 * smooth(rng, size, (7, 7)))
    flakes = fractal(rng, size, 20, 4)
    cover = ramp(outline.distance - reach + 0.025 * flakes, 0.09, -0.09)
    thick = cover * np.float32(min(1.0, 1.5 * traits.callus))
    # The skin shows through: callus is brown on dark skin, ivory on light skin.
    bare = surface.colour.mean(0)
    surface.lay(CALLUS, 1.3 * bare - 0.15 + 0.25 * fractal(rng, size, 8, 5), (0.3 + 0.5 * bare) * thick)
    surface.height += thick * (0.035 + 0.006 * flakes)
    patchy = np.clip(0.6 + 0.5 * smooth(rng, size, (9, 9)), 0, 1)
    pale = ramp(outline.distance + 0.02 * flakes, 0.07, 0.0) * patchy * np.float32(rng.uniform(0.0, 0.8))
    surface.lay(MACERATION, 0.5 + 0.3 * flakes, pale)


def open_wound(rng: np.random.Generator, traits: Traits, outline: Outline, surface: Surface) -> None:
    """The wound's bed: granulation, slough over a part of it, necrosis over another, sunk below a shaded rim."""
    size = len(outline.distance)
    inside = ramp(outline.distance, 0.015, -0.015)
    deep = ramp(outline.distance, 0.03, -0.12)
    grain = smooth(rng, size, (110, 110)) + 0.6 * smooth(rng, size, (60, 60))
    coarse = fractal(rng, size, 9, 5)
    surface.lay(GRANULATION, 0.45 + 0.22 * coarse + 0.14 * grain, inside)

    # The thresholds make a tissue cover about the share of the bed that the patient's traits name.
    fibres = smooth(rng, size, (90, 20)) + smooth(rng, size, (20, 90))
    slough = fractal(rng, size, 7, 4) + 0.15 * fibres
    sloughed = inside * ramp(slough + np.float32(3.2 * (traits.slough - 0.5)), -0.25, 0.55)
    surface.lay(SLOUGH, 0.5 + 0.25 * coarse + 0.10 * fibres, 0.85 * sloughed)
    rim = 6 * np.minimum(np.abs(outline.distance + 0.06), 0.15)
    dead = fractal(rng, size, 6, 4) - rim + np.float32(4.5 * (traits.necrosis - 0.32)) + 0.1 * grain
    surface.lay(DYING, 0.5 + 0.3 * coarse, inside * ramp(dead, -0.6, 0.0) * np.float32(0.7))
    necrotic = inside * ramp(dead, -0.15, 0.4)
    surface.lay(NECROSIS, 0.4 + 0.3 * coarse + 0.12 * grain, 0.95 * necrotic)

    lip = np.exp(-(((outline.distance + 0.02) / 0.025) ** 2)) * inside
    surface.colour *= 1 - np.float32(0.40 * traits.depth) * lip - np.float32(0.18 * traits.depth) * deep
    surface.height -= np.float32(0.22 * traits.depth) * deep + 0.006 * inside
    surface.height += inside * (0.0045 * grain * (1 - 0.6 * necrotic) + 0.007 * coarse)
    wet = np.clip(0.45 + 0.3 * smooth(rng, size, (12, 12)) - 0.35 * necrotic, 0.1, 0.9)
    surface.gloss += inside * (wet - surface.gloss)


def lay_exudate(rng: np.random.Generator, traits: Traits, outline: Outline, surface: Surface) -> None:
    """Wet yellowish-green patches in the wound and over its edge, thick enough to be smooth."""
    size = len(outline.distance)
    pool = fractal(rng, size, 6, 4) - 5 * np.maximum(outline.distance - 0.02, 0)
    cover = ramp(pool + np.float32(2.6 * (traits.exudate - 0.75)), -0.2, 1.6) * ramp(outline.distance, 0.22, -0.04)
    cover *= np.float32(min(1.0, 2 * traits.exudate))
    surface.lay(EXUDATE, 0.5 + 0.3 * fractal(rng, size, 10, 4), 0.85 * cover)
    surface.height += 0.02 * cover
    surface.gloss += cover * (0.95 - surface.gloss)
