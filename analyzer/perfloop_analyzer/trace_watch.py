"""Asks Prometheus for the traces behind findings about latency, and adds them to incidents and recommendations."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from perfloop_analyzer.errors import QueryRejected, SourceError
from perfloop_analyzer.exemplars import choose_traces

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.exemplars import Traced
    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.incidents import Incident
    from perfloop_analyzer.ports import Result
    from perfloop_analyzer.recommend import Recommendation

MOST_QUERIES = 4  # in one cycle: the first findings of the worst incidents
BEFORE_SECONDS = 120.0  # a window of a rate, and more
REFUSED_SECONDS = 600.0  # a store that keeps no exemplars is not asked again for so long
# Of expressions over a histogram of durations: exemplars are kept of buckets.
_OF_BUCKETS = "histogram_quantile"
_SECONDS = "seconds"

log = logging.getLogger("analyzer")


class TraceSource(Protocol):
    """Something that keeps exemplars."""

    async def exemplars(self, expr: str, start: float, end: float) -> list[Any]:
        """Return the series in an expression with their exemplars between two moments, in Unix seconds.

        Raises:
            QueryRejected: It keeps none.
            SourceError: It did not answer.
        """


class TraceWatch:
    """Finds the traces of slow requests; no cycle fails for it."""

    def __init__(self, source: TraceSource) -> None:
        self._source = source
        self._not_before = 0.0

    async def add(self, result: Result) -> Result:
        """Return a result whose incidents and recommendations name the traces of requests that were slow."""
        found: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[Traced, ...]] = {}
        wanted = [one for incident in result.incidents for one in incident.findings if _has_buckets(one)]
        if not wanted or result.at < self._not_before:
            return result
        answers: dict[str, list[Any]] = {}
        for finding in wanted:
            if finding.expr not in answers and len(answers) < MOST_QUERIES:
                answers[finding.expr] = await self._ask(finding, result.at)
            traces = choose_traces(answers.get(finding.expr, ()), finding.labels)
            if traces:
                found[_key(finding.signal, finding.labels)] = traces
        if not found:
            return result
        return replace(
            result,
            findings=tuple(_with_traces(one, found) for one in result.findings),
            incidents=tuple(_incident(one, found) for one in result.incidents),
            recommendations=tuple(_recommendation(one, found) for one in result.recommendations),
        )

    async def _ask(self, finding: Finding, at: float) -> list[Any]:
        if at < self._not_before:
            return []
        try:
            return await self._source.exemplars(finding.expr, min(finding.onset, at) - BEFORE_SECONDS, at)
        except QueryRejected as error:
            self._not_before = at + REFUSED_SECONDS
            log.info("no traces are asked for in the next ten minutes: %s", error)
        except SourceError as error:
            log.info("the traces behind %s are not known: %s", finding.signal, error)
        return []


def _has_buckets(finding: Finding) -> bool:
    return finding.unit == _SECONDS and finding.direction == "above" and _OF_BUCKETS in finding.expr


def _key(signal: Any, labels: Any) -> tuple[str, tuple[tuple[str, str], ...]]:
    pairs = labels.items() if hasattr(labels, "items") else ()
    return str(signal), tuple(sorted((str(name), str(value)) for name, value in pairs))


_Found = dict[tuple[str, tuple[tuple[str, str], ...]], tuple["Traced", ...]]


def _with_traces(finding: Finding, found: _Found) -> Finding:
    traces = found.get(_key(finding.signal, finding.labels))
    return replace(finding, traces=traces) if traces and _has_buckets(finding) else finding


def _incident(incident: Incident, found: _Found) -> Incident:
    return replace(incident, findings=tuple(_with_traces(one, found) for one in incident.findings))


def _recommendation(one: Recommendation, found: _Found) -> Recommendation:
    return replace(one, evidence=tuple(_item(item, found) for item in one.evidence))


def _item(item: Mapping[str, Any], found: _Found) -> Mapping[str, Any]:
    traces = found.get(_key(item.get("signal"), item.get("labels")))
    return {**item, "traces": [one.as_dict() for one in traces]} if traces else item
