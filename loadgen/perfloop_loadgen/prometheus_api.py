"""Query Prometheus about the service during a run.

What answers may be anything behind the address: the time, the size and the form of its answer are checked.
"""

from __future__ import annotations

import json
import math
import zlib
from typing import TYPE_CHECKING, Any

import httpx

from perfloop_base.fetching import fetch
from perfloop_base.redaction import redact_url
from perfloop_loadgen.config.secrets import shown
from perfloop_loadgen.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Mapping

_STEPS = 200
_SHORTEST_STEP_SECONDS = 1.0
TIMEOUT_SECONDS = 10.0
# 200 steps of some thousand series; Prometheus itself refuses far larger answers only by their number of samples.
_LARGEST_ANSWER = 32 * 1024 * 1024
_LONGEST_REASON = 500


class PrometheusApi:
    """Instant and range queries over HTTP."""

    def __init__(
        self, url: str, transport: httpx.AsyncBaseTransport | None = None, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._url = url.rstrip("/")
        self._shown = shown(redact_url(self._url))
        self._transport = transport
        self._timeout_seconds = timeout_seconds

    async def values(self, promql: str, began: float, ended: float) -> list[float]:
        """Return the values of an expression over a run, of all its series.

        With `$run` in it the expression is evaluated once, at the end; without, at steps through the whole run.

        Args:
            promql: the expression; `$run` is replaced by the run's length, as `30s`.
            began: Unix time of the run's beginning.
            ended: Unix time of its end.

        Raises:
            QueryError: Prometheus did not answer, or refused the expression.
        """
        length = max(1, math.ceil(ended - began))
        if "$run" in promql:
            data = await self._query("query", {"query": promql.replace("$run", f"{length}s"), "time": ended})
            return self._numbers([[series.get("value")] for series in data])
        step = max(_SHORTEST_STEP_SECONDS, (ended - began) / _STEPS)
        data = await self._query("query_range", {"query": promql, "start": began, "end": ended, "step": step})
        return self._numbers([series.get("values", []) for series in data])

    async def instant(self, promql: str, at: float) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of every series of an expression at a Unix time; those that are no number left out.

        Raises:
            QueryError: Prometheus did not answer, or refused the expression.
        """
        data = await self._query("query", {"query": promql, "time": at})
        found = [(_labels(series), self._numbers([[series.get("value")]])) for series in data]
        return [(labels, values[0]) for labels, values in found if values and math.isfinite(values[0])]

    async def series(
        self, promql: str, began: float, ended: float, step_seconds: float
    ) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Return labels and (Unix time, value) of every series of an expression, at steps through a window.

        Raises:
            QueryError: Prometheus did not answer, or refused the expression.
        """
        window = {"query": promql, "start": began, "end": ended, "step": step_seconds}
        data = await self._query("query_range", window)
        return [(_labels(series), self._pairs(series.get("values", []))) for series in data]

    async def samples(self, selector: str, at: float) -> list[list[tuple[float, float]]]:
        """Return the samples of a range selector, as `up[2m]`, as they were scraped: (Unix time, value) of each series.

        Raises:
            QueryError: Prometheus did not answer, or refused the expression.
        """
        data = await self._query("query", {"query": selector, "time": at})
        return [self._pairs(series.get("values", [])) for series in data]

    def _pairs(self, pairs: Any) -> list[tuple[float, float]]:
        try:
            found = [(float(moment), float(value)) for moment, value in pairs]
        except (TypeError, ValueError, OverflowError) as error:
            raise self._failed("the answer holds samples that are none") from error
        return [(moment, value) for moment, value in found if math.isfinite(value)]

    async def _query(self, what: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        try:
            status, body = await self._ask(what, parameters)
        except TimeoutError as error:
            raise self._failed(f"no answer within {self._timeout_seconds:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, zlib.error) as error:
            raise self._failed(str(error) or type(error).__name__) from error
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise self._failed(f"the answer is not JSON (status {status})") from error
        if not isinstance(document, dict) or document.get("status") != "success":
            reason = document.get("error") if isinstance(document, dict) else None
            raise QueryError(f"promql {shown(parameters['query'])!r}: {_short(reason or f'status {status}')}")
        data = document.get("data")
        result = data.get("result") if isinstance(data, dict) else None
        # A scalar expression has one pair instead of series: it says nothing about the service.
        return result if isinstance(result, list) and all(isinstance(one, dict) for one in result) else []

    async def _ask(self, what: str, parameters: Mapping[str, Any]) -> tuple[int, bytes]:
        async with httpx.AsyncClient(timeout=self._timeout_seconds, transport=self._transport) as client:
            return await fetch(
                client,
                f"{self._url}/api/v1/{what}",
                parameters,
                seconds=self._timeout_seconds,
                most_bytes=_LARGEST_ANSWER,
            )

    def _failed(self, reason: str) -> QueryError:
        return QueryError(f"prometheus_url: {self._shown}: {_short(reason)}")

    def _numbers(self, series: list[Any]) -> list[float]:
        try:
            values = [float(pair[1]) for pairs in series for pair in pairs if pair]
        except (TypeError, ValueError, LookupError, OverflowError) as error:
            raise self._failed("the answer holds samples that are none") from error
        return [value for value in values if not math.isnan(value)]


def _labels(series: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels of a series as they may be shown."""
    metric = series.get("metric")
    return {str(name): shown(str(value)) for name, value in metric.items()} if isinstance(metric, dict) else {}


def _short(reason: object) -> str:
    """Return another program's words as a message may show them."""
    text = shown(str(reason)[:_LONGEST_REASON])
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"
