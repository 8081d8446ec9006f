"""The benchmark of random kills counts what is lost, late, early and twice."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

NAME, CHANNEL = "Kill00", "slack"
BEGIN, END, NEXT = 1000.0, 1010.0, 1070.0


@pytest.fixture
def kills(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark."""
    monkeypatch.syspath_prepend(str(checkout / "benchmarks"))
    return importlib.import_module("notification_kills")


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([(1003, "firing"), (1013, "resolved")], (0, 0, 0, 0, 0)),
        ([], (1, 1, 0, 0, 0)),
        ([(1003, "firing")], (0, 1, 0, 0, 0)),
        ([(1013, "resolved")], (1, 1, 0, 0, 1)),
        ([(1003, "firing"), (1005, "resolved")], (0, 1, 1, 0, 1)),
        ([(1003, "firing"), (1004, "firing"), (1013, "resolved"), (1014, "resolved")], (0, 0, 0, 0, 2)),
        ([(1020, "firing"), (1030, "resolved")], (0, 0, 0, 0, 0)),
        ([(1003, "firing"), (1071, "resolved")], (0, 0, 0, 1, 0)),
        ([(999, "firing"), (1013, "resolved")], (1, 1, 0, 0, 2)),
    ],
    ids=["fine", "nothing", "no-end", "end-alone", "early-end", "twice", "slow", "late-end", "old-page"],
)
def test_what_is_counted(kills: Any, messages: list[tuple[int, str]], expected: tuple[int, ...]) -> None:
    """One incident on one channel: pages lost, all-clears lost, all-clears too early, late, twice."""
    tally = kills.Tally()
    found = [
        {
            "alertname": NAME,
            "channel": CHANNEL,
            "status": status,
            "received_at": datetime.fromtimestamp(at, UTC).isoformat(),
        }
        for at, status in messages
    ]
    kills.judge([kills.Interval(NAME, BEGIN, END, NEXT)], {NAME: [1002.0]}, found, tally)
    lost = (len(tally.lost_pages), len(tally.lost_ends), len(tally.early_ends), tally.late, tally.duplicates)
    assert kills.ALERTS[NAME] == "warning"
    assert lost == expected


def test_no_message_counts_for_two(kills: Any) -> None:
    """Two incidents that were sent as one: the second is lost."""
    tally = kills.Tally()
    messages = [(1003.0, "firing"), (1085.0, "resolved")]
    both = [kills.Interval(NAME, BEGIN, END, NEXT), kills.Interval(NAME, NEXT, NEXT + 10)]
    kills.judge_channel(both, messages, CHANNEL, tally)
    assert (tally.due, len(tally.lost_pages), len(tally.lost_ends), tally.late) == (4, 1, 1, 1)


def test_what_prometheus_never_saw_is_not_due(kills: Any) -> None:
    """It was down for the whole time: nobody could know."""
    tally = kills.Tally()
    kills.judge([kills.Interval(NAME, BEGIN, END, NEXT)], {NAME: [1065.0]}, [], tally)
    assert (tally.incidents, tally.due) == (0, 0)
