"""What a scoring will do: each metric with its extractor, and what is suggested where one is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from dfukit.component import Chosen
from dfukit.errors import DfukitError
from dfukit.interfaces import Metric
from dfukit.registry import Registry
from dfukit.scoring.extraction import Extractors

Reads = tuple[str | None, bool]
"""What a view holds: features of the extractor of that name, and whether pixels."""


@frozen(eq=False)
class Task:
    """A metric of a scoring."""

    chosen: Chosen
    metric: Metric
    extractor: str | None = None
    """The name of the extractor behind its features; None where it reads pixels alone."""
    missing: str | None = None
    """Why its extractor cannot be had."""

    @property
    def reads(self) -> Reads:
        """Metrics that read the same are handed the very same views."""
        return self.extractor, "pixels" in self.metric.reads

    @property
    def suffix(self) -> str:
        """`[r64]` where the metric takes any extractor, whose name is then part of the figure's."""
        own = self.extractor is None or self.metric.extractor is not None or self.metric.audit
        return "" if own else f"[{self.extractor}]"


def plan(metrics: Sequence[Chosen], registry: Registry, extractors: Extractors) -> list[Task]:
    """The metrics in their order, and after them those suggested in place of metrics whose extractor cannot be had.

    Raises DfukitError where the extractor that this scoring asks for cannot be had.
    """
    tasks, queue = [], list(metrics)
    for chosen in queue:
        metric: Metric = chosen.build()
        if metric.reads == "pixels":
            tasks.append(Task(chosen, metric))
            continue
        try:
            tasks.append(Task(chosen, metric, extractors.name_for(metric)))
        except DfukitError as error:
            if metric.extractor is None:
                raise
            tasks.append(Task(chosen, metric, missing=str(error)))
            queue += _substitutes(chosen, registry, {other.name for other in queue})
    return tasks


def _substitutes(chosen: Chosen, registry: Registry, queued: set[str]) -> list[Chosen]:
    """What a metric suggests in its place where its extractor cannot be had."""
    suggested: Mapping[str, Any] = chosen.component.suggests.get("metric", {})
    return [
        registry.choose("metric", name, values, f"metric.{name}")
        for name, values in suggested.items()
        if name not in queued
    ]
