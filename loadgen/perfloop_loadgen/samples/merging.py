"""Books of several senders as one: counts, histograms and the seconds of the timelines add up, and nothing is lost."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from perfloop_loadgen.samples.book import Load, Point, merge_points
from perfloop_loadgen.samples.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_loadgen.samples.book import Book

# A run's last point ends with its last answer: it belongs to the second before, not to one of its own.
_LEAST_SHARE = 0.5


def merge_books(books: Sequence[Book], into: Book) -> Book:
    """Enter everything that the books have in an empty one, and return it."""
    for book in books:
        for label in book.labels:
            into.labels.index(label)
    totals = [Tally() for _ in into.labels]
    for book in books:
        for label, tally in book.rows():
            totals[into.labels.index(label)].add(tally)
    points = merge_timelines([book.timeline() for book in books])
    rates = [point.requests / point.span_seconds for point in points if point.span_seconds >= _LEAST_SHARE]
    into.restore(totals, points, max(rates, default=None))
    into.load = points[-1].load if points else Load()
    return into


def merge_timelines(timelines: Sequence[Sequence[Point]]) -> list[Point]:
    """Return one timeline: requests are added up, of percentiles there is the larger one.

    Args:
        timelines: of senders of one load that began together, each in the order of time, with points of equal length.
    """
    stride = max((round(point.span_seconds) for line in timelines for point in line), default=1) or 1
    by_span: defaultdict[int, list[list[Point]]] = defaultdict(lambda: [[] for _ in timelines])
    for sender, line in enumerate(timelines):
        for point in line:
            middle = point.elapsed_seconds - point.span_seconds / 2
            by_span[int(middle // stride)][sender].append(point)
    return [_together([part for part in by_span[at] if part]) for at in sorted(by_span)]


def _together(parts: Sequence[Sequence[Point]]) -> Point:
    """Return one span of all senders, of each of which there is at least one point."""
    points = sorted((point for part in parts for point in part), key=lambda point: point.elapsed_seconds)
    return replace(
        merge_points(points),
        span_seconds=max(sum(point.span_seconds for point in part) for part in parts),
        load=together([part[-1].load for part in parts]),
    )


def together(loads: Sequence[Load]) -> Load:
    """Return the load of several senders at one moment; there is at least one."""
    return Load(
        users=sum(one.users for one in loads),
        target_rate=loads[0].target_rate,
        cpu_ratio=max(one.cpu_ratio for one in loads),
        loop_lag_seconds=max(one.loop_lag_seconds for one in loads),
        phase=loads[0].phase,
        waiting=sum(one.waiting for one in loads),
        in_flight=sum(one.in_flight for one in loads),
    )
