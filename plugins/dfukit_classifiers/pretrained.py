"""Pretrained weights of timm backbones: from the hub's cache or the hub, and a quick answer where neither works."""

from __future__ import annotations

import os
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
import safetensors
import timm
from torch import Tensor, nn

from dfukit import environment
from dfukit.errors import WeightsError

FILE = "model.safetensors"
SECONDS_TO_ANSWER = {"auto": 1.5, "true": 20.0}
"""How long the hub may take to answer before it counts as out of reach."""


def load(backbone: nn.Module, name: str, wanted: str, options: Mapping[str, Any]) -> str:
    """Load the pretrained weights that timm names `name` into a backbone made with `options`.

    `wanted` is "auto", "true" or "false". Returns one line saying which weights were taken.
    Raises WeightsError where they are insisted on and cannot be had.
    """
    if wanted == "false":
        return f"{name}: random initial weights (pretrained = false)"
    try:
        file = _file(name, SECONDS_TO_ANSWER[wanted])
        weights = _read(name, file, options)
    except WeightsError as error:
        if wanted == "true":
            raise WeightsError(
                f"classifier.pretrained = true: {error}; connect once, or set classifier.pretrained = auto"
            ) from None
        return f"{name}: random initial weights ({error})"
    backbone.load_state_dict(weights)
    return f"{name}: pretrained weights of {_repository(name)[0]}, revision {file.parent.name[:12]}"


def _read(name: str, file: Path, options: Mapping[str, Any]) -> Mapping[str, Tensor]:
    """The tensors of a published file, brought by timm into the shape that the backbone has."""
    overlay = {"file": str(file), "custom_load": False}
    try:
        model: nn.Module = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **options)
    except (RuntimeError, OSError, safetensors.SafetensorError) as error:
        raise WeightsError(f"{file} does not fit {name}: {' '.join(str(error).split())[:200]}") from None
    return model.state_dict()


def _file(backbone: str, seconds: float) -> Path:
    repository, revision = _repository(backbone)
    cached = huggingface_hub.try_to_load_from_cache(repository, FILE, revision=revision)
    if isinstance(cached, str):
        return Path(cached)
    if environment.offline() or huggingface_hub.constants.HF_HUB_OFFLINE:
        raise WeightsError(f"{repository} is not in the cache and dfukit is told to stay offline")
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or huggingface_hub.constants.ENDPOINT
    # The hub's own client retries for a minute before it gives up.
    if not _answers(huggingface_hub.hf_hub_url(repository, FILE, revision=revision, endpoint=endpoint), seconds):
        raise WeightsError(f"{repository} is not in the cache and {endpoint} cannot be reached")
    try:
        return Path(huggingface_hub.hf_hub_download(repository, FILE, revision=revision, endpoint=endpoint))
    except (OSError, ValueError, huggingface_hub.errors.HfHubHTTPError) as error:
        raise WeightsError(f"{repository} could not be fetched ({' '.join(str(error).split())[:200]})") from None


def _repository(backbone: str) -> tuple[str, str | None]:
    """The hub's repository and revision. Raises WeightsError where a backbone has none."""
    published = timm.get_pretrained_cfg(backbone)
    if published is None or not published.hf_hub_id:
        raise WeightsError(f"timm publishes no weights for {backbone}")
    repository, _, revision = published.hf_hub_id.partition("@")
    return repository, revision or None


def _answers(url: str, seconds: float) -> bool:
    """Whether a HEAD request is answered in time. Looking up a name ignores timeouts, hence the thread."""
    answered = threading.Event()

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds):
                answered.set()
        except (OSError, ValueError, urllib.error.URLError):
            return

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answered.is_set()
