"""What a classifier must hold."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from dfukit import registry
from dfukit.component import Chosen
from dfukit.interfaces import Classifier, Parts
from dfukit.testing.networks import NetworkSuite
from dfukit.testing.suite import offline, require, require_shape
from dfukit.weights import Description

EIGHT = 8
LEARNT = 0.2
"""Cross-entropy below which eight pictures count as learnt; a guess has 0.69."""


class ClassifierSuite(NetworkSuite):
    """One logit a picture, of pictures of any size in [0, 1]."""

    kind: ClassVar[str] = "classifier"
    interface: ClassVar[type] = Classifier
    learning_rate: float = 1e-3
    steps: int = 150
    """Steps within which eight pictures must be learnt."""

    def describe(self) -> Description:
        chosen = self.choose()
        needs = chosen.make(self.image).needs
        critic = registry.load().choose("critic", "conv", {"width": 8})
        known = {"critic": Description(critic, self.image)}
        absent = sorted(set(needs) - set(known))
        require(not absent, f"`needs` names {', '.join(absent)}; dfukit.interfaces.Parts has {', '.join(known)}")
        return Description(chosen, self.image, {name: known[name] for name in needs})

    def make(self, chosen: Chosen) -> Any:
        return self.describe().make()

    def inputs(self, n: int) -> tuple[Tensor, ...]:
        return (self.pictures(n),)

    def test_logits_have_the_promised_shape(self) -> None:
        network = self.network().eval()
        for n in (4, 1):
            require_shape(network(*self.inputs(n)), (n,), "logits")

    def test_pictures_of_any_size_are_taken(self) -> None:
        network = self.network().eval()
        for height, width in ((self.size * 2, self.size * 2), (self.size // 2, self.size // 2), (48, 40)):
            pictures = torch.rand(2, 3, height, width, device=self.device)
            try:
                with torch.no_grad():
                    logits = network(pictures)
            except RuntimeError as error:
                text = f"pictures of {height}x{width} fail: resize inside ({error})"
                raise AssertionError(" ".join(text.split())[:300]) from None
            require_shape(logits, (2,), f"logits of {height}x{width} pictures")

    def test_a_logit_is_the_same_alone_and_in_a_batch(self) -> None:
        network, (pictures,) = self.network().eval(), self.inputs(4)
        with torch.no_grad():
            alone, together = network(pictures[:1]), network(pictures)[:1]
        require(
            torch.allclose(alone, together, atol=1e-3),
            f"in eval mode a logit depends on the others of its batch (by {(alone - together).abs().max():.3g})",
        )

    def test_eval_mode_is_deterministic(self) -> None:
        network, inputs = self.network().eval(), self.inputs(4)
        with torch.no_grad():
            require(
                torch.allclose(network(*inputs), network(*inputs), atol=1e-5),
                "in eval mode the same pictures get different logits",
            )

    def test_made_for_prediction_it_is_the_same_function(self) -> None:
        network, inputs = self.network().eval(), self.inputs(4)
        with torch.no_grad():
            require(
                torch.allclose(network.for_prediction()(*inputs), network(*inputs), atol=1e-4, rtol=1e-4),
                "for_prediction() must give a network with the same logits",
            )

    def test_preparing_says_which_weights_were_taken(self) -> None:
        network = self.network()
        with offline():
            said = network.prepare(Parts(critic=getattr(network, "critic", None)))
        require(isinstance(said, str) and said.strip(), f"prepare() must return one line of text, got {said!r}")

    def test_it_learns_eight_pictures(self) -> None:
        network, target = self.network().train(), self.labels(EIGHT).float()
        pictures = self.pictures(EIGHT)
        optimiser = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], self.learning_rate)
        losses: list[float] = []
        for _ in range(self.steps):
            loss = binary_cross_entropy_with_logits(network(pictures).float(), target)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            losses.append(loss.item())
            if len(losses) >= 3 and max(losses[-3:]) < LEARNT:
                return
        raise AssertionError(
            f"eight pictures are not learnt in {self.steps} steps: cross-entropy {losses[-1]:.3g}, not below {LEARNT}"
        )
