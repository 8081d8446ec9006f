"""`optimization_analyzer`: the same analysis for dictionaries of measured values, without Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perfloop_analyzer.catalog import load_catalog
from perfloop_analyzer.errors import AnalyzerError
from perfloop_analyzer.findings import OVERALL, Severity
from perfloop_analyzer.pipeline import Knowledge, Settings, analyze
from perfloop_analyzer.ports import Responses, Result
from perfloop_analyzer.recommend import Recommendation, load_rules
from perfloop_analyzer.recommend.gains import share_range
from perfloop_analyzer.samples import read_samples, resolve_alias, to_batch

if TYPE_CHECKING:
    from perfloop_analyzer.series import Batch

PRIORITY_WORDS = ("critical", "high", "medium", "low")
ONE_LOOK = 1e-3


class OptimizationAnalyzer:
    """Analyzes measured numbers: what is wrong, how healthy the system is, what to do first."""

    def __init__(self) -> None:
        self._knowledge: Knowledge | None = None
        self.history: list[dict[str, Any]] = []

    def analyze_performance_data(self, metrics_data: Mapping[str, Any]) -> dict[str, Any]:
        """Return recommendations, bottlenecks, the health score and what led to them.

        `metrics_data` has `metrics` (name to samples) and `system_metrics` (a dictionary, or a list of them over time).
        Names carry their unit: `_ms`, `_percent`. What is not understood is listed under `ignored` with the reason.
        """
        if not isinstance(metrics_data, Mapping):
            raise AnalyzerError(f"metrics_data is a {type(metrics_data).__name__}: it must be a dictionary")
        ignored: dict[str, str] = {}
        batches: dict[str, Batch] = {}
        for name, value in _entries(metrics_data):
            self._take(name, value, batches, ignored)
        at = max((batch.grid.end for batch in batches.values()), default=0.0)
        result = analyze(Responses(batches, {}), self._known(), at)
        answer = _answer(result, batches, ignored)
        self.history.append({"at": at, "system_health_score": answer["system_health_score"]})
        return answer

    def get_recommendations(self, metrics_data: Mapping[str, Any], priority: str | None = None) -> list[dict[str, Any]]:
        """Return the recommendations alone, of one priority if it is given."""
        found: list[dict[str, Any]] = self.analyze_performance_data(metrics_data)["recommendations"]
        return [one for one in found if priority in (None, one["priority"])]

    def _known(self) -> Knowledge:
        """Read catalogue and rules when they are first needed."""
        if self._knowledge is None:
            self._knowledge = Knowledge(load_catalog(), load_rules(), settings=Settings("samples", ONE_LOOK))
        return self._knowledge

    def _take(self, name: str, value: object, batches: dict[str, Batch], ignored: dict[str, str]) -> None:
        alias = resolve_alias(name)
        if alias is None:
            ignored[name] = "no signal of that name is known"
            return
        values, times = read_samples(value, alias.quantile)
        if not len(values):
            ignored[name] = "it contains no number"
            return
        if alias.signal in batches:
            ignored[name] = f"{alias.signal} was already given under another name"
            return
        batches[alias.signal] = to_batch(alias, values, times, {"service": "system"})


def _entries(data: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Return every named value; a list of readings over time becomes one list per name."""
    for part in ("metrics", "system_metrics", "application_metrics"):
        group = data.get(part)
        if isinstance(group, Mapping):
            yield from ((str(name), value) for name, value in group.items())
        elif isinstance(group, Sequence) and not isinstance(group, str):
            readings = [one for one in group if isinstance(one, Mapping)]
            names = dict.fromkeys(name for one in readings for name in one if name != "timestamp")
            for name in names:
                yield str(name), [_stamped(one, name) for one in readings if name in one]


def _stamped(reading: Mapping[str, Any], name: str) -> object:
    if "timestamp" in reading:
        return {"value": reading[name], "timestamp": reading["timestamp"]}
    return reading[name]


def _answer(result: Result, batches: Mapping[str, Batch], ignored: dict[str, str]) -> dict[str, Any]:
    scores = {one.service: one for one in result.health}
    overall = scores.get(OVERALL)
    recommendations = [_recommendation(one) for one in result.recommendations]
    return {
        "system_health_score": overall.score if overall else None,
        "health_penalties": dict(overall.penalties) if overall else {},
        "bottlenecks": _bottlenecks(result),
        "recommendations": recommendations,
        "findings": [finding.as_dict() for finding in result.findings],
        "incidents": [incident.as_dict() for incident in result.incidents],
        "summary": {
            "signals": sorted(batches),
            "findings": len(result.findings),
            "recommendations": {
                word: sum(one["priority"] == word for one in recommendations) for word in PRIORITY_WORDS
            },
        },
        "ignored": ignored,
    }


def _recommendation(recommendation: Recommendation) -> dict[str, Any]:
    gain = recommendation.improvement
    words = (
        f"{share_range(gain.low, gain.high)} less of {gain.of}: {gain.explanation}"
        if gain
        else str(recommendation.values.get("unknown_gain") or "not computable from what was given")
    )
    return recommendation.as_dict() | {
        "description": recommendation.action,
        "expected_improvement": words,
        "expected_improvement_ratio": gain.ratio if gain else None,
        "implementation_effort": recommendation.effort,
        "cost_impact": recommendation.cost,
        "metrics_affected": list(recommendation.affects),
    }


def _bottlenecks(result: Result) -> list[dict[str, Any]]:
    return [
        {
            "resource": cause.component,
            "service": cause.service,
            "severity": max(finding.severity for finding in own).word,
            "share": cause.score,
            "description": "; ".join(cause.evidence),
            "signals": sorted({finding.signal for finding in own}),
        }
        for incident in result.incidents
        if incident.severity > Severity.INFO
        for cause in incident.causes
        if (own := [f for f in incident.findings if (f.service, f.component) == (cause.service, cause.component)])
    ]


optimization_analyzer = OptimizationAnalyzer()
