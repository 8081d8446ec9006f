"""Range queries over HTTP to Prometheus, VictoriaMetrics, Thanos or Mimir: path prefix, tenant, authentication."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import httpx
import orjson

from perfloop_analyzer.errors import (
    BadAnswer,
    ConfigError,
    CredentialRefused,
    QueryRejected,
    SourceError,
    SourceUnavailable,
)
from perfloop_analyzer.ports import Query, Responses
from perfloop_analyzer.prometheus_api.budget import Budget
from perfloop_analyzer.prometheus_api.credentials import build_auth
from perfloop_analyzer.prometheus_api.decode import find_remarks
from perfloop_analyzer.prometheus_api.native import NativeForms
from perfloop_analyzer.prometheus_api.pace import Pace
from perfloop_analyzer.prometheus_api.refusals import explain_refusal, retry_after
from perfloop_analyzer.prometheus_api.streaming import MatrixReader
from perfloop_analyzer.series import Batch, Grid
from perfloop_analyzer.transport import Answer, Transport
from perfloop_base.durations import parse_duration
from perfloop_base.redaction import redact_url

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from perfloop_analyzer.config import SourceConfig

REFUSED = frozenset({*range(300, 400), 400, 404, 405, 414, 422})
CREDENTIAL_REFUSED = frozenset({401, 403})
RETRY_PAUSE = 0.2  # seconds, doubled after each retry
SMALL_BYTES = 1_000_000  # responses up to this size are decoded on the event loop
MOST_BYTES = 256 * 2**20  # of one response; decoding takes ten times as much
BYTES_PER_SAMPLE = 64  # far more than a sample takes

log = logging.getLogger("analyzer.prometheus")


@dataclass(slots=True)
class _Spent:
    """What one round of queries used: samples read, queries without an answer, and what was said against answers.

    Attributes:
        retries: How often one query is tried again.
        refusal: Why the credential was refused, while no query of the round was answered.
    """

    retries: int
    samples: int = 0
    answered: int = 0
    unanswered: int = 0
    refusal: str = ""
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
        self.pace = Pace(config.concurrency, config.timeout_seconds, clock)
        # Decoding takes ten times the memory of a response: large ones are decoded one at a time.
        self._decoding = asyncio.Lock()
        self._forms = NativeForms(clock)
        self._not_before = 0.0  # on the monotonic clock: the end of a short pause that the server asked for
        self._transport = Transport(
            config.url,
            config.timeout_seconds,
            min(MOST_BYTES, SMALL_BYTES + BYTES_PER_SAMPLE * config.max_samples),
            wall,
            headers=config.all_headers(),
            verify=_tls(config),
            auth=build_auth(config, lambda: self._wall() + self.skew, os.environ),
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
        # A server that was too busy before gets each question once.
        spent = _Spent(retries=0 if self.pace.reason else self._config.retries)
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

    async def exemplars(self, expr: str, start: float, end: float) -> list[Any]:
        """Return the series in an expression with their exemplars, as /api/v1/query_exemplars has them.

        Args:
            expr: PromQL; every series that it selects is looked up.
            start: In Unix seconds of this machine.
            end: In the same.

        Raises:
            QueryRejected: The server keeps no exemplars, or does not take the expression.
            SourceError: It did not answer.
        """
        if not self.budget.is_open(self._clock()):
            return []
        asked = {"query": expr, "start": f"{start + self.skew:.3f}", "end": f"{end + self.skew:.3f}"}
        answer = await self._transport.request("POST", "api/v1/query_exemplars", data=asked)
        self._check(answer, Query("exemplars", expr))
        try:
            data = orjson.loads(answer.content)["data"]
        except (ValueError, KeyError, TypeError) as error:
            raise BadAnswer(f"{self._transport.shown}: its answer about exemplars is none") from error
        return data if isinstance(data, list) else []

    async def _one(self, query: Query, grid: Grid, spent: _Spent) -> Batch | SourceError:
        async with self.pace.turn():
            if spent.samples >= self.budget.max_samples:
                most = self.budget.max_samples
                return SourceError(f"{query.signal}: not queried: the budget of {most} samples per cycle is used up")
            if spent.unanswered >= self._config.concurrency:
                return SourceUnavailable(f"{query.signal}: not queried: {self._transport.shown} does not answer")
            if spent.refusal and not spent.answered:
                return CredentialRefused(f"{query.signal}: not queried: {spent.refusal}")
            try:
                batch = await self._retrying(query, grid, spent)
            except SourceError as error:
                spent.unanswered += isinstance(error, SourceUnavailable)
                if isinstance(error, CredentialRefused):
                    spent.refusal = str(error).removeprefix(f"{query.signal}: ")
                return error
        spent.answered += 1
        spent.samples += batch.values.size
        return batch

    async def _retrying(self, query: Query, grid: Grid, spent: _Spent) -> Batch:
        for attempt in range(spent.retries):
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
        reader, began = MatrixReader(query.signal, theirs, self._decoding), self._clock()
        try:
            answer = await self._ask(query, reader, form)
        except SourceUnavailable as error:
            self.pace.refused(began, str(error).removeprefix(f"{query.signal}: "))
            raise
        self.pace.answered(began)
        if remarks := find_remarks(answer.content):
            spent.remarks[query.signal] = f"{query.signal}: {remarks}"
        return replace(await reader.finish(answer.content, SMALL_BYTES), grid=grid)

    async def _ask(self, query: Query, reader: MatrixReader, form: dict[str, str]) -> Answer:
        try:
            answer = await self._transport.request("POST", "api/v1/query_range", reader, data=form)
        except SourceError as error:
            raise type(error)(f"{query.signal}: {error}") from error
        self._check(answer, query)
        return answer

    def _check(self, answer: Answer, query: Query) -> None:
        if answer.status == httpx.codes.OK:
            return
        sentence = f"{query.signal}: {explain_refusal(answer, f'{self._transport.url}api/v1/query_range')}"
        if answer.status in CREDENTIAL_REFUSED:
            raise CredentialRefused(sentence)
        if answer.status in REFUSED:
            raise QueryRejected(sentence)
        raise SourceUnavailable(sentence, retry_after(answer, self._wall() + self.skew))


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
