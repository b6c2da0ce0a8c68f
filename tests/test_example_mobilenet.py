"""The worked example of an extractor of one's own reproduces the published check figures of its weights."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from dfukit import WeightsError

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "dfukit-mobilenet"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(EXAMPLE), *sys.path])


def test_the_check_figures_of_the_weights_are_reproduced(shared: Path) -> None:
    from dfukit_mobilenet import MobileNetSettings
    from dfukit_mobilenet.network import MobileNetExtractor

    file = shared / "weights" / "mobilenet_v1_075_imagenet.safetensors"
    extractor = MobileNetExtractor(MobileNetSettings(weights=str(file))).eval()
    ramp = torch.linspace(-1, 1, 224)
    red = ramp.expand(224, 224)
    picture = torch.stack([red, ramp[:, None].expand(224, 224), -red])[None]
    with torch.no_grad():
        features = extractor.features(picture)
        outputs = extractor(torch.zeros(2, 3, 64, 64, dtype=torch.uint8))
    assert features.sum().item() == pytest.approx(149.767, abs=0.005)
    assert features.norm().item() == pytest.approx(18.2723, abs=0.0005)
    assert outputs["features"].shape == (2, 768)


@pytest.mark.parametrize("content", [None, b"no weights"])
def test_unusable_weights_are_named(tmp_path: Path, content: bytes | None) -> None:
    from dfukit_mobilenet import MobileNetSettings
    from dfukit_mobilenet.network import MobileNetExtractor

    file = tmp_path / "w.safetensors"
    if content:
        file.write_bytes(content)
    with pytest.raises(WeightsError, match=r"extractor\.mobilenet\.weights .*w\.safetensors"):
        MobileNetExtractor(MobileNetSettings(weights=str(file)))
    with pytest.raises(WeightsError, match="is not set"):
        MobileNetExtractor(MobileNetSettings())
