"""What an extractor must hold."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from dfukit.component import Chosen
from dfukit.interfaces import Extractor
from dfukit.testing.suite import Suite, require, require_shape


class ExtractorSuite(Suite):
    """Features [N, D] of uint8 pictures, the same each time."""

    kind: ClassVar[str] = "extractor"
    interface: ClassVar[type] = Extractor

    def make(self, chosen: Chosen) -> Any:
        return chosen.make().eval()

    def outputs(self, extractor: Any, height: int, width: int, n: int = 3) -> dict[str, Tensor]:
        """What it makes of the first n of three pictures."""
        rng = torch.Generator().manual_seed(3)
        images = torch.randint(256, (3, 3, height, width), dtype=torch.uint8, generator=rng).to(self.device)
        with torch.no_grad():
            made: dict[str, Tensor] = extractor.to(self.device)(images[:n])
        return made

    def test_features_have_the_promised_shape(self) -> None:
        extractor = self.build()
        widths = set()
        for height, width in ((self.size, self.size), (48, 40)):
            made = self.outputs(extractor, height, width)
            require("features" in made, f'the outputs lack "features": {", ".join(made) or "none"}')
            unknown = sorted(set(made) - {"features", "logits"})
            require(not unknown, f'outputs beyond "features" and "logits": {", ".join(unknown)}')
            for name, values in made.items():
                require(values.ndim == 2, f"{name} must have shape [N, D], got {list(values.shape)}")
                require_shape(values, (3, values.shape[1]), name)
                require(values.dtype == torch.float32, f"{name} must be float32, got {values.dtype}")
            widths.add(made["features"].shape[1])
        require(len(widths) == 1, f"the number of features changes with the pictures' size: {sorted(widths)}")

    def test_features_are_the_same_alone_and_in_a_batch(self) -> None:
        extractor = self.build()
        alone, together = (self.outputs(extractor, self.size, self.size, n) for n in (1, 3))
        for name, values in together.items():
            difference = (alone[name] - values[:1]).abs().max() / values.abs().max().clamp(min=1e-12)
            require(
                difference <= 1e-3,
                f"{name} depend on the other pictures of the batch (by {difference:.3g} of the largest value)",
            )

    def test_the_same_pictures_give_the_same_features(self) -> None:
        first = self.outputs(self.build(), self.size, self.size)["features"]
        torch.manual_seed(1)
        second = self.outputs(self.make(self.choose()), self.size, self.size)["features"]
        require(torch.allclose(first, second, atol=1e-5), "building it again and asking again gives other features")

    def test_different_pictures_give_different_features(self) -> None:
        features = self.outputs(self.build(), self.size, self.size)["features"]
        require(not torch.equal(features[0], features[1]), "different pictures have the same features")

    def test_it_says_where_its_weights_come_from(self) -> None:
        source = getattr(self.build(), "source", None)
        require(isinstance(source, str) and source.strip(), f"source must be a line of text, got {source!r}")
