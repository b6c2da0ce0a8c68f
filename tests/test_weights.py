"""Weights say what they are; a network is rebuilt from its file alone; foreign files are refused."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dfukit import ImageSpec, WeightsError, registry, weights
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
        table |= {"component": "gone", "package": "dfukit-gone", "version": "2.0"}
        save_file({"a": torch.zeros(1)}, path, {"dfukit": json.dumps(table)})
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
