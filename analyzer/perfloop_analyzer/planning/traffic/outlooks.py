"""What is expected of each service's traffic: the next hour, day and week, and the peak that it has to carry."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from perfloop_analyzer.planning.traffic.forecasting import Outlook, forecast_peaks
from perfloop_analyzer.planning.traffic.reading import STEP_SECONDS, Stretch, TrafficHistory
from perfloop_base.quantities import quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from perfloop_analyzer.planning.asks import Answers
    from perfloop_analyzer.planning.figures import Figure

# name: seconds ahead, and how many points of the past are one of the forecast.
HORIZONS = {"1h": (3600.0, 1), "1d": (86_400.0, 12), "1w": (604_800.0, 12)}
WORDS = {"1h": "hour", "1d": "day", "1w": "week"}
STALE_SECONDS = 4 * STEP_SECONDS
DIGITS = 4


@dataclass(frozen=True, slots=True)
class ServiceTraffic:
    """The outlooks of one service by horizon, those that its past carries."""

    horizons: Mapping[str, Outlook] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The peaks in words, for people."""
        said = [
            f"{quantity(one.peak.expected, 'per_second')} ({quantity(one.peak.lower, 'per_second')} to "
            f"{quantity(one.peak.upper, 'per_second')}) within the next {WORDS[name]}"
            for name, one in self.horizons.items()
        ]
        return f"the highest rate of five minutes is expected to be {', '.join(said)}"

    def as_dict(self) -> dict[str, Any]:
        """The JSON form: each horizon's peak, and its curve with bounds."""
        return {"words": self.words, "horizons": {name: _as_dict(one) for name, one in self.horizons.items()}}

    def figures(self, service: str) -> Iterator[Figure]:
        """Yield the peaks."""
        for name, one in self.horizons.items():
            yield from one.peak.figures("forecast_requests_per_second", {"service": service, "horizon": name})


def _as_dict(outlook: Outlook) -> dict[str, Any]:
    path = outlook.path
    curves = {"expected": path.expected, "lower": path.lower, "upper": path.upper}
    return {
        "peak_requests_per_second": outlook.peak.as_dict(),
        "start": path.start,
        "step_seconds": path.step,
        **{name: [_rounded(float(value)) for value in curve] for name, curve in curves.items()},
    }


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a service's traffic ahead: None where nothing is, with one note for each missing horizon."""

    traffic: ServiceTraffic | None
    notes: tuple[str, ...]


class TrafficWatch:
    """Knows the past of the traffic, and forecasts it again when there is more of it."""

    def __init__(self) -> None:
        self._history = TrafficHistory()
        self._forecast_of: tuple[float, int] | None = None
        self._known: dict[str, Known] = {}

    def due(self, at: float) -> tuple[Stretch, ...]:
        """Return what is to be asked at a moment, in Unix seconds."""
        stretch = self._history.due(at)
        return (stretch,) if stretch else ()

    def note(self, stretch: Stretch, answers: Answers, at: float) -> None:
        """Take up an answer."""
        self._history.note(stretch, answers, at)

    def of(self, service: str, at: float) -> Known:
        """Return what is known of a service at a moment, in Unix seconds."""
        end = self._history.end
        if end is None:
            return Known(None, ("no forecast: the past of the traffic is not read yet",))
        if at - end > STALE_SECONDS:
            moment = datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%d %H:%M UTC")
            return Known(None, (f"no forecast: Prometheus has not answered for the traffic since {moment}",))
        self._refresh(end)
        return self._known.get(service, Known(None, ("no forecast: the past has no request of the service",)))

    def _refresh(self, end: float) -> None:
        state = (end, self._history.read)
        if state == self._forecast_of:
            return
        self._forecast_of = state
        services = self._history.services
        self._known = {}
        if not services:
            return
        past = np.stack([np.asarray(values, dtype=np.float64) for values in services.values()])
        found: dict[str, dict[str, Outlook]] = {service: {} for service in services}
        refused: dict[str, dict[str, list[str]]] = {service: {} for service in services}
        for name, (seconds, several) in HORIZONS.items():
            outlooks = forecast_peaks(past, (STEP_SECONDS, several), end, seconds)
            for service, outlook in zip(services, outlooks, strict=True):
                if isinstance(outlook, Outlook):
                    found[service][name] = outlook
                else:
                    refused[service].setdefault(outlook.reason, []).append(WORDS[name])
        unread = "" if self._history.is_whole else "; older data are still being read"
        for service, horizons in found.items():
            notes = (f"{', '.join(of)} ahead: {reason}{unread}" for reason, of in refused[service].items())
            self._known[service] = Known(ServiceTraffic(horizons) if horizons else None, tuple(notes))
