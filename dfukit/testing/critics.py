"""What a critic must hold."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from dfukit.interfaces import Critic, of_pictures
from dfukit.testing.networks import NetworkSuite
from dfukit.testing.suite import require, require_shape


class CriticSuite(NetworkSuite):
    """Scores that a gradient penalty can be taken of, and a label-free feature map."""

    kind: ClassVar[str] = "critic"
    interface: ClassVar[type] = Critic

    def inputs(self, n: int) -> tuple[Tensor, ...]:
        return self.pictures(n) * 2 - 1, self.labels(n)

    def outputs(self, network: Any, *inputs: Tensor) -> list[Tensor]:
        images, label = inputs
        extra = network.auxiliary(images, self.step())
        return [network(images, label), network.features(images), *([] if extra is None else [extra])]

    def test_scores_have_the_promised_shape(self) -> None:
        network = self.network()
        for n in (4, 1) if network.per_picture else (4,):
            scores = network(*self.inputs(n))
            places = scores.shape[1:] if scores.ndim == 2 and scores.shape[1] > 1 else ()
            require_shape(scores, (n, *places), "scores")

    def test_a_score_ignores_the_rest_of_the_batch(self) -> None:
        network, (images, label) = self.stirred().train(), self.inputs(4)
        if not network.per_picture:
            return
        others = torch.cat([images[:2], -images[2:]])
        with torch.no_grad():
            torch.manual_seed(0)
            first = network(images, label)[:2]
            torch.manual_seed(0)
            second = network(others, label)[:2]
        require(
            torch.allclose(first, second, atol=1e-4, rtol=1e-3),
            f"a score depends on the rest of the batch (by {(first - second).abs().max():.3g}), which a gradient "
            "penalty forbids: take batch statistics out, or say `per_picture = False`",
        )

    def test_it_can_be_differentiated_twice(self) -> None:
        network, (images, label) = self.network().train(), self.inputs(4)
        images = images.clone().requires_grad_()
        scores = of_pictures(network(images, label))
        require(scores.requires_grad, "scores carry no gradient")
        try:
            # Weighted, as the plain sum of scores relative to their mean is constant.
            weighted = (scores * torch.arange(1, 5, device=self.device)).sum()
            (gradient,) = torch.autograd.grad(weighted, images, create_graph=True)
            (gradient.flatten(1).norm(dim=1) - 1).square().mean().backward()
        except RuntimeError as error:
            raise AssertionError(f"a gradient penalty cannot be taken on {self.device}: {error}") from None
        reached = [values.grad for values in network.parameters() if values.grad is not None]
        require(
            any(bool((values != 0).any()) for values in reached), "the gradient penalty's gradient reaches no parameter"
        )
        require(
            all(bool(values.isfinite().all()) for values in reached), "the gradient penalty's gradient is not finite"
        )

    def test_features_are_a_map_free_of_the_label(self) -> None:
        network, (images, label) = self.stirred().eval(), self.inputs(4)
        with torch.no_grad():
            network(images, label)
            features = network.features(images)
            network(images, 1 - label)
            again = network.features(images)
        require(features.ndim == 4, f"features must be a map [N, C, H, W], got shape {list(features.shape)}")
        require_shape(features, (4, *features.shape[1:]), "features")
        require(torch.allclose(features, again, atol=1e-5), "features change with the labels of the last scores")

    def test_an_auxiliary_task_is_a_finite_scalar(self) -> None:
        network, (images, _) = self.network().train(), self.inputs(4)
        extra = network.auxiliary(images, self.step())
        if extra is None:
            return
        require_shape(extra, (), "the auxiliary loss")
        require(extra.requires_grad, "the auxiliary loss carries no gradient")
