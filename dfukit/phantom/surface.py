"""The skin and the wound of one made-up patient, painted flat; the camera turns them into pictures."""

from __future__ import annotations

import numpy as np
from attrs import define, frozen

from dfukit.phantom.noise import Field, fractal, ramp, smooth
from dfukit.phantom.traits import Traits

EXTENT = 1.6
"""Half the width of the painted square, in half picture widths."""

Colour = tuple[float, float, float]
Shades = tuple[Colour, Colour]

# Fitzpatrick I to VI, sRGB.
SKIN = ((241, 205, 188), (229, 184, 160), (211, 163, 134), (184, 132, 101), (140, 94, 70), (92, 62, 49))

GRANULATION: Shades = ((0.46, 0.07, 0.08), (0.78, 0.26, 0.23))
SLOUGH: Shades = ((0.62, 0.49, 0.26), (0.87, 0.79, 0.54))
NECROSIS: Shades = ((0.07, 0.055, 0.05), (0.22, 0.16, 0.12))
CALLUS: Shades = ((0.76, 0.61, 0.36), (0.94, 0.87, 0.70))
EXUDATE: Shades = ((0.60, 0.58, 0.22), (0.82, 0.80, 0.46))
MACERATION: Shades = ((0.88, 0.80, 0.74), (0.95, 0.90, 0.86))

# How strongly blood under the skin darkens red, green and blue.
BLOOD = np.array((0.14, 0.80, 0.62), np.float32)[:, None, None]


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
    u = x * np.float32(np.sqrt(traits.aspect)) + 0.05 * smooth(rng, size, (5, 5)) + 0.012 * smooth(rng, size, (20, 20))
    v = y / np.float32(np.sqrt(traits.aspect)) + 0.05 * smooth(rng, size, (5, 5)) + 0.012 * smooth(rng, size, (20, 20))
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
    mottle = np.float32(0.10 * traits.mottling) * fractal(rng, size, 6, 4)
    lines = smooth(rng, size, (90, 14)) + 0.7 * smooth(rng, size, (40, 60))
    creases = ramp(np.abs(smooth(rng, size, (26, 5))), 0.12, 0.0)
    colour = tone[:, None, None] * (1 - 0.02 * lines - 0.06 * creases)
    colour = colour * np.exp(-np.maximum(mottle + 0.05, 0) * BLOOD * 1.5) * (1 - 0.35 * mottle)

    beyond = np.maximum(y + 0.08 * smooth(rng, size, (4, 4)) - np.float32(traits.end) + 0.8, 0) / 0.8
    across = np.sqrt((x / np.float32(traits.width) + 0.04 * smooth(rng, size, (4, 4))) ** 2 + beyond**2)
    curve = np.sqrt(np.maximum(1 - np.minimum(across, 1) ** 2, 0)) * 0.55
    height = curve + 0.0012 * lines - 0.004 * creases
    return Surface(colour, height, np.full_like(x, 0.10), ramp(across, 1.0, 0.97))


def redden(rng: np.random.Generator, traits: Traits, outline: Outline, surface: Surface) -> None:
    """Erythema and swelling that fade outwards; a narrow pink rim is part of healing and always there."""
    size = len(outline.distance)
    outside = np.maximum(outline.distance, 0)
    reach = 0.10 + 0.45 * traits.spread
    uneven = np.clip(1 + 0.35 * fractal(rng, size, 5, 3), 0, 2)
    halo = np.exp(-((outside * uneven / np.float32(reach)) ** 2))
    rim = 0.35 * np.exp(-outside / 0.05)
    surface.colour *= np.exp(-(np.float32(0.95 * traits.erythema) * halo + rim) * BLOOD)
    surface.height += np.float32(0.10 * traits.swelling) * np.exp(-((outside / 0.22) ** 2))
    surface.gloss += np.float32(0.25 * traits.swelling) * halo


def lay_callus(rng: np.random.Generator, traits: Traits, outline: Outline, surface: Surface) -> None:
    """A thick, flaking, yellowish ring, more on one side; nearest to the wound it is macerated and pale."""
    size = len(outline.distance)
    side = 1 + 0.6 * np.cos(outline.angle - np.float32(rng.uniform(0, 2 * np.pi)))
    reach = np.float32(0.03 + 0.20 * traits.callus) * side * (1 + 0.25 * smooth(rng, size, (9, 9)))
    flakes = smooth(rng, size, (45, 45))
    cover = ramp((outline.distance - reach) / 0.06 + 0.5 * flakes, 1.0, -1.0)
    cover *= np.float32(min(1.0, 1.6 * traits.callus))
    surface.lay(CALLUS, 0.6 + 0.25 * fractal(rng, size, 8, 4), 0.75 * cover)
    surface.height += cover * (0.05 + 0.004 * flakes)
    pale = ramp(outline.distance + 0.012 * flakes, 0.05, 0.0) * np.float32(rng.uniform(0.1, 0.8))
    surface.lay(MACERATION, 0.5 + 0.3 * flakes, pale)


def open_wound(rng: np.random.Generator, traits: Traits, outline: Outline, surface: Surface) -> None:
    """The wound's bed: granulation, slough over a part of it, necrosis over another, sunk below a shaded rim."""
    size = len(outline.distance)
    inside = ramp(outline.distance, 0.012, -0.012)
    deep = ramp(outline.distance, 0.0, -0.10)
    grain = smooth(rng, size, (75, 75))
    coarse = fractal(rng, size, 9, 4)
    surface.lay(GRANULATION, 0.5 + 0.22 * coarse + 0.14 * grain, inside)

    # The thresholds make a tissue cover about the share of the bed that the patient's traits name.
    fibres = smooth(rng, size, (70, 18)) + smooth(rng, size, (18, 70))
    slough = fractal(rng, size, 7, 3) + 0.15 * fibres
    sloughed = inside * ramp(slough + np.float32(3.2 * (traits.slough - 0.5)), -0.15, 0.35)
    surface.lay(SLOUGH, 0.5 + 0.25 * coarse + 0.12 * fibres, 0.9 * sloughed)
    edge = 6 * np.minimum(np.abs(outline.distance + 0.06), 0.15)
    dead = smooth(rng, size, (6, 6)) - edge + np.float32(4.5 * (traits.necrosis - 0.32))
    necrotic = inside * ramp(dead + 0.12 * grain, -0.1, 0.25)
    surface.lay(NECROSIS, 0.35 + 0.3 * coarse, 0.95 * necrotic)

    lip = np.exp(-(((outline.distance + 0.02) / 0.022) ** 2)) * inside
    surface.colour *= 1 - np.float32(0.45 * traits.depth) * lip - np.float32(0.2 * traits.depth) * deep
    surface.height -= np.float32(0.16 * traits.depth) * deep + 0.02 * inside
    surface.height += inside * (0.006 * grain * (1 - 0.7 * necrotic) + 0.006 * coarse + 0.004 * fibres * sloughed)
    surface.gloss += inside * (0.75 - 0.45 * necrotic - surface.gloss)


def lay_exudate(rng: np.random.Generator, traits: Traits, outline: Outline, surface: Surface) -> None:
    """Wet yellowish-green patches in the wound and over its edge, thick enough to be smooth."""
    size = len(outline.distance)
    pool = fractal(rng, size, 6, 3) - 5 * np.maximum(outline.distance - 0.03, 0)
    cover = ramp(pool + np.float32(2.6 * (traits.exudate - 0.75)), -0.1, 0.5) * ramp(outline.distance, 0.30, 0.0)
    cover *= np.float32(min(1.0, 2 * traits.exudate))
    surface.lay(EXUDATE, 0.55 + 0.25 * fractal(rng, size, 10, 3), 0.8 * cover)
    surface.height += 0.02 * cover
    surface.gloss += cover * (1 - surface.gloss)
