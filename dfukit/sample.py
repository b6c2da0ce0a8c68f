"""Synthetic pictures from a trained generator."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from attrs import frozen
from PIL import Image

from dfukit import drawn, rundir, weights
from dfukit.component import ImageSpec
from dfukit.errors import ConfigError, DataError
from dfukit.interfaces import Generator, Step
from dfukit.rundir import RunDir
from dfukit.settings import guess
from dfukit.weights import Description

BATCH = 64
MANIFEST_FILE = "manifest.csv"
MANIFEST = ("path", "label", "sha256", "seed", "number", "note")


@frozen(eq=False)
class Samples:
    """Synthetic pictures: uint8 [N, S, S, C] and their class indices [N]."""

    pixels: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    seed: int
    note: str

    def __len__(self) -> int:
        return len(self.pixels)

    def pictures(self) -> list[Image.Image]:
        """As Pillow pictures."""
        return [Image.fromarray(pixels.squeeze()) for pixels in self.pixels]

    def save(self, folder: Path) -> None:
        """Write `<label>/synthetic_000001.png` and so on, and manifest.csv (path,label,sha256,seed,number,note)."""
        rows = []
        numbers = dict.fromkeys(self.classes, 0)
        for place, (picture, label) in enumerate(zip(self.pixels, self.labels, strict=True)):
            name = self.classes[label]
            numbers[name] += 1
            path = Path(name) / f"synthetic_{numbers[name]:06d}.png"
            content = drawn.png(picture, self.note)
            rundir.write_bytes(folder / path, content)
            digest = hashlib.sha256(content).hexdigest()
            rows.append((path.as_posix(), name, digest, self.seed, place, self.note))
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(MANIFEST)
        writer.writerows(rows)
        rundir.write_text(folder / MANIFEST_FILE, table.getvalue())


@frozen(eq=False)
class LoadedGenerator:
    """A trained generator, ready to draw."""

    network: Generator
    description: Description

    @property
    def image(self) -> ImageSpec:
        return self.description.image

    def sample(self, n: int, *, label: str = "", seed: int = 0) -> Samples:
        """Draw `n` pictures of one class, or, with no label, of all classes as often as in the training part.

        Picture i is a function of (seed, i) and its class: fewer pictures are the first of more.
        """
        if n < 1:
            raise ConfigError(f"the number of pictures must be at least 1, got {n}")
        labels = self._labels(n, label)
        device = next(self.network.parameters()).device
        batches = []
        with torch.no_grad():
            for start in range(0, n, BATCH):
                numbers = range(start, min(start + BATCH, n))
                latent = torch.stack(
                    [
                        torch.randn(self.network.latent_size, generator=Step(seed, number).rng("sample"))
                        for number in numbers
                    ]
                )
                label_batch = torch.from_numpy(labels[start : start + BATCH])
                images = self.network(latent.to(device), label_batch.to(device))
                batches.append(drawn.to_uint8(images.float()).permute(0, 2, 3, 1).cpu().numpy())
        return Samples(np.concatenate(batches), labels, self.image.classes, seed, self.note)

    @property
    def note(self) -> str:
        """What is written into every picture."""
        return drawn.note(bool(self.description.facts.get("phantom")))

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
    return LoadedGenerator(network, description)


def read_samples(run: RunDir, classes: tuple[str, ...]) -> Samples:
    """The synthetic set of a run folder, as its manifest lists it."""
    try:
        with run.manifest.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        pixels = [np.asarray(Image.open(run.synthetic / row["path"]).convert("RGB")) for row in rows]
        labels = np.array([classes.index(row["label"]) for row in rows], dtype=np.int64)
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{run.synthetic}: the synthetic set cannot be read ({error}); train the run anew") from None
    if not rows:
        raise DataError(f"{run.manifest} lists no pictures; train the run anew")
    return Samples(np.stack(pixels), labels, classes, int(rows[0]["seed"]), rows[0]["note"])
