"""What a replay found: every finding, incident, alert and recommendation with its time span, each once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scipy.stats import chi2

from perfloop_analyzer.findings import Severity, component_name, series_of
from perfloop_analyzer.recommend import gain_words

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from perfloop_analyzer.errors import AnalyzerError
    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.incidents import Incident
    from perfloop_analyzer.ports import Result
    from perfloop_analyzer.recommend import Recommendation

DAY_SECONDS = 86_400.0
SAME_SECONDS = 120.0  # what was not seen for longer, and began since, is another one
BOUND = 0.95


@dataclass(slots=True)
class Entry:
    """One thing that was found; moments are in Unix seconds.

    Attributes:
        body: What it was when it was worst, as JSON has it.
        began: When it began, by the data.
        found: The analysis that found it first.
        seen: The last analysis that saw it.
    """

    body: dict[str, Any]
    began: float
    found: float
    seen: float

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"began": self.began, "found": self.found, "seen": self.seen, **self.body}


@dataclass(slots=True)
class Rate:
    """How often something comes a day, and the bound that the true rate is below with 95%."""

    per_day: float
    at_most: float


@dataclass(slots=True)
class Journal:
    """What was found from `start` to `end`, analyzed every `step` seconds.

    Attributes:
        holds: For how many seconds a finding of a severity must hold until its limit's alert fires.
        until: The last moment that was analyzed; None before the first.
        cycles: How many analyses there were.
        blind: How many of them had no data.
        failures: For each signal that was not read, how often and why.
        problem: Why the replay ended before its end; None where it did not, or was interrupted.
    """

    start: float
    end: float
    step: float
    holds: Callable[[Finding, Severity], float]
    until: float | None = None
    cycles: int = 0
    blind: int = 0
    failures: dict[str, tuple[int, str]] = field(default_factory=dict)
    problem: AnalyzerError | None = None
    findings: list[Entry] = field(default_factory=list)
    incidents: list[Entry] = field(default_factory=list)
    alerts: list[Entry] = field(default_factory=list)
    recommendations: list[Entry] = field(default_factory=list)
    _open: dict[Hashable, Entry] = field(default_factory=dict)
    _beyond: dict[Hashable, float] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether everything was analyzed."""
        return self.until is not None and self.until + self.step > self.end

    @property
    def days(self) -> float:
        """How many days of data were analyzed."""
        return (self.cycles - self.blind) * self.step / DAY_SECONDS

    def observe(self, result: Result) -> None:
        """Note the result of the next analysis."""
        self.until = result.at
        self.cycles += 1
        self.blind += not result.health
        for signal, reason in result.failures.items():
            if result.health:
                self.failures[signal] = (self.failures.get(signal, (0, ""))[0] + 1, reason)
        for finding in result.findings:
            key = ("finding", *_key(finding))
            self._note(self.findings, key, finding.as_dict(), finding.onset, result.at)
        for incident in result.incidents:
            self._note(self.incidents, ("incident", incident.id), _incident_body(incident), incident.started, result.at)
        for one in result.recommendations:
            if one.state == "open":
                again = ("recommendation", one.id, one.created)
                self._note(self.recommendations, again, _recommendation_body(one), one.created, result.at)
        self._alert(result)

    def _note(self, entries: list[Entry], key: Hashable, body: dict[str, Any], began: float, at: float) -> None:
        known = self._open.get(key)
        if known is None or known.seen < min(at - max(SAME_SECONDS, self.step), began):
            self._open[key] = entry = Entry(body, began, at, at)
            entries.append(entry)
            return
        known.seen, known.began = at, min(known.began, began)
        if _rank(body) >= _rank(known.body):
            known.body = body

    def _alert(self, result: Result) -> None:
        """Note what a limit would have alerted on: a value beyond it for as long as the limit's alert waits."""
        beyond: dict[Hashable, float] = {}
        for finding in result.findings:
            if not _is_limit(finding):
                continue
            for severity in (Severity.WARNING, Severity.CRITICAL):
                if finding.severity < severity:
                    continue
                key = ("alert", severity, *_key(finding))
                # Since when it is a warning the finding knows; since when it is critical, the analyses before.
                since = finding.onset if severity is Severity.WARNING else result.at
                beyond[key] = self._beyond.get(key, since)
                if result.at - beyond[key] >= self.holds(finding, severity):
                    body = {**finding.as_dict(), "severity": severity.word}
                    self._note(self.alerts, key, body, beyond[key], result.at)
        self._beyond = beyond

    def by_detector(self) -> dict[str, int]:
        """Return the number of findings of each detector, the most first."""
        return dict(Counter(str(one.body["detector"]) for one in self.findings).most_common())

    def rate(self, entries: Iterable[Entry]) -> Rate:
        """Return how often entries begin a day, with the upper bound of a Poisson process (Garwood)."""
        count, days = len(list(entries)), max(self.days, self.step / DAY_SECONDS)
        return Rate(count / days, float(chi2.ppf(BOUND, 2 * (count + 1))) / 2 / days)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        kinds = {
            "incidents": self.incidents,
            "findings": self.findings,
            "alerts": self.alerts,
            "recommendations": self.recommendations,
        }
        rates = {name: self.rate(entries) for name, entries in kinds.items()}
        return {
            "from": self.start,
            "to": self.end,
            "step": self.step,
            "until": self.until,
            "whole": self.is_whole,
            "problem": str(self.problem or ""),
            "cycles": self.cycles,
            "cycles_without_data": self.blind,
            "counts": {name: len(entries) for name, entries in kinds.items()},
            "by_detector": self.by_detector(),
            "per_day": {name: {"rate": rate.per_day, "at_most": rate.at_most} for name, rate in rates.items()},
            **{name: [entry.as_dict() for entry in entries] for name, entries in kinds.items()},
            "failures": {signal: {"cycles": count, "reason": why} for signal, (count, why) in self.failures.items()},
        }


def _key(finding: Finding) -> tuple[str, ...]:
    return finding.service, finding.signal, finding.detector, series_of(finding.labels)


def _is_limit(finding: Finding) -> bool:
    return finding.detector in {"threshold", "burn", "absence"} and finding.severity >= Severity.WARNING


def _rank(body: dict[str, Any]) -> tuple[int, float]:
    severity = body.get("severity")
    return (Severity[severity.upper()] if severity else Severity.INFO, float(body.get("score", 0.0)))


def _incident_body(incident: Incident) -> dict[str, Any]:
    first = incident.causes[0]
    return {
        "id": incident.id,
        "severity": incident.severity.word,
        "services": list(incident.services),
        "cause": f"{component_name(first.component)} of {first.service}",
        "share": first.percent,
        "signals": sorted({finding.signal for finding in incident.findings}),
    }


def _recommendation_body(one: Recommendation) -> dict[str, Any]:
    return {
        "id": one.id,
        "rule": one.rule,
        "service": one.service,
        "priority": one.priority,
        "title": one.title,
        "action": one.action,
        "expected": gain_words(one.improvement) if one.improvement else "",
    }
