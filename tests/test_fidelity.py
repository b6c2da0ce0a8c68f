"""The metrics of dfukit_fidelity agree with torch-fidelity and scikit-image, and its extractors are what they claim."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import evolve
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from dfukit.errors import ConfigError, WeightsError
from dfukit.interfaces import Metric, View
from dfukit.pretrained import KNOWN, Store
from dfukit_fidelity import KernelDistanceSettings, NoSettings, RandomVgg16Settings
from dfukit_fidelity.frechet import FrechetDistance
from dfukit_fidelity.inception import Inception, read_network
from dfukit_fidelity.inception_network import InceptionNetwork, resize_like_tensorflow1
from dfukit_fidelity.kernel import KernelDistance
from dfukit_fidelity.nearest import IDENTICAL_DB, NearestPsnr, NearestSsim, nearest
from dfukit_fidelity.r64 import RandomVgg16


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def pictures(rng: np.random.Generator, n: int, size: int = 32) -> np.ndarray:
    """Smooth random pictures uint8 [n, 3, size, size]."""
    small = rng.uniform(0, 255, (n, 3, 4, 4))
    grown = torch.nn.functional.interpolate(torch.from_numpy(small), (size, size), mode="bicubic")
    return np.asarray((grown.numpy() + rng.normal(0, 6, (n, 3, size, size))).clip(0, 255), np.uint8)


def test_the_nearest_picture_of_a_slightly_changed_copy_is_its_original(rng: np.random.Generator) -> None:
    real = pictures(rng, 200)
    copies = (real[::-1].astype(float) * 0.98 + rng.normal(0, 3, real.shape)).clip(0, 255).astype(np.uint8)
    assert nearest(real, copies).tolist() == list(range(200))[::-1]


def test_psnr_and_ssim_to_the_nearest_picture_are_scikit_images(rng: np.random.Generator) -> None:
    real, fake = pictures(rng, 30), pictures(rng, 12)
    pairs = [(a.transpose(1, 2, 0), b.transpose(1, 2, 0)) for a, b in zip(fake, real[nearest(real, fake)], strict=True)]
    psnr = np.mean([peak_signal_noise_ratio(b, a, data_range=255) for a, b in pairs])
    # scikit-image as Wang et al. have it: Gaussian weights, biased covariance; its default window is a 7x7 box.
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    ssim = np.mean([structural_similarity(b, a, channel_axis=2, **wang) for a, b in pairs])
    views = View(pixels=real), View(pixels=fake), rng
    assert NearestPsnr(NoSettings()).measure(*views)["psnr"].value == pytest.approx(psnr, abs=1e-3)
    assert NearestSsim(NoSettings()).measure(*views)["ssim"].value == pytest.approx(ssim, abs=2e-4)


def test_copies_raise_the_alarm_of_psnr_and_ssim(rng: np.random.Generator) -> None:
    real = View(pixels=pictures(rng, 30))
    assert NearestPsnr(NoSettings()).measure(real, real, rng)["psnr"].value == IDENTICAL_DB
    assert NearestSsim(NoSettings()).measure(real, real, rng)["ssim"].value == pytest.approx(1)
    independent = NearestPsnr(NoSettings()).measure(real, View(pixels=pictures(rng, 30)), rng)["psnr"].value
    assert independent is not None
    assert independent < 20


def test_ssim_says_when_pictures_are_smaller_than_its_window(rng: np.random.Generator) -> None:
    view = View(pixels=pictures(rng, 12, size=8))
    score = NearestSsim(NoSettings()).measure(view, view, rng)["ssim"]
    assert score.value is None
    assert score.reason == "ssim needs pictures of at least 11x11 pixels"


def vgg(**settings: int) -> RandomVgg16:
    return RandomVgg16(evolve(RandomVgg16Settings(), **{"size": 32, **settings}))


def test_r64_is_the_same_to_the_bit_whatever_the_global_random_state(rng: np.random.Generator) -> None:
    images = torch.from_numpy(pictures(rng, 4))
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = vgg()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    second = vgg()
    features = first(images)["features"]
    assert torch.equal(features, second(images)["features"])
    assert features.shape == (4, 64)
    assert features.dtype == torch.float32
    assert not torch.equal(features, vgg(seed=1)(images)["features"])
    assert first.source == "random, seed 0"


def test_r64_ignores_the_rest_of_the_batch(rng: np.random.Generator) -> None:
    images, extractor = torch.from_numpy(pictures(rng, 4, size=40)), vgg()
    whole = extractor(images)["features"]
    assert torch.allclose(extractor(images[2:3])["features"], whole[2:3], rtol=1e-4, atol=1e-5)


def test_r64_takes_multiples_of_32_only() -> None:
    with pytest.raises(ConfigError, match=r"extractor\.r64\.size must be a multiple of 32, got 48"):
        vgg(size=48)


@pytest.mark.parametrize("metric", [FrechetDistance(NoSettings()), KernelDistance(KernelDistanceSettings())])
def test_a_set_is_nearer_to_its_other_half_than_to_noise(metric: Metric, rng: np.random.Generator) -> None:
    real, extractor = pictures(rng, 40), vgg()
    noise = rng.integers(0, 256, real[:20].shape, dtype=np.uint8)
    views = [
        View(features=extractor(torch.from_numpy(part))["features"].double().numpy())
        for part in (real[:20], real[20:], noise)
    ]
    half, other, noisy = views
    (name,) = metric.measure(half, other, rng)
    near, far = metric.measure(half, other, rng)[name].value, metric.measure(half, noisy, rng)[name].value
    assert near is not None
    assert far is not None
    assert near < far / 4


@pytest.fixture(scope="module")
def random_inception(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Store]:
    """A published file of torch-fidelity's network with random weights, and a store that knows it."""
    folder = tmp_path_factory.mktemp("inception")
    file = folder / "random-inception.pth"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = InceptionNetwork()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0
        with torch.no_grad():
            # Statistics of real activations, so that the signal reaches the last layer.
            network.train()(torch.rand(2, 3, 299, 299) * 255)
        torch.save(network.state_dict(), file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    entry = evolve(KNOWN[0], url=f"http://127.0.0.1/{file.name}", sha256=digest, bytes=file.stat().st_size)
    return file, Store(folder / "store", (entry,))


def test_the_inception_extractor_is_torch_fidelitys(
    random_inception: tuple[Path, Store], rng: np.random.Generator
) -> None:
    file, store = random_inception
    images = torch.from_numpy(pictures(rng, 3, size=64))
    ours, source = read_network(store.add(file))
    theirs = FeatureExtractorInceptionV3(
        "theirs", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(file)
    )
    with torch.inference_mode():
        our_features, our_logits = ours(images.float())
        features, logits = theirs(images)
    assert features.std() > 0.01
    assert torch.allclose(our_features, features, rtol=1e-4, atol=1e-4 * float(features.abs().mean()))
    assert torch.allclose(our_logits, logits, rtol=1e-4, atol=1e-4 * float(logits.abs().mean()))
    assert source.startswith("random-inception.pth, sha256 ")


def test_folding_the_batch_norms_moves_features_and_logits_by_less_than_a_ten_thousandth(
    random_inception: tuple[Path, Store], rng: np.random.Generator
) -> None:
    images = torch.from_numpy(pictures(rng, 2, size=64)).float()
    network = InceptionNetwork()
    network.load_state_dict(torch.load(random_inception[0], weights_only=True))
    with torch.inference_mode():
        before = network.eval()(images)
        after = network.fold()(images)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    for values, folded in zip(before, after, strict=True):
        assert (folded - values).abs().max() < 1e-4 * values.abs().mean()


@pytest.mark.parametrize("shape", [(8, 8), (64, 96), (299, 299), (500, 301)])
def test_pictures_are_resized_as_torch_fidelity_resizes_them(shape: tuple[int, int], rng: np.random.Generator) -> None:
    images = torch.from_numpy(rng.uniform(0, 255, (2, 3, *shape)).astype(np.float32))
    theirs = interpolate_bilinear_2d_like_tensorflow1x(images, size=(299, 299), align_corners=False)
    assert torch.allclose(resize_like_tensorflow1(images, 299), theirs, rtol=0, atol=1e-4)


def test_other_weights_are_no_inception_network(tmp_path: Path) -> None:
    file = tmp_path / "other.pth"
    torch.save({"fc.weight": torch.zeros(2, 2)}, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    store = Store(tmp_path / "store", (evolve(KNOWN[0], sha256=digest),))
    with pytest.raises(WeightsError, match="does not hold the Inception network"):
        read_network(store.add(file))
    (tmp_path / "broken.safetensors").write_bytes(b"broken")
    with pytest.raises(WeightsError, match="does not hold the Inception network"):
        read_network(tmp_path / "broken.safetensors")


def test_inception_without_weights_or_network_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("DFUKIT_OFFLINE", "1")
    with pytest.raises(WeightsError, match=r"DFUKIT_OFFLINE.*dfukit weights add weights-inception-2015-12-05"):
        Inception(NoSettings())
