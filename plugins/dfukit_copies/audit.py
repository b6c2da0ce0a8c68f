"""The audit: which synthetic pictures copy a training picture, and how many copies such an audit would find."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from dfukit.clinical.intervals import wilson
from dfukit.images.duplicates import THUMBNAIL, clusters
from dfukit.images.resample import resize
from dfukit.interfaces import Found, Metric, Score, View
from dfukit.rows import Pixels
from dfukit_copies.alignment import BLOCK, Gallery, Matches
from dfukit_copies.features import nearest_ratio, relative_nearest
from dfukit_copies.planting import KINDS
from dfukit_copies.threshold import threshold

if TYPE_CHECKING:
    from dfukit_copies import CopiesSettings

MIN_PICTURES = 10
"""Training pictures from which a threshold can be calibrated."""
FEATURE_FALSE_ALARMS = 0.001
"""As `false_alarms`, in feature space: stricter, because blurred pictures lie nearer to each other there."""
FARTHEST, FARTHEST_FEATURES = 0.1, 0.5
"""Beyond these distances nothing is a copy, however far real pictures lie apart."""
GAIN = 0.04
"""Change of contrast from which a copy is called brighter or darker."""


@frozen(eq=False)
class _Calibrated:
    """Thresholds, and the real pictures that they came from."""

    pixels: float
    """Aligned distance below which a picture is a copy."""
    features: float
    """Relative nearest distance below which it is one; 0 where there are no features."""
    false_alarms: tuple[int, int]
    """Real pictures that no copies are, called copies; and how many were looked at."""
    text: str


class Copies(Metric):
    """Every synthetic picture against every training picture, aligned pixel by pixel and in feature space.

    A picture is flagged where its distance to the nearest training picture, after mirroring, cropping and fitting the
    brightness, is smaller than a threshold that calls a share `false_alarms` of real pictures a copy of another
    patient's: it comes from the training pictures against those of other patients, and from the held-out pictures
    where there are some. Where patients are not known, near-duplicates stand for them. Likewise in feature space, by
    the distance to the nearest training picture in units of that to the next 50 (Carlini et al. 2023). Then copies
    of training pictures are planted and looked for in the same way: the share found is the audit's power, by pixels
    alone. The ratio of nearest distances (after Meehan et al. 2020) shows whether the generator leans on its training
    pictures without copying one.
    """

    reads = "pixels+features"
    better = "neither"
    floor = False
    audit = True

    def __init__(self, settings: CopiesSettings) -> None:
        self._settings = settings

    def measure(self, real: View, fake: View, rng: np.random.Generator) -> dict[str, Score]:
        if real.pixels is None or fake.pixels is None:
            raise ValueError("copies needs the pixels of both sets")
        n = (real.n, fake.n)
        if real.n < MIN_PICTURES:
            reason = f"needs at least {MIN_PICTURES} training pictures to set its threshold, got {real.n}"
            return {"copies": Score(None, n, reason=reason)}
        gallery, groups = Gallery(real.pixels), _groups(real)
        calibrated = self._calibrate(real, gallery, groups)

        # Look for copies.
        matches = gallery.match(fake.pixels)
        found = [
            Found(int(i), int(matches.index[i]), _how(fake.pixels, real.pixels, matches, i), float(matches.distance[i]))
            for i in np.flatnonzero(matches.distance < calibrated.pixels)
        ]
        if real.features is not None and fake.features is not None:
            relative, place = relative_nearest(fake.features, real.features)
            known = {one.fake for one in found}
            found += [
                Found(int(i), int(place[i]), "alike in features", float(relative[i]))
                for i in np.flatnonzero(relative < calibrated.features)
                if i not in known
            ]

        flagged = _share(len(found), fake.n)
        power = self._power(real.pixels, gallery, calibrated.pixels, rng)
        alarms, looked_at = calibrated.false_alarms
        details: dict[str, Any] = {
            "flagged": len(found),
            "thresholds": {"pixels": calibrated.pixels, "features": calibrated.features},
            "calibrated_on": calibrated.text,
            "false_alarms": _share(alarms, looked_at),
            "power": power,
            "nearest_ratio": _ratio(real, fake, groups, rng),
            "statement": _statement(len(found), fake.n, power["all"]["value"]),
        }
        score = Score(
            flagged["value"],
            n,
            tuple(flagged["interval"]),
            real_vs_real=alarms / looked_at,
            details=details,
            found=tuple(sorted(found, key=lambda one: one.fake)),
            distances=matches.distance,
        )
        return {"copies": score}

    def _calibrate(self, real: View, gallery: Gallery, groups: np.ndarray) -> _Calibrated:
        assert real.pixels is not None
        among = gallery.match(real.pixels, groups, groups).distance
        among = among[among < 2]  # a picture of the only patient has nobody to be compared with
        held_out = real.held_out
        outside = np.empty(0)
        if held_out is not None and held_out.pixels is not None and held_out.n:
            outside = gallery.match(held_out.pixels).distance
        distances = np.concatenate([among, outside])
        if len(distances) < MIN_PICTURES:
            distances = gallery.match(real.pixels, np.arange(real.n), np.arange(real.n)).distance
        pixels = min(FARTHEST, threshold(distances, self._settings.false_alarms))
        features = 0.0
        if real.features is not None:
            apart = relative_nearest(real.features, real.features, groups, groups)[0]
            if held_out is not None and held_out.features is not None and held_out.n:
                apart = np.concatenate([apart, relative_nearest(held_out.features, real.features)[0]])
            features = min(FARTHEST_FEATURES, threshold(apart, FEATURE_FALSE_ALARMS))
        judged = outside if len(outside) else distances
        whom = "patients" if real.groups is not None else "near-duplicate groups"
        text = f"{len(among)} training pictures against those of other {whom}"
        if len(outside):
            text += f", and {len(outside)} held-out pictures"
        return _Calibrated(pixels, features, (int((judged < pixels).sum()), len(judged)), text)

    def _power(self, pixels: Pixels, gallery: Gallery, limit: float, rng: np.random.Generator) -> dict[str, Any]:
        """Planted copies of each kind that are found."""
        power, hits, total = {}, 0, 0
        for kind, plant in KINDS.items():
            chosen = np.sort(rng.choice(len(pixels), min(self._settings.planted, len(pixels)), replace=False))
            copies = np.stack([plant(picture.transpose(1, 2, 0), rng) for picture in pixels[chosen]])
            matches = gallery.match(copies.transpose(0, 3, 1, 2))
            found = int((matches.distance < limit).sum())
            power[kind] = _share(found, len(copies))
            hits, total = hits + found, total + len(copies)
        return {"all": _share(hits, total), **power}


def _groups(view: View) -> np.ndarray:
    """Patients [N], or near-duplicates where those are not known."""
    if view.groups is not None:
        return view.groups
    assert view.pixels is not None
    if view.pixels.shape[1] != 3:
        return np.arange(view.n)
    blocks = (view.pixels[start : start + BLOCK].transpose(0, 2, 3, 1) for start in range(0, view.n, BLOCK))
    return clusters(np.concatenate([resize(block, THUMBNAIL) for block in blocks]))


def _ratio(real: View, fake: View, groups: np.ndarray, rng: np.random.Generator) -> dict[str, Any] | None:
    """The ratio of nearest distances; None without features or held-out pictures."""
    held_out = real.held_out
    if real.features is None or fake.features is None or held_out is None or held_out.features is None:
        return None
    if min(held_out.n, fake.n) < MIN_PICTURES or held_out.n > real.n:
        return None
    others = held_out.groups if held_out.groups is not None else np.arange(held_out.n)
    # Groups of two sets that were numbered apart must not be taken for the same.
    own = groups if held_out.groups is not None and real.groups is not None else -1 - groups
    ratio = nearest_ratio(fake.features, real.features, held_out.features, own, others, rng)
    return {
        "value": ratio.value,
        "interval": list(ratio.interval),
        "n": ratio.n,
        "expected": list(ratio.expected),
    }


def _share(hits: int, n: int) -> dict[str, Any]:
    """Hits of n independent pictures, with Wilson's interval."""
    return {"value": hits / n, "interval": wilson(hits / n, n, math.inf), "n": n}


def _how(fake: Pixels, real: Pixels, matches: Matches, i: int) -> str:
    """What was done to the training picture, in words."""
    picture, original = fake[i].astype(float), real[int(matches.index[i])].astype(float)
    if matches.mirrored[i]:
        picture = picture[..., ::-1]
    changes = ["mirrored"] * bool(matches.mirrored[i])
    if np.array_equal(picture, original):
        return " and ".join(changes) or "identical"
    if (scale := float(matches.scale[i])) < 1:
        changes.append("cropped")
        size = original.shape[-1]
        side = max(round(scale * size), 1)
        top, left = (min(round(float(share) * size), size - side) for share in matches.corner[i])
        original = original[:, top : top + side, left : left + side]
    if abs(picture.std() / max(original.std(), 1e-9) - 1) > GAIN or abs(picture.mean() - original.mean()) > 255 * GAIN:
        changes.append("brighter" if picture.mean() > original.mean() else "darker")
    return " and ".join(changes) or "nearly identical"


def _statement(flagged: int, n: int, power: float) -> str:
    """In one sentence. A power just below 1 is not called 100 %."""
    percent = 100 if power == 1 else min(99, math.floor(100 * power + 0.5))
    found = "none found" if not flagged else f"{flagged} of {n} pictures copy a training picture"
    return f"{found}; the audit finds {percent}% of planted copies"
