"""The marks of events, as Grafana draws them from a real Prometheus: one for each event, where it happened."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from tests.grafana.boards import BUILT_IN, default_values, fill_in
from tests.support.history import ask_range, serve_history, write_history

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

Boards = dict[str, dict[str, Any]]
# What Grafana joins to one mark: values of a series that are not further apart, in milliseconds. Newer ones lose the
# step of the annotation and take a minute.
JOINED = 60_000
MINUTE = 60.0
NAMES = ("Starts", "Changes", "Level changes", "Alerts", "Load tests")
NOW = 60 * (time.time() // 60) - 60
FIRES = 'alertname="ApiErrorsHigh",service="shop",severity="critical"'


def between(start: float, end: float, value: float) -> Any:
    """A series with one value from one minute to another, counted back from now."""
    return lambda moment: value if NOW - start * MINUTE <= moment <= NOW - end * MINUTE else None


def restarted(moment: float) -> float:
    """The start of a process that was restarted twelve minutes ago."""
    return NOW - 12 * MINUTE if moment > NOW - 12 * MINUTE else NOW - 600 * MINUTE


# Level changes: one that stands, one whose time is estimated again in each cycle, one that the analyzer withdraws, one
# that is too small to be news.
SERIES = {
    'process_start_time_seconds{job="services",service="shop",instance="shop:8000"}': restarted,
    'process_start_time_seconds{job="loadgen",service="loadgen",instance="lg"}': between(20, 14, NOW - 20 * MINUTE),
    'perfloop_change_timestamp_seconds{id="1",kind="deploy",service="shop",title="v2"}': between(
        25, 0, NOW - 26 * MINUTE
    ),
    'perfloop_change_point_timestamp_seconds{service="shop",signal="error_ratio"}': between(8, 0, NOW - 9 * MINUTE),
    'perfloop_change_point_timestamp_seconds{service="shop",signal="timeout_ratio"}': lambda moment: moment - 300,
    'perfloop_change_point_timestamp_seconds{service="shop",signal="api_response_time_p95"}': lambda moment: (
        NOW - 20 * MINUTE if NOW - 18 * MINUTE < moment < NOW - 10 * MINUTE else NOW - 28 * MINUTE
    ),
    'perfloop_change_point_timestamp_seconds{service="shop",signal="cache_hit_ratio"}': between(8, 0, NOW - 9 * MINUTE),
    f"service:alert_firing_since:timestamp_seconds{{{FIRES}}}": between(11, 3, NOW - 11 * MINUTE),
    'loadgen_run_start_timestamp_seconds{run="gate 12:00",run_id="7",test="gate"}': between(18, 14, NOW - 19 * MINUTE),
}
# The level after each change, from 2 before: by half for those that are news, by a hundredth for one that is none.
AFTER = {"error_ratio": 3, "timeout_ratio": 3, "api_response_time_p95": 1, "cache_hit_ratio": 2.02}
LEVELS = {
    f'perfloop_change_point_{side}{{service="shop",signal="{signal}"}}': between(60, 0, level)
    for signal, after in (
        ("error_ratio", 3),
        ("timeout_ratio", 3),
        ("api_response_time_p95", 1),
        ("cache_hit_ratio", 2.02),
    )
    for side, level in (("before", 2), ("after", after))
}


@pytest.fixture(scope="module")
def prometheus(
    prometheus_binary: str, promtool: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A Prometheus with half an hour in which each event happened once."""
    times = [NOW - 3600 + 10 * step for step in range(361)]
    directory = tmp_path_factory.mktemp("events")
    with serve_history(prometheus_binary, promtool, directory, write_history({**SERIES, **LEVELS}, times)) as client:
        yield client


def draw(found: list[Any]) -> list[tuple[str, float, float]]:
    """Grafana's rule for values that are times: each mark with its series, its start and its end, in seconds."""
    marks = []
    for series in found:
        name = series["metric"].get("signal") or series["metric"].get("service", "")
        times = [int(float(value)) for _, value in series["values"]]
        start = end = times[0]
        for moment in times[1:]:
            if end + JOINED < moment:
                marks.append((name, start / 1000, end / 1000))
                start = moment
            end = moment
        marks.append((name, start / 1000, end / 1000))
    return sorted(marks)


def ask(client: httpx.Client, board: dict[str, Any], name: str, minutes: float) -> list[tuple[str, float, float]]:
    """The marks of a board over the last minutes, in Grafana's hundred steps."""
    (mark,) = (one for one in board["annotations"]["list"] if one["name"] == name)
    step = minutes * MINUTE / 100
    expression = mark["expr"].replace("$__interval", f"{step:.0f}s").replace("$__range", f"{minutes:.0f}m")
    filled = fill_in(expression, default_values(board))
    return draw(ask_range(client, filled, (NOW - minutes * MINUTE, NOW), step))


def test_every_board_marks_every_kind_of_event(boards: Boards):
    """What may explain a change is on the board that shows it; a board may mark more."""
    for uid, board in boards.items():
        named = [mark["name"] for mark in board["annotations"]["list"]]
        assert named[: len(NAMES)] == list(NAMES), uid
        assert len(set(named)) == len(named), uid


@pytest.mark.parametrize("uid", ["overview", "stack"])
def test_each_event_is_one_mark_where_it_happened(prometheus: httpx.Client, boards: Boards, uid: str):
    """A start, a recorded change, an alert and a run: one line each, however many steps repeat it."""
    expected = {"Starts": [12], "Changes": [26], "Alerts": [11], "Load tests": [19]}
    for name, minutes in expected.items():
        marks = [mark for mark in ask(prometheus, boards[uid], name, 30) if mark[1] > NOW - 30 * MINUTE]
        assert [mark[2] - mark[1] for mark in marks] == [0] * len(minutes), (name, marks)
        assert [mark[1] for mark in marks] == [pytest.approx(NOW - ago * MINUTE, abs=30) for ago in minutes], name


def test_a_level_change_is_one_mark_and_never_a_block(prometheus: httpx.Client, boards: Boards):
    """What slides with the window is no event; what is withdrawn stays where it was, and draws nothing backwards."""
    marks = defaultdict(list)
    for signal, start, end in ask(prometheus, boards["overview"], "Level changes", 30):
        assert end == start, signal
        if start >= NOW - 30 * MINUTE:  # what is before the picture is not drawn
            marks[signal].append(round((NOW - start) / MINUTE))
    assert marks == {"error_ratio": [9], "api_response_time_p95": [28, 20]}


def test_a_board_marks_the_level_changes_of_its_own_signals(boards: Boards):
    """The board of databases is not marked for processors; the analysis marks the signal that it shows."""
    by_uid = {uid: board["annotations"]["list"][NAMES.index("Level changes")]["expr"] for uid, board in boards.items()}
    assert "db_query_time_p95" in by_uid["database-cache"]
    assert "cpu_used_ratio" not in by_uid["database-cache"]
    assert 'signal=~"$signal"' in by_uid["analysis"]
    assert "signal=~" not in by_uid["overview"]
    assert BUILT_IN.keys() >= {"$__range", "$__interval"}
