"""The past of the traffic: read once, newest first, in bounded stretches, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest

from perfloop_analyzer.planning.figures import Figure
from perfloop_analyzer.planning.traffic import Stretch, TrafficWatch
from perfloop_analyzer.planning.traffic.reading import LONGEST, POINTS, RATE, SHORTEST, STEP_SECONDS, TrafficHistory
from perfloop_analyzer.series import Batch

AT = 1_790_000_123.0
MINUTE = 60.0


def _rate(moments: np.ndarray) -> np.ndarray:
    return np.asarray(100 + 50 * np.sin(2 * np.pi * moments / 86_400.0))


def _answer(stretch: Stretch, at: float, *services: str) -> dict[str, Batch]:
    grid = stretch.grid(at)
    values = np.stack([(row + 1) * _rate(grid.times()) for row in range(len(services))])
    return {RATE: Batch(RATE, grid, tuple({"service": one} for one in services), values)}


def _read(history: TrafficHistory, at: float, *services: str) -> list[tuple[float, int]]:
    """Answer everything that is due, once a minute; return the end and the points of each stretch."""
    stretches = []
    for turn in range(20):
        moment = at + turn * MINUTE
        if stretch := history.due(moment):
            grid = stretch.grid(moment)
            stretches.append((grid.end, grid.points))
            history.note(stretch, _answer(stretch, moment, *services), moment)
    return stretches


def test_four_weeks_are_read_once() -> None:
    """The newest week first, then older ones, each minute one; what is new comes before what is old."""
    history = TrafficHistory()
    stretches = _read(history, AT, "shop")
    first = AT - AT % STEP_SECONDS
    assert stretches[0] == (first, LONGEST)
    assert max(points for _, points in stretches) == LONGEST
    new = sum(end > first for end, _ in stretches)
    assert POINTS <= sum(points for _, points in stretches) <= POINTS + new
    assert history.is_whole
    assert history.end is not None
    np.testing.assert_allclose(
        history.services["shop"], _rate(history.end - STEP_SECONDS * np.arange(POINTS)[::-1]), rtol=1e-5
    )
    assert history.due(history.end + 4 * MINUTE) is None
    later = history.due(history.end + STEP_SECONDS)
    assert later is not None
    assert later.points == 1


def test_at_most_one_stretch_a_minute() -> None:
    """Whatever is missing."""
    history = TrafficHistory()
    stretch = history.due(AT)
    assert stretch is not None
    history.note(stretch, _answer(stretch, AT, "shop"), AT)
    assert history.due(AT + 59) is None
    assert history.due(AT + 60) is not None


def test_a_stretch_without_an_answer_is_asked_again_at_half_its_length() -> None:
    """Down to three hours, and longer again once answers come."""
    history, lengths = TrafficHistory(), []
    for turn in range(10):
        stretch = history.due(AT + turn * MINUTE)
        assert stretch is not None
        lengths.append(stretch.points)
        history.note(stretch, {}, AT + turn * MINUTE)
    assert lengths[:3] == [LONGEST, LONGEST // 2, LONGEST // 4]
    assert lengths[-1] == SHORTEST
    _read(history, AT + 10 * MINUTE, "shop")
    assert history.read > 10 * SHORTEST


def test_a_clock_that_was_set_back_begins_again() -> None:
    """What was read is of a future."""
    history = TrafficHistory()
    _read(history, AT, "shop")
    stretch = history.due(AT - 86_400.0)
    assert stretch is not None
    assert stretch.grid(AT).end < AT - 86_400.0
    assert not history.services


def test_a_long_pause_begins_again_and_a_short_one_is_caught_up() -> None:
    """Ten minutes are three points; a month is everything."""
    history = TrafficHistory()
    _read(history, AT, "shop")
    assert history.end is not None
    short = history.due(history.end + 3 * STEP_SECONDS)
    assert short is not None
    assert short.points == 3
    assert history.due(history.end + 30 * 86_400.0).points == LONGEST  # type: ignore[union-attr]


def test_services_come_and_are_forgotten_after_four_weeks() -> None:
    """A new service has what is known of it; one without any value left is gone."""
    history = TrafficHistory()
    _read(history, AT, "shop")
    stretch = history.due(AT + 3600.0)
    assert stretch is not None
    history.note(stretch, _answer(stretch, AT, "shop", "till"), AT + 3600.0)
    assert np.isfinite(history.services["till"]).sum() == stretch.points
    at = AT + 3600.0
    for _ in range(5):
        at += (LONGEST - 1) * STEP_SECONDS
        stretch = history.due(at)
        assert stretch is not None
        history.note(stretch, _answer(stretch, at, "till"), at)
    assert set(history.services) == {"till"}


def _watched(at: float, turns: int) -> TrafficWatch:
    watch = TrafficWatch()
    for turn in range(turns):
        moment = at + turn * MINUTE
        for stretch in watch.due(moment):
            watch.note(stretch, _answer(stretch, moment, "shop"), moment)
    return watch


def test_what_is_said_of_a_service() -> None:
    """Three horizons with their peaks, as figures, in words and as JSON with the curves."""
    at = AT + 19 * MINUTE
    known = _watched(AT, 20).of("shop", at)
    assert known.notes == ()
    assert known.traffic is not None
    figures = list(known.traffic.figures("shop"))
    assert {figure.labels["horizon"] for figure in figures} == {"1h", "1d", "1w"}
    assert {figure.labels["bound"] for figure in figures} == {"lower", "expected", "upper"}
    day = {f.labels["bound"]: f.value for f in figures if f.labels["horizon"] == "1d"}
    assert day["expected"] == pytest.approx(150, rel=0.03)
    assert all(isinstance(figure, Figure) and figure.name == "forecast_requests_per_second" for figure in figures)
    body = known.traffic.as_dict()
    assert [len(one["expected"]) for one in body["horizons"].values()] == [12, 24, 168]
    assert body["words"].startswith("the highest rate of five minutes is expected to be ")


def test_what_is_missing_is_said_once() -> None:
    """A week is not enough for a week ahead; while older data are read, that is said too."""
    known = _watched(AT, 1).of("shop", AT)
    assert known.traffic is not None
    assert set(known.traffic.horizons) == {"1h", "1d"}
    reason = "the past has 7 d, and 7 d ahead take 12 d at least; older data are still being read"
    assert known.notes == (f"week ahead: no forecast: {reason}",)


@pytest.mark.parametrize(
    ("turns", "service", "later", "note"),
    [
        (0, "shop", 0.0, "no forecast: the past of the traffic is not read yet"),
        (20, "till", 0.0, "no forecast: the past has no request of the service"),
        (20, "shop", 3600.0, "no forecast: Prometheus has not answered for the traffic since 2026-09-21 "),
    ],
)
def test_nothing_is_forecast_from_nothing(turns: int, service: str, later: float, note: str) -> None:
    """Not read, not there, too old: one sentence and no figure."""
    known = _watched(AT, turns).of(service, AT + turns * MINUTE + later)
    assert known.traffic is None
    assert len(known.notes) == 1
    assert known.notes[0].startswith(note)
