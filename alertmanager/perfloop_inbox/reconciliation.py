"""The rules of the reconciliation: from what Prometheus and Alertmanager say to what must be posted once more.

Alertmanager keeps its alerts in memory and writes its log of notifications from time to time; Prometheus forgets at
a restart which alerts fired. So a process that is killed can lose a page or an all-clear (see docs/alerting.md).
Here each incident is followed until every receiver was sent its beginning and its end. Nothing is declared over while
Prometheus cannot be asked, has not evaluated its rules for long enough, or has the alert pending after a restart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_inbox.deliveries import LocalChannels, group_of
from perfloop_inbox.incidents import (
    SILENT_ANNOTATIONS,
    SILENT_LABELS,
    AlertmanagerView,
    Incident,
    Key,
    Notified,
    Post,
    PrometheusAlert,
    PrometheusView,
    key_of,
)
from perfloop_inbox.progress import Progress, is_settled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from perfloop_inbox.incidents import NotificationStatus
    from perfloop_inbox.timeline import Fired, Timeline
    from perfloop_inbox.timing import Timing

_SILENT_KEY = key_of(SILENT_LABELS)
# Of one alert that comes and goes while nothing can be sent; more are taken for one.
_MAX_WAITING = 20


class Reconciliation:
    """The incidents, and what has to be posted about them."""

    def __init__(self, incidents: Iterable[Incident], timing: Timing, now: float) -> None:
        self.incidents = {incident.number: incident for incident in incidents}
        self.timing = timing
        self._newest: dict[Key, Incident] = {}
        for incident in sorted(self.incidents.values(), key=lambda one: one.number):
            self._newest[incident.key] = incident
        self._next = max(self.incidents, default=0) + 1
        self._evaluated_at = now
        self._prometheus_run, self._prometheus_since = "", now
        self._alertmanager_run = ""
        self._progress = Progress(timing)
        self._undecided = True
        self._early: dict[Key, dict[str, Notified]] = {}
        self.channels = LocalChannels()

    # What comes in.

    def hear(self, now: float) -> None:
        """Note that Alertmanager reached the inbox."""
        self._progress.heard_at = now

    def note_notification(
        self, receiver: str, status: NotificationStatus, labels: Mapping[str, str], now: float
    ) -> Incident | None:
        """Note that a receiver was notified of an alert; return its incident, or None where it is not known yet."""
        self.hear(now)
        key, last = key_of(labels), Notified(status, now, self._alertmanager_run)
        incident = self._first_open(key) or self._newest.get(key)
        if incident is None or (incident.phase == "closed" and status == "firing"):
            self._note_early(receiver, last, key)
            return None
        incident.note(receiver, last)
        return incident

    def note_delivery(self, channel: str, status: NotificationStatus, labels: Mapping[str, str], now: float) -> bool:
        """Note that a channel brought a message to the mailbox itself; return whether it was about a known incident."""
        group, last = group_of(labels), Notified(status, now, self._alertmanager_run)
        mine = [self._queue(key)[0] for key in self._open_keys() if group_of(dict(key)) == group]
        self.channels.note(channel, group, last, mine)
        return bool(mine)

    def doubt_channel(self, channel: str) -> None:
        """Note that a channel to the mailbox refuses messages."""
        self.channels.doubt(channel, self.incidents.values())

    def _note_early(self, receiver: str, last: Notified, key: Key) -> None:
        """Keep a report of an alert that Prometheus was not seen to have: the next look decides whose it is.

        It begins an incident, or it is a late one of an incident that is over, or of an alert that others post.
        """
        self._early.setdefault(key, {})[receiver] = last
        if len(self._early) > self.timing.closed:
            del self._early[next(iter(self._early))]

    def note_recorded(self, timeline: Timeline, run: str, began_at: float, now: float) -> None:
        """Add and end incidents as Prometheus's own series of alerts shows them, whoever looked meanwhile.

        Args:
            timeline: what was recorded since some time before the last look.
            run: the present Prometheus.
            began_at: when it began.
            now: the time.
        """
        times = timeline.fired()
        newest = {key_of(one.alert.labels): one for one in times}
        for one in times:
            key = key_of(one.alert.labels)
            incident = self._take_time(key, one, now)
            if incident is None:
                continue
            incident.fired_at = max(incident.fired_at, one.last)
            if one.last >= began_at:
                incident.run = run
            if newest[key] is not one:  # the last one may still go on: what Prometheus says now decides
                incident.ended_at, incident.attempts = one.last, 0
                incident.enter("ended", now)

    def _take_time(self, key: Key, time: Fired, now: float) -> Incident | None:
        """Return the open incident that a time belongs to, a new one where there is none; None for one that is over."""
        incident = self._newest.get(key)
        if incident is None:
            return self._add(time.alert, time.first, "")
        if incident.ended_at is None:
            return incident if time.last > incident.starts_at - 1.5 * time.interval else None
        if time.first <= (incident.fired_at or incident.ended_at):
            return None
        self._close_settled(incident, now)
        if incident.phase == "closed" or self._is_another(incident, time.first):
            return self._add(time.alert, time.first, incident.generator_url)
        incident.ended_at, incident.attempts, incident.visible_since = None, 0, None
        incident.enter("firing", now)
        return incident

    def find_oldest(self) -> float | None:
        """Return since when nobody knows of an alert that fired whether it still does."""
        fired = [one.fired_at for one in self.incidents.values() if one.ended_at is None and one.fired_at]
        return min(fired, default=None)

    def shift(self, seconds: float) -> None:
        """Move every time that is remembered: the clock was set."""
        for incident in self.incidents.values():
            incident.phase_since += seconds
            incident.starts_at += seconds
            incident.posted_at += seconds
            incident.fired_at += seconds
            incident.ended_at = None if incident.ended_at is None else incident.ended_at + seconds
            incident.visible_since = None if incident.visible_since is None else incident.visible_since + seconds
            for last in incident.notified.values():
                last.at += seconds
        self.channels.shift(seconds)
        self._evaluated_at += seconds
        self._prometheus_since += seconds
        self._progress.heard_at += seconds

    def needs_rules(self) -> bool:
        """Return whether the state of the rules decides something: an alert that fired is missing, or it is time."""
        return self._undecided

    # What goes out.

    def step(self, now: float, prometheus: PrometheusView | None, alertmanager: AlertmanagerView | None) -> list[Post]:
        """Take in what was seen and return what must be posted."""
        self._observe_prometheus(now, prometheus)
        if alertmanager is None:
            return []
        restarted = alertmanager.run != self._alertmanager_run
        self._alertmanager_run = alertmanager.run
        self.channels.round = alertmanager.group_wait + alertmanager.group_interval
        self.channels.observe(alertmanager.config, alertmanager.channels, self.incidents.values())
        posts = self._clear_log(alertmanager, now) if restarted else []
        if restarted:
            self._try_again(now)
        for key in self._open_keys():
            post = self._advance_first(key, prometheus, alertmanager, now)
            if post is not None:
                posts.append(post)
        self._forget(now)
        return posts

    def _try_again(self, now: float) -> None:
        """Forget failed attempts: it was another Alertmanager that did not confirm them."""
        for incident in self.incidents.values():
            incident.attempts = 0
            if incident.phase == "unconfirmed":
                incident.enter("ended", now)

    def _open_keys(self) -> list[Key]:
        return list({incident.key: None for incident in self.incidents.values() if incident.phase != "closed"})

    def _queue(self, key: Key) -> list[Incident]:
        """Return the incidents of an alert that are not closed, oldest first: each has its page and its end in turn."""
        return [one for one in self.incidents.values() if one.phase != "closed" and one.key == key]

    def _first_open(self, key: Key) -> Incident | None:
        return next(iter(self._queue(key)), None)

    def _advance_first(
        self, key: Key, prometheus: PrometheusView | None, view: AlertmanagerView, now: float
    ) -> Post | None:
        first, *waiting = self._queue(key)
        if waiting and first.phase == "unconfirmed":  # given up: the next one must not wait for it
            first.enter("closed", now)
            first, *waiting = waiting
        self._observe_alertmanager(first, view, now)
        over = first.ended_at is None or waiting or is_settled(first) or self._is_over(first, now, prometheus)
        if not over:
            return None  # it may fire again, and an end that is sent now would be a false one
        if waiting:
            first.posted_at = 0.0  # the next one fires meanwhile: an end holds only until Prometheus says so again
        post = self._progress.advance(first, view, now)
        if post is not None:
            first.posted_at = now
        if first.phase == "closed" and waiting:
            waiting[0].listed, waiting[0].visible_since, waiting[0].phase_since = "", None, now
        return post

    def _observe_prometheus(self, now: float, view: PrometheusView | None) -> None:
        if view is not None and view.run != self._prometheus_run:
            self._prometheus_run, self._prometheus_since = view.run, now
        if view is not None and view.evaluating_since is not None:
            self._prometheus_since = min(self._prometheus_since, view.evaluating_since)
        firing = self._find_firing(now, view)
        for key, alert in firing.items():
            self._see_firing(key, alert, now, view)
        absent = [one for one in self._newest.values() if one.ended_at is None and one.key not in firing]
        owed = any(one.ended_at is not None and one.phase != "closed" for one in self._newest.values())
        self._undecided = bool(absent) or owed or any(key in self._newest for key in self._early)
        self._take_late_reports(now, view)
        for incident in absent:
            if self._is_over(incident, now, view):
                incident.ended_at = now
                incident.attempts = 0
                incident.enter("ended", now)

    def _take_late_reports(self, now: float, view: PrometheusView | None) -> None:
        """Reopen what was notified of after it was over, as by a retry that took long: its end is owed."""
        for key in [key for key in self._early if key in self._newest]:
            incident = self._newest[key]
            if incident.phase == "closed" and self._is_over(incident, now, view):
                for receiver, last in self._early.pop(key).items():
                    incident.note(receiver, last)
                incident.attempts = 0
                incident.enter("ended", now)

    def _find_firing(self, now: float, view: PrometheusView | None) -> dict[Key, PrometheusAlert]:
        """Return the alerts that fire, the inbox's own about a Prometheus that evaluates nothing among them."""
        evaluated_at = view.evaluated_at if view else None
        if evaluated_at is not None and now - evaluated_at < self.timing.silence:
            self._evaluated_at = now
        firing = {key: alert for key, alert in (view.alerts if view else {}).items() if alert.firing}
        if now - self._evaluated_at > self.timing.silence:
            firing[_SILENT_KEY] = PrometheusAlert(SILENT_LABELS, SILENT_ANNOTATIONS, firing=True)
        return firing

    def _see_firing(self, key: Key, alert: PrometheusAlert, now: float, view: PrometheusView | None) -> None:
        incident = self._newest.get(key)
        self._close_settled(incident, now)
        if incident is None or incident.phase == "closed":
            incident = self._add(alert, now, f"{view.url}/alerts" if view else "")
        elif incident.ended_at is not None and self._is_another(incident, now):
            incident = self._add(alert, now, incident.generator_url)
        elif incident.ended_at is not None:
            incident.ended_at, incident.attempts, incident.visible_since = None, 0, None
            incident.enter("firing", now)
        incident.annotations = alert.annotations or incident.annotations
        incident.run, incident.fired_at = self._prometheus_run, now

    def _close_settled(self, incident: Incident | None, now: float) -> None:
        """Close an incident whose end everybody was sent: what fires after that is another, however short the gap."""
        if incident is not None and incident.ended_at is not None and incident.notified and is_settled(incident):
            incident.enter("closed", now)

    def _add(self, alert: PrometheusAlert, starts_at: float, generator_url: str) -> Incident:
        incident = Incident(self._next, dict(alert.labels), dict(alert.annotations), generator_url, starts_at)
        incident.phase_since = starts_at
        for receiver, last in self._early.pop(incident.key, {}).items():
            incident.note(receiver, last)
        self.channels.note_early(incident)
        self.incidents[incident.number] = self._newest[incident.key] = incident
        self._next += 1
        return incident

    def _is_another(self, incident: Incident, now: float) -> bool:
        """Return whether an alert that fires again is another incident than the one that ended and is not closed.

        Alertmanager itself sends nothing about a gap below its group interval. The gap begins where the alert was last
        known to fire: that it had ended may have been found out much later.
        """
        gap = now - (incident.fired_at or incident.ended_at or now)
        return gap > self.channels.round and len(self._queue(incident.key)) < _MAX_WAITING

    def _is_over(self, incident: Incident, now: float, view: PrometheusView | None) -> bool:
        if incident.key == _SILENT_KEY:
            return True
        if view is None:
            return False
        if incident.key in view.alerts:  # pending: over if the same process said before that it fires
            return incident.run == view.run
        if view.rules is None or not view.evaluated_at:
            return False
        # A rule that was removed fires no more.
        interval = view.rules.get(incident.labels.get("alertname", ""), view.interval)
        return now - self._prometheus_since >= self.timing.evaluations * interval

    def _observe_alertmanager(self, incident: Incident, view: AlertmanagerView, now: float) -> None:
        listed = view.alerts.get(incident.key)
        if listed is None:
            incident.visible_since = None
            return
        incident.absent = False
        if incident.listed != view.run:
            incident.listed, incident.visible_since = view.run, None
        receivers = {*incident.receivers, *listed.receivers} & view.reporting
        incident.receivers = sorted(receivers | self.channels.expected(incident, receivers))
        incident.suppressed = listed.suppressed
        incident.generator_url = listed.generator_url or incident.generator_url
        if not listed.active:
            incident.visible_since = None
        elif incident.visible_since is None:
            incident.visible_since = now

    def _clear_log(self, view: AlertmanagerView, now: float) -> list[Post]:
        """Return the ends of what another process sent lately: a log that was written before them is put right.

        A log that knows them sends nothing. Older ones are in every log; posting them would repeat an end in a message
        about others of the same group.
        """
        return [
            self._progress.end(incident, now, "restart")
            for incident in self._newest.values()
            if incident.phase == "closed"
            and now - incident.phase_since < self.timing.unsettled
            and any(last.run != view.run for last in incident.notified.values())
        ]

    def _forget(self, now: float) -> None:
        closed = sorted(one.number for one in self.incidents.values() if one.phase == "closed")
        surplus = set(closed[: max(0, len(closed) - self.timing.closed)])
        for number in closed:
            incident = self.incidents[number]
            if number in surplus or now - incident.phase_since > self.timing.memory:
                del self.incidents[number]
                if self._newest.get(incident.key) is incident:
                    del self._newest[incident.key]

    def count_open(self) -> int:
        """Return how many incidents fire."""
        return sum(incident.ended_at is None for incident in self.incidents.values())

    def count_unconfirmed(self) -> int:
        """Return how many incidents have a notification that was due and is not confirmed."""
        return sum(
            not incident.suppressed
            and (incident.phase == "unconfirmed" or (incident.phase != "closed" and incident.attempts > 1))
            for incident in self.incidents.values()
        )
