"""The extractor `timm_features` is the backbone that timm has, with the weights that it says, or none at all."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import timm
import torch
from local_hub import REVISION, empty_cache, put, serving
from PIL import Image
from safetensors.torch import load_file, save_file

from dfukit import hub, registry
from dfukit.errors import ConfigError, WeightsError
from dfukit.interfaces import Extractor
from dfukit.testing import ExtractorSuite

CONVOLUTIONS, TRANSFORMER = "test_resnet.r160_in1k", "test_vit.r160_in1k"
DINO = "vit_small_patch14_dinov2.lvd142m"


def trained(backbone: str) -> torch.nn.Module:
    """A whole network of timm's, its classifier included, with weights that stand for trained ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return timm.create_model(backbone).eval()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The weights of small backbones as timm publishes them."""
    folder = tmp_path_factory.mktemp("weights")
    for backbone in (CONVOLUTIONS, TRANSFORMER):
        save_file(trained(backbone).state_dict(), folder / f"{backbone}.safetensors")
    return {backbone: folder / f"{backbone}.safetensors" for backbone in (CONVOLUTIONS, TRANSFORMER)}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub."""
    return empty_cache(tmp_path, monkeypatch)


def build(backbone: str, weights: Path | str = "", **settings: Any) -> Extractor:
    chosen = registry.load().choose(
        "extractor", "timm_features", {"backbone": backbone, "weights": str(weights), **settings}
    )
    extractor: Extractor = chosen.build()
    return extractor


def pictures(n: int, width: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(n)
    small = torch.rand(n, 3, 8, 8, generator=rng) * 255
    return torch.nn.functional.interpolate(small, (width, width), mode="bicubic").clamp(0, 255).byte()


def normalised(images: torch.Tensor, backbone: str) -> torch.Tensor:
    published = timm.get_pretrained_cfg(backbone)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (published.mean, published.std))
    return (images / 255 - mean) / std


@pytest.mark.parametrize("backbone", [CONVOLUTIONS, TRANSFORMER])
def test_features_are_those_that_timm_gives(backbone: str, files: dict[str, Path]) -> None:
    extractor, images = build(backbone, files[backbone]), pictures(3, 160)
    network = trained(backbone)
    with torch.no_grad():
        inputs = normalised(images, backbone)
        theirs = network.forward_head(network.forward_features(inputs), pre_logits=True)
        ours = extractor(images)
    assert ours.keys() == {"features"}
    assert theirs.std() > 0.01
    torch.testing.assert_close(ours["features"], theirs, rtol=1e-4, atol=1e-5)


def test_a_transformer_at_another_width_has_timms_resampled_positions(files: dict[str, Path]) -> None:
    overlay = {"file": str(files[TRANSFORMER])}
    network = timm.create_model(
        TRANSFORMER, pretrained=True, pretrained_cfg_overlay=overlay, img_size=64, num_classes=0
    ).eval()
    images = pictures(2, 64)
    with torch.no_grad():
        theirs = network(normalised(images, TRANSFORMER))
        ours = build(TRANSFORMER, files[TRANSFORMER], size=64)(images)["features"]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_pictures_are_resized_as_pillow_resizes_them(files: dict[str, Path]) -> None:
    extractor, images = build(CONVOLUTIONS, files[CONVOLUTIONS], size=96), pictures(2, 230)
    resized = [
        Image.fromarray(one.permute(1, 2, 0).numpy()).resize((96, 96), Image.Resampling.BICUBIC) for one in images
    ]
    small = torch.from_numpy(np.stack([np.asarray(one) for one in resized])).permute(0, 3, 1, 2)
    with torch.no_grad():
        ours, theirs = extractor(images)["features"], extractor(small)["features"]
    # Pillow computes in fixed point: a grey level here and there.
    assert (ours - theirs).norm() < 0.01 * theirs.norm()


def test_a_backbone_saved_without_its_classifier_is_taken(files: dict[str, Path], tmp_path: Path) -> None:
    tensors = load_file(files[CONVOLUTIONS])
    save_file(
        {name: value for name, value in tensors.items() if not name.startswith("fc.")}, tmp_path / "b.safetensors"
    )
    images = pictures(2, 64)
    with torch.no_grad():
        ours, whole = (build(CONVOLUTIONS, file)(images) for file in (tmp_path / "b.safetensors", files[CONVOLUTIONS]))
    assert torch.equal(ours["features"], whole["features"])


def test_its_source_names_file_and_checksum(files: dict[str, Path]) -> None:
    digest = hashlib.sha256(files[CONVOLUTIONS].read_bytes()).hexdigest()
    expected = f"{CONVOLUTIONS} at 160 px, {files[CONVOLUTIONS].name}, sha256 {digest}"
    assert build(CONVOLUTIONS, files[CONVOLUTIONS]).source == expected


def test_building_it_leaves_the_global_random_state_alone(files: dict[str, Path]) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    build(CONVOLUTIONS, files[CONVOLUTIONS])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_it_passes_the_suite_of_extractors(files: dict[str, Path]) -> None:
    suite = ExtractorSuite()
    suite.component, suite.settings = "timm_features", {"backbone": TRANSFORMER, "weights": str(files[TRANSFORMER])}
    for name in (name for name in dir(ExtractorSuite) if name.startswith("test_")):
        getattr(suite, name)()


# Weights that are not given as a file.


def test_weights_come_from_the_cache_without_a_network(
    cache: Path, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFUKIT_OFFLINE", "1")
    put(cache, f"timm/{CONVOLUTIONS}", files[CONVOLUTIONS].read_bytes())
    extractor, images = build(CONVOLUTIONS), pictures(2, 160)
    assert extractor.source == f"{CONVOLUTIONS} at 160 px, timm/{CONVOLUTIONS}, revision c0ffee"
    with torch.no_grad():
        local = build(CONVOLUTIONS, files[CONVOLUTIONS])(images)["features"]
        assert torch.equal(extractor(images)["features"], local)


def test_weights_are_fetched_from_the_hub(cache: Path, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(f"timm/{TRANSFORMER}", files[TRANSFORMER].read_bytes()) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert build(TRANSFORMER).source.endswith(f"timm/{TRANSFORMER}, revision {REVISION[:12]}")


# What cannot be had.


def test_offline_the_remedy_comes_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFUKIT_OFFLINE", "1")
    timm.list_models()
    started = time.monotonic()
    with pytest.raises(
        WeightsError,
        match=rf"timm/{DINO} is not in the cache.*stay offline.*extractor\.timm_features\.weights",
    ) as caught:
        build(DINO)
    assert time.monotonic() - started < 1
    assert "\n" not in str(caught.value)


def test_a_hub_out_of_reach_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1:9 cannot be reached; connect once, or set"):
        build(DINO)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.safetensors", None, r"weights .*absent\.safetensors: No such file"),
        ("broken.safetensors", b"broken", r"broken\.safetensors does not fit test_resnet"),
        ("pickled.pth", b"\x80\x04", r"must be a \.safetensors file, got .*pickled\.pth"),
    ],
)
def test_an_unusable_file_is_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=message) as caught:
        build(CONVOLUTIONS, tmp_path / name)
    assert "\n" not in str(caught.value)


def test_weights_of_another_backbone_are_refused(files: dict[str, Path]) -> None:
    with pytest.raises(WeightsError, match=r"test_vit\.r160_in1k\.safetensors does not fit test_resnet"):
        build(CONVOLUTIONS, files[TRANSFORMER])


@pytest.mark.parametrize("head", [True, False])
def test_weights_that_leave_a_layer_out_are_refused(head: bool, files: dict[str, Path], tmp_path: Path) -> None:
    tensors = load_file(files[CONVOLUTIONS])
    left = {name: value for name, value in tensors.items() if head or not name.startswith("fc.")}
    left.pop("layer4.0.conv1.weight")
    save_file(left, tmp_path / "part.safetensors")
    with pytest.raises(WeightsError, match=r"does not fit .*Missing key.*layer4\.0\.conv1\.weight"):
        build(CONVOLUTIONS, tmp_path / "part.safetensors")


def test_an_unknown_backbone_or_its_weights_are_guessed() -> None:
    with pytest.raises(ConfigError, match=r"extractor\.timm_features\.backbone 'resnet81' is no timm .* did you mean"):
        build("resnet81")
    with pytest.raises(ConfigError, match=r"did you mean \"resnet18\.a1_in1k\""):
        build("resnet18.a1_in2k")


def test_a_file_that_comes_short_is_weights_that_cannot_be_had(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(f"timm/{CONVOLUTIONS}", bytes(1000), sent=600) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(WeightsError, match="could not be fetched"):
            hub.find(CONVOLUTIONS, 5.0)


@pytest.mark.parametrize("error", [RuntimeError("CAS service error"), TimeoutError("read"), EOFError()])
def test_a_download_that_breaks_off_is_weights_that_cannot_be_had(
    cache: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", broken)
    with serving(f"timm/{CONVOLUTIONS}", b"") as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(WeightsError, match="could not be fetched"):
            hub.find(CONVOLUTIONS, 5.0)
