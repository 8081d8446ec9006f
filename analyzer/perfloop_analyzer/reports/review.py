"""Each report as a document; the regular review is the three others on two pages, after what to make of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_analyzer.recommend import gain_words
from perfloop_analyzer.reports import alert_sections, history_sections, optimization_sections
from perfloop_analyzer.reports.document import Report, Section
from perfloop_analyzer.reports.wording import CHANNEL_NAMES, counted, joined

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_analyzer.reports.alerts import AlertHistory
    from perfloop_analyzer.reports.history import History
    from perfloop_analyzer.reports.optimization import Optimization
    from perfloop_analyzer.reports.window import Window

TITLES = {
    "alerts": "Alert report",
    "capacity": "Historical and capacity report",
    "optimization": "Optimization report",
    "weekly": "Weekly review",
}
# What fits on two pages.
REVIEW_ROWS = 5
REVIEW_SERVICES = 4
REVIEW_ADVICE = 3
NEXT_STEPS = 5
MATTERS = 6


@dataclass(frozen=True, slots=True)
class Parts:
    """What is known of a window; a report takes the parts that it shows."""

    alerts: AlertHistory
    history: History
    optimization: Optimization


def compose(kind: str, parts: Parts, window: Window, made: float) -> Report:
    """Return the report of a kind, made at a moment in Unix seconds."""
    build = {"alerts": _alerts, "capacity": _capacity, "optimization": _optimization, "weekly": _weekly}[kind]
    return build(parts, window, made)


def _alerts(parts: Parts, window: Window, made: float) -> Report:
    headlines = alert_sections.alert_headlines(parts.alerts)
    sections = (alert_sections.alert_section(parts.alerts, window),)
    return Report("alerts", TITLES["alerts"], window, made, headlines, sections, {"alerts": parts.alerts.as_dict()})


def _capacity(parts: Parts, window: Window, made: float) -> Report:
    headlines = history_sections.capacity_headlines(parts.history)
    sections = (history_sections.capacity_section(parts.history, window),)
    data = {"capacity": parts.history.as_dict()}
    return Report("capacity", TITLES["capacity"], window, made, headlines, sections, data)


def _optimization(parts: Parts, window: Window, made: float) -> Report:
    headlines = optimization_sections.optimization_headlines(parts.optimization)
    sections = (optimization_sections.optimization_section(parts.optimization),)
    data = {"optimization": parts.optimization.as_dict()}
    return Report("optimization", TITLES["optimization"], window, made, headlines, sections, data)


def _weekly(parts: Parts, window: Window, made: float) -> Report:
    headlines = (
        *alert_sections.alert_headlines(parts.alerts),
        *history_sections.capacity_headlines(parts.history),
        *optimization_sections.optimization_headlines(parts.optimization),
    )
    important, steps = tuple(_matters(parts))[:MATTERS], tuple(_next(parts))[:NEXT_STEPS]
    sections = (
        Section("matters", "What matters", important or (f"{_nothing(parts)} stands out.",)),
        Section("next", "What to do next", steps or (f"{_nothing(parts)} is waiting.",)),
        alert_sections.alert_section(parts.alerts, window, most=REVIEW_ROWS),
        history_sections.capacity_section(parts.history, window, most=REVIEW_SERVICES),
        optimization_sections.optimization_section(parts.optimization, most=REVIEW_ADVICE),
    )
    data = {
        "matters": list(important),
        "next": list(steps),
        "alerts": parts.alerts.as_dict(),
        "capacity": parts.history.as_dict(),
        "optimization": parts.optimization.as_dict(),
    }
    return Report("weekly", TITLES["weekly"], window, made, headlines, sections, data)


def _nothing(parts: Parts) -> str:
    """Return how nothing is called: what is not known may well be something."""
    is_whole = not (parts.alerts.unknown or parts.history.unknown or parts.optimization.unknown)
    return "Nothing" if is_whole else "Nothing that is known"


def _matters(parts: Parts) -> Iterator[str]:
    firing = [one for one in parts.alerts.alerts if one.is_firing]
    for one in firing[:2]:
        yield f"{one.alertname} of {one.service or 'the stack'} fired on at the end of the week."
    unanswered = [one for one in parts.alerts.noise if one.severity == "critical"]
    if unanswered:
        names = joined(list(dict.fromkeys(one.alertname for one in unanswered)))
        yield f"{counted(len(unanswered), 'critical alert')} found nobody who acted: {names}."
    yield from history_sections.matters(parts.history)
    for sent in parts.alerts.sent:
        if sent.failed:
            channel = CHANNEL_NAMES.get(sent.channel, sent.channel)
            yield f"{sent.failed:.0f} notifications by {channel} failed: what they said may have reached nobody."


def _next(parts: Parts) -> Iterator[str]:
    for one in parts.optimization.open[:3]:
        advice = one.recommendation
        gain = f" ({gain_words(advice.improvement)})" if advice.improvement else ""
        yield f"{advice.title}, {advice.service}{gain}: {advice.id}."
    for record in parts.alerts.offenders[:1]:
        what = f"{record.alertname} of {record.service or 'the stack'}"
        yield f"{what} came {len(record.episodes)} times: fix its cause, or move its threshold."
    quiet = [one for one in parts.alerts.noise if one.severity != "critical"]
    if quiet:
        names = joined(list(dict.fromkeys(one.alertname for one in quiet)))
        yield f"Raise the threshold of alerts that nobody needed, or turn them into information: {names}."
    if any(one.planned.headroom is None for one in parts.history.services):
        yield "Run a load test of each service whose capacity is not known: perfloop loadgen breakpoint."
