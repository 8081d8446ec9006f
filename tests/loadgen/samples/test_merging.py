"""Books of several senders as one."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from perfloop_loadgen.samples.book import Book, Load, Point
from perfloop_loadgen.samples.histogram import SECOND
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.samples.merging import merge_books, merge_timelines, together
from perfloop_loadgen.samples.tally import Tally


def _recorded(times: list[tuple[str, int]]) -> Book:
    """A book of one second in which each endpoint's answers took so many nanoseconds."""
    labels = Labels(dict.fromkeys(label for label, _ in times))
    windows = [Tally() for _ in labels]
    for label, nanoseconds in times:
        window = windows[labels.index(label)]
        window.on_time.record(nanoseconds)
        window.outcomes["ok" if nanoseconds % 3 else "wrong_status"] += 1
        window.statuses[200 if nanoseconds % 3 else 500] += 1
        window.dropped += nanoseconds % 2
    book = Book(labels)
    book.add(windows, 1.0, 1.0, Load(users=2, target_rate=7.0))
    return book


@pytest.mark.parametrize("seed", range(5))
def test_merged_books_are_the_book_of_one_sender(seed: int):
    """However requests are dealt to senders, counts and every percentile are those of one that had them all."""
    chance = random.Random(seed)
    times = [(chance.choice("abc"), round(chance.lognormvariate(16, 2))) for _ in range(3000)]
    dealt: list[list[tuple[str, int]]] = [[] for _ in range(4)]
    for one in times:
        chance.choice(dealt).append(one)
    merged, whole = merge_books([_recorded(part) for part in dealt], Book(Labels())), _recorded(times)
    assert dict(merged.total().outcomes) == dict(whole.total().outcomes)
    assert merged.total().response.counts == whole.total().response.counts
    assert {label: tally.response.counts for label, tally in merged.rows()} == {
        label: tally.response.counts for label, tally in whole.rows()
    }
    assert merged.total().dropped == whole.total().dropped
    # Beside the histograms themselves, the naive percentile of the sorted times: to a thousandth, as histograms are.
    ordered = sorted(nanoseconds for _, nanoseconds in times)
    for quantile in (0.5, 0.95, 0.99, 0.999):
        rank = max(1, -int(-quantile * len(ordered) // 1))
        expected = ordered[rank - 1] / SECOND
        assert merged.total().response.quantile_seconds(quantile) == pytest.approx(expected, rel=1e-3)
    [point] = merged.timeline()
    assert (point.requests, point.span_seconds) == (3000, 1.0)
    assert merged.peak_rate == 3000


def test_the_seconds_of_timelines_are_added_up():
    """Requests are added, of percentiles the larger one stays; a last answer after the end adds no second."""
    point = Point(1.0, 1.0, 10, 1, 0.1, 0.2, 0.3, None, Load(users=3, target_rate=20.0, cpu_ratio=0.2), {"200": 9})
    one = [
        point,
        replace(point, elapsed_seconds=2.0),
        replace(point, elapsed_seconds=2.02, span_seconds=0.02, requests=1),
    ]
    other = [
        replace(point, elapsed_seconds=1.01, span_seconds=1.01, p95_seconds=0.5),
        replace(point, elapsed_seconds=2.01),
    ]
    merged = merge_timelines([one, other])
    assert [span.requests for span in merged] == [20, 20, 1]
    assert [span.p95_seconds for span in merged] == [0.5, 0.2, 0.2]
    assert merged[0].load == Load(users=6, target_rate=20.0, cpu_ratio=0.2)
    assert merged[0].statuses == {"200": 18}
    assert merge_timelines([]) == []


def test_the_load_of_several_senders():
    """Users add up; the requested rate is everybody's; of CPU there is the busiest."""
    loads = [Load(2, 50.0, 0.3, 0.01, "steady", 1, 4), Load(3, 50.0, 0.7, 0.002, "steady", 0, 5)]
    assert together(loads) == Load(5, 50.0, 0.7, 0.01, "steady", 1, 9)
