"""What a generator must hold."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from dfukit.component import ImageSpec
from dfukit.interfaces import Generator
from dfukit.testing.networks import NetworkSuite
from dfukit.testing.suite import require, require_shape


class GeneratorSuite(NetworkSuite):
    """Pictures [N, C, S, S] in [-1, 1], a function of latent and class."""

    kind: ClassVar[str] = "generator"
    interface: ClassVar[type] = Generator

    def inputs(self, n: int) -> tuple[Tensor, ...]:
        size = self.network().latent_size
        return torch.randn(n, size, generator=torch.Generator().manual_seed(2)).to(self.device), self.labels(n)

    def test_pictures_have_the_promised_shape(self) -> None:
        network = self.network()
        for training in (True, False):
            require_shape(network.train(training)(*self.inputs(4)), (4, 3, self.size, self.size), "pictures")

    def test_pictures_stay_between_minus_one_and_one(self) -> None:
        latent, label = self.inputs(8)
        with torch.no_grad():
            pictures = self.stirred().eval()(10 * latent, label)
        low, high = pictures.min().item(), pictures.max().item()
        require(low >= -1 and high <= 1, f"pictures must lie in [-1, 1], got [{low:.3g}, {high:.3g}]: end with a tanh")

    def test_a_picture_is_the_same_alone_and_in_a_batch(self) -> None:
        network, (latent, label) = self.network().eval(), self.inputs(4)
        with torch.no_grad():
            alone, together = network(latent[:1], label[:1]), network(latent, label)[:1]
        require_shape(alone, (1, 3, self.size, self.size), "a batch of one")
        require(
            torch.allclose(alone, together, atol=1e-3),
            f"in eval mode a picture depends on the others of its batch (by {(alone - together).abs().max():.3g})",
        )

    def test_the_same_latent_gives_the_same_picture(self) -> None:
        network, inputs = self.network().eval(), self.inputs(2)
        with torch.no_grad():
            require(
                torch.allclose(network(*inputs), network(*inputs), atol=1e-5),
                "in eval mode the same latents and labels give different pictures: draw noise from the latent",
            )

    def test_the_latent_matters(self) -> None:
        network, (latent, label) = self.stirred().eval(), self.inputs(1)
        with torch.no_grad():
            difference = (network(latent, label) - network(-latent, label)).abs().max().item()
        require(difference > 1e-4, f"another latent changes pictures by {difference:.1g} only")

    def test_the_label_matters(self) -> None:
        network, (latent, label) = self.stirred().eval(), self.inputs(4)
        with torch.no_grad():
            difference = (network(latent, label) - network(latent, 1 - label)).abs().max().item()
        require(difference > 1e-4, f"the label is ignored: another one changes pictures by {difference:.1g}")

    def test_a_gradient_reaches_every_parameter(self) -> None:
        network = self.network().train()
        network(*self.inputs(4)).square().mean().backward()
        unreached = [
            name for name, values in network.named_parameters() if values.requires_grad and values.grad is None
        ]
        require(not unreached, f"no gradient reaches {', '.join(unreached)}")

    def test_a_single_class_works(self) -> None:
        network = self.choose().make(ImageSpec(self.size, 3, ("all",), None)).to(self.device).eval()
        latent = torch.randn(2, network.latent_size, device=self.device)
        with torch.no_grad():
            pictures = network(latent, torch.zeros(2, dtype=torch.int64, device=self.device))
        require_shape(pictures, (2, 3, self.size, self.size), "pictures of a single class")
