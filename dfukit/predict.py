"""A trained classifier, ready to score pictures."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from attrs import frozen
from PIL import Image, ImageOps

from dfukit import clinical, likeness, rundir, weights
from dfukit.component import ImageSpec
from dfukit.device import Compute
from dfukit.errors import ConfigError, DataError, PluginError
from dfukit.images import resize
from dfukit.images.decode import Limits, Unusable, decode
from dfukit.images.find import below
from dfukit.images.pool import Decoded, Job, decode_all
from dfukit.interfaces import Classifier
from dfukit.likeness import Likeness
from dfukit.progress import Progress
from dfukit.sections import DataSettings
from dfukit.weights import Description

CPU = Compute(torch.device("cpu"), bf16=False)
FEW = 16
"""Files for which one decoder is started and not one for each core."""
PLAIN = {"HSV": "RGB", "La": "LA", "PA": "RGBA", "RGBX": "RGB", "RGBa": "RGBA"}
"""Modes that no PNG holds, and what their pictures become."""
Picture = str | Path | Image.Image | np.ndarray


@frozen
class Prediction:
    """What a classifier says of one picture. Research use only: a model's score, not a patient's risk."""

    path: str
    """The file; empty for a picture that was handed over in memory."""
    positive: str
    score: float
    """Calibrated, in [0, 1], for the positive class."""
    call: str
    """The positive class from the operating point on, else "not" and its name."""
    unlike: bool | None
    """Whether the picture lies further from the training pictures than held-out ones do; None where that is unknown."""
    distance: float | None
    """How far, as a multiple of the distance from which on it is called unlike."""
    milliseconds: float
    """How long the caller waited for it, a batch shared evenly; the first file's wait includes the decoder's start."""

    def as_table(self) -> dict[str, Any]:
        return attrs.asdict(self)

    def as_text(self) -> str:
        """One line for a person."""
        far = f"  unlike the training pictures ({self.distance:.1f} times the limit)" if self.unlike else ""
        return f"{self.path}  {self.positive} {self.score:.3f}  called {self.call}  {self.milliseconds:.0f} ms{far}"


@frozen(eq=False)
class LoadedClassifier:
    """A trained classifier and what it was trained for."""

    network: Classifier
    description: Description
    compute: Compute = CPU
    likeness: Likeness | None = None
    """What its training pictures look like to it; None for weights that do not say."""

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

    @property
    def target_sensitivity(self) -> float | None:
        """The sensitivity on the validation part that the threshold was chosen for; None where it was not chosen."""
        facts = self.description.facts
        return None if facts.get("operating_threshold") is None else facts.get("target_sensitivity")

    @property
    def threshold(self) -> float:
        """The calibrated score from which on a picture is called positive."""
        facts = self.description.facts
        chosen = facts.get("operating_threshold")
        return float(facts.get("threshold", 0.5) if chosen is None else chosen)

    @property
    def about_calls(self) -> str:
        """One line on the threshold and where it comes from."""
        chosen = "which no sensitivity was chosen for"
        if self.target_sensitivity is not None:
            chosen = f"chosen on the validation part for a sensitivity of {self.target_sensitivity:.0%}"
        unknown = "" if self.likeness else "; these weights do not tell pictures unlike the training set"
        return f"called {self.positive} from a score of {self.threshold:.3f} on, {chosen}{unknown}"

    def predict(
        self, images: Iterable[Picture], *, batch: int = 1, progress: Progress | None = None
    ) -> list[Prediction]:
        """Score picture files, folders of them, Pillow pictures or uint8 arrays [H, W, 3], `batch` at a time.

        One at a time, a score depends on its picture alone to the last bit; in batches it is the same to about 1e-6.
        Each picture goes the way of the training pictures: fitted to 256x256, down to the GAN's size, then to the
        network's. Where a manifest's boxes cut the training pictures, cut these likewise first. Folders are searched
        with all below them, in the order of their paths. A large JPEG that was opened with Pillow scores slightly
        differently than its file: the file is decoded at a half, a quarter or an eighth, as the training pictures were.

        Raises DataError for a picture that cannot be used, with its reason. With `progress`, it is told and left out,
        and DataError is raised where none is left.
        """
        if batch < 1:
            raise ConfigError(f"batch must be at least 1, got {batch}")
        pictures = [picture for given in images for picture in _files(given, progress)]
        left = self._read(pictures, progress)
        predictions: list[Prediction] = []
        started = time.perf_counter()
        while some := list(islice(left, batch)):
            scores, distances = self.judge(np.stack([pixels for _, pixels in some]))
            elapsed = (time.perf_counter() - started) * 1000 / len(some)
            for place, (path, _) in enumerate(some):
                predictions.append(self._said(path, scores[place], distances, place, elapsed))
            started = time.perf_counter()
        if progress and not predictions:
            raise DataError("none of these pictures can be used")
        return predictions

    def judge(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Calibrated scores float64 [N] of square pictures uint8 [N, H, H, 3], and how far they lie from the training
        pictures, as multiples of the limit [N]; None for those where the weights do not say.

        Raises PluginError where a logit is no finite number: it would be called negative.
        """
        sized = resize(pixels, self.image.size)
        with torch.inference_mode():
            logits, features = likeness.judge(self.network, sized, self.compute)
        if unknown := int((~np.isfinite(logits)).sum()):
            raise PluginError(
                f"{self.description.chosen} gives {unknown} of {len(logits)} pictures a logit that is not finite: "
                "train it anew"
            )
        scores = clinical.calibrated(logits, self.temperature)
        if self.likeness is None or features is None:
            return scores, None
        return scores, self.likeness.distances(features)

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        """Calibrated scores float64 [N] of square pictures uint8 [N, H, H, 3]."""
        return self.judge(pixels)[0]

    def _said(
        self, path: str, score: float, distances: np.ndarray | None, place: int, milliseconds: float
    ) -> Prediction:
        distance = None if distances is None or not np.isfinite(distances[place]) else float(distances[place])
        return Prediction(
            path=path,
            positive=self.positive,
            score=float(score),
            call=self.positive if score >= self.threshold else f"not {self.positive}",
            unlike=None if distance is None else distance > 1,
            distance=distance,
            milliseconds=milliseconds,
        )

    def _read(self, pictures: list[Picture], progress: Progress | None) -> Iterator[tuple[str, np.ndarray]]:
        """Paths and pixels uint8 [256, 256, 3] of the pictures that can be used, as they are decoded."""
        settings = DataSettings(fit=self.description.facts["fit"])
        jobs = [Job(Path(picture).absolute()) for picture in pictures if isinstance(picture, str | Path)]
        decoded = decode_all(jobs, settings, workers=1 if len(jobs) <= FEW else 0)
        for done, picture in enumerate(pictures, 1):
            try:
                if isinstance(picture, str | Path):
                    yield str(picture), _usable(next(decoded), str(picture))
                else:
                    yield "", _square(picture, settings)
            except DataError as error:
                if progress is None:
                    raise
                progress.say(f"left out {error}")
            if progress:
                progress.update("scoring pictures", done, len(pictures))


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
    lean = network.for_prediction().to(compute.device).to(memory_format=torch.channels_last).eval()
    return LoadedClassifier(lean, description, compute, Likeness.from_tensors(weights.read_beside(path)))


def _files(picture: Picture, progress: Progress | None) -> Iterator[Picture]:
    """The picture itself, or the files of a folder."""
    if not isinstance(picture, str | Path) or not Path(picture).is_dir():
        yield picture
        return
    for entry in below(Path(picture)):
        if entry.reason is None:
            yield Path(picture) / entry.path
        elif progress is None:
            raise DataError(f"{Path(picture) / entry.path}: {entry.reason}")
        else:
            progress.say(f"left out {Path(picture) / entry.path}: {entry.reason}")


def _usable(result: Decoded, path: str) -> np.ndarray:
    if result.pixels is None:
        raise DataError(f"{path}: {result.reason}")
    return result.pixels


def _square(image: Image.Image | np.ndarray, settings: DataSettings) -> np.ndarray:
    """A picture in memory as uint8 [256, 256, 3], by the way that files take, but that a JPEG is decoded whole."""
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise DataError(f"a picture must be uint8 [H, W, 3], got {image.dtype} {list(image.shape)}")
        image = Image.fromarray(image)
    if not image.width or not image.height:
        raise DataError(f"a picture in memory has no pixels: {image.width}x{image.height}")
    buffer = io.BytesIO()
    try:
        image = _plain(ImageOps.exif_transpose(image))
        # Both keep every pixel; PNG knows transparency, TIFF the modes of printing and of measuring.
        if image.mode in ("CMYK", "F", "I", "LAB", "YCbCr"):
            image.save(buffer, "TIFF")
        else:
            image.save(buffer, "PNG", compress_level=0)
    except Exception as error:  # whatever a closed, cut off or odd picture leads Pillow to
        raise DataError(f"the picture in memory cannot be read: {error}") from error
    buffer.seek(0)
    try:
        file: io.BufferedReader = io.BufferedReader(buffer)
        return decode(file, None, Limits(settings.fit, settings.max_megapixels, heic=False)).pixels
    except Unusable as error:
        raise DataError(f"the picture in memory: {error}") from None


def _plain(image: Image.Image) -> Image.Image:
    """The picture in a mode that PNG or TIFF holds."""
    if image.mode in PLAIN:
        return image.convert(PLAIN[image.mode])
    if image.mode in ("I;16L", "I;16N"):  # Pillow's own conversion would end at 255
        return Image.fromarray(np.asarray(image).astype(np.uint16))
    return image
