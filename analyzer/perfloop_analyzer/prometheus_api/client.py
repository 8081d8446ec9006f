"""Range queries over HTTP: Prometheus, VictoriaMetrics, Thanos, Mimir behind any path, tenant and sign-in."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import httpx
import orjson

from perfloop_analyzer.config import SourceConfig, read_secret
from perfloop_analyzer.errors import BadAnswer, ConfigError, QueryRejected, SourceError, SourceUnavailable
from perfloop_analyzer.ports import Answers, Question
from perfloop_analyzer.prometheus_api.budget import Budget
from perfloop_analyzer.prometheus_api.decode import decode_range, error_sentence
from perfloop_analyzer.series import Batch, Grid
from perfloop_base.durations import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

REFUSED = frozenset({400, 401, 403, 404, 405, 414, 422})
RETRY_PAUSE = 0.2


@dataclass(slots=True)
class _Spent:
    """What one round of questions used up: samples, and questions that met silence."""

    samples: int = 0
    silences: int = 0


class PrometheusSource:
    """One Prometheus API, asked within a budget."""

    def __init__(
        self,
        config: SourceConfig,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._clock = clock
        self.budget = Budget(config.concurrency, config.max_points, config.max_samples)
        self._gate = asyncio.Semaphore(config.concurrency)
        self._decoding = asyncio.Lock()  # a large answer takes ten times its bytes while it is decoded: one at a time
        self._client = httpx.AsyncClient(
            base_url=config.url.rstrip("/") + "/",
            headers=_headers(config),
            auth=_auth(config),
            verify=_tls(config),
            timeout=config.timeout_seconds,
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def ask(self, questions: Sequence[Question], grid: Grid) -> Answers:
        """Ask every question; one that fails is named with its reason, the others stand."""
        started = self._clock()
        if not self.budget.is_open(started):
            wait = self.budget.closed_until - started
            reason = f"not asked: pausing {wait:.0f} s, because {self.budget.reason}"
            return Answers({}, {question.signal: reason for question in questions})
        spent = _Spent()
        outcomes = await asyncio.gather(*(self._one(question, grid, spent) for question in questions))
        batches = {o.signal: o for o in outcomes if isinstance(o, Batch)}
        failures = {q.signal: str(o) for q, o in zip(questions, outcomes, strict=True) if isinstance(o, SourceError)}
        if all(isinstance(outcome, SourceUnavailable) for outcome in outcomes) and outcomes:
            self.budget.failed(self._clock(), str(outcomes[0]))
        else:
            self.budget.succeeded()
        return Answers(batches, failures, spent.samples, self._clock() - started)

    async def scrape_interval(self) -> float | None:
        """Return the median scrape interval of the active targets; None where the API does not tell."""
        try:
            response = await self._client.get("api/v1/targets", params={"state": "active"})
            targets = orjson.loads(response.content)["data"]["activeTargets"]
            known = sorted(parse_duration(target["scrapeInterval"]) for target in targets)
        except (httpx.HTTPError, KeyError, TypeError, ValueError):
            return None
        return known[len(known) // 2] if known else None

    async def _one(self, question: Question, grid: Grid, spent: _Spent) -> Batch | SourceError:
        async with self._gate:
            if spent.samples >= self.budget.max_samples:
                most = self.budget.max_samples
                return SourceError(f"{question.signal}: not asked: {most} samples are this cycle's budget")
            if spent.silences >= self._config.concurrency:
                return SourceUnavailable(f"{question.signal}: not asked: {self._config.url} does not answer")
            try:
                batch = await self._retrying(question, grid)
            except SourceError as error:
                spent.silences += isinstance(error, SourceUnavailable)
                return error
        spent.samples += batch.values.size
        return batch

    async def _retrying(self, question: Question, grid: Grid) -> Batch:
        for attempt in range(self._config.retries):
            try:
                return await self._fetch(question, grid)
            except SourceUnavailable:
                await asyncio.sleep(RETRY_PAUSE * 2**attempt)
        return await self._fetch(question, grid)

    async def _fetch(self, question: Question, grid: Grid) -> Batch:
        form = {
            "query": question.expr,
            "start": f"{grid.start:.3f}",
            "end": f"{grid.end:.3f}",
            "step": f"{grid.step:g}",
        }
        form["timeout"] = f"{self._config.timeout_seconds:g}s"
        try:
            response = await self._client.post("api/v1/query_range", data=form)
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise SourceUnavailable(f"{question.signal}: {self._config.url} does not answer: {reason}") from error
        except httpx.HTTPError as error:
            raise BadAnswer(f"{question.signal}: {error}") from error
        _check(response, question)
        if len(response.content) > _CHEAP_BYTES:
            async with self._decoding:
                return await asyncio.to_thread(decode_range, response.content, question.signal, grid)
        return decode_range(response.content, question.signal, grid)


_CHEAP_BYTES = 1_000_000


def _check(response: httpx.Response, question: Question) -> None:
    if response.status_code == httpx.codes.OK:
        return
    sentence = f"{question.signal}: {error_sentence(response.content, response.status_code)}"
    raise QueryRejected(sentence) if response.status_code in REFUSED else SourceUnavailable(sentence)


def _headers(config: SourceConfig) -> dict[str, str]:
    headers = dict(config.headers)
    if config.bearer_token_file is not None:
        headers["Authorization"] = f"Bearer {read_secret(config.bearer_token_file)}"
    return headers


def _auth(config: SourceConfig) -> tuple[str, str] | None:
    if config.username is None:
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
        raise ConfigError(f"the TLS files for {config.url} cannot be used: {error}") from error
    return context
