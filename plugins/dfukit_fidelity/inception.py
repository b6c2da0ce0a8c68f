"""The 2015 Inception-v3 network (FID-InceptionV3) on which FID, KID and the Inception Score are defined."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from dfukit import pretrained
from dfukit.errors import WeightsError
from dfukit.interfaces import Extractor

if TYPE_CHECKING:
    from dfukit_fidelity.inception_network import InceptionNetwork


class Inception(Extractor):
    """features [N, 2048] and logits [N, 1008] without bias ("logits_unbiased"), resized as TensorFlow 1 resized.

    Raises WeightsError, with the remedy, where the weights are neither in the store nor can be downloaded.
    """

    def __init__(self, settings: object) -> None:
        super().__init__()
        path = pretrained.default_store().get("inception", lambda done, of: None)
        self.network, self.source = read_network(path)
        self.requires_grad_(False).eval().to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features, logits = self.network(images.float())
        return {"features": features.float(), "logits": logits.float()}


def read_network(path: Path) -> tuple[InceptionNetwork, str]:
    """The network in a file of the store, folded for inference, and where its weights come from.

    Raises WeightsError where the file does not fit.
    """
    # torch-fidelity takes seconds to import: only where there are weights is it needed.
    from dfukit_fidelity.inception_network import InceptionNetwork

    # On the meta device nothing is initialised: faster, and the global random state stays where it is.
    with torch.device("meta"):
        network = InceptionNetwork()
    try:
        network.load_state_dict(load_file(path), assign=True)
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("dfukit", "{}"))
    except (RuntimeError, OSError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"{path} does not hold the Inception network ({reason}): remove it, then dfukit weights get inception"
        ) from None
    return network.eval().fold(), f"{facts.get('file', path.name)}, sha256 {facts.get('sha256', 'unknown')}"
