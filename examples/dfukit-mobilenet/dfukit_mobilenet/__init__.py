"""A feature extractor of one's own: MobileNetV1 from a local file."""

from __future__ import annotations

from dfukit import Component, frozen, hookimpl, text


@frozen
class MobileNetSettings:
    weights: str = text("", "safetensors file of MobileNetV1-0.75")


@hookimpl
def extractors() -> list[Component]:
    return [
        Component(
            name="mobilenet",
            settings=MobileNetSettings,
            target="dfukit_mobilenet.network:MobileNetExtractor",
            summary="768 features of MobileNetV1-0.75 (ImageNet) from a local file",
            citation="Howard et al., MobileNets, arXiv 1704.04861",
        )
    ]
