"""Whole runs against real servers."""

from __future__ import annotations

import asyncio
from typing import Any

from perfloop_loadgen import LoadTestConfig, LoadTester, LoadTestSuite
from perfloop_loadgen.config import EndpointConfig


def _config(url: str, **changes: object) -> LoadTestConfig:
    return LoadTestConfig.model_validate(
        {"name": "t", "base_url": url, "duration_seconds": 0.5, "concurrent_users": 4, "endpoints": [{"path": "/"}]}
        | changes
    )


async def test_every_request_is_counted(hello: Any):
    """The summary counts exactly the requests that the server received."""
    summary = await LoadTester(_config(hello.url)).run_load_test()
    assert summary.total_requests == len(hello.requests)
    assert summary.total_requests == summary.total.response.count
    assert summary.failed_requests == 0
    assert summary.avg_response_time_ms > 0
    assert hello.connections == 4


async def test_weights_are_kept(hello: Any):
    """An endpoint of weight 3 gets three times the requests of one of weight 1."""
    endpoints = [{"path": "/a", "weight": 3}, {"path": "/b", "method": "POST", "data": {"x": 1}}]
    summary = await LoadTester(_config(hello.url, endpoints=endpoints)).run_load_test()
    a, b = (endpoint.total_requests for endpoint in summary.endpoints)
    assert abs(a - 3 * b) <= 12
    assert any(request.endswith(b'{"x":1}') for request in hello.requests)


async def test_endpoints_of_one_label_are_one_row(hello: Any):
    """Two bodies for the same path are counted together."""
    endpoints = [EndpointConfig(path="/s", method="POST", data=data).model_dump() for data in ("a", "b")]
    summary = await LoadTester(_config(hello.url, endpoints=endpoints)).run_load_test()
    assert [endpoint.label for endpoint in summary.endpoints] == ["POST /s"]


async def test_think_time_paces_users(hello: Any):
    """Four users that think 0.1 s ask at most forty times a second."""
    summary = await LoadTester(_config(hello.url, think_time_seconds=0.1)).run_load_test()
    assert 8 <= summary.total_requests <= 24


async def test_a_status_that_was_not_expected_is_an_error(serve: Any):
    """500s are counted as wrong_status; an endpoint that expects them has no errors."""
    async with serve(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n") as service:
        summary = await LoadTester(_config(service.url)).run_load_test()
        assert summary.outcomes == {"wrong_status": summary.total_requests}
        assert summary.error_rate_percent == 100
        expecting = _config(service.url, endpoints=[{"path": "/", "expected_status": 500}])
        assert (await LoadTester(expecting).run_load_test()).failed_requests == 0


async def test_a_run_without_end_runs_until_it_is_stopped(hello: Any):
    """`duration_seconds: 0` ends when it is stopped, and says why."""
    tester = LoadTester(_config(hello.url, duration_seconds=0, think_time_seconds=0.01))
    task = asyncio.create_task(tester.run_load_test())
    await asyncio.sleep(0.3)
    tester.run.stop("enough")
    summary = await task
    assert summary.end_reason == "enough"
    assert summary.total_requests == len(hello.requests) > 0


async def test_max_errors_ends_the_run(serve: Any):
    """The run stops itself once the errors reach the limit."""
    async with serve(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n") as service:
        config = _config(service.url, duration_seconds=30, think_time_seconds=0.01, max_errors=20)
        summary = await LoadTester(config).run_load_test()
    assert summary.failed_requests >= 20
    assert summary.duration_seconds < 5
    assert summary.end_reason.startswith("max_errors: ")


async def test_ramps_change_the_number_of_users(hello: Any):
    """In a ramp up of a second the users come one after the other: few at first, all of them after it."""
    config = _config(hello.url, concurrent_users=10, duration_seconds=2, ramp_up_seconds=1, think_time_seconds=0.02)
    task = asyncio.create_task(LoadTester(config).run_load_test())
    await asyncio.sleep(0.2)
    early = hello.connections
    await task
    assert early < 10
    assert hello.connections == 10


async def test_a_suite_runs_its_tests_in_turn(hello: Any):
    """`run_suite` returns one summary a test, and the report names them all."""
    suite = LoadTestSuite()
    suite.add_test(_config(hello.url, name="first", duration_seconds=0.2))
    suite.add_test(_config(hello.url, name="second", duration_seconds=0.2))
    results = await suite.run_suite()
    assert [summary.name for summary in results] == ["first", "second"]
    report = suite.generate_suite_report()
    assert "first" in report
    assert "second" in report
