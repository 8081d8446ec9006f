"""What is posted to Alertmanager and when, with clocks of the test's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from perfloop.stack.guardian.incidents import HOLD_SECONDS, REPEAT_SECONDS, Incidents, severity_of, unresponsive

_NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
_KEY = ("unresponsive", "prometheus")


def _wall(now: float) -> datetime:
    return _NOON + timedelta(seconds=now)


def _play(incidents: Incidents, seconds: range, *, taken: bool = True) -> list[tuple[int, bool]]:
    """Make a round each second; return when something was posted, and whether it said that the incident is over."""
    posted = []
    for now in seconds:
        due = incidents.find_due(now, _wall(now))
        if due:
            posted.append((now, due[_KEY]["endsAt"] <= _wall(now).isoformat(timespec="milliseconds")))
        if taken:
            incidents.note_posted(due, now)
    return posted


def _open() -> Incidents:
    incidents = Incidents()
    incidents.open(_KEY, unresponsive("prometheus", 30), _NOON)
    return incidents


def test_an_incident_is_repeated_while_it_lasts() -> None:
    """Alertmanager forgets what is not repeated."""
    assert _play(_open(), range(31)) == [(0, False), (REPEAT_SECONDS, False), (2 * REPEAT_SECONDS, False)]


def test_a_short_incident_is_held_until_it_was_sent_and_then_resolved() -> None:
    """Alertmanager sends nothing about what ended within its group_wait; the end is repeated and then forgotten."""
    incidents = _open()
    incidents.close(_KEY)
    posted = _play(incidents, range(400))
    firing = [now for now, over in posted if not over]
    resolved = [now for now, over in posted if over]
    assert firing == [0, REPEAT_SECONDS, 2 * REPEAT_SECONDS]
    assert resolved[0] == HOLD_SECONDS
    assert len(resolved) > 3
    assert resolved[-1] < 200


def test_what_no_alertmanager_took_is_not_lost() -> None:
    """An incident of Alertmanager itself is posted until it runs again, and held from then on."""
    incidents = _open()
    assert {over for _, over in _play(incidents, range(60), taken=False)} == {False}
    incidents.close(_KEY)
    posted = _play(incidents, range(60, 200))
    assert posted[0] == (60, False)
    assert next(now for now, over in posted if over) == 60 + HOLD_SECONDS


def test_an_incident_that_comes_again_is_firing_again() -> None:
    """Also while the end of the first one is still repeated."""
    incidents = _open()
    incidents.close(_KEY)
    _play(incidents, range(60))
    incidents.open(_KEY, unresponsive("prometheus", 30), _wall(60))
    assert _play(incidents, range(60, 62)) == [(60, False)]


def test_a_clock_set_back_makes_no_alert_that_begins_in_the_future() -> None:
    """Alertmanager refuses an alert that ends before it begins."""
    alert = _open().find_due(5, _NOON - timedelta(hours=1))[_KEY]
    assert alert["startsAt"] < alert["endsAt"]


def test_who_is_paged() -> None:
    """Somebody is paged for what watches everything else; every alert has the labels that routes and owners need."""
    assert {name: severity_of(name) for name in ("prometheus", "alertmanager", "analyzer")} == {
        "prometheus": "critical",
        "alertmanager": "critical",
        "analyzer": "warning",
    }
    labels = _open().find_due(0, _NOON)[_KEY]["labels"]
    assert labels == {
        "alertname": "ComponentUnresponsive",
        "service": "prometheus",
        "severity": "critical",
        "owner": "platform",
        "source": "guardian",
    }
