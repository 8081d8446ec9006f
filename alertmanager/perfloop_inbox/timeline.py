"""From Prometheus's own series of alerts to the times at which each fired.

`ALERTS` has a sample for each evaluation at which an alert was pending or fired, whoever looked. A gap is an end where
the alert's group of rules was evaluated without it; while no Prometheus ran, nobody knows, and it is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_inbox.incidents import Key, PrometheusAlert

# Groups are evaluated at moments of their own, to the millisecond, that a restart does not change.
_SAME_MOMENT_SECONDS = 0.0015
# Where nothing else of its group has samples: so much longer must Prometheus have evaluated other groups.
_RESTART_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Fired:
    """One time that an alert fired: its first sample and its last, in Unix seconds, and the interval between two."""

    alert: PrometheusAlert
    first: float
    last: float
    interval: float


@dataclass(slots=True)
class Samples:
    """The samples of one alert."""

    alert: PrometheusAlert
    firing: Sequence[float] = ()
    pending: Sequence[float] = ()


class Timeline:
    """What Prometheus recorded of all alerts in a window of time.

    Args:
        samples: by alert.
        intervals: how many seconds lie between evaluations of a rule, by its name.
        interval: of a rule that is not among them.
        evaluations: so many without the alert are an end.
    """

    def __init__(
        self, samples: Mapping[Key, Samples], intervals: Mapping[str, float], interval: float, evaluations: int
    ) -> None:
        self._samples = samples
        self._intervals = intervals
        self._interval = interval
        self._evaluations = evaluations
        self._moments = sorted({at for one in samples.values() for at in (*one.firing, *one.pending)})

    def first_since(self, start: float) -> float | None:
        """Return when something was first evaluated after a moment."""
        return next((at for at in self._moments if at >= start), None)

    def fired(self) -> list[Fired]:
        """Return the times that alerts fired, oldest first."""
        found = [one for samples in self._samples.values() for one in self._split(samples)]
        return sorted(found, key=lambda one: one.first)

    def _split(self, samples: Samples) -> list[Fired]:
        if not samples.firing:
            return []
        moments = sorted(samples.firing)
        interval = min(self._intervals.get(samples.alert.labels.get("alertname", ""), self._interval), self._interval)
        begin, times = moments[0], []
        for last, following in pairwise(moments):
            if following - last > 2 * interval and self._has_ended(samples, last, following, interval):
                times.append(Fired(samples.alert, begin, last, interval))
                begin = following
        return [*times, Fired(samples.alert, begin, moments[-1], interval)]

    def _has_ended(self, samples: Samples, last: float, following: float, interval: float) -> bool:
        pending = set(samples.pending)
        between = [at for at in self._moments if last < at < following and at not in pending]
        own = [at for at in between if abs((at - last + interval / 2) % interval - interval / 2) < _SAME_MOMENT_SECONDS]
        if len(own) >= self._evaluations:
            return True
        longest = max(self._interval, interval) * 1.05
        evaluated = sum(after - before for before, after in pairwise(between) if after - before <= longest)
        return not pending.intersection(self._moments_in(last, following)) and (
            evaluated >= self._evaluations * interval + _RESTART_SECONDS
        )

    def _moments_in(self, last: float, following: float) -> list[float]:
        return [at for at in self._moments if last < at < following]
