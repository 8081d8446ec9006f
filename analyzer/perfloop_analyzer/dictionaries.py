"""`optimization_analyzer`: the same analysis for dictionaries of measured values, without Prometheus."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from perfloop_analyzer.catalog import load_catalog
from perfloop_analyzer.errors import AnalyzerError
from perfloop_analyzer.findings import OVERALL, Severity
from perfloop_analyzer.given import Given, name_values, take
from perfloop_analyzer.pipeline import Knowledge, Settings, analyze, name_parts
from perfloop_analyzer.pipeline.history import History, loads_of
from perfloop_analyzer.pipeline.subject import Subject
from perfloop_analyzer.pipeline.trends import Outlook, find_worsening
from perfloop_analyzer.ports import Responses, Result
from perfloop_analyzer.recommend import Recommendation, load_rules
from perfloop_analyzer.recommend.gains import share_range

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.findings import Finding, Reading

PRIORITY_WORDS = ("critical", "high", "medium", "low")
ONE_LOOK = 1e-3


class OptimizationAnalyzer:
    """Analyzes measured numbers: what is wrong, how healthy the system is, what to do first."""

    def __init__(self) -> None:
        self._knowledge: Knowledge | None = None
        self.history: list[dict[str, Any]] = []

    def analyze_performance_data(self, metrics_data: Mapping[str, Any]) -> dict[str, Any]:
        """Return recommendations, bottlenecks, the health score and what led to them.

        `metrics_data` has `metrics` (name to samples) and `system_metrics` (a dictionary, or a list of them over time),
        or names with samples themselves. What `performance_monitor` returns fits: `get_metric_stats(name)` under a
        name, `get_system_stats()` as `system_metrics`. Samples may have any shape of `perfloop_analyzer.samples`. Names
        carry their unit: `_ms`, `_percent`; one that is not known is judged by its own past. `summary.context` lists
        what is known and has no verdict of its own, `ignored` what is not understood, both with the reason.

        Raises:
            AnalyzerError: `metrics_data` is no dictionary.
        """
        known = self._known()
        named = name_values(metrics_data)
        if named is None:
            raise AnalyzerError(
                f"metrics_data is a {type(metrics_data).__name__}: it must be a dictionary of names with their values"
            )
        given = take(named, known.by_name())
        knowledge = replace(known, catalog=(*known.catalog, *given.own.values()))
        history = History(findings=tuple(_worsening(given, knowledge)))
        knowledge = replace(knowledge, settings=replace(knowledge.settings, history=history))
        at = max((batch.grid.end for batch in given.batches.values()), default=0.0)
        responses = Responses(given.batches, {})
        result = name_parts(analyze(responses, knowledge, at), responses, given.parts, knowledge)
        answer = _answer(result, given)
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


def _worsening(given: Given, knowledge: Knowledge) -> list[Finding]:
    """Return what gets worse over all the time that the samples cover."""
    table, window = knowledge.by_name(), knowledge.settings.window
    outlook = Outlook(ONE_LOOK, loads=loads_of(given.pasts, table))
    findings: list[Finding] = []
    readings: list[Reading] = []
    for name, past in given.pasts.items():
        if "trend" in table[name].detect:
            find_worsening(Subject(past, table[name], window), outlook, findings, readings)
    return findings


def _answer(result: Result, given: Given) -> dict[str, Any]:
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
            "signals": sorted(given.batches),
            "findings": len(result.findings),
            "recommendations": {
                word: sum(one["priority"] == word for one in recommendations) for word in PRIORITY_WORDS
            },
            "context": given.context,
            "no_data": given.no_data,
        },
        "ignored": given.ignored,
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
