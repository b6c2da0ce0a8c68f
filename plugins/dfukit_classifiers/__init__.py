"""Classifiers that read a feature map with an LSTM: EfficientNetV2, any timm backbone, or the trained critic."""

from __future__ import annotations

from dfukit import Component, choice, frozen, hookimpl, real, text, whole

EFFICIENTNET_V2 = "Tan and Le, EfficientNetV2: Smaller Models and Faster Training, ICML 2021"
TIMM = "Wightman, PyTorch Image Models, 2019, doi:10.5281/zenodo.4414861"


@frozen
class HeadSettings:
    """The LSTM that reads the cells of a feature map."""

    lstm_layers: int = whole(2, "layers of the LSTM", low=1, high=8)
    lstm_hidden: int = whole(256, "width of the LSTM", low=1, high=4096)
    dropout: float = real(0.3, "dropout between the LSTM's layers and before the logit", low=0.0, high=0.99)


@frozen
class BackboneSettings(HeadSettings):
    """A timm backbone under the LSTM."""

    pretrained: str = choice(
        "auto", ("auto", "true", "false"), "pretrained weights: auto takes them where they can be had, true insists"
    )
    input_size: int = whole(
        0, "width that pictures are resized to inside; 0: the pictures' own, but at least 128", low=0, high=1024
    )


@frozen
class TimmSettings(BackboneSettings):
    """Any backbone that timm knows."""

    backbone: str = text("resnet18.a1_in1k", "name of a timm model, with its weights after the dot")


@hookimpl
def classifiers() -> list[Component]:
    return [
        Component(
            name="effv2s_lstm",
            settings=BackboneSettings,
            target="dfukit_classifiers.networks:efficientnet_v2_s",
            summary="EfficientNetV2-S, its feature map read cell by cell by an LSTM",
            citation=EFFICIENTNET_V2,
        ),
        Component(
            name="effv2m_lstm",
            settings=BackboneSettings,
            target="dfukit_classifiers.networks:efficientnet_v2_m",
            summary="EfficientNetV2-M, its feature map read cell by cell by an LSTM",
            citation=EFFICIENTNET_V2,
        ),
        Component(
            name="timm_lstm",
            settings=TimmSettings,
            target="dfukit_classifiers.networks:any_timm",
            summary="any timm backbone (classifier.backbone), its feature map read by an LSTM",
            citation=TIMM,
        ),
        Component(
            name="critic_lstm",
            settings=HeadSettings,
            target="dfukit_classifiers.networks:CriticLstm",
            summary="the trained critic's features, read cell by cell by an LSTM",
        ),
    ]
