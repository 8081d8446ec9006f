"""Range queries over HTTP to Prometheus, VictoriaMetrics, Thanos or Mimir: path prefix, tenant, authentication."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import httpx
import orjson

from perfloop_analyzer.config import SourceConfig, read_secret
from perfloop_analyzer.errors import ConfigError, QueryRejected, SourceError, SourceUnavailable
from perfloop_analyzer.ports import Query, Responses
from perfloop_analyzer.prometheus_api.budget import Budget
from perfloop_analyzer.prometheus_api.decode import decode_range, find_remarks
from perfloop_analyzer.prometheus_api.native import NativeForms
from perfloop_analyzer.prometheus_api.refusals import explain_refusal, retry_after
from perfloop_analyzer.series import Batch, Grid
from perfloop_analyzer.transport import Answer, Transport
from perfloop_base.durations import parse_duration
from perfloop_base.redaction import redact_url

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

REFUSED = frozenset({*range(300, 400), 400, 401, 403, 404, 405, 414, 422})
RETRY_PAUSE = 0.2  # seconds, doubled after each retry
SMALL_BYTES = 1_000_000  # responses up to this size are decoded on the event loop
MOST_BYTES = 256 * 2**20  # of one response; decoding takes ten times as much
BYTES_PER_SAMPLE = 64  # far more than a sample takes

log = logging.getLogger("analyzer.prometheus")


@dataclass(slots=True)
class _Spent:
    """What one round of queries used: samples read, queries without an answer, and what was said against answers."""

    samples: int = 0
    unanswered: int = 0
    remarks: dict[str, str] = field(default_factory=dict)


class PrometheusSource:
    """One Prometheus API, queried within a budget."""

    def __init__(
        self,
        config: SourceConfig,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._clock = clock
        self._wall = wall
        self.budget = Budget(config.concurrency, config.max_samples)
        self._gate = asyncio.Semaphore(config.concurrency)
        # Decoding takes ten times the memory of a response: large ones are decoded one at a time.
        self._decoding = asyncio.Lock()
        self._forms = NativeForms(clock)
        self._not_before = 0.0  # on the monotonic clock: the end of a short pause that the server asked for
        self._transport = Transport(
            config.url,
            config.timeout_seconds,
            min(MOST_BYTES, SMALL_BYTES + BYTES_PER_SAMPLE * config.max_samples),
            wall,
            headers=_headers(config),
            auth=_auth(config),
            verify=_tls(config),
            transport=transport,
        )

    @property
    def skew(self) -> float:
        """How far Prometheus's clock is ahead of this machine's, in seconds."""
        return self._transport.skew

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.close()

    async def query(self, queries: Sequence[Query], grid: Grid) -> Responses:
        """Run every query; each failed one is listed with its reason, the others are not affected.

        The grid is in this machine's time. Where Prometheus's clock shows another one, the same moments are queried in
        its time, so that neither clock needs to be right. Queries of histograms find native ones as well, see `native`.
        """
        responses = await self._query([self._forms.current(query) for query in queries], grid)
        checks = self._forms.due(queries) if responses.batches else []
        return self._forms.learn(checks, responses, await self._query(checks, grid)) if checks else responses

    async def _query(self, queries: Sequence[Query], grid: Grid) -> Responses:
        skew = self.skew
        responses = await self._round(queries, grid)
        if self.skew == skew:
            return responses
        log.warning("the clock of %s is ahead of this machine's by %.0f s", self._transport.shown, self.skew)
        return await self._round(queries, grid)

    async def _round(self, queries: Sequence[Query], grid: Grid) -> Responses:
        started = self._clock()
        if not self.budget.is_open(started):
            wait = self.budget.closed_until - started
            reason = f"not queried: pausing {wait:.0f} s, because {self.budget.reason}"
            return Responses({}, {query.signal: reason for query in queries})
        spent = _Spent()
        outcomes = await asyncio.gather(*(self._one(query, grid, spent) for query in queries))
        batches = {o.signal: o for o in outcomes if isinstance(o, Batch)}
        failures = {q.signal: str(o) for q, o in zip(queries, outcomes, strict=True) if isinstance(o, SourceError)}
        if all(isinstance(outcome, SourceUnavailable) for outcome in outcomes) and outcomes:
            asked = max((o.after or 0.0 for o in outcomes if isinstance(o, SourceUnavailable)), default=0.0)
            self.budget.failed(self._clock(), str(outcomes[0]), asked)
        else:
            self.budget.succeeded()
        return Responses(batches, spent.remarks | failures, spent.samples, self._clock() - started)

    async def scrape_interval(self) -> float | None:
        """Return the median scrape interval of the active targets; None where the API does not report it."""
        if not self.budget.is_open(self._clock()):
            return None
        try:
            answer = await self._transport.request("GET", "api/v1/targets", params={"state": "active"})
            targets = orjson.loads(answer.content)["data"]["activeTargets"]
            known = sorted(parse_duration(target["scrapeInterval"]) for target in targets)
        except (SourceError, KeyError, TypeError, ValueError, AttributeError):
            return None
        known = [seconds for seconds in known if seconds > 0]
        return known[len(known) // 2] if known else None

    async def _one(self, query: Query, grid: Grid, spent: _Spent) -> Batch | SourceError:
        async with self._gate:
            if spent.samples >= self.budget.max_samples:
                most = self.budget.max_samples
                return SourceError(f"{query.signal}: not queried: the budget of {most} samples per cycle is used up")
            if spent.unanswered >= self._config.concurrency:
                return SourceUnavailable(f"{query.signal}: not queried: {self._transport.shown} does not answer")
            try:
                batch = await self._retrying(query, grid, spent)
            except SourceError as error:
                spent.unanswered += isinstance(error, SourceUnavailable)
                return error
        spent.samples += batch.values.size
        return batch

    async def _retrying(self, query: Query, grid: Grid, spent: _Spent) -> Batch:
        for attempt in range(self._config.retries):
            try:
                return await self._fetch(query, grid, spent)
            except SourceUnavailable as error:
                if error.after is None:
                    await asyncio.sleep(RETRY_PAUSE * 2**attempt)
                elif error.after > self._config.timeout_seconds:
                    raise  # the round ends without it, and the budget waits
                else:
                    # Every query waits, not only the one that got this answer.
                    self._not_before = max(self._not_before, self._clock() + error.after)
        return await self._fetch(query, grid, spent)

    async def _fetch(self, query: Query, grid: Grid, spent: _Spent) -> Batch:
        await asyncio.sleep(max(0.0, self._not_before - self._clock()))
        theirs = Grid(grid.start + self.skew, grid.step, grid.points)
        form = {
            "query": query.expr,
            "start": f"{theirs.start:.3f}",
            "end": f"{theirs.end:.3f}",
            "step": f"{grid.step:g}",
        }
        form["timeout"] = f"{self._config.timeout_seconds:g}s"
        try:
            answer = await self._transport.request("POST", "api/v1/query_range", data=form)
        except SourceError as error:
            raise type(error)(f"{query.signal}: {error}") from error
        self._check(answer, query)
        if len(answer.content) > SMALL_BYTES:
            async with self._decoding:
                batch = await asyncio.to_thread(self._decode, answer.content, query, theirs, spent)
        else:
            batch = self._decode(answer.content, query, theirs, spent)
        return replace(batch, grid=grid)

    def _decode(self, body: bytes, query: Query, grid: Grid, spent: _Spent) -> Batch:
        if remarks := find_remarks(body):
            spent.remarks[query.signal] = f"{query.signal}: {remarks}"
        return decode_range(body, query.signal, grid)

    def _check(self, answer: Answer, query: Query) -> None:
        if answer.status == httpx.codes.OK:
            return
        sentence = f"{query.signal}: {explain_refusal(answer, f'{self._transport.url}api/v1/query_range')}"
        if answer.status in REFUSED:
            raise QueryRejected(sentence)
        raise SourceUnavailable(sentence, retry_after(answer, self._wall() + self.skew))


def _headers(config: SourceConfig) -> dict[str, str]:
    headers = config.all_headers()
    if config.bearer_token_file is not None:
        headers["Authorization"] = f"Bearer {read_secret(config.bearer_token_file)}"
    return headers


def _auth(config: SourceConfig) -> tuple[str, str] | None:
    if not config.username:
        return None
    return config.username, read_secret(config.password_file) if config.password_file else ""


def _tls(config: SourceConfig) -> ssl.SSLContext | bool:
    if not config.url.startswith("https"):
        return True
    if config.insecure:
        return False
    try:
        context = ssl.create_default_context(cafile=str(config.ca_file) if config.ca_file else None)
        if config.cert_file is not None:
            context.load_cert_chain(config.cert_file, config.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"the TLS files for {redact_url(config.url)} cannot be used: {error}") from error
    return context
