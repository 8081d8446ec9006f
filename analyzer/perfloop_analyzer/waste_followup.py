"""Asks what an implemented reduction did: whether the size fell, and whether anything got worse."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np

from perfloop_analyzer.ports import Query
from perfloop_analyzer.recommend.conclusion import LONGEST_LOOK
from perfloop_analyzer.recommend.validation import LEAST_GAIN
from perfloop_analyzer.series import Grid, service_of
from perfloop_analyzer.waste.conclusion import Reduced, Watched, conclude_reduced
from perfloop_analyzer.waste.kinds import KINDS
from perfloop_base.durations import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.ports import Source
    from perfloop_analyzer.recommend import Recommendation
    from perfloop_analyzer.recommend.conclusion import Conclusion
    from perfloop_analyzer.series import Batch, Floats, Labels

LOAD = "request_rate"
CALLERS = ("api_response_time_p95", "error_ratio", "timeout_ratio")  # what callers notice
EVENTS = frozenset({"container_kills_per_second"})
AHEAD, LONGEST = 90, 2 * LONGEST_LOOK  # points before and after the mark
MOST_SERVICES = 5  # whose callers are watched, where a thing serves none itself
LEAST_OF_USE = 0.5  # by which what should be gone must fall
LEAST_SECONDS = 0.001  # a response time that moves by less did not move


async def conclude_waste(
    source: Source, recommendation: Recommendation, catalog: Mapping[str, Signal], window: str, at: float
) -> Conclusion | None:
    """Return what can be said of an implemented reduction now; None while it is too early, or nothing is known of it.

    Args:
        source: Answers PromQL.
        recommendation: One of the category of waste, implemented.
        catalog: The signals, by name.
        window: The rate window.
        at: The moment in Unix seconds.
    """
    kind = next((one for one in KINDS if one.rule == recommendation.rule), None)
    before, labels = _size_before(recommendation)
    if kind is None or before is None or kind.size not in catalog:
        return None
    step = parse_duration(window)
    since = min(max(0, int((at - recommendation.updated) // step)), LONGEST)
    grid = Grid(recommendation.updated - AHEAD * step, step, AHEAD + 1 + since)
    names = [name for name in (kind.size, LOAD, *CALLERS, *kind.harmed) if name in catalog]
    answers = (await source.query([Query(name, catalog[name].query(window)) for name in names], grid)).batches
    answer = _Answer(answers, catalog, recommendation.service, labels, grid)
    watched = tuple(answer.watched(kind.harmed))
    size, is_gone = answer.own(kind.size), recommendation.values["resize"]["to"] == 0
    if is_gone:
        # What is gone has no series any more; that it is gone is seen while others of the service are there.
        there = np.any([np.isfinite(one.values) for one in watched], axis=0) if watched else np.isfinite(size)
        size = np.where(~np.isfinite(size) & there, 0.0, size)
    seen = Reduced(
        title=recommendation.gain_of,
        unit=catalog[kind.size].unit,
        size=size,
        before=before,
        marked=AHEAD,
        watched=watched,
        load=answer.load(),
        passed=at - recommendation.updated,
        # What is used varies with the load, what is provided does not.
        least=LEAST_OF_USE if is_gone else LEAST_GAIN,
    )
    return await asyncio.to_thread(conclude_reduced, seen)


def _size_before(recommendation: Recommendation) -> tuple[float | None, Labels]:
    """Return the size that was to be reduced and whose it is; None where the stored values do not say it."""
    resize: Any = recommendation.values.get("resize")
    size = resize.get("from") if isinstance(resize, dict) else None
    is_known = isinstance(size, int | float) and size > 0 and isinstance(resize.get("to"), int | float)
    labels = next(iter(recommendation.evidence), {}).get("labels")
    return (float(size) if is_known and size is not None else None), labels if isinstance(labels, dict) else {}


class _Answer:
    """What Prometheus answered about one recommendation."""

    def __init__(
        self,
        batches: Mapping[str, Batch],
        catalog: Mapping[str, Signal],
        service: str,
        labels: Labels,
        grid: Grid,
    ) -> None:
        self._batches = batches
        self._catalog = catalog
        self._service = service
        self._labels = labels
        self._grid = grid

    def own(self, name: str) -> Floats:
        """Return a signal of the thing itself over the grid."""
        found = [row for labels, row in self._rows(name) if labels == self._labels]
        return found[0] if found else np.full(self._grid.points, np.nan)

    def load(self) -> Floats | None:
        """Return the requests per second of those whose callers are watched."""
        found = [row for labels, row in self._rows(LOAD) if self._service_of(LOAD, labels) in self._served()]
        return np.asarray(np.sum(found, axis=0), dtype=np.float64) if found else None

    def watched(self, harmed: Sequence[str]) -> Iterator[Watched]:
        """Yield what must not get worse: what callers notice, and what this kind of thing may harm itself."""
        for name in CALLERS:
            for labels, row in self._rows(name):
                if (service := self._service_of(name, labels)) in self._served():
                    yield self._watch(name, service, row)
        for name in harmed:
            for labels, row in self._rows(name):
                if all(value == labels.get(label, value) for label, value in self._labels.items()):
                    yield self._watch(name, self._service, row)

    def _watch(self, name: str, service: str, row: Floats) -> Watched:
        signal = self._catalog[name]
        least = LEAST_SECONDS if signal.unit == "seconds" else signal.min_deviation
        title = f"{signal.label} of {service}"
        return Watched(title, signal.unit, row, least, above=signal.direction == "above", is_event=name in EVENTS)

    def _served(self) -> tuple[str, ...]:
        """Return the service, where it is asked for something, else all that are: they may depend on it."""
        known = sorted({self._service_of(LOAD, labels) for labels, _ in self._rows(LOAD)})
        return (self._service,) if self._service in known else tuple(known[:MOST_SERVICES])

    def _rows(self, name: str) -> Iterator[tuple[Labels, Floats]]:
        batch = self._batches.get(name)
        return zip(batch.labels, batch.values, strict=True) if batch is not None else iter(())

    def _service_of(self, name: str, labels: Labels) -> str:
        return service_of(labels, self._catalog[name].service)
