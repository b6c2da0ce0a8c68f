"""How near synthetic pictures are to real ones: Inception Score, FID, KID and their relatives, precision and recall,
density and coverage, PSNR, SSIM."""

from __future__ import annotations

from dfukit import Component, ConfigError, choice, frozen, hookimpl, text, whole

HEUSEL = "Heusel et al., GANs Trained by a Two Time-Scale Update Rule, NeurIPS 2017"
BINKOWSKI = "Binkowski et al., Demystifying MMD GANs, ICLR 2018"
SALIMANS = "Salimans et al., Improved Techniques for Training GANs, NeurIPS 2016"
SZEGEDY = "Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016"
KYNKAANNIEMI = "Kynkäänniemi et al., Improved Precision and Recall Metric for Assessing Generative Models, NeurIPS 2019"
NAEEM = "Naeem et al., Reliable Fidelity and Diversity Metrics for Generative Models, ICML 2020"
STEIN = "Stein et al., Exposing Flaws of Generative Model Evaluation Metrics, NeurIPS 2023"
WANG = "Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, IEEE TIP 13(4), 2004"


@frozen
class NoSettings:
    """A part that leaves nothing to choose."""


@frozen
class InceptionScoreSettings:
    splits: int = whole(10, "parts that the score is the mean of", low=1, high=1000)


@frozen
class KernelDistanceSettings:
    estimate: str = choice(
        "whole", ("whole", "subsets"), "one unbiased estimate of the whole sets, or the mean over random subsets"
    )
    subsets: int = whole(100, "random subsets, where the estimate is over subsets", low=2, high=10_000)
    subset_size: int = whole(1000, "pictures in a subset", low=10)


@frozen
class NearestThreeSettings:
    k: int = whole(3, "a neighbourhood reaches to the k-th nearest picture", low=1, high=50)


@frozen
class NearestFiveSettings:
    k: int = whole(5, "a neighbourhood reaches to the k-th nearest picture", low=1, high=50)


@frozen
class RandomVgg16Settings:
    seed: int = whole(0, "seed of the random weights", low=0, high=2**31 - 1)
    size: int = whole(128, "width to which pictures are brought, a multiple of 32", low=32, high=512)

    def __attrs_post_init__(self) -> None:
        if self.size % 32:
            raise ConfigError(f"extractor.r64.size must be a multiple of 32, got {self.size}")


@frozen
class TimmFeaturesSettings:
    backbone: str = text("vit_small_patch14_dinov2.lvd142m", "name of a timm model, with its weights after the dot")
    weights: str = text("", "safetensors file of its weights; empty: the hub's cache, then the hub")
    size: int = whole(0, "width to which pictures are brought; 0: the model's own", low=0, high=2048)


@hookimpl
def extractors() -> list[Component]:
    return [
        Component(
            name="inception",
            settings=NoSettings,
            target="dfukit_fidelity.inception:Inception",
            summary="the 2015 Inception-v3 network of FID, KID and IS: 2048 features, 1008 logits",
            citation=SZEGEDY,
        ),
        Component(
            name="r64",
            settings=RandomVgg16Settings,
            target="dfukit_fidelity.r64:RandomVgg16",
            summary="64 features of a randomly initialised VGG16; needs no download",
            citation=NAEEM,
        ),
        Component(
            name="timm_features",
            settings=TimmFeaturesSettings,
            target="dfukit_fidelity.timm_features:TimmFeatures",
            summary="pooled features of any timm backbone (extractor.timm_features.backbone), as it comes DINOv2 ViT-S",
            citation=STEIN,
        ),
    ]


@hookimpl
def metrics() -> list[Component]:
    return [
        Component(
            name="inception_score",
            settings=InceptionScoreSettings,
            target="dfukit_fidelity.inception_score:InceptionScore",
            summary="Inception Score of the synthetic set, the real set's own beside it",
            citation=SALIMANS,
        ),
        Component(
            name="fid",
            settings=NoSettings,
            target="dfukit_fidelity.frechet:FrechetInceptionDistance",
            summary="Fréchet Inception Distance; biased upwards in small sets",
            suggests={"metric": {"fd": {}}},
            citation=HEUSEL,
        ),
        Component(
            name="kid",
            settings=KernelDistanceSettings,
            target="dfukit_fidelity.kernel:KernelInceptionDistance",
            summary="Kernel Inception Distance; unbiased",
            suggests={"metric": {"kd": {}}},
            citation=BINKOWSKI,
        ),
        Component(
            name="fd",
            settings=NoSettings,
            target="dfukit_fidelity.frechet:FrechetDistance",
            summary="Fréchet distance on whichever extractor is at hand",
            citation=HEUSEL,
        ),
        Component(
            name="kd",
            settings=KernelDistanceSettings,
            target="dfukit_fidelity.kernel:KernelDistance",
            summary="kernel distance on whichever extractor is at hand",
            citation=BINKOWSKI,
        ),
        Component(
            name="precision",
            settings=NearestThreeSettings,
            target="dfukit_fidelity.precision_recall:Precision",
            summary="share of synthetic pictures among the real ones: do they look real?",
            citation=KYNKAANNIEMI,
        ),
        Component(
            name="recall",
            settings=NearestThreeSettings,
            target="dfukit_fidelity.precision_recall:Recall",
            summary="share of real pictures among the synthetic ones: could the generator make them?",
            citation=KYNKAANNIEMI,
        ),
        Component(
            name="density",
            settings=NearestFiveSettings,
            target="dfukit_fidelity.precision_recall:Density",
            summary="how thickly synthetic pictures lie among the real ones; 1 for a set like the real one",
            citation=NAEEM,
        ),
        Component(
            name="coverage",
            settings=NearestFiveSettings,
            target="dfukit_fidelity.precision_recall:Coverage",
            summary="share of real pictures with a synthetic one near by: are all kinds there?",
            citation=NAEEM,
        ),
        Component(
            name="psnr",
            settings=NoSettings,
            target="dfukit_fidelity.nearest:NearestPsnr",
            summary="PSNR to the nearest real picture, in dB: a copy alarm",
        ),
        Component(
            name="ssim",
            settings=NoSettings,
            target="dfukit_fidelity.nearest:NearestSsim",
            summary="SSIM to the nearest real picture: a copy alarm",
            citation=WANG,
        ),
    ]
