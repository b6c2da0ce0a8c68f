"""Synthetic pictures from a trained generator."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from attrs import evolve, field, frozen
from PIL import Image

from dfukit import drawn, manifest, provenance, rundir, weights
from dfukit.component import ImageSpec
from dfukit.errors import ConfigError, DataError, PluginError
from dfukit.interfaces import Generator, Step
from dfukit.progress import Progress
from dfukit.provenance import Origin
from dfukit.rundir import RunDir
from dfukit.settings import guess
from dfukit.weights import Description

BATCH = 64


@frozen(eq=False)
class Samples:
    """Synthetic pictures: uint8 [N, S, S, C] and their class indices [N]."""

    pixels: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    seed: int
    note: str
    origin: Origin | None = None
    """The generator behind them, where it is known."""
    truncation: float = 1.0
    """What the latents were multiplied by."""
    numbers: np.ndarray = field()
    """Places in the draw, int64 [N]: with the seed they say which pictures these are."""

    @numbers.default
    def _all(self) -> np.ndarray:
        return np.arange(len(self.pixels), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def paths(self) -> list[str]:
        """Where `save` puts them, counted from its folder."""
        return [_path(self.classes[label], number) for label, number in zip(self.labels, self.numbers, strict=True)]

    def take(self, index: Sequence[int] | np.ndarray) -> Samples:
        """The pictures at `index` (positions or a boolean mask), which keep their numbers and so their names."""
        return evolve(self, pixels=self.pixels[index], labels=self.labels[index], numbers=self.numbers[index])

    def pictures(self) -> list[Image.Image]:
        """As Pillow pictures."""
        return [Image.fromarray(pixels.squeeze()) for pixels in self.pixels]

    def save(self, folder: str | Path, *, distances: np.ndarray | None = None) -> None:
        """Write `<label>/synthetic_000001.png` and so on, and manifest.csv (`dfukit.manifest.COLUMNS`).

        `distances` [N] are those to the nearest training picture, where the set was audited.
        """
        folder = Path(folder)
        told = [""] * len(self) if distances is None else [repr(float(distance)) for distance in distances]
        rows = [
            {**row, "nearest_training_distance": distance, "note": self.note}
            for row, distance in zip(self.write(folder), told, strict=True)
        ]
        manifest.write(folder / manifest.FILE, manifest.COLUMNS, rows)

    def save_flagged(self, folder: Path, found: Sequence[Mapping[str, Any]]) -> None:
        """Write these pictures, which an audit objects to, and flagged.csv (`dfukit.manifest.FLAGGED_COLUMNS`).

        `found` says of each, by its "path", what it is a copy "of", "how", and at what "distance".
        """
        why = {one["path"]: {key: one[key] for key in ("of", "how", "distance")} for one in found}
        rows = [{**row, **why[row["path"]]} for row in self.write(folder)]
        manifest.write(folder / manifest.FLAGGED_FILE, manifest.FLAGGED_COLUMNS, rows)

    def write(self, folder: Path) -> list[dict[str, Any]]:
        """Write the pictures alone. Returns what every table says of them."""
        rows = []
        for path, picture, label, number in zip(self.paths, self.pixels, self.labels, self.numbers, strict=True):
            about = _about(self.classes[label], self.seed, int(number), self.truncation)
            content = drawn.png(picture, self.note, self.origin, **about)
            rundir.write_bytes(folder / path, content)
            rows.append(_row(path, about, hashlib.sha256(content).hexdigest(), Image.fromarray(picture.squeeze())))
        return rows


@frozen(eq=False)
class LoadedGenerator:
    """A trained generator, ready to draw."""

    network: Generator
    description: Description
    digest: str = field()
    """SHA-256 of its weights file."""

    @digest.default
    def _of_what_would_be_written(self) -> str:
        return hashlib.sha256(weights.as_bytes(self.network, self.description)).hexdigest()

    @property
    def image(self) -> ImageSpec:
        return self.description.image

    def sample(self, n: int, *, label: str = "", seed: int = 0, truncation: float = 1.0) -> Samples:
        """Draw `n` pictures of one class, or, with no label, of all classes as often as in the training part.

        Picture i is a function of (seed, i), its class and the truncation: fewer pictures are the first of more.
        `truncation`, above 0 and at most 1, multiplies the latents: lower ones give pictures that are more usual and
        more alike (as the truncation of Brock et al. 2019 does, which draws anew what lies far out; this keeps what a
        number draws).
        """
        return self.draw(*self._asked(n, label, truncation), seed, truncation)

    def sample_into(
        self, folder: Path, n: int, progress: Progress, *, label: str = "", seed: int = 0, truncation: float = 1.0
    ) -> None:
        """Save the pictures of `sample` as they are drawn, and at their end the manifest.

        The folder is new or empty, or holds nothing but what the same call left when it was interrupted, which is kept.
        Raises ConfigError, and writes nothing, where it holds anything else.
        """
        labels, numbers = self._asked(n, label, truncation)
        wanted = {}
        for place, number in zip(labels, numbers.tolist(), strict=True):
            name = self.image.classes[place]
            wanted[_path(name, number)] = _about(name, seed, number, truncation)
        rows = _left(folder, wanted, self.origin)

        paths = list(wanted)
        progress.update("drawing pictures", len(rows), n)
        for start in range(0, n, BATCH):
            batch = slice(start, start + BATCH)
            if not rows.keys() >= set(paths[batch]):
                drawn_now = self.draw(labels[batch], numbers[batch], seed, truncation)
                rows |= {row["path"]: row for row in drawn_now.write(folder)}
                progress.update("drawing pictures", len(rows), n)
        told = [{**rows[path], "nearest_training_distance": "", "note": self.note} for path in paths]
        manifest.write(folder / manifest.FILE, manifest.COLUMNS, told)

    def draw(self, labels: np.ndarray, numbers: np.ndarray, seed: int, truncation: float = 1.0) -> Samples:
        """The pictures with these class indices [N] and numbers [N]."""
        device = next(self.network.parameters()).device
        batches = []
        with torch.no_grad():
            for start in range(0, len(numbers), BATCH):
                latent = torch.stack(
                    [
                        torch.randn(self.network.latent_size, generator=Step(seed, int(number)).rng("sample"))
                        for number in numbers[start : start + BATCH]
                    ]
                )
                label_batch = torch.from_numpy(labels[start : start + BATCH])
                images = self.network(truncation * latent.to(device), label_batch.to(device))
                if not images.isfinite().all():
                    raise PluginError(f"{self.description.chosen} drew numbers that are not finite: train it anew")
                batches.append(drawn.to_uint8(images.float()).permute(0, 2, 3, 1).cpu().numpy())
        pixels = np.concatenate(batches)
        return Samples(pixels, labels, self.image.classes, seed, self.note, self.origin, truncation, numbers)

    @property
    def origin(self) -> Origin:
        """What its pictures say of where they come from."""
        chosen = self.description.chosen
        return Origin(provenance.run_of(self.digest), chosen.name, chosen.package, chosen.version)

    @property
    def note(self) -> str:
        """What is written into every picture."""
        return drawn.note(bool(self.description.facts.get("phantom")))

    def _asked(self, n: int, label: str, truncation: float) -> tuple[np.ndarray, np.ndarray]:
        """Class indices [N] and numbers [N] of what was asked for. Raises ConfigError for what cannot be drawn."""
        if n < 1:
            raise ConfigError(f"the number of pictures must be at least 1, got {n}")
        if not 0 < truncation <= 1:
            raise ConfigError(f"truncation must be above 0 and at most 1, got {truncation:g}")
        return self._labels(n, label), np.arange(n, dtype=np.int64)

    def _labels(self, n: int, label: str) -> np.ndarray:
        classes = self.image.classes
        if label:
            if label not in classes:
                raise ConfigError(
                    f"--label {label} is no class of this generator{guess(label, classes)}; "
                    f"classes: {', '.join(classes)}"
                )
            return np.full(n, classes.index(label), dtype=np.int64)
        shares = np.asarray(self.description.facts.get("class_shares") or [1 / len(classes)] * len(classes))
        return spread(n, shares)


def spread(n: int, shares: Sequence[float] | np.ndarray) -> np.ndarray:
    """Class indices [n] in the given shares, evenly mixed, so that any stretch of them keeps the shares."""
    counts = np.zeros(len(shares))
    labels = np.empty(n, dtype=np.int64)
    for place in range(n):
        labels[place] = int(np.argmax(np.asarray(shares) * (place + 1) - counts))
        counts[labels[place]] += 1
    return labels


def _path(label: str, number: int) -> str:
    return f"{label}/synthetic_{number + 1:06d}.png"


def _about(label: str, seed: int, number: int, truncation: float) -> dict[str, Any]:
    """What a picture says of how it was asked for."""
    return {"label": label, "seed": seed, "number": number, **({} if truncation == 1 else {"truncation": truncation})}


def _row(path: str, about: Mapping[str, Any], sha256: str, picture: Image.Image) -> dict[str, Any]:
    """What every table says of a picture."""
    return {
        "path": path,
        "label": about["label"],
        "sha256": sha256,
        "pixels_sha256": provenance.pixels_sha256(picture),
        "seed": about["seed"],
        "number": about["number"],
    }


def _left(folder: Path, wanted: Mapping[str, Mapping[str, Any]], origin: Origin) -> dict[str, dict[str, Any]]:
    """Rows, by path, of the pictures that an interrupted call left; `wanted` says of each how it was asked for.

    Raises ConfigError where the folder holds anything else that is visible: a manifest would make a data set of it.
    """
    rows = {}
    for file in sorted(folder.rglob("*")):
        place = file.relative_to(folder)
        if any(part.startswith(".") for part in place.parts) or (file.is_dir() and not file.is_symlink()):
            continue
        path = place.as_posix()
        about = wanted.get(path, {})
        try:
            picture = provenance.open_picture(file) if about else None
        except DataError:
            picture = None
        if picture is None or provenance.read_marks(picture) != {**attrs.asdict(origin), **about}:
            raise ConfigError(
                f"--out {folder} is not empty, and {path} is none of the pictures that this command draws: "
                "name a new folder"
            )
        rows[path] = _row(path, about, provenance.file_sha256(file), picture)
    return rows


def load_generator(path: str | Path) -> LoadedGenerator:
    """The generator of a weights file or a run folder. Raises WeightsError for anything else."""
    path = Path(path)
    if path.is_dir():
        path = rundir.RunDir(path).generator_weights
    if not path.exists():
        raise DataError(f"{path} is not there: name a run folder or a generator's weights")
    network, description = weights.read(path, "generator")
    if not isinstance(network, Generator):
        raise DataError(f"{path}: {description.chosen.name} is no dfukit.interfaces.Generator")
    return LoadedGenerator(network, description, provenance.file_sha256(path))


def read_samples(run: RunDir, classes: tuple[str, ...]) -> Samples:
    """The synthetic set of a run folder, as its manifest lists it."""
    try:
        rows = manifest.read(run.manifest)
        pictures = [provenance.open_picture(run.synthetic_set / row["path"]) for row in rows]
        labels = np.array([classes.index(row["label"]) for row in rows], dtype=np.int64)
        numbers = np.array([int(row["number"]) for row in rows], dtype=np.int64)
        seed = int(rows[0]["seed"])
        pixels = np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
    except (DataError, KeyError, ValueError) as error:
        raise DataError(
            f"{run.synthetic_set}: the synthetic set cannot be read ({error}); train the run anew"
        ) from None
    except IndexError:
        raise DataError(f"{run.manifest} lists no pictures; train the run anew") from None
    origin, truncation = provenance.read_origin(pictures[0]), provenance.read_truncation(pictures[0])
    return Samples(pixels, labels, classes, seed, rows[0].get("note", ""), origin, truncation, numbers)
