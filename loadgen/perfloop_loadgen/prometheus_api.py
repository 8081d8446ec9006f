"""Query Prometheus about the service during a run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import httpx

from perfloop_loadgen.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Mapping

_STEPS = 200
_SHORTEST_STEP_SECONDS = 1.0


class PrometheusApi:
    """Instant and range queries over HTTP."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = url.rstrip("/")
        self._transport = transport

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
            return _numbers([[series.get("value")] for series in data])
        step = max(_SHORTEST_STEP_SECONDS, (ended - began) / _STEPS)
        data = await self._query("query_range", {"query": promql, "start": began, "end": ended, "step": step})
        return _numbers([series.get("values", []) for series in data])

    async def _query(self, what: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        try:
            async with httpx.AsyncClient(timeout=10, transport=self._transport) as client:
                answer = await client.get(f"{self._url}/api/v1/{what}", params=dict(parameters))
            document = answer.json()
        except httpx.HTTPError as error:
            raise QueryError(f"prometheus_url: {self._url}: {str(error) or type(error).__name__}") from error
        except ValueError as error:
            raise QueryError(
                f"prometheus_url: {self._url}: the answer is not JSON (status {answer.status_code})"
            ) from error
        if not isinstance(document, dict) or document.get("status") != "success":
            reason = document.get("error") if isinstance(document, dict) else None
            raise QueryError(f"promql {parameters['query']!r}: {reason or f'status {answer.status_code}'}")
        result = (document.get("data") or {}).get("result")
        # A scalar expression has one pair instead of series: it says nothing about the service.
        return result if isinstance(result, list) and all(isinstance(one, dict) for one in result) else []


def _numbers(series: list[list[Any]]) -> list[float]:
    values = [float(pair[1]) for pairs in series for pair in pairs if pair]
    return [value for value in values if not math.isnan(value)]
