"""Published weights of timm backbones: from the hub's cache or the hub, and a quick answer where neither works."""

from __future__ import annotations

import difflib
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
from torch import nn

from dfukit import environment
from dfukit.errors import ConfigError, WeightsError

FILE = "model.safetensors"


def known(backbone: str, key: str) -> str:
    """The name of a backbone that timm knows. Raises ConfigError, naming the setting `key`, for any other."""
    options: list[str] = timm.list_models()
    if timm.is_model(backbone.partition(".")[0]):
        try:
            timm.get_pretrained_cfg(backbone)
        except RuntimeError:
            options = timm.list_pretrained(f"{backbone.partition('.')[0]}.*")
        else:
            return backbone
    near = difflib.get_close_matches(backbone, options, n=1, cutoff=0.5)
    guess = f', did you mean "{near[0]}"?' if near else ""
    raise ConfigError(f"{key} {backbone!r} is no timm {timm.__version__} model{guess}")


def find(backbone: str, seconds: float) -> Path:
    """The published file of a backbone, fetched where it is not in the cache.

    Raises WeightsError where it cannot be had; the hub has some seconds to answer before it counts as out of reach.
    """
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
    except Exception as error:  # of the client, of what it speaks HTTP with, and of Xet: they share no base
        raise WeightsError(f"{repository} could not be fetched ({' '.join(str(error).split())[:200]})") from None


def origin(backbone: str, file: Path) -> str:
    """Where a file that `find` returned comes from: "timm/resnet18.a1_in1k, revision 491b427b45c9"."""
    return f"{_repository(backbone)[0]}, revision {file.parent.name[:12]}"


def headless(backbone: str, file: Path, options: Mapping[str, Any]) -> nn.Module:
    """A backbone made with `options`, without its classifier, with the weights of a published safetensors file.

    Raises WeightsError where the file does not fit in every part: nothing stays at random.
    """
    classifiers = getattr(timm.get_pretrained_cfg(backbone), "classifier", None) or ()
    if isinstance(classifiers, str):
        classifiers = (classifiers,)
    try:
        with safetensors.safe_open(file, framework="pt") as content:
            names = set(content.keys())
        # timm insists on every tensor only where the file has as many classes as the network: cut later than it loads.
        whole = any(f"{name}.weight" in names for name in classifiers)
        cut: dict[str, Any] = {} if whole else {"num_classes": 0}
        overlay = {"file": str(file), "custom_load": False, **cut}
        model: Any = timm.create_model(backbone, pretrained=True, pretrained_cfg_overlay=overlay, **{**options, **cut})
    except (RuntimeError, OSError, safetensors.SafetensorError) as error:
        raise WeightsError(f"{file} does not fit {backbone}: {' '.join(str(error).split())[:200]}") from None
    model.reset_classifier(0)
    network: nn.Module = model
    return network


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
