"""Features of real pictures by the worked example of an extractor, where pictures and weights are at hand."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "dfukit-mobilenet"
CROPS, WIDTH = 60, 128


def example_extractor(weights: Path) -> Any:
    """The extractor of examples/dfukit-mobilenet."""
    if str(EXAMPLE) not in sys.path:
        sys.path.insert(0, str(EXAMPLE))
    from dfukit_mobilenet import MobileNetSettings
    from dfukit_mobilenet.network import MobileNetExtractor

    return MobileNetExtractor(MobileNetSettings(weights=str(weights))).eval()


@cache
def outputs_of_crops(shared: Path) -> tuple[np.ndarray, np.ndarray]:
    """Features [CROPS, 768] of wound crops, and logits [CROPS, 1000]: the classifier's weights are in the file."""
    file = shared / "weights" / "mobilenet_v1_075_imagenet.safetensors"
    crops = sorted((shared / "data" / "roi").glob("*.jpg"))[: 2 * CROPS : 2]
    if not file.is_file() or len(crops) < CROPS:
        pytest.skip("no weights or crops in ../shared")
    extractor = example_extractor(file)
    pictures = [np.asarray(Image.open(crop).convert("RGB").resize((WIDTH, WIDTH))) for crop in crops]
    with torch.inference_mode():
        features = extractor(torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2))["features"].double().numpy()
    head = load_file(file)["conv_preds.weight"].double().numpy()
    return features, features @ head.reshape(len(head), -1).T


def features_of_crops(shared: Path) -> tuple[np.ndarray, np.ndarray]:
    """Features of two halves of the crops [CROPS / 2, 768], as a real and a synthetic set."""
    features, _ = outputs_of_crops(shared)
    return features[::2], features[1::2]
