"""The alerts of a window in words, tables and pictures."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from perfloop_analyzer.reports.document import MOST_ROWS, Cell, Fact, Picture, Section, Table
from perfloop_analyzer.reports.wording import CHANNEL_NAMES, UNKNOWN, channels, counted, joined
from perfloop_base.plots import Axes, Line, draw
from perfloop_base.quantities import quantity, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_analyzer.reports.alerts import AlertHistory, AlertRecord, Sent
    from perfloop_analyzer.reports.window import Window

COLUMNS = ("alert", "service", "severity", "times", "in all", "longest", "informed", "acted on")
_BINS = 168  # of the picture: hours, where the window is a week
_ALMOST_ALL = 0.99  # of a window that is known: what is missing is a restart


def alert_headlines(history: AlertHistory) -> tuple[str, ...]:
    """Return what fired and what became of it, the most important first."""
    return tuple(_headlines(history))


def _headlines(history: AlertHistory) -> Iterator[str]:
    if not history.is_known:
        yield "Which alerts fired is not known."
        return
    if not history.alerts:
        whole = history.coverage >= _ALMOST_ALL
        known = "" if whole else f" in the {history.coverage:.0%} of this time that is known"
        yield f"No alert fired{known}."
        return
    firing = [one for one in history.alerts if one.is_firing]
    still = f"; {joined([one.alertname for one in firing])} fired on at the end" if firing else ""
    longest = max(history.alerts, key=lambda one: one.seconds)
    yield (
        f"{counted(len(history.alerts), 'alert')} fired {counted(history.times, 'time')}, "
        f"{longest.alertname} the longest with {span(longest.seconds)}{still}."
    )
    if history.noise:
        names = list(dict.fromkeys(one.alertname for one in history.noise))
        yield f"Nobody acted on {len(history.noise)} of {len(history.alerts)}: {joined(names)}."
    failed = [one for one in history.sent if one.failed]
    if failed:
        lost = joined([f"{_failed(one)} by {CHANNEL_NAMES.get(one.channel, one.channel)}" for one in failed])
        yield f"Notifications failed: {lost}."


def alert_section(history: AlertHistory, window: Window, *, most: int | None = None) -> Section:
    """Return the section; `most` rows of each table, and no picture with it."""
    alerts = _alert_table(history)
    tables = [alerts.shortened(most or MOST_ROWS)]
    if most is None:
        tables += [_offenders(history).shortened(MOST_ROWS), _sent_table(history)]
    pictures = (_picture(history, window),) if most is None and history.alerts else ()
    return Section("alerts", "Alerts", (), _facts(history), tuple(tables), pictures, history.unknown)


def _facts(history: AlertHistory) -> tuple[Fact, ...]:
    if not history.is_known:
        return ()
    acted = [one for one in history.alerts if one.acts]
    judged = [one for one in history.alerts if one.acts is not None]
    share = f"{len(acted)} of {len(judged)}" if judged else UNKNOWN if history.alerts else "none fired"
    return (
        Fact("Alerts that fired", str(len(history.alerts))),
        Fact("Times in all", str(history.times)),
        Fact("Acted on", share, "fair" if len(acted) < len(judged) else ""),
        Fact("Repeat offenders", str(len(history.offenders)), "fair" if history.offenders else ""),
    )


def _alert_table(history: AlertHistory) -> Table:
    empty = "No alert fired." if history.is_known else "Not known."
    return Table(COLUMNS, tuple(_alert_row(one) for one in history.alerts), empty)


def _alert_row(one: AlertRecord) -> tuple[Cell, ...]:
    longest = max(episode.seconds for episode in one.episodes)
    return (
        Cell(one.alertname),
        Cell(one.service or "-"),
        Cell(one.severity, one.severity),
        Cell(str(len(one.episodes))),
        Cell(span(one.seconds), small="fired on at the end" if one.is_firing else ""),
        Cell(span(longest)),
        Cell(_informed(one)),
        Cell(_acted(one), "fair" if one.is_noise else ""),
    )


def _informed(one: AlertRecord) -> str:
    if one.informed is None:
        return UNKNOWN
    return f"arrived: {channels(one.informed)}" if one.informed else "no message in the inbox"


def _acted(one: AlertRecord) -> str:
    if one.acts is None:
        return UNKNOWN
    return joined(list(one.acts), 2) if one.acts else "nobody"


def _offenders(history: AlertHistory) -> Table:
    rows = tuple(
        (Cell(one.alertname), Cell(one.service or "-"), Cell(str(len(one.episodes))), Cell(span(_between(one))))
        for one in history.offenders
    )
    columns = ("alert", "service", "times", "usual time from one to the next")
    return Table(columns, rows, "No alert came back three times.", "Repeat offenders")


def _between(one: AlertRecord) -> float:
    """Return the middle time from the beginning of one episode to that of the next, in seconds."""
    starts = [episode.start for episode in one.episodes]
    gaps = sorted(later - earlier for earlier, later in pairwise(starts))
    return gaps[len(gaps) // 2]


def _sent_table(history: AlertHistory) -> Table:
    rows = tuple(
        (Cell(CHANNEL_NAMES.get(one.channel, one.channel)), Cell(_count(one.sent)), Cell(*_lost(one)))
        for one in history.sent
    )
    empty = "Alertmanager counted no notification."
    return Table(("channel", "notifications", "of them failed"), rows, empty, "Notifications, as Alertmanager counts")


def _count(number: float | None) -> str:
    return UNKNOWN if number is None else f"{number:.0f}"


def _lost(one: Sent) -> tuple[str, str]:
    return _count(one.failed), "bad" if one.failed else ""


def _failed(one: Sent) -> str:
    return f"{_count(one.failed)} of {_count(one.sent)}"


def _picture(history: AlertHistory, window: Window) -> Picture:
    """Return how many alerts fired at a time, by about an hour."""
    width = window.seconds / _BINS
    points = []
    for number in range(_BINS):
        start = window.start + number * width
        fired = sum(any(e.start < start + width and e.end > start for e in one.episodes) for one in history.alerts)
        points.append((start + width / 2, float(fired)))
    most = math.ceil(max(value for _, value in points))
    axes = Axes("UTC", moments=True, write_y=lambda value: quantity(value, "number"))
    picture = draw("Alerts that fired at a time", [Line("alerts", points)], axes)
    return Picture("Alerts that fired at a time", picture, f"at most {most}")
