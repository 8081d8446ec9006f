"""The open model against real servers."""

from __future__ import annotations

import asyncio
from typing import Any

from perfloop_loadgen import LoadTestConfig, LoadTester

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def _config(url: str, load: dict[str, Any], **changes: Any) -> LoadTestConfig:
    base = {"name": "t", "base_url": url, "duration_seconds": 1, "endpoints": [{"path": "/"}], "load": load}
    return LoadTestConfig.model_validate(base | changes)


async def test_the_whole_schedule_is_sent(hello: Any):
    """Three hundred a second for a second are three hundred requests."""
    summary = await LoadTester(_config(hello.url, {"shape": "constant_rate", "rate": 300})).run_load_test()
    assert summary.total_requests == 300 == len(hello.requests)
    assert summary.total.dropped == 0


async def test_every_rate_shape_runs(hello: Any):
    """Ramping and Poisson arrivals run as they are planned."""
    ramp = {"shape": "ramping_rate", "start_rate": 0, "stages": [{"rate": 200, "seconds": 1}]}
    assert (await LoadTester(_config(hello.url, ramp)).run_load_test()).total_requests == 100
    poisson = {"shape": "poisson_rate", "rate": 200, "seed": 5}
    assert 150 < (await LoadTester(_config(hello.url, poisson)).run_load_test()).total_requests < 250


async def test_a_stall_is_counted_from_the_schedule(serve: Any):
    """A server that stops for half a second in two: response times follow from the schedule, service times hide it.

    At 100 requests a second, those due in the stall wait for what is left of it: the p90 of the response is
    computed from the schedule alone.
    """
    loop = asyncio.get_running_loop()
    opened = loop.time()

    async def stalls(_: bytes, writer: asyncio.StreamWriter) -> None:
        into = loop.time() - opened
        if 0.5 < into < 1.0:
            await asyncio.sleep(1.0 - into)
        writer.write(HELLO)

    async with serve(stalls) as service:
        load = {"shape": "constant_rate", "rate": 100, "max_in_flight": 4}
        tester = LoadTester(_config(service.url, load, duration_seconds=2))
        summary = await tester.run_load_test()
    assert summary.total_requests == 200
    tally = tester.run.book.total()
    response, service_time = tally.response.quantile_seconds(0.9), tally.service.quantile_seconds(0.9)
    assert 0.25 < response < 0.5
    assert service_time < response / 2
    assert summary.total.late > 30


async def test_what_waits_too_long_is_dropped_and_counted(serve: Any):
    """With one connection and a server that never answers, arrivals wait, are dropped, and every one is counted."""

    async def silent(_: bytes, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with serve(silent) as service:
        load = {"shape": "constant_rate", "rate": 50, "max_in_flight": 1}
        summary = await LoadTester(_config(service.url, load, timeout_seconds=0.3)).run_load_test()
    assert summary.successful_requests == 0
    assert summary.outcomes["timeout"] >= 2
    assert summary.total_requests + summary.total.dropped == 50
    assert summary.total.dropped >= 40
