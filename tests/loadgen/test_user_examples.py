"""Every load-testing example of the user's page, with its import line changed and its times made short."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from perfloop import (
    LoadTestConfig,
    LoadTester,
    LoadTestSuite,
    create_basic_load_test,
    create_endurance_test,
    create_spike_test,
    create_stress_test,
)

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

EXAMPLE = """
# performance_config.yaml
load_tests:
  production_simulation:
    name: "Production Load Simulation"
    duration_seconds: 1800  # 30 minutes
    concurrent_users: 100
    ramp_up_seconds: 300    # 5 minutes
    endpoints:
      - path: "/api/v1/process/text"
        method: "POST"
        data: {"content": "Load test content"}
      - path: "/api/v1/search"
        method: "POST"
        data: {"query": "load test query"}
"""


async def _api(request: bytes, writer: asyncio.StreamWriter) -> None:
    """Answer as the user's service does: JSON in, JSON out."""
    body = request.partition(b"\r\n\r\n")[2]
    answer = json.dumps({"got": json.loads(body) if body else None}).encode()
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer
    )


def _short(config: LoadTestConfig) -> LoadTestConfig:
    config.ramp_up_seconds = 0
    config.duration_seconds = 0.4
    config.concurrent_users = 5
    config.think_time_seconds = 0.01
    return config


async def test_load_testing_of_the_key_features(serve: Any):
    """`create_stress_test`, `LoadTester`, then the suite of two."""
    async with serve(_api) as service:
        config = _short(create_stress_test(service.url))
        tester = LoadTester(config)
        summary = await tester.run_load_test()
        assert summary.total_requests == len(service.requests)

        suite = LoadTestSuite()
        suite.add_test(_short(create_basic_load_test(service.url)))
        suite.add_test(_short(create_stress_test(service.url)))
        results = await suite.run_suite()
    assert [result.name for result in results] == ["basic load test", "stress test"]
    assert all(result.failed_requests == 0 for result in results)


async def test_the_suite_from_a_file(serve: Any, tmp_path: Path):
    """`from_yaml`, `run_suite`, `generate_suite_report`."""
    path = tmp_path / "performance_config.yaml"
    path.write_text(EXAMPLE)
    suite = LoadTestSuite()
    suite.add_test(LoadTestConfig.from_yaml(path))
    [config] = suite.tests
    assert (config.duration_seconds, config.ramp_up_seconds, config.concurrent_users) == (1800, 300, 100)
    async with serve(_api) as service:
        _short(config).base_url = service.url
        results = await suite.run_suite()
        report = suite.generate_suite_report()
        assert {request.split(b" ")[1] for request in service.requests} == {b"/api/v1/process/text", b"/api/v1/search"}
    assert results[0].total_requests > 0
    assert "Production Load Simulation" in report
    assert "POST /api/v1/search" in report


async def test_the_load_testing_example(serve: Any, capsys: pytest.CaptureFixture[str]):
    """The page's own lines: set, run, print."""
    async with serve(_api) as service:
        # Create stress test
        config = create_stress_test(service.url)
        config.duration_seconds = 300  # 5 minutes
        config.concurrent_users = 50
        _short(config)

        # Run test
        tester = LoadTester(config)
        summary = await tester.run_load_test()

    # Analyze results
    print(f"Total requests: {summary.total_requests}")  # noqa: T201 - the page prints
    print(f"Success rate: {100 - summary.error_rate_percent:.1f}%")  # noqa: T201 - the page prints
    print(f"Average response time: {summary.avg_response_time_ms:.1f}ms")  # noqa: T201 - the page prints
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Total requests: {summary.total_requests}"
    assert lines[1] == "Success rate: 100.0%"
    assert summary.avg_response_time_ms > 0


@pytest.mark.parametrize(
    ("create", "shape"),
    [
        (create_basic_load_test, "constant_users"),
        (create_stress_test, "constant_users"),
        (create_spike_test, "spike"),
        (create_endurance_test, "endurance"),
    ],
)
async def test_each_profile_has_the_shape_of_its_name(serve: Any, create: Any, shape: str):
    """Four profiles: each runs against a real server with its own shape."""
    async with serve(_api) as service:
        tester = LoadTester(_short(create(service.url)))
        summary = await tester.run_load_test()
    assert tester.profile == shape
    assert summary.successful_requests == summary.total_requests > 0
