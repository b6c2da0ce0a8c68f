"""What networks with weights of their own must hold: a file of weights is enough to have them again."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from abc import abstractmethod
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dfukit import weights
from dfukit.testing.suite import SECONDS_TO_ANSWER, Suite, require
from dfukit.weights import Description

REBUILD = """
import sys
from pathlib import Path

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise OSError("a network must be rebuilt from its file, without the internet")

sys.addaudithook(refuse)

import torch
from safetensors.torch import load_file, save_file
from dfukit import weights

network, _ = weights.read(Path(sys.argv[1]), sys.argv[2])
inputs = load_file(sys.argv[3])
with torch.no_grad():
    outputs = network(*[inputs[name] for name in sorted(inputs)])
save_file({"outputs": outputs.contiguous()}, sys.argv[4])
"""


class NetworkSuite(Suite):
    """A generator, critic or classifier under test."""

    def describe(self) -> Description:
        """What the weights file says the network is."""
        return Description(self.choose(), self.image)

    def network(self) -> Any:
        """The network on the device, with the same weights each time."""
        return self.build().to(self.device)

    def stirred(self) -> Any:
        """The network with a little noise on every parameter, so that parts that begin at zero take part."""
        network: nn.Module = self.build()
        rng = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=rng))
        return network.to(self.device)

    @abstractmethod
    def inputs(self, n: int) -> tuple[Tensor, ...]:
        """Arguments of `forward` for n pictures."""

    def test_weights_rebuild_from_their_file_in_another_process(self) -> None:
        network, description = self.build().cpu().eval(), self.describe()
        inputs = [values.cpu() for values in self.inputs(2)]
        with torch.no_grad():
            expected = network(*inputs)
        with tempfile.TemporaryDirectory() as folder:
            file, given, made = (Path(folder) / name for name in ("weights.safetensors", "inputs", "outputs"))
            weights.write(file, network, description)
            save_file({str(place): values.contiguous() for place, values in enumerate(inputs)}, given)
            arguments = [str(file), self.kind, str(given), str(made)]
            answer = subprocess.run(
                [sys.executable, "-c", REBUILD, *arguments],
                env={**os.environ, "DFUKIT_OFFLINE": "1", "HF_HUB_OFFLINE": "1"},
                capture_output=True,
                text=True,
                timeout=SECONDS_TO_ANSWER,
            )
            require(answer.returncode == 0, f"rebuilding failed: {answer.stderr.strip()[-300:]}")
            outputs = load_file(made)["outputs"]
        require(
            torch.allclose(outputs, expected, atol=1e-4, rtol=1e-4),
            "the network that another process rebuilt from the weights file gives other outputs: "
            "keep everything that matters in parameters, persistent buffers or settings",
        )
