"""The result for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_analyzer.findings import component_name
from perfloop_analyzer.recommend import by_urgency, gain_words, measured_words, money_words, proved_words
from perfloop_analyzer.reporters.formatting import clock, shown_penalties, worst_first
from perfloop_base.quantities import span
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from perfloop_analyzer.changes import Change
    from perfloop_analyzer.incidents import Incident
    from perfloop_analyzer.ports import Result
    from perfloop_analyzer.recommend import Recommendation


def print_result(result: Result, console: Console) -> None:
    """Print health, incidents and recommendations, the most important first."""
    titles = {finding.signal: finding.title for finding in result.findings}
    ranked = worst_first(result.health)
    for one in ranked:
        if one.penalties:
            parts = ", ".join(f"{titles.get(signal, signal)} -{points}" for signal, points in shown_penalties(one))
            _print(console, f"health of {one.service}: {one.score:.0f}{f' ({parts})' if parts else ''}")
    healthy = [one.service for one in ranked if not one.penalties]
    if healthy:
        _print(console, f"health of {', '.join(healthy)}: 100 (no findings)")
    for unseen in result.without_score():
        _print(console, f"health of {unseen.service}: unknown ({unseen.words})")
    if ranked and result.unseen and result.unseen[0].signals:
        _print(console, result.unseen[0].words)
    for incident in result.incidents:
        _print_incident(incident, result.at, console)
    print_recommendations(result.recommendations, console)
    _print_capacity(result, console)
    for signal, reason in result.failures.items():
        _print(console, f"query failed: {signal}: {reason}")


def _print_capacity(result: Result, console: Console) -> None:
    for one in result.plan.services:
        if one.capacity is None:
            continue
        _print(console, "")
        _print(console, f"capacity of {one.service}: {one.capacity.sentence}")
        for goal in one.goals:
            _print(console, f"  {goal.state}: {goal.name}: {goal.words}")
        if one.replicas is not None:
            _print(console, f"  replicas: {one.replicas.words}")


def _print_incident(incident: Incident, at: float, console: Console) -> None:
    first, *others = incident.causes
    lasted = f"{incident.severity.word} for {span(at - incident.started)}, since {clock(incident.started)}"
    cause = f"{component_name(first.component)} of {first.service} ({first.percent})"
    _print(console, "")
    _print(console, f"{lasted}; probable cause: {cause}; incident {incident.id}")
    for line in first.evidence:
        _print(console, f"  {line}")
    for cause_ in others:
        name = f"{component_name(cause_.component)} of {cause_.service} ({cause_.percent})"
        _print(console, f"  other possible cause: {name}: {'; '.join(cause_.evidence)}")


def print_recommendations(recommendations: Sequence[Recommendation], console: Console) -> None:
    """Print each recommendation, in the order of them all, with its expected and measured gain, state and id."""
    for recommendation in by_urgency(recommendations):
        improvement = recommendation.improvement
        _print(console, "")
        _print(console, f"{recommendation.priority}: {recommendation.title}")
        _print_action(recommendation, console)
        if recommendation.parts:
            _print(console, f"  worst: {', '.join(recommendation.parts)}")
        expected = (
            f"{gain_words(improvement)} ({improvement.explanation})"
            if improvement
            else recommendation.values.get("unknown_gain") or "cannot be computed from the available metrics"
        )
        _print(console, f"  expected gain: {expected}")
        if risk := recommendation.values.get("risk"):
            _print(console, f"  risk: {risk}")
        if measured := measured_words(recommendation):
            _print(console, f"  measured gain: {measured}")
        if money := money_words(recommendation):
            _print(console, f"  money: {money}")
        if proved := proved_words(recommendation):
            _print(console, f"  {proved}")
        if recommendation.reason:
            _print(console, f"  {recommendation.state}: {recommendation.reason}")
        since = clock(recommendation.created) if recommendation.created else ""
        _print(
            console, f"  state: {recommendation.state}{f', since {since}' if since else ''}, id: {recommendation.id}"
        )


def _print_action(recommendation: Recommendation, console: Console) -> None:
    _print(console, f"  {recommendation.action}")
    for line in recommendation.patch:
        _print(console, f"    {line}")


def print_changes(changes: Sequence[Change], now: float, console: Console) -> None:
    """Print each change with its moment and age, newest first; `now` is in Unix seconds."""
    if not changes:
        _print(console, "no change is known of the last seven days")
    for change in changes:
        _print(
            console,
            f"{clock(change.at)} ({span(now - change.at)} ago)  {change.service}: {change.title} [{change.kind}]",
        )


def _print(console: Console, line: str) -> None:
    console.print(visible(line), highlight=False, markup=False, soft_wrap=True)
