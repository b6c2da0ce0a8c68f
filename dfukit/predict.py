"""A trained classifier, ready to score pictures."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from attrs import frozen
from PIL import Image, ImageOps

from dfukit import clinical, fitting, rundir, weights
from dfukit.component import ImageSpec
from dfukit.config import DataSettings
from dfukit.device import Compute
from dfukit.errors import DataError
from dfukit.images import resize
from dfukit.images.decode import Limits, Unusable, decode
from dfukit.images.pool import Decoded, Job, decode_all
from dfukit.interfaces import Classifier
from dfukit.weights import Description

CPU = Compute(torch.device("cpu"), bf16=False)
Picture = str | Path | Image.Image | np.ndarray


@frozen
class Prediction:
    """A calibrated score in [0, 1] for the positive class. Research use only."""

    path: str
    """The file; empty for a picture that was handed over in memory."""
    positive: str
    score: float
    milliseconds: float
    """How long the caller waited for it; the first file's wait includes the start of the decoder."""

    def as_table(self) -> dict[str, Any]:
        return attrs.asdict(self)


@frozen(eq=False)
class LoadedClassifier:
    """A trained classifier and what it was trained for."""

    network: Classifier
    description: Description
    compute: Compute = CPU

    @property
    def image(self) -> ImageSpec:
        return self.description.image

    @property
    def positive(self) -> str:
        """The class that scores are about."""
        return str(self.description.facts["positive"])

    @property
    def temperature(self) -> float:
        return float(self.description.facts["temperature"])

    def predict(self, images: Iterable[Picture]) -> list[Prediction]:
        """Score picture files, Pillow pictures or uint8 arrays [H, W, 3], one by one, so that none affects another.

        Each goes the way of the training pictures: fitted to 256x256, down to the GAN's size, then to the network's.
        Where a manifest's boxes cut the training pictures, cut these likewise first.
        Raises DataError for a picture that cannot be used, with its reason.
        """
        pictures = list(images)
        settings = DataSettings(fit=self.description.facts["fit"])
        jobs = [Job(Path(picture).absolute()) for picture in pictures if isinstance(picture, str | Path)]
        decoded = decode_all(jobs, settings, workers=1)
        predictions = []
        for picture in pictures:
            started = time.perf_counter()
            if isinstance(picture, str | Path):
                path, pixels = str(picture), _usable(next(decoded), str(picture))
            else:
                path, pixels = "", _square(picture, settings)
            score = float(self.scores(pixels[None])[0])
            elapsed = (time.perf_counter() - started) * 1000
            predictions.append(Prediction(path, self.positive, score, elapsed))
        return predictions

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        """Calibrated scores float64 [N] of square pictures uint8 [N, H, H, 3]."""
        sized = resize(pixels, self.image.size)
        return clinical.calibrated(fitting.logits(self.network, sized, self.compute), self.temperature)


def load_classifier(path: str | Path, compute: Compute = CPU) -> LoadedClassifier:
    """The classifier of a weights file or a run folder. Raises WeightsError for anything else."""
    path = Path(path)
    if path.is_dir():
        path = rundir.RunDir(path).classifier_weights
    if not path.exists():
        raise DataError(f"{path} is not there: name a run folder or a classifier's weights")
    network, description = weights.read(path, "classifier")
    if not isinstance(network, Classifier):
        raise DataError(f"{path}: {description.chosen.name} is no dfukit.interfaces.Classifier")
    if description.facts.get("positive") != description.image.positive:
        told, known = description.facts.get("positive"), description.image.positive
        raise DataError(f"{path} scores {told!r} but was built for {known!r}: train the classifier again")
    missing = [key for key in ("fit", "positive", "temperature") if key not in description.facts]
    if missing:
        raise DataError(f"{path} does not say its {', '.join(missing)}: train the classifier again")
    return LoadedClassifier(network.to(compute.device).eval(), description, compute)


def _usable(result: Decoded, path: str) -> np.ndarray:
    if result.pixels is None:
        raise DataError(f"{path}: {result.reason}")
    return result.pixels


def _square(image: Image.Image | np.ndarray, settings: DataSettings) -> np.ndarray:
    """A picture in memory as uint8 [256, 256, 3], by the very way that files take."""
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise DataError(f"a picture must be uint8 [H, W, 3], got {image.dtype} {list(image.shape)}")
        image = Image.fromarray(image)
    image = ImageOps.exif_transpose(image)
    buffer = io.BytesIO()
    # Both keep every pixel; PNG knows transparency, TIFF the modes of printing and of measuring.
    if image.mode in ("CMYK", "F", "I", "LAB", "YCbCr"):
        image.save(buffer, "TIFF")
    else:
        image.save(buffer, "PNG", compress_level=0)
    buffer.seek(0)
    try:
        file: io.BufferedReader = io.BufferedReader(buffer)
        return decode(file, None, Limits(settings.fit, settings.max_megapixels, heic=False)).pixels
    except Unusable as error:
        raise DataError(f"the picture in memory: {error}") from None
