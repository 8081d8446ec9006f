"""Gates that end a run as soon as they are crossed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from perfloop_base.errors import ConfigError
from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.config.model import GateConfig
from perfloop_loadgen.summary.verdict import Verdict

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NO = b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno"


def _config(url: str, *thresholds: Any, **changes: Any) -> LoadTestConfig:
    values = {
        "base_url": url,
        "duration_seconds": 60,
        "concurrent_users": 2,
        "think_time_seconds": 0.02,
        "endpoints": [{"path": "/"}],
        "thresholds": list(thresholds),
        "generator_limits": {"cpu_ratio": 9, "event_loop_lag_seconds": 9},
    }
    return LoadTestConfig.model_validate(values | changes)


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_crossed_gate_ends_the_run(serve: Any, workers: int):
    """From its second on, as failed, with the reason and everything that was measured; also of several processes."""
    gate = {"expect": "errors < 5 %", "abort": True, "abort_after_seconds": 1}
    async with serve(NO) as service:
        summary = await LoadTester(_config(service.url, gate, workers=workers)).run_load_test()
        assert summary.total_requests == len(service.requests) > 10
    assert 1 <= summary.duration_seconds < 10
    assert summary.verdict is Verdict.FAILED
    assert summary.end_reason.startswith("aborted after ")
    assert summary.end_reason.endswith("s: the gate 'errors < 5 %' measured 100%")
    assert summary.reasons[0] == summary.end_reason
    assert [gate.passed for gate in summary.gates] == [False]


async def test_a_gate_that_holds_later_is_judged_over_everything_so_far(serve: Any):
    """Errors of the first moment, within the delay, are outweighed by what follows: the run goes on to its end."""
    answered = 0

    async def warm_up(_: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        answered += 1
        writer.write(NO if answered <= 3 else OK)

    gate = {"expect": "errors < 50 %", "abort": True, "abort_after_seconds": 2}
    async with serve(warm_up) as service:
        summary = await LoadTester(_config(service.url, gate, duration_seconds=4)).run_load_test()
    assert summary.failed_requests == 3
    assert (summary.end_reason, summary.verdict) == ("", Verdict.PASSED)


async def test_a_service_that_breaks_in_the_middle_ends_the_run(serve: Any):
    """The gate holds at first."""
    began = asyncio.get_running_loop().time()

    async def breaking(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(OK if asyncio.get_running_loop().time() - began < 2 else NO)

    gate = {"expect": "errors < 10 %", "endpoint": "GET /", "abort": True, "abort_after_seconds": 0}
    async with serve(breaking) as service:
        summary = await LoadTester(_config(service.url, gate, "p95 < 5 s")).run_load_test()
    assert 2 < summary.duration_seconds < 20
    assert "the gate 'GET /: errors < 10 %' measured" in summary.end_reason
    assert [gate.passed for gate in summary.gates] == [False, True]


async def test_without_abort_the_run_goes_to_its_end(serve: Any):
    """As before."""
    async with serve(NO) as service:
        summary = await LoadTester(_config(service.url, "errors < 5 %", duration_seconds=1.5)).run_load_test()
    assert summary.end_reason == ""
    assert summary.duration_seconds >= 1.5


@pytest.mark.parametrize(
    "gate", [{"expect": "< 5", "promql": "up", "abort": True}, {"expect": "p95 < 1 s", "abort_after_seconds": 5}]
)
def test_settings_without_effect_are_refused(gate: dict[str, Any]):
    """Prometheus is asked at the end only, and a delay delays nothing without abort."""
    with pytest.raises(ValueError, match="abort"):
        GateConfig.model_validate(gate)


def test_a_number_that_only_grows_cannot_abort():
    """Every run begins with fewer requests than are expected of it."""
    gate = {"expect": "requests > 100", "abort": True}
    with pytest.raises(ConfigError, match="every run begins below it"):
        LoadTester(_config("http://127.0.0.1:1", gate))
