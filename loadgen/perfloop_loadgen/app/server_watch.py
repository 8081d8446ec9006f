"""Read the service's own series from Prometheus once a run is over, for the window of the run.

Prometheus has seen the end of a run only when it has scraped the service once more: that is waited for.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from perfloop_base.home import find_home, local_url
from perfloop_base.redaction import redact_url
from perfloop_loadgen.errors import QueryError
from perfloop_loadgen.server_series import (
    CLIENT_ERRORS,
    CLIENT_P95,
    CLIENT_RATE,
    DEFINITIONS,
    REQUESTS,
    WINDOW,
    Definition,
    fill,
    matcher_of,
)
from perfloop_loadgen.summary.server import Server, ServerLine, ServerSeries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.prometheus_api import PrometheusApi
    from perfloop_loadgen.summary import Summary

log = logging.getLogger(__name__)

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
# The longest wait for the scrape after the end: a longer interval than Prometheus's own default of a minute is rare.
_LONGEST_WAIT_SECONDS = 65.0
# SIGTERM must end the process within 5 s, most of which are for answers and the last scrape of the generator itself.
_HURRY_SECONDS = 0.5
_POLL_SECONDS = 0.5
_USUAL_INTERVAL_SECONDS = 15.0
# A rate needs two samples, of which one may be missing.
_SCRAPES_PER_RATE = 4
_MOST_POINTS = 150
# Of one kind: a report has no place for every pool of a large service. The highest are kept.
_MOST_LINES = 5


# Beginning and end, what the client measured, and what is set when somebody waits for the end.
_Run = tuple[tuple[float, float], "Summary", asyncio.Event]


@dataclass(frozen=True, slots=True)
class _Window:
    """The run between two scrapes; Unix times and seconds."""

    began: float
    ended: float
    # The first scrape after the end, or where there was none in time, the end.
    scraped: float
    interval: float


async def watch_server(
    config: LoadTestConfig, span: tuple[float, float], summary: Summary, hurry: asyncio.Event
) -> Server | None:
    """Return the service's series; None where there is no Prometheus to ask.

    Args:
        config: the test; its `prometheus_url`, or else the local stack's, is asked.
        span: Unix times of the run's beginning and end.
        summary: what the client measured.
        hurry: set when somebody waits for the end: the next scrape is not waited for then.
    """
    url = config.prometheus_url or (local_url("prometheus") if (find_home() / "targets").is_dir() else None)
    if url is None or not summary.total_requests:
        return None
    from perfloop_loadgen.prometheus_api import PrometheusApi  # brings httpx, and most runs do without

    reading = asyncio.ensure_future(_watch(PrometheusApi(url), redact_url(url), config, (span, summary, hurry)))
    asked = asyncio.ensure_future(hurry.wait())
    await asyncio.wait({reading, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    await asyncio.wait({reading}, timeout=_HURRY_SECONDS)
    if reading.done():
        return reading.result()
    reading.cancel()
    await asyncio.gather(reading, asked, return_exceptions=True)
    return Server(redact_url(url), problems=["stopped before Prometheus answered"])


async def _watch(api: PrometheusApi, shown_url: str, config: LoadTestConfig, run: _Run) -> Server:
    span, summary, hurry = run
    try:
        matcher, problem = await find_service(api, config, span[1])
        if not matcher:
            return Server(shown_url, problems=[problem])
        window = await _await_scrape(api, matcher, span, hurry)
        found = await asyncio.gather(*(_read(api, one, matcher, window) for one in DEFINITIONS))
        counted = await _count_requests(api, matcher, window)
    except QueryError as error:
        return Server(shown_url, problems=[str(error)])
    series, missing = _merge(found, summary, counted)
    problems = []
    if window.scraped <= window.ended:
        problems.append("the service was not scraped again after the end: what came last is missing")
    return Server(shown_url, matcher, series, missing, summary.total_requests, counted, problems)


async def find_service(api: PrometheusApi, config: LoadTestConfig, at: float) -> tuple[str, str]:
    """Return the matcher of the service under test, or nothing and the reason.

    A target is found by its address; its label `service`, or else `job`, then stands for all its instances.

    Raises:
        QueryError: Prometheus did not answer.
    """
    targets = [labels for labels, _ in await api.instant("up", at)]
    if config.service is not None:
        for label in ("service", "job"):
            if any(labels.get(label) == config.service for labels in targets):
                return matcher_of(label, config.service), ""
        return "", f"no target has the service or job {config.service!r}: Prometheus has {_names(targets)}"
    matching = [labels for labels in targets if _is_at(labels.get("instance", ""), config.base_url)]
    chosen = {_matcher(labels) for labels in matching}
    if len(chosen) == 1:
        return chosen.pop(), ""
    what = "several targets have" if chosen else "no target has"
    return "", f"{what} the address of base_url: name one by `service`, of {_names(targets)}"


def _matcher(labels: Mapping[str, str]) -> str:
    label = "service" if labels.get("service") else "job"
    return matcher_of(label, labels.get(label, ""))


def _names(targets: Sequence[Mapping[str, str]]) -> str:
    names = sorted({labels.get("service") or labels.get("job", "") for labels in targets})
    return ", ".join(names) or "no targets"


def _is_at(instance: str, base_url: str) -> bool:
    """Return whether a target's address is the service's: on this machine it has three names, or a container's."""
    parts = urlsplit(base_url)
    host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]
    found = re.fullmatch(r"\[?(?P<host>[^\]]*?)\]?(?::(?P<port>\d+))?", instance)
    if found is None:
        return False
    same_port = int(found["port"] or _DEFAULT_PORTS[parts.scheme]) == port
    theirs = found["host"].lower()
    return same_port and (theirs == host or (host in _LOOPBACK and (theirs in _LOOPBACK or "." not in theirs)))


async def _await_scrape(api: PrometheusApi, matcher: str, span: tuple[float, float], hurry: asyncio.Event) -> _Window:
    """Wait until the service was scraped after the end of the run; return the window between the scrapes."""
    began, ended = span
    last, interval = await _last_scrape(api, matcher)
    longest = min(_LONGEST_WAIT_SECONDS, 2 * interval + 1)
    until = time.monotonic() + longest
    if last <= ended and not hurry.is_set():
        log.info("waiting for Prometheus to scrape the service once more, at most %.0f s", longest)
    while last <= ended and time.monotonic() < until and not hurry.is_set():
        try:
            await asyncio.wait_for(hurry.wait(), _POLL_SECONDS)
        except TimeoutError:
            last, _ = await _last_scrape(api, matcher)
    return _Window(began, ended, max(last, ended), interval)


async def _last_scrape(api: PrometheusApi, matcher: str) -> tuple[float, float]:
    """Return the time of the service's last scrape and the usual seconds between two."""
    every = await api.samples(f"up{{{matcher}}}[5m]", time.time())
    moments = [[moment for moment, _ in samples] for samples in every if samples]
    gaps = [later - earlier for one in moments for earlier, later in pairwise(one)]
    # Of several instances the one that is scraped last: the others' figures are in by then.
    last = min((one[-1] for one in moments), default=0.0)
    return last, median(gaps) if gaps else _USUAL_INTERVAL_SECONDS


async def _read(
    api: PrometheusApi, definition: Definition, matcher: str, window: _Window
) -> tuple[Definition, list[ServerLine]]:
    short = max(_SCRAPES_PER_RATE * window.interval, 1.0)
    # One scrape earlier: what grew until the run's first scrape is counted from the one before it.
    whole = window.scraped - window.began + window.interval
    step = max(1.0, window.interval, (window.scraped - window.began) / _MOST_POINTS)
    drawn = fill(definition.expr, matcher, short)
    points = {_key(labels): values for labels, values in await api.series(drawn, window.began, window.scraped, step)}
    figures: dict[str, float] = {}
    if WINDOW in definition.expr:
        over_run = fill(definition.expr, matcher, whole)
        figures = {_key(labels): value for labels, value in await api.instant(over_run, window.scraped)}
    lines = [
        _line(name, _since(window.began, points.get(name, [])), figures.get(name))
        for name in sorted(points.keys() | figures.keys())
    ]
    kept = [line for line in lines if line.value is not None or line.points]
    return definition, sorted(kept, key=lambda line: -(line.highest or 0.0))[:_MOST_LINES]


def _since(began: float, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    # Prometheus writes its times in milliseconds: the first one may lie a part of one before the run.
    return [(max(0.0, round(moment - began, 3)), value) for moment, value in points]


def _line(name: str, points: list[tuple[float, float]], figure: float | None) -> ServerLine:
    values = [value for _, value in points]
    mean = fmean(values) if values else None
    return ServerLine(name, points, mean if figure is None else figure, max(values, default=figure))


def _key(labels: Mapping[str, str]) -> str:
    return ", ".join(value for name, value in sorted(labels.items()) if name != "__name__")


async def _count_requests(api: PrometheusApi, matcher: str, window: _Window) -> int | None:
    """Return how many requests the service counted between the last scrape before the run and the first one after it.

    Two readings of the counter, not `increase`, which extrapolates: the number is exact unless others call the service
    too. None without the counter, or where a restart set it back.
    """
    counter = fill(REQUESTS, matcher, window.interval)
    before, after = await asyncio.gather(api.instant(counter, window.began), api.instant(counter, window.scraped))
    if not after:
        return None
    # A service that was never asked before has no counter yet.
    counted = after[0][1] - (before[0][1] if before else 0.0)
    return round(counted) if counted >= 0 else None


def _merge(
    found: Sequence[tuple[Definition, list[ServerLine]]], summary: Summary, counted: int | None
) -> tuple[list[ServerSeries], list[str]]:
    clients = {
        CLIENT_RATE: summary.requests_per_second,
        CLIENT_P95: summary.total.response.quantiles_seconds["p95"],
        CLIENT_ERRORS: summary.total.error_ratio,
    }
    series = []
    for definition, lines in found:
        if not lines:
            continue
        kept = lines
        if definition.client == CLIENT_RATE and counted is not None and summary.duration_seconds:
            kept = [
                ServerLine(line.name, line.points, counted / summary.duration_seconds, line.highest) for line in lines
            ]
        client = clients.get(definition.client)
        series.append(ServerSeries(definition.name, definition.title, definition.unit, kept, client))
    return series, [definition.title for definition, lines in found if not lines]
