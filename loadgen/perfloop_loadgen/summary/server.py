"""What Prometheus knows about the service over a run's window, beside what the client measured."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ServerLine:
    """One series: `name` is what sets it apart from others of its kind (a database, a pool), empty for a single one.

    Points are (seconds since the run began, value in the unit of the series), in the order of time.
    """

    name: str
    points: list[tuple[float, float]]
    # Over the whole run, and the highest point; None where Prometheus had nothing.
    value: float | None
    highest: float | None


@dataclass(frozen=True, slots=True)
class ServerSeries:
    """One kind of measurement, by the definition of its name in `perfloop_loadgen.server_series`."""

    name: str
    title: str
    unit: str
    lines: list[ServerLine]
    # What the client measured of the same thing, in the same unit.
    client: float | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """The service's own series of a run's window."""

    prometheus_url: str
    # Which target is the service, as `service="demo"`; empty if none was found.
    service: str = ""
    series: list[ServerSeries] = field(default_factory=list)
    # The titles of what this Prometheus has no series of.
    missing: list[str] = field(default_factory=list)
    # Requests that ended by the client's count, and how many the service counted between the scrapes around the run.
    client_requests: int = 0
    server_requests: int | None = None
    # Why something of it is not there, one sentence each.
    problems: list[str] = field(default_factory=list)
