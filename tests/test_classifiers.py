"""The built-in classifiers: what they hold beyond what test_conformance asks of every classifier."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from local_hub import empty_cache, put, serving
from safetensors.torch import save_file

from dfukit import registry, weights
from dfukit.component import ImageSpec
from dfukit.errors import ConfigError, WeightsError
from dfukit.interfaces import Classifier, Critic, Parts
from dfukit.weights import Description

IMAGE = ImageSpec(32, 3, ("infected", "other"), "infected")
SMALL = "mobilenetv3_small_050.lamb_in1k"
SETTINGS: dict[str, dict[str, object]] = {
    "timm_lstm": {"pretrained": "false", "input_size": 32, "lstm_hidden": 16, "backbone": SMALL},
    "critic_lstm": {"lstm_hidden": 16},
}


def critic_description() -> Description:
    return Description(registry.load().choose("critic", "conv", {"width": 8}), IMAGE)


def parts() -> Parts:
    torch.manual_seed(7)
    critic = critic_description().build()
    assert isinstance(critic, Critic)
    return Parts(critic=critic)


def describe(name: str, **changed: object) -> Description:
    chosen = registry.load().choose("classifier", name, {**SETTINGS[name], **changed})
    built_on = {"critic": critic_description()} if name == "critic_lstm" else {}
    return Description(chosen, IMAGE, built_on, {"temperature": 1.0})


def build(name: str, **changed: object) -> Classifier:
    torch.manual_seed(0)
    network: Classifier = describe(name, **changed).chosen.build(IMAGE)
    network.attach(parts())
    return network


def pictures(n: int, size: int = 32) -> torch.Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(n))


def test_a_backbone_sees_pictures_normalised_as_its_weights_expect(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build("timm_lstm").eval()
    seen: list[torch.Tensor] = []
    forward = network.backbone.forward_features
    monkeypatch.setattr(network.backbone, "forward_features", lambda images: (seen.append(images), forward(images))[1])
    for colour in (network.mean, network.mean + network.std):
        network(colour.expand(2, 3, 32, 32))
    torch.testing.assert_close(seen[0], torch.zeros(2, 3, 32, 32), atol=1e-6, rtol=0)
    torch.testing.assert_close(seen[1], torch.ones(2, 3, 32, 32), atol=1e-6, rtol=0)


def test_a_critic_sees_pictures_from_minus_one_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build("critic_lstm").eval()
    seen: list[torch.Tensor] = []
    features = network.critic.features
    monkeypatch.setattr(network.critic, "features", lambda images: (seen.append(images), features(images))[1])
    network(torch.stack([torch.zeros(3, 32, 32), torch.ones(3, 32, 32)]))
    (images,) = seen
    assert [picture.unique().tolist() for picture in images] == [[-1.0], [1.0]]


@pytest.mark.parametrize("name", SETTINGS)
def test_what_it_is_made_of_returns_with_its_weights(name: str, tmp_path: Path) -> None:
    weights.write(tmp_path / "classifier.safetensors", build(name), describe(name))
    assert weights.read(tmp_path / "classifier.safetensors", "classifier")[1] == describe(name)


def test_it_runs_under_bfloat16_with_its_lstm_in_float32() -> None:
    network = build("timm_lstm")
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(pictures(4))
    assert logits.dtype == torch.float32
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in network.head.parameters())


def test_training_on_the_critics_features_leaves_the_critic_as_it_is() -> None:
    given = parts()
    assert given.critic is not None
    given.critic.requires_grad_(False)
    network: Classifier = describe("critic_lstm").chosen.build(IMAGE)
    network.attach(given)
    before = {name: tensor.clone() for name, tensor in given.critic.state_dict().items()}
    assert torch.equal(network.critic.features(pictures(2)), given.critic.features(pictures(2)))
    optimiser = torch.optim.SGD(network.parameters(), lr=1.0)
    network(pictures(4)).sum().backward()
    optimiser.step()
    assert all(torch.equal(tensor, before[name]) for name, tensor in given.critic.state_dict().items())
    assert not torch.equal(network.critic.features(pictures(2)), given.critic.features(pictures(2)))


def test_layers_that_a_critic_froze_stay_frozen_under_the_classifier() -> None:
    given = parts()
    assert given.critic is not None
    frozen = next(given.critic.parameters()).requires_grad_(False)
    network: Classifier = describe("critic_lstm").chosen.build(IMAGE)
    network.attach(given)
    learning = [parameter.requires_grad for parameter in network.critic.parameters()]
    assert learning == [parameter is not frozen for parameter in given.critic.parameters()]


def test_critic_features_without_a_critic_are_refused() -> None:
    network: Classifier = describe("critic_lstm").chosen.build(IMAGE)
    with pytest.raises(ConfigError, match="critic_lstm is built on a trained critic"):
        network.attach(Parts())


def test_the_sequence_runs_in_serpentines() -> None:
    head = build("timm_lstm", input_size=96).head  # a 3x3 map
    assert head.order.tolist() == [0, 1, 2, 5, 4, 3, 6, 7, 8]


def test_grey_pictures_have_a_network_of_one_channel() -> None:
    image = ImageSpec(32, 1, ("infected", "other"), "infected")
    network = describe("timm_lstm").chosen.build(image).eval()
    assert network(pictures(2)[:, :1]).shape == (2,)


@pytest.mark.parametrize(
    "backbone", ["vit_tiny_patch16_224.augreg_in21k_ft_in1k", "swin_tiny_patch4_window7_224.ms_in1k"]
)
def test_transformers_are_backbones_too(backbone: str) -> None:
    network = build("timm_lstm", backbone=backbone, input_size=224).eval()
    assert network(pictures(1)).shape == (1,)


def test_an_unknown_backbone_is_named_with_a_guess() -> None:
    with pytest.raises(ConfigError, match=r"'resnet81' is no timm .* did you mean"):
        build("timm_lstm", backbone="resnet81")


def test_describing_the_classifiers_imports_nothing_heavy() -> None:
    code = "import sys, dfukit_classifiers, dfukit_augment; print({'torch', 'timm', 'kornia'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


# Pretrained weights.


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub."""
    return empty_cache(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file as timm publishes it."""
    torch.manual_seed(42)
    file = tmp_path_factory.mktemp("published") / "model.safetensors"
    save_file(timm.create_model(SMALL).state_dict(), file)
    return file


@pytest.fixture
def hub(published: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with serving(f"timm/{SMALL}", published.read_bytes()) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        yield


def has_published(network: Classifier, published: Path) -> bool:
    torch.manual_seed(42)
    return torch.equal(network.backbone.conv_stem.weight, timm.create_model(SMALL).conv_stem.weight)


def test_pretrained_weights_come_from_the_cache_without_a_network(
    cache: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFUKIT_OFFLINE", "1")
    put(cache, f"timm/{SMALL}", published.read_bytes())
    network = build("timm_lstm", pretrained="auto")
    assert network.prepare(Parts()) == f"{SMALL}: pretrained weights of timm/{SMALL}, revision c0ffee"
    assert has_published(network, published)


def test_pretrained_weights_are_fetched_from_the_hub(cache: Path, published: Path, hub: None) -> None:
    network = build("timm_lstm", pretrained="true")
    assert "revision 0123456789ab" in network.prepare(Parts())
    assert has_published(network, published)


def test_pretrained_weights_are_left_alone_when_not_wanted(cache: Path, published: Path, hub: None) -> None:
    network = build("timm_lstm", pretrained="false")
    assert "pretrained = false" in network.prepare(Parts())
    assert not has_published(network, published)
    assert not cache.exists()


@pytest.fixture
def silent_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub that takes the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listener.getsockname()[1]}")
        yield


def test_without_an_answer_auto_decides_within_two_seconds(cache: Path, silent_hub: None) -> None:
    network = build("timm_lstm", pretrained="auto")
    started = time.monotonic()
    line = network.prepare(Parts())
    assert time.monotonic() - started < 2
    assert "random initial weights" in line
    assert "cannot be reached" in line


def test_offline_nobody_is_asked(cache: Path, hub: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFUKIT_OFFLINE", "1")
    assert "told to stay offline" in build("timm_lstm", pretrained="auto").prepare(Parts())


def test_insisting_on_pretrained_weights_that_cannot_be_had_is_an_error(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFUKIT_OFFLINE", "1")
    with pytest.raises(WeightsError, match=r"classifier\.pretrained = true: .*not in the cache"):
        build("timm_lstm", pretrained="true").prepare(Parts())


def test_a_damaged_file_in_the_cache_is_named(cache: Path) -> None:
    put(cache, f"timm/{SMALL}", b"\x80\x04no tensors")
    assert "random initial weights" in build("timm_lstm", pretrained="auto").prepare(Parts())
    with pytest.raises(WeightsError, match=r"model\.safetensors does not fit"):
        build("timm_lstm", pretrained="true").prepare(Parts())


def test_pretrained_is_written_as_true_or_false_in_a_configuration() -> None:
    for value, read in ((True, "true"), (False, "false"), ("auto", "auto")):
        assert registry.load().choose("classifier", "effv2s_lstm", {"pretrained": value}).settings.pretrained == read
