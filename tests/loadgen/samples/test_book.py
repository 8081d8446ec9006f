"""The book of a run: what is added, and what it keeps when a run is long."""

from __future__ import annotations

import pytest

from perfloop_loadgen.samples.book import MAX_POINTS, RECENT_WINDOWS, Book, Load, Recorder, ScriptErrors
from perfloop_loadgen.samples.labels import MAX_LABELS, OVERFLOW, Labels
from perfloop_loadgen.samples.tally import Tally


def _window(milliseconds: float, requests: int = 10) -> Tally:
    tally = Tally()
    tally.on_time.record(round(milliseconds * 1_000_000), requests)
    tally.outcomes["ok"] = requests
    return tally


def test_totals_and_the_last_seconds():
    """The total is of everything, `lately` of the last windows only."""
    book = Book(Labels(["GET /"]))
    for second in range(RECENT_WINDOWS + 5):
        book.add([_window(100 if second < 5 else 10)], second + 1, 1, Load())
    assert book.total().requests == 10 * (RECENT_WINDOWS + 5)
    assert book.lately().requests == 10 * RECENT_WINDOWS
    assert book.lately().response.quantile_seconds(1) == pytest.approx(0.01, rel=1e-3)
    assert book.total().response.quantile_seconds(1) == pytest.approx(0.1, rel=1e-3)


def test_a_long_run_has_a_bounded_timeline_that_keeps_its_spikes():
    """Three and a half hours: as many requests and seconds as there were, and the one slow second in sight."""
    book = Book(Labels(["GET /"]))
    seconds = 7 * MAX_POINTS + 3
    for second in range(seconds):
        book.add([_window(900 if second == 4321 else 10, 1)], second + 1, 1, Load())
    points = book.timeline()
    assert len(points) <= MAX_POINTS + 1
    assert sum(point.requests for point in points) == seconds
    assert sum(point.span_seconds for point in points) == seconds
    assert points[-1].elapsed_seconds == seconds
    slow = [point for point in points if point.p99_seconds > 0.5]
    assert len(slow) == 1
    assert slow[0].elapsed_seconds - slow[0].span_seconds <= 4322 <= slow[0].elapsed_seconds


def test_an_empty_second_has_no_percentiles():
    """Nothing was answered: a gap, not a zero."""
    book = Book(Labels(["GET /"]))
    book.add([Tally()], 1, 1, Load())
    assert book.timeline()[0].p95_seconds is None


def test_a_recorder_follows_new_labels():
    """A script's endpoint gets a window in the very list that lanes hold."""
    labels = Labels(["GET /"])
    recorder = Recorder(labels)
    windows = recorder.windows
    windows[labels.index("cart")].outcomes["ok"] += 1
    assert [tally.requests for tally in recorder.take()] == [0, 1]
    assert recorder.windows is windows
    assert [tally.requests for tally in windows] == [0, 0]


def test_labels_are_bounded():
    """Beyond the limit every new name is one row; known names keep theirs."""
    labels = Labels(f"GET /{number}" for number in range(MAX_LABELS))
    first = labels.index("GET /one-more")
    assert first == labels.index("GET /another") == MAX_LABELS
    assert labels.index("GET /7") == 7
    assert list(labels)[-1] == OVERFLOW
    assert len(labels) == MAX_LABELS + 1


def test_the_errors_of_a_line_are_kept_once():
    """The first exception of each line of a script, returned once."""

    def fail() -> None:
        raise ValueError("x")

    errors = ScriptErrors()
    for _ in range(3):
        with pytest.raises(ValueError, match="x") as caught:
            fail()
        errors.note(caught.value)
    [text] = errors.take()
    assert text.startswith("ValueError: x (")
    assert errors.take() == []
