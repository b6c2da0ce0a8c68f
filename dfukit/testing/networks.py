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

from dfukit import hardware, weights
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

    def outputs(self, network: Any, *inputs: Tensor) -> list[Tensor]:
        """All that a run computes with the network."""
        return [network(*inputs)]

    def test_it_runs_forward_and_backward_as_in_training(self) -> None:
        network = self.build().cpu().to(memory_format=torch.channels_last).train()
        inputs = [_channels_last(values.cpu()) for values in self.inputs(2)]
        # oneDNN has no bfloat16 LSTM for a CPU without it, where `auto` chooses float32.
        bf16 = hardware.cpu_bf16() or not any(isinstance(module, nn.RNNBase) for module in network.modules())
        try:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                outputs = self.outputs(network, *inputs)
            torch.autograd.backward([values.float().square().mean() for values in outputs if values.requires_grad])
        except RuntimeError as error:
            raise AssertionError(
                "training runs networks and pictures in channels_last memory, under bfloat16 autocast where that is "
                f"fast, and there it fails: {error}"
            ) from None
        gradients = [values.grad for values in network.parameters() if values.grad is not None]
        require(
            all(bool(values.isfinite().all()) for values in (*outputs, *gradients)),
            "under bfloat16 autocast outputs or gradients are not finite",
        )

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


def _channels_last(values: Tensor) -> Tensor:
    """Pictures in the memory layout of training; anything else as it is."""
    return values.contiguous(memory_format=torch.channels_last) if values.ndim == 4 else values
