"""What fired, how long, who was informed, and what was done about it."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_analyzer.reports.alert_sections import alert_headlines, alert_section
from perfloop_analyzer.reports.alerts import Act, AlertFacts, Message, Sent, Silence, build_alerts
from perfloop_analyzer.reports.episodes import Episode, find_episodes
from perfloop_analyzer.reports.window import Window
from perfloop_analyzer.series import Batch, Grid

STEP = 120.0
POINTS = 720  # a day
WINDOW = Window(1_000_000_000.0, 1_000_000_000.0 + STEP * POINTS, ZoneInfo("UTC"))
GRID = Grid(WINDOW.start + STEP, STEP, POINTS)
CRITICAL = {"alertname": "PoolFull", "service": "shop", "severity": "critical"}
WARNING = {"alertname": "CpuHigh", "service": "search", "severity": "warning"}


def fired(*spans: tuple[int, int]) -> np.ndarray:
    """A row that fires from one point to before another."""
    row = np.full(POINTS, np.nan)
    for first, last in spans:
        row[first:last] = 1.0
    return row


def facts(*rows: np.ndarray, **known: object) -> AlertFacts:
    """Facts of alerts, the first critical, the others warnings."""
    labels = (CRITICAL, WARNING)[: len(rows)]
    fields = {"covered": np.ones(POINTS, dtype=bool), "messages": (), "silences": (), "acts": ()} | known
    values = np.vstack(rows) if rows else np.empty((0, POINTS))
    return AlertFacts(Batch("alerts", GRID, labels, values), **fields)  # type: ignore[arg-type]


def moment(point: int) -> float:
    """The moment of a point of the grid."""
    return GRID.start + STEP * point


def naive(row: list[bool], covered: list[bool]) -> list[tuple[int, int]]:
    """The spans of a row, point by point: a point of which nothing is known changes nothing."""
    spans: list[tuple[int, int]] = []
    before = False
    for point, (fires, known) in enumerate(zip(row, covered, strict=True)):
        if not (known or fires):
            continue
        if fires and before:
            spans[-1] = (spans[-1][0], point)
        elif fires:
            spans.append((point, point))
        before = fires
    return spans


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_episodes_are_what_a_walk_through_the_points_finds(points: list[tuple[bool, bool]]) -> None:
    """Their number, their ends, and their order."""
    row, covered = [one for one, _ in points], [one for _, one in points]
    grid = Grid(1000.0, 10.0, len(points))
    found = find_episodes(np.array(row, dtype=float), np.array(covered), grid)
    expected = naive(row, covered)
    assert [(one.start, one.end) for one in found] == [(990.0 + 10 * a, 1000.0 + 10 * b) for a, b in expected]
    assert all(one.seconds > 0 for one in found)


def test_an_episode_knows_whether_its_ends_were_seen() -> None:
    """One that fires at the first point had fired before; one that fires at the last goes on."""
    first, second, third = find_episodes(fired((0, 3), (10, 12), (718, 720)), np.ones(POINTS, dtype=bool), GRID)
    assert (first.began, first.ended) == (False, True)
    assert (second.began, second.ended, second.seconds) == (True, True, 2 * STEP)
    assert (third.began, third.ended) == (True, False)


def test_a_gap_of_which_nothing_is_known_ends_no_alert() -> None:
    """Prometheus was down between: one episode, and the gap is said."""
    covered = np.ones(POINTS, dtype=bool)
    covered[100:200] = False
    history = build_alerts(facts(fired((90, 100), (200, 210)), covered=covered), WINDOW)
    (record,) = history.alerts
    assert len(record.episodes) == 1
    assert history.unknown == ("Prometheus has no data of 3 h of this time: what fired then is not known",)


def test_a_history_that_is_shorter_than_the_window_is_said() -> None:
    """Its first moment, not a guess about what was before."""
    covered = np.arange(POINTS) >= 360
    history = build_alerts(facts(fired((400, 410)), covered=covered), WINDOW)
    assert history.unknown[0].startswith("Prometheus's data begin on Sun 2001-09-09 13:4")
    assert history.coverage == pytest.approx(0.5)


def test_an_empty_prometheus_is_no_quiet_week() -> None:
    """Nothing fired and nothing is known are two things."""
    nothing = build_alerts(facts(covered=np.zeros(POINTS, dtype=bool)), WINDOW)
    assert alert_headlines(nothing) == ("Which alerts fired is not known.",)
    assert "has no data of this time" in nothing.unknown[0]
    assert alert_headlines(build_alerts(facts(), WINDOW)) == ("No alert fired.",)


def test_messages_are_counted_by_channel() -> None:
    """Those about this alert of this service, at the time, that said that it fires."""
    about = "[FIRING:1] PoolFull · shop · critical"
    messages = (
        Message(moment(12), "slack", "PoolFull", "firing", about),
        Message(moment(12), "email", "PoolFull", "firing", about),
        Message(moment(16), "slack", "PoolFull", "resolved", about),
        Message(moment(12), "slack", "PoolFull", "firing", "[FIRING:1] PoolFull · other · critical"),
        Message(moment(300), "slack", "PoolFull", "firing", about),
    )
    (record,) = build_alerts(facts(fired((10, 15)), messages=messages), WINDOW).alerts
    assert record.informed == {"slack": 1, "email": 1}
    (unknown,) = build_alerts(facts(fired((10, 15)), messages=None), WINDOW).alerts
    assert unknown.informed is None


def test_a_channel_that_ends_elsewhere_is_no_silence() -> None:
    """Alertmanager sent by it and the inbox has nothing of it: who was informed of which alert is not known."""
    history = build_alerts(facts(fired((10, 15)), sent=(Sent("slack", 4.0, 0.0), Sent("webhook", 9.0, 0.0))), WINDOW)
    assert history.alerts[0].informed is None
    assert history.unknown[0].startswith("messages by slack go to the real service")


@pytest.mark.parametrize(
    ("known", "acts"),
    [
        (
            {"silences": (Silence(moment(5), moment(11), "ops", "deploy", (("alertname", "PoolFull", False, True),)),)},
            ("silenced by ops: deploy",),
        ),
        (
            {"silences": (Silence(moment(5), moment(11), "ops", "", (("service", "sh.*", True, True),)),)},
            ("silenced by ops",),
        ),
        ({"silences": (Silence(moment(5), moment(11), "ops", "", (("service", "shop", False, False),)),)}, ()),
        ({"silences": (Silence(moment(5), moment(11), "ops", "", (("instance", "web1", False, True),)),)}, ()),
        ({"silences": (Silence(moment(90), moment(99), "ops", "", (("service", "shop", False, True),)),)}, ()),
        ({"silences": (Silence(moment(5), moment(11), "ops", "", (("service", "(", True, True),)),)}, ()),
        ({"acts": (Act(moment(20), "shop", "accepted: more connections"),)}, ("accepted: more connections",)),
        ({"acts": (Act(moment(60), "shop", "too late"), Act(moment(12), "search", "another service"))}, ()),
        ({"messages": (Message(moment(12), "pagerduty", "PoolFull", "acknowledged", "shop"),)}, ("acknowledged",)),
    ],
)
def test_what_counts_as_acting(known: dict[str, object], acts: tuple[str, ...]) -> None:
    """A silence, an acknowledgement, a decision or a change of the service, while it fired or within an hour."""
    (record,) = build_alerts(facts(fired((10, 15)), **known), WINDOW).alerts
    assert record.acts == acts
    assert record.is_noise is not bool(acts)


def test_without_a_source_nobody_is_said_to_have_done_nothing() -> None:
    """Noise is only what is known to be noise."""
    history = build_alerts(facts(fired((10, 15)), silences=None, unknown=("Alertmanager is away",)), WINDOW)
    (record,) = history.alerts
    assert (record.acts, record.is_noise) == (None, False)
    assert history.unknown[0] == "Alertmanager is away"
    (row,) = alert_section(history, WINDOW).tables[0].rows
    assert row[-1].text == "not known"


def test_the_worst_come_first_and_offenders_are_named() -> None:
    """Critical ones before longer warnings; three times are often."""
    warning = fired((0, 100), (200, 300), (400, 410))
    history = build_alerts(facts(fired((10, 12)), warning, sent=(Sent("slack", 40.0, 3.0),)), WINDOW)
    assert [one.alertname for one in history.alerts] == ["PoolFull", "CpuHigh"]
    assert [one.alertname for one in history.offenders] == ["CpuHigh"]
    assert alert_headlines(history) == (
        "2 alerts fired 4 times, CpuHigh the longest with 7 h.",
        "Nobody acted on 2 of 2: PoolFull and CpuHigh.",
        "Notifications failed: 3 of 40 by Slack.",
    )


def test_one_that_fires_on_is_said() -> None:
    """Its length is what is known of it."""
    history = build_alerts(facts(fired((700, 720))), WINDOW)
    assert history.alerts[0].episodes == (Episode(moment(699), moment(719), began=True, ended=False),)
    assert alert_headlines(history)[0].endswith("PoolFull fired on at the end.")
