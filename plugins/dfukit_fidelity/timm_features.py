"""Features of any timm backbone, DINOv2 among them, with weights that somebody trained."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import timm
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from dfukit import hub
from dfukit.errors import WeightsError
from dfukit.interfaces import Extractor

if TYPE_CHECKING:
    from dfukit_fidelity import TimmFeaturesSettings

KEY = "extractor.timm_features"
SECONDS_TO_ANSWER = 5.0
"""How long the hub may take to answer before it counts as out of reach."""


class TimmFeatures(Extractor):
    """Pooled features [N, D], what the backbone's classifier would see (of DINOv2 the class token).

    Pictures are brought whole to the backbone's width, bicubic and antialiased as Pillow does it, and normalised as in
    its training. Raises WeightsError, with the remedy, where weights cannot be had or do not fit; there are never
    random ones. Fréchet distances on DINOv2 agree better with people than FID does (Stein et al. 2023).
    """

    def __init__(self, settings: TimmFeaturesSettings) -> None:
        super().__init__()
        name = hub.known(settings.backbone, f"{KEY}.backbone")
        file, origin = _local(Path(settings.weights)) if settings.weights else _published(name)
        published = timm.get_pretrained_cfg(name)
        self._size = settings.size or published.input_size[-1]
        # What a backbone's initialisation draws must not move the global random state.
        with torch.random.fork_rng(devices=[]):
            self.network = hub.headless(name, file, {"img_size": self._size} if published.fixed_input_size else {})
        self.source = f"{name} at {self._size} px, {origin}"
        for key in ("mean", "std"):
            self.register_buffer(key, torch.tensor(getattr(published, key)).view(3, 1, 1) * 255)
        self.mean: Tensor
        self.std: Tensor
        self.requires_grad_(False).eval().to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        pictures = images.float()
        if pictures.shape[-2:] != (self._size, self._size):
            pictures = interpolate(pictures, (self._size, self._size), mode="bicubic", antialias=True)
            # Bicubic weights reach beyond black and white.
            pictures = pictures.round().clamp(0, 255)
        pictures = ((pictures - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return {"features": self.network(pictures).float()}


def _published(name: str) -> tuple[Path, str]:
    try:
        file = hub.find(name, SECONDS_TO_ANSWER)
    except WeightsError as error:
        raise WeightsError(f"{KEY}: {error}; connect once, or set {KEY}.weights to a safetensors file") from None
    return file, hub.origin(name, file)


def _local(file: Path) -> tuple[Path, str]:
    # timm goes by the name, and unpickles what it takes for something else.
    if file.suffix != ".safetensors":
        raise WeightsError(f"{KEY}.weights must be a .safetensors file, got {file}")
    try:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{KEY}.weights {file}: {error.strerror or error}") from None
    return file, f"{file.name}, sha256 {digest}"
