"""What a service was asked for over a time: its routes with their rates, times and sizes, and the tokens of its models.

Read from Prometheus, in the names of OpenTelemetry's semantic conventions.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop.prove.errors import ProofError
from perfloop_base.promql import quote
from perfloop_loadgen.prometheus_api import PrometheusApi

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

LEAST_REQUESTS = 10.0
LEAST_SHARE = 1e-4  # a route with less of the requests is left out: its weight would be none
_ROUTE = "http_request_method, http_route"
# Prometheus's own scrapes are not the users' requests.
_OWN = 'http_route!~"/metrics|/-/(healthy|ready)|"'
_TOKENS = "gen_ai_request_model, gen_ai_token_type"


@dataclass(frozen=True, slots=True)
class Route:
    """One route of a service.

    Attributes:
        rate: Requests per second.
        seconds: Mean response time; None where it is not measured.
        response_bytes: Mean size of a response; None where it is not measured.
    """

    method: str
    route: str
    rate: float
    seconds: float | None = None
    response_bytes: float | None = None

    @property
    def name(self) -> str:
        """The name in tables and reports."""
        return f"{self.method} {self.route}"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The mean lengths of the calls of one model, in tokens."""

    model: str
    read: float
    written: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """The requests of a service between two moments, in Unix seconds; the busiest route first."""

    service: str
    start: float
    end: float
    routes: tuple[Route, ...]
    tokens: tuple[Tokens, ...] = ()

    @property
    def rate(self) -> float:
        """Requests per second, over all routes."""
        return sum(route.rate for route in self.routes)

    @property
    def concurrency(self) -> float:
        """Requests that were under way at a time, on average (Little's law)."""
        return sum(route.rate * (route.seconds or 0.0) for route in self.routes)


class Prometheus:
    """Instant queries to one Prometheus, one after the other."""

    def __init__(self, url: str) -> None:
        self._api = PrometheusApi(url)

    def ask(self, expr: str, at: float) -> list[tuple[dict[str, str], float]]:
        """Return the finite series of an expression at a moment, each with its labels.

        Raises:
            QueryError: It gave no usable answer.
        """
        return asyncio.run(self._api.instant(expr, at))


def read_traffic(prometheus: Prometheus, service: str, start: float, end: float, skip: Collection[str] = ()) -> Traffic:
    """Return what a service was asked for between two moments, in Unix seconds.

    Args:
        prometheus: Where it is read.
        service: The service.
        start: From then on.
        end: Until then.
        skip: Routes that are left out, with their method (`DELETE /items/{id}`) or of every method (`/items/{id}`).

    Raises:
        QueryError: Prometheus gave no usable answer.
        ProofError: It has no requests of that time.
    """
    window = f"{max(1, round(end - start))}s"
    of = f"{{service={quote(service)},{_OWN}}}"

    def by_route(metric: str) -> dict[tuple[str, str], float]:
        found = prometheus.ask(f"sum by ({_ROUTE}) (increase({metric}{of}[{window}]))", end)
        return {_key(labels): value for labels, value in found}

    counts = by_route("http_server_request_duration_seconds_count")
    counts = {(method, route): n for (method, route), n in counts.items() if not {route, f"{method} {route}"} & {*skip}}
    if sum(counts.values()) < LEAST_REQUESTS:
        raise ProofError(
            f"Prometheus has {sum(counts.values()):.0f} requests of {service} in the {window} of the incident: "
            f"{LEAST_REQUESTS:.0f} are needed to replay its load; --from and --to choose another time"
        )
    times = by_route("http_server_request_duration_seconds_sum")
    sizes = by_route("http_server_response_body_bytes_total")
    total = sum(counts.values())
    routes = [
        Route(*key, count / (end - start), _mean(times, key, count), _mean(sizes, key, count))
        for key, count in counts.items()
        if count >= LEAST_SHARE * total
    ]
    tokens = _read_tokens(prometheus, service, window, end)
    return Traffic(service, start, end, tuple(sorted(routes, key=lambda one: -one.rate)), tokens)


def _read_tokens(prometheus: Prometheus, service: str, window: str, end: float) -> tuple[Tokens, ...]:
    of = f"{{service={quote(service)}}}[{window}]"
    metric = "gen_ai_server_tokens_per_call"
    asked = f"sum by ({_TOKENS}) (increase({metric}_sum{of})) / sum by ({_TOKENS}) (increase({metric}_count{of}))"
    means: dict[str, dict[str, float]] = {}
    for labels, value in prometheus.ask(asked, end):
        kind = labels.get("gen_ai_token_type", "")
        means.setdefault(labels.get("gen_ai_request_model", ""), {})[kind] = value
    return tuple(Tokens(model, one.get("input", 0.0), one.get("output", 0.0)) for model, one in sorted(means.items()))


def _key(labels: Mapping[str, str]) -> tuple[str, str]:
    return labels.get("http_request_method", "GET"), labels.get("http_route", "")


def _mean(sums: Mapping[tuple[str, str], float], key: tuple[str, str], count: float) -> float | None:
    return sums[key] / count if key in sums and count > 0 else None
