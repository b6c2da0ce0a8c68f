"""Networks as safetensors files that say what they are, and networks rebuilt from that alone.

The one metadata key, `dfukit`, is sorted JSON without times or paths, so that equal weights are equal bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
from attrs import evolve, field, fields, frozen
from safetensors.torch import save
from torch import Tensor, nn

from dfukit import registry, rundir, settings
from dfukit.component import Chosen, ImageSpec
from dfukit.errors import ConfigError, NotInstalledError, PluginError, WeightsError
from dfukit.interfaces import Parts

MAX_BYTES = 8 * 2**30
BESIDE = "dfukit."
"""Start of the names of tensors that belong to the weights and not to the network."""


@frozen
class Description:
    """What a network is: enough to build it again."""

    chosen: Chosen
    image: ImageSpec
    parts: Mapping[str, Description] = field(factory=dict)
    """Descriptions of the networks that it is built on, by the names of `dfukit.interfaces.Parts`."""
    facts: Mapping[str, Any] = field(factory=dict)
    """What belongs to the weights beyond the network: a temperature, the positive class, a phantom note."""

    def as_table(self) -> dict[str, Any]:
        return {
            "kind": self.chosen.kind,
            "component": self.chosen.name,
            "settings": settings.as_table(self.chosen.settings),
            "image": self.image.as_table(),
            "package": self.chosen.package,
            "version": self.chosen.version,
            "parts": {name: part.as_table() for name, part in self.parts.items()},
            "facts": dict(self.facts),
        }

    def build(self) -> nn.Module:
        """The network with fresh weights, on the parts that it needs, watched as `Chosen.build` says."""
        return self._on_parts(self.chosen.build(self.image))

    def make(self) -> nn.Module:
        """The same, unwatched."""
        return self._on_parts(self.chosen.make(self.image))

    def _on_parts(self, network: Any) -> nn.Module:
        if self.parts:
            parts: dict[str, Any] = {name: part.build() for name, part in self.parts.items()}
            network.attach(Parts(**parts))
        built: nn.Module = network
        return built


def write(path: Path, network: nn.Module, description: Description, beside: Mapping[str, Tensor] | None = None) -> None:
    """Save a network's parameters and buffers, and other tensors `beside` them, whole or not at all."""
    rundir.write_bytes(path, as_bytes(network, description, beside))


def as_bytes(network: nn.Module, description: Description, beside: Mapping[str, Tensor] | None = None) -> bytes:
    """What `write` writes."""
    named = {**network.state_dict(), **{BESIDE + name: tensor for name, tensor in (beside or {}).items()}}
    metadata = {"dfukit": json.dumps(description.as_table(), sort_keys=True)}
    content: bytes = save(_apart(named), metadata)
    return content


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, each in memory of its own: safetensors takes no tensors that share it, as tied weights do."""
    taken: set[int] = set()
    apart = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        if (storage := tensor.untyped_storage().data_ptr()) in taken:
            tensor = tensor.clone()
        taken.add(storage)
        apart[name] = tensor
    return apart


def read(path: Path, kind: str) -> tuple[nn.Module, Description]:
    """The network of a weights file, in eval mode on the CPU. Raises WeightsError naming the file."""
    description = describe(path)
    if description.chosen.kind != kind:
        raise WeightsError(f"{path} holds a {description.chosen.kind} ({description.chosen.name}), not a {kind}")
    network = description.build()
    load_into(network, path)
    return network.eval(), description


def load_into(network: nn.Module, path: Path) -> None:
    """Load the tensors of a weights file into a network of the same shape. Raises WeightsError naming the file."""
    try:
        tensors = safetensors.torch.load_file(path)
        network.load_state_dict({name: value for name, value in tensors.items() if not name.startswith(BESIDE)})
    except (RuntimeError, OSError, safetensors.SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"{path} does not fit what it says it is: {reason}") from None


def read_beside(path: Path) -> dict[str, Tensor]:
    """The tensors that were saved beside a network's own. Raises WeightsError naming the file."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(BESIDE)]  # noqa: SIM118 - no mapping
            return {name.removeprefix(BESIDE): file.get_tensor(name) for name in names}
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(f"{path} is not a safetensors file: {error}") from None


def describe(path: Path) -> Description:
    """What a weights file says it is. Raises WeightsError for a foreign or corrupt file."""
    try:
        return _description(_metadata(path), path)
    except (KeyError, TypeError, AttributeError, RecursionError):
        raise WeightsError(f"{path} has an incomplete description: make the weights again") from None


def _description(table: Mapping[str, Any], path: Path) -> Description:
    kind, name, package, version = (str(table[key]) for key in ("kind", "component", "package", "version"))
    needs = f"{path} needs the {kind} {name} of {package} {version} (pip install {package}=={version})"
    known = registry.load()
    namesakes = [offer for offer in known.of_kind(kind) if offer.component.name == name]
    own = tuple(offer for offer in namesakes if _spelt(offer.package) == _spelt(package))
    if namesakes and not own:
        others = " and ".join(offer.source for offer in namesakes)
        raise NotInstalledError(f"{needs}: the {name} that is installed is of {others}")
    try:
        chosen = evolve(known, offers=own or known.offers).choose(kind, name, table["settings"])
    except (ConfigError, PluginError) as error:
        raise (WeightsError if own else NotInstalledError)(f"{needs}: {error}") from None
    parts = {part: _description(about, path) for part, about in table["parts"].items()}
    allowed = {one.name for one in fields(Parts)} if kind == "classifier" else set()
    if parts.keys() - allowed or not isinstance(table["facts"], Mapping):
        raise WeightsError(f"{path} has an unreadable description: make the weights again")
    return Description(chosen, ImageSpec(**table["image"]), parts, table["facts"])


def _spelt(package: str) -> str:
    """A package's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", package).lower()


def _metadata(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            start = file.read(9)
        size = path.stat().st_size
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}") from None
    # A safetensors file begins with a length, whose bytes can be anything, and the brace of its header.
    if start[8:] != b"{" and (start[:2] == b"PK" or start[:1] == b"\x80"):
        raise WeightsError(f"{path} is a pickle, which can run any code when opened: dfukit reads safetensors only")
    if size > MAX_BYTES:
        raise WeightsError(f"{path} has {size / 2**30:.1f} GiB; more than {MAX_BYTES // 2**30} GiB is refused")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a safetensors file: {error}") from None
    if "dfukit" not in metadata:
        raise WeightsError(f"{path} was not made by dfukit (its metadata has no key `dfukit`)")
    try:
        table = json.loads(metadata["dfukit"])
    except (json.JSONDecodeError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise WeightsError(f"{path} has an unreadable description: make the weights again")
    return table
