"""The rules of the reconciliation, step by step and without processes: what is posted, and what never is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest

from perfloop_inbox.incidents import (
    AlertmanagerView,
    Incident,
    ListedAlert,
    Post,
    PrometheusAlert,
    PrometheusView,
    in_batches,
    key_of,
)
from perfloop_inbox.reconciliation import Reconciliation
from perfloop_inbox.timeline import Samples, Timeline
from perfloop_inbox.timing import Timing

LABELS = {"alertname": "DatabaseQueryTimeHigh", "service": "shop", "severity": "critical"}
RECEIVERS = frozenset({"slack", "email", "pagerduty"})
WAIT, INTERVAL = 3.0, 30.0
PATIENCE = WAIT + 2 * INTERVAL + Timing().margin


@dataclass
class World:
    """A Prometheus and an Alertmanager that say what a test wants, and a clock that moves by two seconds a step."""

    reconciliation: Reconciliation = field(default_factory=lambda: Reconciliation([], Timing(), 100_000.0))
    now: float = 100_000.0
    firing: bool = False
    pending: bool = False
    prometheus: str | None = "p1"
    evaluated: bool = True
    alertmanager: str | None = "a1"
    listed: bool = False
    suppressed: bool = False
    evaluating_since: float | None = None
    channels: dict[str, str] = field(default_factory=dict)
    config: str = "one"

    def step(self) -> list[tuple[str, str]]:
        """Look once; return status and reason of each post about the alert."""
        self.now += 2.0
        self.reconciliation.hear(self.now)
        posts = self.reconciliation.step(self.now, self._prometheus_view(), self._alertmanager_view())
        for post in posts:
            self.listed = not post.is_resolved(self.now)
        return [("resolved" if post.is_resolved(self.now) else "firing", post.reason) for post in posts]

    def run(self, seconds: float) -> list[tuple[str, str]]:
        """Look for so long; return everything that was posted."""
        end = self.now + seconds
        posts = []
        while self.now < end:
            posts += self.step()
        return posts

    def notify(self, status: str, receivers: frozenset[str] = RECEIVERS) -> None:
        """Let receivers be notified."""
        for receiver in sorted(receivers):
            assert status in ("firing", "resolved")
            self.reconciliation.note_notification(receiver, status, LABELS, self.now)

    def fire(self) -> None:
        """Let the alert fire, be listed, and be notified of."""
        self.firing = self.listed = True
        self.step()
        self.notify("firing")
        assert self.run(10) == []

    def record(self, *seconds_ago: float) -> None:
        """Let Prometheus's series have firing samples of so long ago, with evaluations every five seconds."""
        alert = PrometheusAlert(LABELS, {"summary": "It fired and ended"}, firing=False)
        other = PrometheusAlert({"alertname": "Other"}, {}, firing=False)
        samples = {
            key_of(alert.labels): Samples(alert, [self.now - ago for ago in seconds_ago]),
            key_of(other.labels): Samples(other, pending=[self.now - 5.0 * number for number in range(100)]),
        }
        timeline = Timeline(samples, {LABELS["alertname"]: 5.0}, 15.0, Timing().evaluations)
        self.reconciliation.note_recorded(timeline, "p1", 0.0, self.now)

    def incident(self) -> Incident:
        """The newest incident."""
        return max(self.reconciliation.incidents.values(), key=lambda one: one.number)

    def _prometheus_view(self) -> PrometheusView | None:
        if self.prometheus is None:
            return None
        alert = PrometheusAlert(LABELS, {"summary": "slow"}, firing=self.firing)
        alerts = {key_of(LABELS): alert} if self.firing or self.pending else {}
        rules = {LABELS["alertname"]: 5.0 if self.evaluated else math.inf}
        evaluated = self.now if self.evaluated else 0.0
        return PrometheusView(self.prometheus, alerts, rules, evaluated, 300.0, "http://p", self.evaluating_since)

    def _alertmanager_view(self) -> AlertmanagerView | None:
        if self.alertmanager is None:
            return None
        alert = ListedAlert(
            active=not self.suppressed,
            suppressed=self.suppressed,
            receivers=RECEIVERS,
            starts_at=self.now,
            ends_at=self.now + 60,
            generator_url="",
        )
        alerts = {key_of(LABELS): alert} if self.listed else {}
        return AlertmanagerView(self.alertmanager, alerts, RECEIVERS, WAIT, INTERVAL, self.config, self.channels)


@pytest.fixture
def world() -> World:
    """Everything runs and nothing fires."""
    world = World()
    world.run(30)
    return world


def test_without_faults_nothing_is_posted(world: World):
    """Prometheus posts, Alertmanager notifies, and the reconciliation only watches."""
    world.fire()
    assert world.run(3600) == []
    world.firing = world.listed = False
    world.step()
    world.notify("resolved")
    assert world.run(600) == []
    assert world.incident().phase == "closed"


def test_an_alertmanager_that_was_restarted_is_sent_what_fires(world: World):
    """It would know only when Prometheus resends."""
    world.fire()
    world.alertmanager, world.listed = "a2", False
    assert world.run(4) == [("firing", "missing")]


def test_an_end_that_nobody_sent_is_sent(world: World):
    """Alertmanager and then Prometheus are killed, and the alert ends meanwhile: the all-clear is owed."""
    world.fire()
    world.alertmanager, world.prometheus, world.listed = None, None, False
    world.run(20)
    world.alertmanager, world.prometheus, world.firing = "a2", "p2", False
    posts = world.run(120)
    assert posts[0] == ("firing", "hold") or posts[0] == ("firing", "missing")
    assert ("resolved", "replay") in posts
    assert posts.index(("firing", "replay")) < posts.index(("resolved", "replay"))
    world.notify("resolved")
    world.run(10)
    assert world.incident().phase == "closed"


@pytest.mark.parametrize("fault", ["down", "starting", "failing", "pending"])
def test_nothing_is_declared_over_while_prometheus_cannot_know(world: World, fault: str):
    """Down, not yet evaluated, evaluated with an error, or pending after a restart: the alert is held as it is."""
    world.fire()
    world.firing = world.listed = False
    world.prometheus = None if fault == "down" else "p2"
    world.evaluated = fault not in ("starting", "failing")
    world.pending = fault == "pending"
    posts = world.run(50)
    assert {status for status, _ in posts} == {"firing"}
    assert world.incident().ended_at is None


def test_an_alert_that_is_pending_without_a_restart_has_ended(world: World):
    """The same Prometheus said that it fires: it ended between two looks, and begins again."""
    world.fire()
    world.firing, world.pending = False, True
    world.step()
    assert world.incident().ended_at is not None


def test_an_incident_that_came_and_went_without_alertmanager_is_sent_whole(world: World):
    """First the page, then the all-clear."""
    world.alertmanager = None
    world.firing = True
    world.run(10)
    world.firing = False
    world.run(10)
    world.alertmanager = "a2"
    assert world.run(4)[0] == ("firing", "replay")
    world.notify("firing")
    assert ("resolved", "replay") in world.run(6)
    world.notify("resolved")
    world.run(4)
    assert world.incident().phase == "closed"


def test_an_incident_that_nobody_looked_at_is_found_in_the_series(world: World):
    """The inbox was down too: Prometheus's own series of alerts has it."""
    world.record(20, 10)
    world.alertmanager = "a2"
    assert world.step() == [("firing", "replay")]


def test_an_incident_that_is_known_is_not_found_again(world: World):
    """The series has every incident; only those that nobody saw are new."""
    world.fire()
    world.firing = world.listed = False
    world.step()
    world.notify("resolved")
    world.run(10)
    world.record(24, 14)
    assert len(world.reconciliation.incidents) == 1


def test_a_page_that_the_log_of_notifications_swallows_is_forced(world: World):
    """The log says that the earlier incident was sent and never ended: its end is posted first, then the page."""
    world.firing = world.listed = True
    assert world.run(PATIENCE - 4) == []
    posts = world.run(8)
    assert set(posts) == {("resolved", "stale")}
    world.notify("resolved")
    assert world.run(2) == [("firing", "stale")]
    world.notify("firing")
    assert world.run(PATIENCE * 3) == []


def test_a_page_is_not_forced_where_reports_do_not_arrive(world: World):
    """No heartbeat and no report came for minutes: a missing one means nothing, and a false all-clear would be sent."""
    world.firing = world.listed = True
    for _ in range(300):
        world.now += 2.0
        assert world.reconciliation.step(world.now, world._prometheus_view(), world._alertmanager_view()) == []


def test_what_is_silenced_or_inhibited_is_not_forced(world: World):
    """Nobody is to hear of it, neither while it fires nor at its end."""
    world.firing = world.listed = world.suppressed = True
    assert world.run(600) == []
    world.firing = world.listed = False
    assert world.run(600) == []
    assert world.incident().phase == "closed"


def test_one_receiver_that_was_left_out_gets_both(world: World):
    """Killed between two channels: the third gets the page and the all-clear, even when the alert has ended."""
    world.firing = world.listed = True
    world.step()
    world.notify("firing", frozenset({"slack", "email"}))
    world.alertmanager, world.firing, world.listed = "a2", False, False
    posts = world.run(120)
    assert posts.index(("firing", "replay")) < posts.index(("resolved", "replay"))


def test_after_a_restart_the_ends_of_what_is_over_are_posted_again(world: World):
    """A log of notifications that is older than the all-clear would swallow the next page."""
    world.fire()
    world.firing = world.listed = False
    world.step()
    world.notify("resolved")
    world.run(10)
    world.alertmanager = "a2"
    assert world.step() == [("resolved", "restart")]
    assert world.run(600) == []


def test_attempts_end_and_are_counted(world: World):
    """An all-clear that nothing confirms is tried three times, then posted now and then, and the metric says so."""
    world.fire()
    world.firing = world.listed = False
    world.alertmanager = "a2"
    world.run(PATIENCE * 8)
    assert world.incident().phase == "unconfirmed"
    assert world.reconciliation.count_unconfirmed() == 1
    posts = world.run(120)
    assert set(posts) == {("resolved", "unconfirmed")}
    world.notify("resolved")
    world.run(4)
    assert world.reconciliation.count_unconfirmed() == 0


def test_a_short_gap_is_one_incident_and_a_long_one_two(world: World):
    """Alertmanager itself sends nothing about a gap below its group interval."""
    world.fire()
    world.firing = False
    world.run(10)
    world.firing = world.listed = True
    assert ("resolved", "stale") not in world.run(10)
    world.firing = False
    world.run(INTERVAL + WAIT + 4)
    world.firing = world.listed = True
    assert set(world.run(4)) == {("resolved", "resolved")}
    world.notify("resolved")
    assert world.run(8) == [("firing", "missing")]
    world.notify("firing")
    assert world.run(PATIENCE * 2) == []
    assert [one.phase for one in world.reconciliation.incidents.values()] == ["closed", "firing"]


def test_a_prometheus_that_evaluates_nothing_is_reported(world: World):
    """After a minute, to every channel, and its end too; before it, nothing."""
    world.prometheus = None
    assert world.run(58) == []
    world.run(6)
    incident = world.incident()
    assert incident.labels["alertname"] == "MonitoringSilent"
    assert incident.labels["severity"] == "critical"
    world.prometheus = "p2"
    world.run(4)
    assert incident.ended_at is not None


def test_a_clock_that_is_set_ends_nothing(world: World):
    """An hour forward and two back: nothing is forced, and Prometheus is not silent."""
    world.fire()
    for jump in (3600.0, -7200.0):
        world.now += jump
        world.reconciliation.shift(jump)
        assert world.run(30) == []


def test_incidents_survive_as_documents(world: World):
    """What is stored comes back whole."""
    world.fire()
    incident = world.incident()
    assert Incident.from_dict(incident.to_dict()) == incident


def test_closed_incidents_are_bounded():
    """However many come and go, so many are kept; those that fire always are."""
    reconciliation = Reconciliation([], Timing(closed=10), 0.0)
    for number in range(50):
        alert = PrometheusAlert({**LABELS, "service": str(number)}, {}, firing=False)
        timeline = Timeline({key_of(alert.labels): Samples(alert, [1.0, 2.0])}, {}, 1.0, 3)
        reconciliation.note_recorded(timeline, "p1", 0.0, 3.0)
        reconciliation.incidents[number + 1].enter("closed", 3.0)
    reconciliation.step(4.0, None, AlertmanagerView("a", {}, RECEIVERS, WAIT, INTERVAL))
    assert len(reconciliation.incidents) == 10


def test_what_inhibits_is_posted_first():
    """Ends, then critical alerts, then warnings, then the rest."""
    posts = [
        Post({"severity": severity}, {}, 0.0, ends_at, "", "missing")
        for severity, ends_at in (("info", 9.0), ("warning", 9.0), ("critical", 9.0), ("warning", 1.0))
    ]
    order = [[(post.labels["severity"], post.ends_at) for post in batch] for batch in in_batches(posts, 5.0)]
    assert order == [[("warning", 1.0)], [("critical", 9.0)], [("warning", 9.0)], [("info", 9.0)]]


def test_a_report_that_comes_before_the_first_look_counts(world: World):
    """Alertmanager notified before the alert was seen here: nothing is missing."""
    world.notify("firing")
    world.firing = world.listed = True
    world.step()
    assert world.incident().lacking("firing") == []
    assert world.run(PATIENCE * 2) == []


def test_a_page_that_comes_after_the_end_gets_its_all_clear(world: World):
    """A channel that was retried for long: the incident was closed, and its end is owed once more."""
    world.fire()
    world.firing = world.listed = False
    world.step()
    world.notify("resolved")
    world.run(10)
    assert world.incident().phase == "closed"
    world.notify("firing", frozenset({"email"}))
    assert ("resolved", "resolved") in world.run(10)


def test_nothing_ends_while_prometheus_does_not_answer(world: World):
    """An end that is owed waits: the alert may fire again, and nobody knows."""
    world.fire()
    world.firing = False
    world.step()
    world.prometheus = None
    assert world.run(30) == []
    world.prometheus = "p1"
    assert ("resolved", "resolved") in world.run(8)


def test_incidents_wait_for_each_other(world: World):
    """Three times of one alert while no Alertmanager runs: three pages and three ends, one after the other."""
    world.alertmanager = None
    for _ in range(3):
        world.firing = True
        world.run(10)
        world.firing = False
        world.run(INTERVAL + WAIT + 60)
    world.alertmanager = "a2"
    sent: list[str] = []
    for _ in range(100):
        for status, _ in world.step():
            if not sent or sent[-1] != status:
                sent.append(status)
                world.notify(status)
    assert sent == ["firing", "resolved"] * 3
    assert {one.phase for one in world.reconciliation.incidents.values()} == {"closed"}


def test_an_alert_that_comes_and_goes_for_hours_is_bounded(world: World):
    """While nothing can be sent, so many times are kept apart; later ones are taken for the last."""
    world.alertmanager = None
    for _ in range(60):
        world.firing = True
        world.run(10)
        world.firing = False
        world.run(INTERVAL + WAIT + 60)
    assert 20 <= len(world.reconciliation.incidents) <= 21


def test_alerts_of_others_are_left_alone(world: World):
    """The guardian's and a person's alerts are not Prometheus's to end."""
    for receiver in RECEIVERS:
        world.reconciliation.note_notification(receiver, "firing", {"alertname": "ComponentUnresponsive"}, world.now)
    assert world.run(600) == []
    assert world.reconciliation.incidents == {}


def test_an_end_without_its_page_is_no_success(world: World):
    """The log took the page for that of an earlier incident, and sent the end alone: both are sent after it."""
    world.record(20, 10)
    world.alertmanager = "a2"
    world.run(60)
    world.notify("resolved")
    assert ("firing", "replay") in world.run(4)
    world.notify("firing")
    assert ("resolved", "replay") in world.run(4)
    world.notify("resolved")
    world.run(4)
    assert world.incident().phase == "closed"


def test_what_ends_between_the_two_questions_is_not_posted_as_firing(world: World):
    """Prometheus still says that it fires, and Alertmanager already knows that it does not."""
    world.fire()
    world.listed = False
    assert world.step() == []
    world.firing = False
    world.step()
    world.notify("resolved")
    assert world.run(30) == []


def test_a_restart_of_the_inbox_or_an_old_end_posts_nothing(world: World):
    """The log of notifications has them: only what another Alertmanager sent lately is in doubt."""
    world.fire()
    world.firing = world.listed = False
    world.step()
    world.notify("resolved")
    world.run(10)
    world.reconciliation = Reconciliation(world.reconciliation.incidents.values(), Timing(), world.now)
    assert world.run(600) == []
    world.alertmanager = "a2"
    assert world.run(60) == []


def test_a_restart_of_alertmanager_is_another_chance(world: World):
    """What the one before did not confirm is tried again with the next."""
    world.fire()
    world.firing = world.listed = False
    world.alertmanager = "a2"
    world.run(PATIENCE * 8)
    assert world.incident().phase == "unconfirmed"
    world.alertmanager = "a3"
    assert ("firing", "replay") in world.run(6)


def test_an_end_that_is_given_up_holds_nothing_back(world: World):
    """The next time of the alert is sent all the same."""
    world.fire()
    world.firing = world.listed = False
    world.alertmanager = "a2"
    world.run(PATIENCE * 8)
    world.firing = True
    world.run(10)
    assert [one.phase for one in world.reconciliation.incidents.values()] == ["closed", "firing"]


def test_an_alert_that_comes_and_goes_between_two_looks_is_sent_whole(world: World):
    """The list of alerts never had it, Prometheus's own series has."""
    world.alertmanager = "a2"
    world.record(1.5)
    assert ("firing", "replay") in world.run(6)
    world.notify("firing")
    assert ("resolved", "replay") in world.run(6)
    world.notify("resolved")
    world.run(4)
    assert world.incident().phase == "closed"


def test_two_times_that_nobody_looked_between_are_two(world: World):
    """The inbox was down at the first one's end: Prometheus evaluated the rule without it."""
    world.fire()
    world.now += 120
    world.record(*(120 - number * 5.0 for number in range(4)), *(number * 5.0 for number in range(4)))
    world.step()
    first, second = world.reconciliation.incidents.values()
    assert first.ended_at == world.now - 2 - 105
    assert second.ended_at is None
    assert second.starts_at == world.now - 2 - 15


def test_the_same_samples_are_read_again_and_again(world: World):
    """Each look reads the last minute: nothing is found twice, neither while it fires nor after it."""
    world.fire()
    world.run(20)
    for _ in range(5):
        world.record(*(number * 5.0 for number in range(4)))
        world.step()
    world.firing = world.listed = False
    world.step()
    world.notify("resolved")
    for _ in range(5):
        world.record(*(20 + number * 5.0 for number in range(4)))
        assert world.step() == []
    assert len(world.reconciliation.incidents) == 1


def test_what_was_confirmed_is_closed_whatever_prometheus_says(world: World):
    """Killed again and again, it never decides; the next time of the alert must not wait for it."""
    world.fire()
    world.firing = world.listed = False
    world.step()
    world.notify("resolved")
    world.prometheus = None
    world.step()
    assert world.incident().phase == "closed"


def test_an_evaluation_that_was_recorded_counts_whoever_looked(world: World):
    """The inbox is killed again and again: each time it would wait for three more evaluations."""
    world.fire()
    world.firing = world.listed = False
    documents = world.reconciliation.incidents.values()
    world.reconciliation = Reconciliation(documents, Timing(), world.now)
    world.evaluating_since = world.now - 60
    world.step()
    assert world.incident().ended_at is not None


CHANNELS = {name: name for name in RECEIVERS}


def deliver(world: World, channel: str, status: str) -> None:
    """Let a channel bring a message to the mailbox."""
    assert status in ("firing", "resolved")
    world.reconciliation.note_delivery(channel, status, LABELS, world.now)


def test_a_message_that_did_not_come_is_sent_again(world: World):
    """Alertmanager reported the receiver, and was killed before its mail went out; the alert ended meanwhile."""
    world.channels = CHANNELS
    world.run(4)
    for status in ("firing", "resolved"):
        world.firing = world.listed = status == "firing"
        world.step()
        world.notify(status)
        for channel in RECEIVERS:
            deliver(world, channel, status)
        world.step()
    assert world.incident().phase == "closed"
    world.run(300)
    world.fire()
    deliver(world, "slack", "firing")
    deliver(world, "pagerduty", "firing")
    world.alertmanager, world.firing, world.listed = "a2", False, False
    world.run(4)
    world.notify("resolved")
    deliver(world, "slack", "resolved")
    deliver(world, "pagerduty", "resolved")
    posts = world.run(60)
    assert posts.index(("firing", "replay")) < posts.index(("resolved", "replay"))
    deliver(world, "email", "firing")
    deliver(world, "email", "resolved")
    world.run(6)
    assert world.incident().phase == "closed"


def test_a_channel_that_refuses_forces_nothing(world: World):
    """Alertmanager tries it again for as long as the alert fires; the other channels must not hear of it twice."""
    world.channels = CHANNELS
    world.run(4)
    world.fire()
    for channel in RECEIVERS:
        deliver(world, channel, "firing")
    world.step()
    world.reconciliation.doubt_channel("slack")
    world.firing = world.listed = False
    world.step()
    world.notify("resolved")
    deliver(world, "email", "resolved")
    deliver(world, "pagerduty", "resolved")
    assert world.run(600) == []
    assert world.incident().phase == "closed"


def test_a_channel_that_never_ended_here_proves_nothing(world: World):
    """The real services send no copy to the mailbox."""
    world.channels = CHANNELS
    world.fire()
    world.firing = world.listed = False
    world.step()
    world.notify("resolved")
    assert world.run(600) == []


def test_another_configuration_may_lead_elsewhere(world: World):
    """Slack got its address: what it is sent from now on does not come here."""
    world.channels = CHANNELS
    world.run(4)
    world.fire()
    deliver(world, "slack", "firing")
    world.step()
    world.config = "another"
    world.firing = world.listed = False
    world.step()
    world.notify("resolved")
    assert world.run(600) == []
    assert world.incident().phase == "closed"


def test_a_message_about_several_alerts_proves_nothing(world: World):
    """It says that one fires while another has ended: Alertmanager's exact report decides alone."""
    world.channels = CHANNELS
    world.run(4)
    world.fire()
    deliver(world, "slack", "firing")
    sibling = Incident(77, {**LABELS, "instance": "b"}, {}, "", world.now)
    world.reconciliation.incidents[77] = sibling
    world.step()
    world.firing = world.listed = False
    world.step()
    deliver(world, "slack", "firing")
    world.notify("resolved")
    world.step()
    assert world.reconciliation.incidents[1].phase == "closed"


def test_what_began_before_a_channel_was_known_to_end_here_needs_no_message(world: World):
    """As after an update of the inbox: the page came and was not noted."""
    world.channels = CHANNELS
    world.fire()
    world.step()
    world.reconciliation.channels.proven = dict.fromkeys(RECEIVERS, world.now)
    world.step()
    world.firing = world.listed = False
    world.step()
    world.notify("resolved")
    assert world.run(600) == []
    assert world.incident().phase == "closed"


def test_an_end_that_was_found_out_late_began_when_the_alert_last_fired(world: World):
    """Prometheus was killed again and again and knows only now: what fires a moment later is another time."""
    world.fire()
    world.firing = world.listed = False
    world.prometheus = None
    world.run(INTERVAL + WAIT + 20)
    world.prometheus = "p1"
    world.step()
    assert world.incident().ended_at is not None
    world.firing = world.listed = True
    world.step()
    assert len(world.reconciliation.incidents) == 2


def test_a_short_gap_that_was_recorded_is_one_incident_while_it_is_open_and_two_once_it_is_over(world: World):
    """Both times as the series shows them after a start of the inbox; what was closed has had its all-clear."""
    world.fire()
    world.run(30)
    world.firing = world.listed = False
    world.now += 60
    times = [*(number * 5.0 for number in range(3)), *(30.0 + number * 5.0 for number in range(3))]
    world.record(*times)
    assert len(world.reconciliation.incidents) == 1
    world.incident().enter("closed", world.now)
    world.incident().ended_at = world.incident().fired_at = world.now - 30
    world.record(*times)
    assert len(world.reconciliation.incidents) == 2


def test_an_earlier_time_does_not_end_the_present_one_again(world: World):
    """It stays in the window of a minute, look after look."""
    world.fire()
    incident = world.incident()
    earlier = [50.0, 45.0]
    for number in range(5):
        world.record(*earlier, *(5.0 * one for one in range(1 + number // 2)))
        world.step()
    assert [one for one in world.reconciliation.incidents.values() if one.ended_at is None] == [incident]


def test_what_fires_just_after_its_all_clear_is_another(world: World):
    """The inbox was killed before it closed the first: the gap is short, and yet everybody was sent the end."""
    world.fire()
    world.firing = world.listed = False
    world.step()
    world.notify("resolved")
    world.now += 6
    world.record(4.0)
    assert len(world.reconciliation.incidents) == 2


def test_what_is_seen_to_fire_just_after_its_all_clear_is_another(world: World):
    """The same, where it still fires."""
    world.fire()
    world.firing = world.listed = False
    world.step()
    world.notify("resolved")
    world.firing = True
    world.step()
    assert len(world.reconciliation.incidents) == 2
