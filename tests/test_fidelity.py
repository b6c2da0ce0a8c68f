"""The metrics of dfukit_fidelity agree with torch-fidelity and scikit-image, and its extractors are what they claim."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import evolve
from PIL import Image
from safetensors.torch import load_file
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor
from torch.nn.functional import batch_norm, conv2d, pad, relu6
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from dfukit.errors import ConfigError, WeightsError
from dfukit.interfaces import Metric, View
from dfukit.pretrained import KNOWN, Store
from dfukit_fidelity import InceptionScoreSettings, KernelDistanceSettings, NoSettings, RandomVgg16Settings
from dfukit_fidelity.frechet import FrechetDistance, frechet_distance
from dfukit_fidelity.inception import Inception, read_network
from dfukit_fidelity.inception_network import InceptionNetwork, resize_like_tensorflow1
from dfukit_fidelity.inception_score import InceptionScore, inception_scores
from dfukit_fidelity.kernel import KernelDistance, jackknife_error, kernel_distance, subset_distances
from dfukit_fidelity.nearest import IDENTICAL_DB, NearestPsnr, NearestSsim, nearest
from dfukit_fidelity.r64 import RandomVgg16


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def correlated(rng: np.random.Generator, n: int, d: int, shift: float) -> np.ndarray:
    """Features [n, d] with correlated, skewed columns, as those of a network with ReLU are."""
    mixing = np.random.default_rng(1).normal(size=(d, d)) / np.sqrt(d)
    return np.maximum(rng.normal(shift, 1.0, (n, d)) @ mixing + 0.2, 0)


def unique(values: np.ndarray) -> np.ndarray:
    return np.arange(len(values))


def torch_fidelity_kid(real: np.ndarray, fake: np.ndarray, subsets: int, size: int) -> dict[str, float]:
    settings = {"kid_subsets": subsets, "kid_subset_size": size, "rng_seed": 2020, "verbose": False}
    return kid_features_to_metric(torch.from_numpy(real), torch.from_numpy(fake), **settings)


@pytest.mark.parametrize(
    ("n", "m", "d"),
    [(60, 40, 128), (60, 300, 128), (300, 260, 64), (65, 64, 64), pytest.param(200, 150, 2048, marks=pytest.mark.slow)],
)
def test_the_frechet_distance_is_torch_fidelitys(rng: np.random.Generator, n: int, m: int, d: int) -> None:
    real, fake = correlated(rng, n, d, 0.0), correlated(rng, m, d, 0.3)
    statistics = [fid_features_to_statistics(torch.from_numpy(features)) for features in (real, fake)]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(real, fake) == pytest.approx(theirs, rel=1e-6)


def test_the_frechet_distance_of_a_set_to_itself_is_nothing(rng: np.random.Generator) -> None:
    features = correlated(rng, 50, 128, 0.0)
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)


def test_the_kernel_distance_over_subsets_is_torch_fidelitys(rng: np.random.Generator) -> None:
    real, fake = correlated(rng, 150, 64, 0.0), correlated(rng, 130, 64, 0.3)
    theirs = torch_fidelity_kid(real, fake, subsets=20, size=100)
    ours = subset_distances(real, fake, subsets=20, size=100)
    assert ours.mean() == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-6)
    assert ours.std() == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-6)


def test_the_kernel_distance_of_whole_sets_is_torch_fidelitys_on_one_subset_of_all(rng: np.random.Generator) -> None:
    real, fake = correlated(rng, 600, 64, 0.0), correlated(rng, 600, 64, 0.3)
    theirs = torch_fidelity_kid(real, fake, subsets=1, size=600)
    assert kernel_distance(real, fake) == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-6)


def test_the_jackknife_leaves_out_one_patient_of_either_set_at_a_time(rng: np.random.Generator) -> None:
    real, fake = correlated(rng, 25, 16, 0.0), correlated(rng, 20, 16, 0.3)
    groups = np.repeat([3, 5, 11, 12, 20], 5)
    value, error = jackknife_error(real, fake, groups, unique(fake))
    without_real = np.array([kernel_distance(real[groups != group], fake) for group in np.unique(groups)])
    without_fake = np.array([kernel_distance(real, np.delete(fake, i, axis=0)) for i in range(20)])
    variance = 4 / 5 * ((without_real - without_real.mean()) ** 2).sum()
    variance += 19 / 20 * ((without_fake - without_fake.mean()) ** 2).sum()
    assert value == pytest.approx(kernel_distance(real, fake))
    assert error == pytest.approx(np.sqrt(variance))


@pytest.mark.parametrize("shift", [0.15, 0.5])
def test_the_kernel_interval_covers_its_target_in_about_95_percent(rng: np.random.Generator, shift: float) -> None:
    target = np.mean([kernel_distance(rng.normal(0, 1, (400, 8)), rng.normal(shift, 1, (400, 8))) for _ in range(30)])
    metric, hits = KernelDistance(KernelDistanceSettings()), 0
    for _ in range(400):
        real, fake = View(features=rng.normal(0, 1, (60, 8))), View(features=rng.normal(shift, 1, (60, 8)))
        interval = metric.measure(real, fake, rng)["kd"].interval
        assert interval is not None
        hits += interval[0] <= target <= interval[1]
    assert 0.90 <= hits / 400 <= 0.98


def test_kernel_subsets_larger_than_a_set_are_a_reason_not_a_number(rng: np.random.Generator) -> None:
    metric = KernelDistance(evolve(KernelDistanceSettings(), estimate="subsets", subset_size=100))
    view = View(features=rng.normal(size=(50, 8)))
    score = metric.measure(view, view, rng)["kd"]
    assert score.value is None
    assert score.reason is not None
    assert "metric.kd.subset_size" in score.reason


@pytest.mark.parametrize("n", [200, 203])
def test_the_inception_score_is_torch_fidelitys(rng: np.random.Generator, n: int) -> None:
    logits = rng.normal(0, 3, (n, 40))
    theirs = isc_features_to_metric(torch.from_numpy(logits), splits=10, shuffle=True, rng_seed=2020)
    ours = inception_scores(logits, 10)
    assert ours.mean() == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
    assert ours.std() == pytest.approx(theirs["inception_score_std"], rel=1e-6)


def test_the_inception_score_stays_finite_where_a_class_is_impossible() -> None:
    logits = np.full((40, 3), -2000.0)
    logits[:, 0] = 0.0
    assert inception_scores(logits, 2) == pytest.approx([1.0, 1.0])


def test_the_inception_score_stands_beside_that_of_the_real_set(rng: np.random.Generator) -> None:
    metric = InceptionScore(InceptionScoreSettings())
    real, fake = View(logits=rng.normal(0, 5, (100, 10))), View(logits=rng.normal(0, 1, (100, 10)))
    score = metric.measure(real, fake, rng)["inception_score"]
    assert score.real_vs_real is not None
    assert score.value is not None
    assert score.real_vs_real > score.value > 1
    assert metric.measure(real, fake.take(range(15)), rng)["inception_score"].value is None


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


def mobilenet(weights: dict[str, Tensor], images: Tensor) -> Tensor:
    """Features [N, 768] of MobileNetV1-0.75 from pictures [N, 3, 224, 224] in [-1, 1]."""

    def convolve(x: Tensor, name: str, stride: int, groups: int = 1) -> Tensor:
        kernel = weights[f"{name}.weight"]
        if kernel.shape[-1] == 3:
            x = pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
        mean, variance, scale, bias = (
            weights[f"{name}_bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return relu6(batch_norm(conv2d(x, kernel, None, stride, 0, 1, groups), mean, variance, scale, bias, eps=1e-3))

    x = convolve(images, "conv1", 2)
    for layer, stride in enumerate((1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1), 1):
        x = convolve(x, f"conv_dw_{layer}", stride, groups=x.shape[1])
        x = convolve(x, f"conv_pw_{layer}", 1)
    return x.mean((2, 3))


@pytest.mark.slow
def test_distances_on_real_pictures_are_those_of_the_shared_yardstick(shared: Path, tmp_path: Path) -> None:
    tool, file = shared / "tools" / "kernel_distance.py", shared / "weights" / "mobilenet_v1_075_imagenet.safetensors"
    crops = sorted((shared / "data" / "roi").glob("*.jpg"))[:32]
    if not tool.is_file() or not file.is_file() or len(crops) < 32:
        pytest.skip("no yardstick, weights or crops in ../shared")
    weights, features = load_file(file), []
    for part in ("first", "second"):
        (tmp_path / part).mkdir()
    for i, crop in enumerate(crops):
        picture = Image.open(crop).convert("RGB").resize((128, 128), Image.Resampling.BICUBIC)
        picture.save(tmp_path / ("first" if i < 16 else "second") / f"{i}.png")
        pixels = np.asarray(picture.resize((224, 224), Image.Resampling.BICUBIC))
        images = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.inference_mode():
            features.append(mobilenet(weights, images).double().numpy()[0])
    first, second = np.stack(features[:16]), np.stack(features[16:])
    command = [sys.executable, str(tool), str(file), str(tmp_path / "first"), str(tmp_path / "second")]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env=one_thread).stdout
    found = re.search(r"FD=(\S+) KD=(\S+)", printed)
    assert found is not None
    assert frechet_distance(first, second) == pytest.approx(float(found[1]), rel=1e-4)
    assert kernel_distance(first, second) == pytest.approx(float(found[2]), abs=6e-5)
