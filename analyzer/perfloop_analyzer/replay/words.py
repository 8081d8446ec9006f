"""What a replay found, in lines for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_analyzer.reporters.formatting import clock
from perfloop_base.quantities import quantity, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_analyzer.replay.journal import Entry, Journal

PLURALS = {"analysis": "analyses"}
MOST_REASONS = 5


def certificate_lines(journal: Journal) -> Iterator[str]:
    """Yield the summary, and then each incident, alert, recommendation and finding with its times."""
    yield from _summary(journal)
    for title, entries, line in (
        ("Incidents", journal.incidents, _incident),
        ("Alerts by the limits", journal.alerts, _finding),
        ("Recommendations", journal.recommendations, _recommendation),
        ("Findings", journal.findings, _finding),
    ):
        if entries:
            yield ""
            yield title
        for entry in entries:
            yield f"  {_times(entry, journal)}  {line(entry)}"


def _summary(journal: Journal) -> Iterator[str]:
    if journal.until is None:
        yield "Nothing was analyzed."
        return
    kinds = (
        ("incident", journal.incidents),
        ("finding", journal.findings),
        ("alert", journal.alerts),
        ("recommendation", journal.recommendations),
    )
    passed = span(journal.until - journal.start)
    counts = ", ".join(_count(len(entries), name) for name, entries in kinds)
    yield f"In the {passed} from {clock(journal.start)} to {clock(journal.until)}: {counts}."
    if not journal.is_whole:
        yield f"Not analyzed: the rest until {clock(journal.end)}."
    seen = journal.cycles - journal.blind
    share = f"{100 * seen / journal.cycles:.4g}%"
    yield f"{_count(journal.cycles, 'analysis')}, one every {span(journal.step)}; {share} of them had data."
    if found := journal.by_detector():
        yield f"By detector: {', '.join(f'{name} {count}' for name, count in found.items())}."
    if seen:
        rates = ((f"{name}s", journal.rate(entries)) for name, entries in kinds[:3])
        words = ", ".join(f"{name} {rate.per_day:.2g} (95%: below {rate.at_most:.2g})" for name, rate in rates)
        yield f"If nothing was wrong in that time, these are false alarms; a day: {words}."
    for signal, (count, reason) in list(journal.failures.items())[:MOST_REASONS]:
        yield f"Not read in {_count(count, 'analysis')}: {reason if signal in reason else f'{signal}: {reason}'}"
    if len(journal.failures) > MOST_REASONS:
        yield f"Not read, as well: {', '.join(list(journal.failures)[MOST_REASONS:])}"


def _times(entry: Entry, journal: Journal) -> str:
    """Return when it was found, how long it lasted, and whether it began before the replay."""
    stood = " (began before)" if entry.began < journal.start else ""
    return f"{clock(entry.found)}, {span(entry.seen - entry.began)}{stood}"


def _incident(entry: Entry) -> str:
    body = entry.body
    return f"{body['severity']}: {body['cause']} ({body['share']}); {', '.join(body['signals'])}; incident {body['id']}"


def _finding(entry: Entry) -> str:
    body = entry.body
    labels = ", ".join(value for name, value in sorted(body["labels"].items()) if name not in {"service", "job"})
    value, usual = quantity(body["value"], body["unit"]), quantity(body["expected"], body["unit"])
    where = f"{body['service']}{f' ({labels})' if labels else ''}"
    limit = f", limit {quantity(body['limit'], body['unit'])}" if body["limit"] is not None else f", usual {usual}"
    return f"{body['severity']}: {body['title']} of {where}: {value}{limit} ({body['detector']})"


def _recommendation(entry: Entry) -> str:
    body = entry.body
    return "; ".join(part for part in (f"{body['priority']}: {body['title']}", body["expected"], body["id"]) if part)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun if number == 1 else PLURALS.get(noun, f'{noun}s')}"
