"""How far the notifications of one incident have come, and what is posted next about it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from perfloop_inbox.deliveries import is_local
from perfloop_inbox.incidents import Post

if TYPE_CHECKING:
    from perfloop_inbox.incidents import AlertmanagerView, Incident
    from perfloop_inbox.timing import Timing

_MAX_ATTEMPTS = 3

log = logging.getLogger(__name__)


class Progress:
    """The steps of an incident from one phase to the next.

    Attributes:
        timing: how long each may take.
        heard_at: when Alertmanager last reached the inbox.
    """

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self.heard_at = 0.0

    def advance(self, incident: Incident, view: AlertmanagerView, now: float) -> Post | None:
        """Take an incident a step on; return what must be posted."""
        rules = {
            "firing": self._advance_firing,
            "clearing": self._advance_clearing,
            "ended": self._advance_ended,
            "replaying": self._advance_replaying,
            "unconfirmed": self._advance_unconfirmed,
        }
        return rules[incident.phase](incident, view, now)

    def _patience(self, view: AlertmanagerView) -> float:
        """Return how long Alertmanager may take to notify, a round that a slow channel blocks included."""
        return view.group_wait + 2 * view.group_interval + self.timing.margin

    def _advance_firing(self, incident: Incident, view: AlertmanagerView, now: float) -> Post | None:
        if incident.listed and not incident.receivers:
            return None  # nobody is notified of it; and the Watchdog must end with the Prometheus that sends it
        # One channel alone Alertmanager tries again by itself for as long as the alert fires.
        missing = [name for name in incident.lacking("firing") if not is_local(name)]
        waited = now - incident.visible_since if incident.visible_since is not None else 0.0
        if (
            missing
            and waited > self._patience(view)
            and incident.attempts < _MAX_ATTEMPTS
            and self.heard_at > (incident.visible_since or 0.0)  # or it is the reports that do not arrive
        ):
            log.warning("a page is not confirmed: sending it again", extra=_named(incident, receivers=missing))
            incident.attempts += 1
            incident.enter("clearing", now)
            return self.end(incident, now, "stale")
        listed = view.alerts.get(incident.key)
        if listed is not None:
            return self._fire(incident, now, "hold") if listed.ends_at < now + self.timing.hold / 4 else None
        if not incident.absent:  # it may have ended between the two questions: the next look decides
            incident.absent = True
            return None
        return self._fire(incident, now, "missing")

    def _advance_clearing(self, incident: Incident, view: AlertmanagerView, now: float) -> Post | None:
        sent_since = {name for name, last in incident.notified.items() if last.at >= incident.phase_since}
        cleared = sent_since >= {name for name in (*incident.receivers, *incident.notified) if not is_local(name)}
        if cleared or now - incident.phase_since > self._patience(view):
            incident.visible_since = None
            incident.enter("firing", now)
            return self._fire(incident, now, "stale")
        return self.end(incident, now, "stale")  # at each step: Prometheus says meanwhile that it fires

    def _advance_ended(self, incident: Incident, view: AlertmanagerView, now: float) -> Post | None:
        if is_settled(incident):
            incident.enter("closed", now)
            return None
        waited = now - incident.phase_since
        # Only its end was sent, to a log that took its beginning for that of an earlier one.
        swallowed = bool(incident.notified) and not incident.lacking("resolved")
        if swallowed or self._is_lost(incident, view) or waited > self._patience(view):
            if incident.attempts >= _MAX_ATTEMPTS:
                log.error("an end is not confirmed", extra=_named(incident, receivers=incident.lacking("resolved")))
                incident.enter("unconfirmed", now)
                return self.end(incident, now, "unconfirmed")
            incident.attempts += 1
            incident.replayed = view.run
            incident.enter("replaying", now)
            return self._fire(incident, now, "replay")
        if not incident.notified:
            return None  # the first notification may be on its way: an end now would take it back
        return self.end(incident, now, "resolved") if now - incident.posted_at >= self.timing.margin else None

    def _is_lost(self, incident: Incident, view: AlertmanagerView) -> bool:
        """Return whether this Alertmanager may know nothing of the incident: it was started after the last it did."""
        if incident.replayed == view.run:
            return False
        runs = {last.run for last in incident.notified.values()} or {incident.listed}
        return view.run not in runs

    def _advance_replaying(self, incident: Incident, view: AlertmanagerView, now: float) -> Post | None:
        waited = now - incident.phase_since
        sent = bool(incident.receivers) and not incident.lacking("firing", incident.phase_since)
        if sent or waited > view.group_wait + view.group_interval + self.timing.margin:
            incident.enter("ended", now)
            return self.end(incident, now, "replay")
        return self._fire(incident, now, "replay") if now - incident.posted_at >= self.timing.margin else None

    def _advance_unconfirmed(self, incident: Incident, view: AlertmanagerView, now: float) -> Post | None:
        del view
        if is_settled(incident) or now - incident.phase_since > self.timing.memory:
            incident.enter("closed", now)
            return None
        return self.end(incident, now, "unconfirmed") if now - incident.posted_at >= self.timing.repeat else None

    def _fire(self, incident: Incident, now: float, reason: str) -> Post:
        return _post(incident, now + self.timing.hold, reason)

    def end(self, incident: Incident, now: float, reason: str) -> Post:
        """Return the end of an incident as it is posted; of one that fires, an end for the time being."""
        return _post(incident, max(incident.starts_at, min(now, incident.ended_at or now)), reason)


def is_settled(incident: Incident) -> bool:
    """Return whether everybody who was to be notified of an incident that ended has been."""
    if incident.notified:
        return not incident.lacking("resolved") and set(incident.paged) >= {*incident.receivers}
    return bool(incident.listed) and (incident.suppressed or not incident.receivers)


def _post(incident: Incident, ends_at: float, reason: str) -> Post:
    return Post(incident.labels, incident.annotations, incident.starts_at, ends_at, incident.generator_url, reason)


def _named(incident: Incident, **facts: object) -> dict[str, object]:
    return {"alertname": incident.labels.get("alertname", ""), "service": incident.labels.get("service", "")} | facts
