"""Whatever answers at `prometheus_url`: within its time, within its size, in one sentence."""

from __future__ import annotations

import gzip
import time
import zlib
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.errors import QueryError
from perfloop_loadgen.prometheus_api import PrometheusApi
from perfloop_loadgen.summary.verdict import Verdict

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def _answer(body: bytes, more: bytes = b"") -> bytes:
    return JSON + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _ask(url: str, seconds: float = 1.0, promql: str = "up") -> list[float] | str:
    """Return the values, or the sentence of the error; more than a moment beyond its time is a failure."""

    async def go() -> list[float] | str:
        try:
            return await PrometheusApi(url, timeout_seconds=seconds).values(promql, 0, 10)
        except QueryError as error:
            return str(error)

    began = time.monotonic()
    found = uvloop.run(go())
    assert time.monotonic() - began < seconds + 4
    return found


SAMPLES = {
    "a sample that is a text": b'{"values": ["x"]}',
    "a sample that is a number": b'{"values": [7]}',
    "a sample without a value": b'{"values": [[1]]}',
    "a value that is no number": b'{"values": [[1, "x"]]}',
    "a value that is a list": b'{"values": [[1, []]]}',
    "values that are a number": b'{"values": 7}',
    "values that are null": b'{"values": null}',
}


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_that_are_none(raw_server: Any, name: str):
    """Series whose samples have another form."""
    body = b'{"status": "success", "data": {"result": [%s]}}' % SAMPLES[name]
    with raw_server(_answer(body)) as server:
        assert _ask(server.url) == f"prometheus_url: {server.url}: the answer holds samples that are none"


BODIES = {
    "not JSON": b"\0\xff",
    "nested too deep": b"[" * 200_000,
    "a number of 10,000 digits": b'{"status": ' + b"9" * 10_000 + b"}",
    "a text": b'"success"',
    "data that is a text": b'{"status": "success", "data": "x"}',
    "a reason that is a list": b'{"status": "error", "error": [["x"]]}',
    "a reason that a terminal obeys": b'{"status": "error", "error": "\\u001b[2J\\u202e\\n"}',
    "a reason of 1 MB": b'{"status": "error", "error": "' + b"x" * 1_000_000 + b'"}',
    "a lone surrogate": rb'{"status": "error", "error": "\ud800"}',
}


@pytest.mark.parametrize("name", BODIES)
def test_each_body_is_one_short_line(raw_server: Any, name: str):
    """Either no values, or a sentence that a terminal can show."""
    with raw_server(_answer(BODIES[name])) as server:
        found = _ask(server.url)
    assert found == [] or (isinstance(found, str) and found.isprintable() and len(found) < 700)


def test_infinities_are_values_and_nan_is_none(raw_server: Any):
    """As Prometheus writes them."""
    body = (
        b'{"status": "success", "data": {"result": [{"values": [[1, "+Inf"], [2, "-Inf"], [3, "NaN"], [4, "1e3"]]}]}}'
    )
    with raw_server(_answer(body)) as server:
        assert _ask(server.url) == [float("inf"), float("-inf"), 1000.0]


@pytest.mark.parametrize(
    ("coding", "pack"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)], ids=["gzip", "deflate"]
)
def test_a_compressed_bomb_is_refused(raw_server: Any, coding: bytes, pack: Callable[[bytes], bytes]):
    """100 MB of spaces in 100 KB are not unpacked; an honest answer that a proxy has compressed is read."""
    header = b"Content-Encoding: " + coding + b"\r\n"
    with raw_server(_answer(pack(b" " * 100_000_000), header)) as server:
        assert "the answer is longer than" in str(_ask(server.url, 10))
    honest = b'{"status": "success", "data": {"result": [{"values": [[1, "2"]]}]}}'
    with raw_server(_answer(pack(honest), header)) as server:
        assert _ask(server.url) == [2.0]


def _endless(first: bytes, block: bytes, pause: float = 0.0) -> Callable[[socket.socket, int], None]:
    def write(connection: socket.socket, _: int) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(block)
            time.sleep(pause)

    return write


ENDLESS = {
    "a body": (_endless(JSON + b"\r\n", b" " * 65_536), "the answer is longer than"),
    "a body that drips": (_endless(JSON + b"\r\n", b" ", 0.05), "no answer within 1 s"),
    "headers that drip": (_endless(JSON, b"X: y\r\n", 0.05), "no answer within 1 s"),
    "interim answers": (_endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01), "no answer within 1 s"),
    "nothing": (lambda connection, _: time.sleep(3), "no answer within 1 s"),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_an_endless_answer_is_given_up(raw_server: Any, name: str):
    """The limit is on the whole answer, not on each read."""
    answer, sentence = ENDLESS[name]
    with raw_server(answer) as server:
        assert sentence in str(_ask(server.url))


def test_many_gates_wait_for_a_silent_prometheus_once(raw_server: Any, monkeypatch: pytest.MonkeyPatch):
    """Eight gates, one time limit: the run is invalid with its reason soon after its end."""
    monkeypatch.setattr("perfloop_loadgen.prometheus_api.PrometheusApi.__init__.__defaults__", (None, 1.0))
    gates = [{"promql": f"up{{n='{number}'}}", "expect": "> 0"} for number in range(8)]
    with raw_server(lambda connection, _: time.sleep(4)) as silent, raw_server(_answer(b"ok")) as service:
        config = {"base_url": service.url, "prometheus_url": silent.url, "duration_seconds": 0.2, "thresholds": gates}
        config |= {"think_time_seconds": 0.05, "endpoints": [{"path": "/"}]}
        began = time.monotonic()
        summary = uvloop.run(LoadTester(LoadTestConfig.model_validate(config)).run_load_test())
    assert time.monotonic() - began < 8
    assert summary.verdict is Verdict.INVALID
    assert any("no answer within 1 s" in reason for reason in summary.reasons)
