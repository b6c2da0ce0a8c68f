"""Predicting: calls, batches, folders, pictures unlike the training set, and a network made lean for it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import evolve
from PIL import Image, ImageDraw
from small_classifier import Clinic
from torch import nn

from dfukit import likeness, phantom, registry, weights
from dfukit.cli import main
from dfukit.component import ImageSpec
from dfukit.errors import ConfigError, DataError, PluginError
from dfukit.interfaces import Classifier
from dfukit.likeness import Likeness
from dfukit.predict import CPU, load_classifier
from dfukit.weights import Description


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFUKIT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield Clinic(tmp_path_factory.mktemp("clinic"))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms that the classifier never saw."""
    folder = tmp_path_factory.mktemp("others")
    phantom.write_folder(folder, patients=8, pictures=2, seed=1, size=64)
    return folder


class Told:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def update(self, task: str, done: int, total: int, note: str = "") -> None:
        pass


def with_facts(clinic: Clinic, path: Path, **facts: object) -> Path:
    """The classifier of the run with other facts in its weights."""
    network, description = weights.read(clinic.run.classifier_weights, "classifier")
    changed = Description(description.chosen, description.image, description.parts, {**description.facts, **facts})
    weights.write(path, network, changed)
    return path


# Calls.


def test_a_picture_is_called_positive_from_the_operating_point_on(clinic: Clinic, others: Path, tmp_path: Path) -> None:
    scores = sorted(one.score for one in load_classifier(clinic.run.path).predict([others]))
    assert scores[0] < scores[-1]
    path = with_facts(clinic, tmp_path / "c.safetensors", operating_threshold=scores[-1], target_sensitivity=0.9)
    classifier = load_classifier(path)
    assert [(one.call, one.score >= scores[-1]) for one in classifier.predict([others])] == [
        ("infected" if one.score >= scores[-1] else "not infected", one.score >= scores[-1])
        for one in classifier.predict([others])
    ]
    assert {one.call for one in classifier.predict([others])} == {"infected", "not infected"}
    assert "sensitivity of 90%" in classifier.about_calls


def test_without_an_operating_point_the_threshold_of_the_figures_counts(clinic: Clinic, tmp_path: Path) -> None:
    classifier = load_classifier(
        with_facts(clinic, tmp_path / "c.safetensors", operating_threshold=None, threshold=0.25)
    )
    assert classifier.threshold == 0.25
    assert classifier.target_sensitivity is None
    assert "no sensitivity was chosen" in classifier.about_calls
    undecided = with_facts(clinic, tmp_path / "d.safetensors", operating_threshold=None, target_sensitivity=0.9)
    assert load_classifier(undecided).threshold == 0.5
    assert load_classifier(undecided).target_sensitivity is None


# Batches and folders.


def test_batches_change_no_score(clinic: Clinic, others: Path) -> None:
    classifier = load_classifier(clinic.run.path)
    alone, together = classifier.predict([others]), classifier.predict([others], batch=5)
    assert [one.path for one in alone] == [one.path for one in together]
    np.testing.assert_allclose([one.score for one in alone], [one.score for one in together], atol=1e-5)
    with pytest.raises(ConfigError, match="batch must be at least 1, got 0"):
        classifier.predict([others], batch=0)


def test_a_folder_is_searched_with_all_below_it_in_the_order_of_paths(clinic: Clinic, others: Path) -> None:
    predictions = load_classifier(clinic.run.path).predict([others], batch=16)
    assert [one.path for one in predictions] == sorted(str(path) for path in others.rglob("*.png"))


def test_what_cannot_be_used_is_named_and_left_out(clinic: Clinic, others: Path, tmp_path: Path) -> None:
    good = next(others.rglob("*.png"))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "good.png").write_bytes(good.read_bytes())
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "link.png").symlink_to(good)
    classifier, told = load_classifier(clinic.run.path), Told()
    (prediction,) = classifier.predict([tmp_path, tmp_path / "absent.png"], progress=told)
    assert prediction.path == str(tmp_path / "deep" / "good.png")
    assert [line.split(": ")[0] for line in told.lines] == [
        f"left out {tmp_path / name}" for name in ("link.png", "broken.jpg", "absent.png")
    ]
    with pytest.raises(DataError, match="none of these pictures can be used"):
        classifier.predict([tmp_path / "broken.jpg"], progress=Told())
    with pytest.raises(DataError, match=r"link\.png: a symbolic link: copy the file instead"):
        classifier.predict([tmp_path])


@pytest.mark.parametrize("mode", ["HSV", "PA", "RGBX", "RGBa", "La", "I;16L", "I;16B", "CMYK", "LA", "P", "1"])
def test_pictures_in_memory_of_any_mode_are_read(clinic: Clinic, others: Path, mode: str) -> None:
    with Image.open(next(others.rglob("*.png"))) as file:
        picture = file.convert("RGB")
    if mode.startswith("I;16"):
        plain = picture.convert("L")
        values = np.asarray(plain).astype(np.uint16) * 257
        odd = Image.frombytes(mode, plain.size, values.astype(">u2" if mode.endswith("B") else "<u2").tobytes())
    else:
        odd = picture.convert({"RGBa": "RGBA", "La": "LA", "PA": "P"}.get(mode, mode)).convert(mode)
        plain = picture.convert("L") if mode in ("La", "LA") else odd.convert("RGB")
    classifier = load_classifier(clinic.run.path)
    (found,), (expected,) = classifier.predict([odd]), classifier.predict([plain])
    assert found.score == pytest.approx(expected.score, abs=1e-6)


def test_a_picture_in_memory_that_cannot_be_read_is_named(clinic: Clinic, others: Path, tmp_path: Path) -> None:
    classifier = load_classifier(clinic.run.path)
    with pytest.raises(DataError, match="a picture in memory has no pixels: 50x0"):
        classifier.predict([np.zeros((0, 50, 3), np.uint8)])
    (tmp_path / "cut.png").write_bytes(next(others.rglob("*.png")).read_bytes()[:3000])
    with Image.open(tmp_path / "cut.png") as cut, pytest.raises(DataError, match="the picture in memory cannot be"):
        classifier.predict([cut])


def test_the_command_prints_json_alone_and_names_what_it_left_out(
    clinic: Clinic, others: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")

    def ask(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dfukit", "predict", str(clinic.run.path), *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    code, printed, told = ask(others, tmp_path, "--batch", 8, "--json")
    predictions = json.loads(printed)
    assert (code, len(predictions)) == (0, 16)
    assert all({"path", "positive", "score", "milliseconds", "call", "unlike"} <= set(one) for one in predictions)
    assert f"left out {tmp_path / 'broken.jpg'}: not a picture" in told

    code, printed, told = ask(next(others.rglob("*.png")))
    assert "infected 0." in printed
    assert "called " in printed
    assert "a model's score, not a patient's risk" in told

    code, printed, told = ask(tmp_path)
    assert (code, printed) == (3, "")
    assert "none of these pictures can be used" in told


def test_a_logit_that_is_not_finite_is_no_call(clinic: Clinic, others: Path, tmp_path: Path) -> None:
    network, description = weights.read(clinic.run.classifier_weights, "classifier")
    for parameter in network.parameters():
        parameter.data.fill_(float("nan"))
    weights.write(tmp_path / "c.safetensors", network, description)
    with pytest.raises(PluginError, match="1 of 1 pictures a logit that is not finite"):
        load_classifier(tmp_path / "c.safetensors").predict([next(others.rglob("*.png"))])


# Pictures unlike the training set.


def page_of_text(seed: int) -> np.ndarray:
    """A photograph of printed text, near enough."""
    rng = np.random.default_rng(seed)
    page = Image.new("RGB", (256, 256), (int(rng.integers(225, 256)),) * 3)
    for y in range(8, 250, 14):
        words = "".join(chr(rng.integers(97, 123)) if rng.random() > 0.15 else " " for _ in range(40))
        ImageDraw.Draw(page).text((8, y), words, fill=(20, 20, 20))
    return np.asarray(page)


def test_phantoms_are_like_the_training_set_and_noise_and_text_are_not(clinic: Clinic, others: Path) -> None:
    classifier = load_classifier(clinic.run.path)
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (256, 256, 3), np.uint8) for _ in range(10)]
    assert all(one.unlike for one in classifier.predict(noise))
    assert all(one.unlike for one in classifier.predict([page_of_text(seed) for seed in range(10)]))
    like = classifier.predict([others])
    assert sum(bool(one.unlike) for one in like) <= 1
    assert all((one.distance > 1) == one.unlike for one in like if one.distance is not None)


def test_what_is_unlike_is_measured_on_the_validation_part(clinic: Clinic) -> None:
    network, _ = weights.read(clinic.run.classifier_weights, "classifier")
    pixels = clinic.images.at(clinic.image.size)
    known = likeness.fit(network, pixels[clinic.split.train], pixels[clinic.split.validation], CPU)
    assert known is not None
    kept = weights.read_beside(clinic.run.classifier_weights)
    assert float(kept["likeness.limit"]) == pytest.approx(known.limit, rel=1e-4)


def test_weights_hold_no_feature_of_a_single_picture(clinic: Clinic) -> None:
    kept = weights.read_beside(clinic.run.classifier_weights)
    assert {name: tensor.ndim for name, tensor in kept.items()} == {
        "likeness.mean": 1,
        "likeness.directions": 2,
        "likeness.variances": 1,
        "likeness.rest": 0,
        "likeness.limit": 0,
    }
    assert len(kept["likeness.directions"]) <= (len(clinic.split.train) - 1) // 2


def test_weights_without_the_statistics_say_nothing_of_likeness(clinic: Clinic, others: Path, tmp_path: Path) -> None:
    classifier = load_classifier(with_facts(clinic, tmp_path / "c.safetensors"))
    (prediction,) = classifier.predict([next(others.rglob("*.png"))])
    assert (prediction.unlike, prediction.distance) == (None, None)
    assert "do not tell" in classifier.about_calls


def test_a_distance_that_is_no_number_is_unknown(clinic: Clinic, others: Path) -> None:
    classifier = load_classifier(clinic.run.path)
    assert classifier.likeness is not None
    endless = evolve(classifier, likeness=evolve(classifier.likeness, rest=float("nan")))
    (prediction,) = endless.predict([next(others.rglob("*.png"))])
    assert (prediction.unlike, prediction.distance) == (None, None)


def test_the_distance_is_mahalanobis_where_all_directions_are_known() -> None:
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    known = Likeness(rng.normal(size=4), directions[:3], np.array([4.0, 2.0, 1.0]), 0.5, 2.0)
    covariance = directions.T @ np.diag([4.0, 2.0, 1.0, 0.5]) @ directions
    features = rng.normal(size=(5, 4))
    gap = features - known.mean
    expected = np.sqrt(np.einsum("nd,de,ne->n", gap, np.linalg.inv(covariance), gap)) / 2.0
    np.testing.assert_allclose(known.distances(features), expected)


def test_few_pictures_leave_no_statistics() -> None:
    class Pooled(Classifier):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.layer(images.mean((2, 3)))[:, 0]

    pixels = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), np.uint8)
    torch.manual_seed(0)
    network = Pooled()
    known = likeness.fit(network, pixels, pixels[:10], CPU)
    assert known is not None
    # The default embedding is what the last linear layer reads: here the mean colour.
    colours = pixels.mean((1, 2)) / 255
    np.testing.assert_allclose(known.mean, colours.mean(0), atol=1e-6)
    along = np.linalg.eigvalsh(np.cov(colours.T))[::-1]
    np.testing.assert_allclose(known.variances, along[: len(known.variances)], rtol=1e-4)
    assert likeness.fit(network, pixels[:19], pixels[:10], CPU) is None
    assert likeness.fit(network, pixels, pixels[:9], CPU) is None


def test_a_network_without_linear_layers_has_no_features() -> None:
    class Reddest(Classifier):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images[:, 0].mean((1, 2))

    pixels = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), np.uint8)
    logits, features = likeness.judge(Reddest(), pixels, CPU)
    assert (logits.shape, features) == ((30,), None)
    assert likeness.fit(Reddest(), pixels, pixels, CPU) is None


# A lean network.


def trained(backbone: str) -> Classifier:
    """A network whose batch norms have seen pictures."""
    settings = {"backbone": backbone, "pretrained": "false", "input_size": 64, "lstm_hidden": 16}
    torch.manual_seed(0)
    chosen = registry.load().choose("classifier", "timm_lstm", settings)
    network: Classifier = chosen.build(ImageSpec(64, 3, ("infected", "other"), "infected"))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.rand(16, 3, 64, 64))
    return network.eval()


@pytest.mark.parametrize("backbone", ["resnet10t.c3_in1k", "mobilenetv3_small_050.lamb_in1k", "efficientnet_b0"])
def test_a_lean_network_gives_the_same_logits_without_batch_norms(backbone: str) -> None:
    network = trained(backbone)
    lean = network.for_prediction()
    assert not [module for module in lean.modules() if isinstance(module, nn.BatchNorm2d)]
    assert [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    images = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(lean(images), network(images), atol=1e-5, rtol=1e-4)


def test_a_batch_norm_stays_where_somebody_else_reads_its_convolution() -> None:
    from dfukit_classifiers.folding import folded

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
            self.norm.running_mean += 1

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            plain = self.convolution(images)
            return plain + self.norm(plain)

    network = Both().eval()
    assert folded(network, torch.rand(1, 3, 8, 8)) is network
