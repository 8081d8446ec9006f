"""How long the reconciliation waits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the reconciliation waits, in seconds.

    Attributes:
        hold: how long a posted alert stays firing in Alertmanager without being posted again.
        margin: what is added to Alertmanager's own waits before a notification counts as missing.
        silence: how long Prometheus may evaluate nothing before `MonitoringSilent` is sent.
        evaluations: so many intervals of evaluation must pass after a restart before an alert's absence counts.
        repeat: how often an end that nobody confirms is posted.
        unsettled: how long after an end Alertmanager's log may still be without it.
        memory: how long incidents that are closed are known: Alertmanager's longest repeat interval.
        closed: how many incidents that are closed are kept at most.
    """

    hold: float = 120.0
    margin: float = 5.0
    silence: float = 60.0
    evaluations: int = 3
    repeat: float = 30.0
    unsettled: float = 300.0
    memory: float = 4 * 3600.0
    closed: int = 1000
