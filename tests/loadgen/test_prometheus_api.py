"""Queries against servers that answer as Prometheus does, and as it should not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from perfloop_loadgen.errors import QueryError
from perfloop_loadgen.prometheus_api import PrometheusApi


def _answer(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


def _data(*series: dict[str, Any]) -> bytes:
    return _answer(json.dumps({"status": "success", "data": {"result": list(series)}}).encode())


async def test_a_range_returns_the_values_of_all_series(serve: Any):
    """Every value at every step; NaN, which a quotient of nothing gives, is no value."""
    first, second = {"values": [[1, "2"], [2, "NaN"]]}, {"values": [[1, "3.5"]]}
    async with serve(_data(first, second)) as prometheus:
        assert await PrometheusApi(prometheus.url).values("up", 100, 300) == [2.0, 3.5]
        line = prometheus.requests[0].split(b"\r\n")[0].decode()
    assert line.startswith("GET /api/v1/query_range?")
    assert "start=100&end=300&step=1.0" in line


async def test_a_run_longer_than_the_steps_is_asked_for_in_wider_ones(serve: Any):
    """Two hundred steps at most, however long the run."""
    async with serve(_data()) as prometheus:
        assert await PrometheusApi(prometheus.url).values("up", 0, 3600) == []
        assert b"step=18.0" in prometheus.requests[0]


async def test_an_expression_with_the_run_is_evaluated_at_its_end(serve: Any):
    """`$run` becomes the length in whole seconds, rounded up."""
    async with serve(_data({"value": [1, "7"]})) as prometheus:
        assert await PrometheusApi(f"{prometheus.url}/").values("rate(x[$run])", 100, 130.2) == [7.0]
        line = prometheus.requests[0].split(b"\r\n")[0].decode()
    assert line.startswith("GET /api/v1/query?query=rate%28x%5B31s%5D%29&time=130.2")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (_answer(b"<html>", "502 Bad Gateway"), "prometheus_url: {url}: the answer is not JSON (status 502)"),
        (_answer(b'{"status": "error", "error": "parse error"}', "400 Bad Request"), "promql 'up': parse error"),
        (_answer(b'{"status": "error"}', "503 Busy"), "promql 'up': status 503"),
        (_answer(b"[]"), "promql 'up': status 200"),
        (b"", "prometheus_url: {url}: Server disconnected without sending a response."),
    ],
)
async def test_an_answer_that_cannot_be_used_is_one_sentence(serve: Any, answer: bytes, sentence: str):
    """A proxy's page, Prometheus's own error, a form that is not Prometheus's, no answer at all."""

    async def close_after(_: bytes, writer: Any) -> None:
        writer.write(answer)
        writer.close()

    async with serve(close_after) as prometheus:
        with pytest.raises(QueryError) as caught:
            await PrometheusApi(prometheus.url).values("up", 0, 10)
    assert str(caught.value) == sentence.format(url=prometheus.url)


async def test_a_scalar_is_no_series(serve: Any):
    """An expression without series has no values to judge."""
    body = json.dumps({"status": "success", "data": {"resultType": "scalar", "result": [1, "2"]}}).encode()
    async with serve(_answer(body)) as prometheus:
        assert await PrometheusApi(prometheus.url).values("1", 0, 10) == []
