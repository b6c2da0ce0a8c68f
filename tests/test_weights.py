"""Weights say what they are; a network is rebuilt from its file alone; foreign files are refused."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from attrs import evolve
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from dfukit import ImageSpec, WeightsError, registry, weights
from dfukit.errors import NotInstalledError
from dfukit.interfaces import Parts
from dfukit.weights import Description

IMAGE = ImageSpec(16, 3, ("a", "b"), "a")


def description(kind: str, name: str, values: dict[str, object]) -> Description:
    return Description(registry.load().choose(kind, name, values), IMAGE, facts={"phantom": True})


@pytest.fixture
def generator_file(tmp_path: Path) -> Path:
    known = description("generator", "lstm_wgan", {"lstm_layers": 1, "lstm_hidden": 16})
    torch.manual_seed(0)
    weights.write(tmp_path / "generator.safetensors", known.build(), known)
    return tmp_path / "generator.safetensors"


def test_a_network_is_rebuilt_from_its_file_alone(generator_file: Path) -> None:
    network, known = weights.read(generator_file, "generator")
    latent, label = torch.randn(2, 100), torch.tensor([0, 1])
    again, _ = weights.read(generator_file, "generator")
    assert torch.equal(network(latent, label), again(latent, label))
    assert known.image == IMAGE
    assert known.facts == {"phantom": True}
    assert known.chosen.settings.lstm_hidden == 16


def test_equal_weights_are_equal_bytes_in_every_process(generator_file: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from dfukit import weights\n"
        "network, known = weights.read(Path(sys.argv[1]), 'generator')\n"
        "weights.write(Path(sys.argv[2]), network, known)"
    )
    copy = tmp_path / "copy.safetensors"
    subprocess.run([sys.executable, "-c", code, str(generator_file), str(copy)], check=True)
    assert copy.read_bytes() == generator_file.read_bytes()


def test_a_network_on_parts_is_rebuilt_with_them(tmp_path: Path) -> None:
    critic = description("critic", "conv", {"width": 4})
    known = description("classifier", "critic_lstm", {"lstm_layers": 1, "lstm_hidden": 8})
    built_on = Description(known.chosen, IMAGE, {"critic": critic})
    network = built_on.chosen.build(IMAGE)
    network.attach(Parts(critic=critic.build()))
    weights.write(tmp_path / "classifier.safetensors", network.eval(), built_on)
    again, _ = weights.read(tmp_path / "classifier.safetensors", "classifier")
    pictures = torch.rand(3, 3, 16, 16)
    assert torch.equal(network(pictures), again(pictures))


def test_channels_last_weights_can_be_written(tmp_path: Path) -> None:
    known = description("critic", "conv", {"width": 4})
    network = known.build().to(memory_format=torch.channels_last)
    weights.write(tmp_path / "critic.safetensors", network, known)
    assert weights.describe(tmp_path / "critic.safetensors").chosen.name == "conv"


class Tied(nn.Module):
    """A module under two names, and a weight of two modules."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.write = nn.Embedding(4, 3), nn.Linear(3, 4)
        self.write.weight, self.again = self.read.weight, self.write


def test_tied_weights_are_written_and_read(tmp_path: Path) -> None:
    network, again = Tied(), Tied()
    weights.write(tmp_path / "critic.safetensors", network, description("critic", "conv", {}))
    weights.load_into(again, tmp_path / "critic.safetensors")
    assert network.state_dict().keys() == again.state_dict().keys()
    for name, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert again.write.weight is again.read.weight


def test_of_two_packages_that_offer_a_name_the_one_that_made_the_weights_is_taken(
    generator_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = registry.load()
    offer = known.find("generator", "lstm_wgan")
    twin = evolve(offer, component=evolve(offer.component, name="twin"))
    twins = tuple(evolve(twin, package=package, version="1") for package in ("dfukit-first", "dfukit_second"))
    monkeypatch.setattr(registry, "load", lambda: evolve(known, offers=twins))
    name_another(generator_file, component="twin", package="dfukit-second")
    assert weights.describe(generator_file).chosen.package == "dfukit_second"
    name_another(generator_file, component="twin", package="dfukit-third", version="3")
    with pytest.raises(NotInstalledError, match=r"twin of dfukit-third 3 .* is of dfukit-first 1 and dfukit_second 1"):
        weights.describe(generator_file)


def test_a_classifier_on_parts_that_no_run_has_is_refused(tmp_path: Path) -> None:
    critic = description("critic", "conv", {"width": 4})
    built_on = Description(description("classifier", "critic_lstm", {}).chosen, IMAGE, {"teacher": critic})
    weights.write(tmp_path / "classifier.safetensors", nn.Linear(1, 1), built_on)
    with pytest.raises(WeightsError, match=r"classifier\.safetensors has an unreadable description"):
        weights.describe(tmp_path / "classifier.safetensors")


def name_another(path: Path, **said: object) -> None:
    """Let a file say something else of itself."""
    with safe_open(path, framework="pt") as file:
        table = json.loads(file.metadata()["dfukit"]) | said
    save_file(load_file(path), path, {"dfukit": json.dumps(table)})


def spoil(path: Path, how: str) -> None:
    table = weights.describe(path).as_table()
    tensors = weights.read(path, "generator")[0].state_dict()
    if how == "pickle":
        path.write_bytes(pickle.dumps({"a": 1}))
    elif how == "torch":
        torch.save({"a": torch.zeros(1)}, path)
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("no weights at all, but a text of some length")
    elif how == "foreign":
        save_file({"a": torch.zeros(1)}, path)
    elif how == "tensor_gone":
        tensors.pop("state.bias")
        save_file({k: v.contiguous() for k, v in tensors.items()}, path, {"dfukit": json.dumps(table)})
    elif how == "no_json":
        save_file({"a": torch.zeros(1)}, path, {"dfukit": "{"})
    elif how == "incomplete":
        save_file({"a": torch.zeros(1)}, path, {"dfukit": json.dumps({"kind": "generator"})})
    elif how == "unknown_component":
        name_another(path, component="gone", package="dfukit-gone", version="2.0")
    elif how == "another_package":
        name_another(path, package="dfukit-gone", version="2.0")
    elif how == "parts":
        name_another(path, parts={"critic": table})
    elif how == "facts":
        name_another(path, facts=["phantom"])
    elif how == "image":
        name_another(path, image=[16, 3])
    elif how == "absent":
        path.unlink()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("pickle", "is a pickle, which can run any code"),
        ("torch", "is a pickle, which can run any code"),
        ("truncated", "is not a safetensors file"),
        ("empty", "is not a safetensors file"),
        ("text", "is not a safetensors file"),
        ("foreign", "was not made by dfukit"),
        ("tensor_gone", "does not fit what it says it is"),
        ("no_json", "has an unreadable description"),
        ("incomplete", "has an incomplete description"),
        ("unknown_component", "pip install dfukit-gone==2.0"),
        ("another_package", "(pip install dfukit-gone==2.0): the lstm_wgan that is installed is of dfukit "),
        ("parts", "has an unreadable description"),
        ("facts", "has an unreadable description"),
        ("image", "has an incomplete description"),
        ("absent", "No such file"),
    ],
)
def test_a_file_that_is_no_generator_is_refused_in_one_line(generator_file: Path, how: str, message: str) -> None:
    spoil(generator_file, how)
    with pytest.raises(WeightsError) as caught:
        weights.read(generator_file, "generator")
    assert message in str(caught.value)
    assert str(generator_file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("length", [0x80, 0x4B50])
def test_a_header_whose_length_looks_like_a_pickle_is_read(tmp_path: Path, length: int) -> None:
    header = json.dumps({"__metadata__": {"other": "x"}}).encode()
    header += b" " * ((length - len(header)) % 0x10000)
    (tmp_path / "w.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(WeightsError, match="was not made by dfukit"):
        weights.describe(tmp_path / "w.safetensors")


def test_weights_of_another_kind_are_refused(generator_file: Path) -> None:
    with pytest.raises(WeightsError, match=r"holds a generator \(lstm_wgan\), not a classifier"):
        weights.read(generator_file, "classifier")
