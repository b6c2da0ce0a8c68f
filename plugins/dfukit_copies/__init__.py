"""Do synthetic pictures copy training pictures? An audit that says how much it would have found."""

from __future__ import annotations

from dfukit import Component, frozen, hookimpl, real, whole

CARLINI = "Carlini et al., Extracting Training Data from Diffusion Models, USENIX Security 2023"
MEEHAN = "Meehan et al., A Non-Parametric Test to Detect Data-Copying in Generative Models, AISTATS 2020"


@frozen
class CopiesSettings:
    false_alarms: float = real(
        0.0025, "share of real pictures that may be called a copy of another patient's", above=0.0, high=0.1
    )
    planted: int = whole(60, "copies planted of each kind, to measure how many are found", low=10, high=10_000)


@hookimpl
def metrics() -> list[Component]:
    return [
        Component(
            name="copies",
            settings=CopiesSettings,
            target="dfukit_copies.audit:Copies",
            summary="share of synthetic pictures that copy a training picture; the audit's own power beside it",
            citation=f"{CARLINI}; {MEEHAN}",
        )
    ]
