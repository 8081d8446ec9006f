"""Worker processes: one schedule, nothing lost."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.errors import TargetError
from perfloop_loadgen.summary.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path


def _config(url: str, **changes: Any) -> LoadTestConfig:
    base = {
        "base_url": url,
        "duration_seconds": 1.5,
        "concurrent_users": 5,
        "workers": 2,
        "endpoints": [{"path": "/a"}, {"path": "/b"}],
    }
    return LoadTestConfig.model_validate(base | changes)


async def test_merging_workers_loses_nothing(hello: Any):
    """Two workers count exactly the requests that the server received, by endpoint and in the timeline."""
    tester = LoadTester(_config(hello.url, think_time_seconds=0.005))
    summary = await tester.run_load_test()
    assert summary.total_requests == len(hello.requests)
    assert hello.connections == 5
    assert sum(b"GET /a" in request for request in hello.requests) == summary.endpoints[0].total_requests
    assert sum(point.requests for point in tester.run.book.timeline()) == summary.total_requests
    assert summary.total.response.count == summary.total_requests
    assert tester.generator().workers == 2


async def test_the_schedule_is_shared_not_doubled(hello: Any):
    """Two workers at 200 a second are 200 a second; every arrival is sent once."""
    load = {"shape": "constant_rate", "rate": 200}
    summary = await LoadTester(_config(hello.url, load=load, duration_seconds=1)).run_load_test()
    assert summary.total_requests == 200 == len(hello.requests)
    assert [endpoint.total_requests for endpoint in summary.endpoints] == [100, 100]


async def test_errors_are_limited_over_all_workers(serve: Any):
    """The limit is on the sum, and ends every worker."""
    async with serve(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n") as service:
        limits = {"cpu_ratio": 9, "event_loop_lag_seconds": 9}
        config = _config(
            service.url, duration_seconds=30, max_errors=10, think_time_seconds=0.05, generator_limits=limits
        )
        summary = await LoadTester(config).run_load_test()
    assert summary.duration_seconds < 10
    assert summary.end_reason.startswith("max_errors: ")
    assert summary.verdict is Verdict.FAILED


async def test_a_worker_that_dies_makes_the_run_invalid(hello: Any):
    """One worker is killed half way: the run continues to its end and is invalid."""
    tester = LoadTester(_config(hello.url, think_time_seconds=0.01))

    def kill_one(_: float) -> None:
        tester.run.listeners.clear()
        children = [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
        os.kill(children[-1].pid, signal.SIGKILL)

    tester.run.listeners.append(kill_one)
    summary = await tester.run_load_test()
    assert summary.verdict is Verdict.INVALID
    assert summary.reasons[0] == "worker 2 of 2 died before the run was over"
    assert summary.total_requests > 0


async def test_a_host_that_does_not_resolve_ends_all_workers():
    """The workers' error is the parent's."""
    with pytest.raises(TargetError, match=r"the host 'no-such-host\.invalid' does not resolve"):
        await LoadTester(_config("http://no-such-host.invalid")).run_load_test()


async def test_what_workers_log_is_logged_by_the_parent_once(
    hello: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Both workers run a scenario that raises: one log line, with the line of the scenario."""
    script = tmp_path / "shop.py"
    script.write_text("async def breaks(user):\n    await user.get('/a')\n    raise ValueError('sold out')\n")
    config = LoadTestConfig.model_validate(
        {
            "base_url": hello.url,
            "duration_seconds": 1.2,
            "concurrent_users": 2,
            "workers": 2,
            "think_time_seconds": 0.05,
            "scenarios": [{"python": f"{script}:breaks"}],
        }
    )
    summary = await LoadTester(config).run_load_test()
    assert summary.outcomes["script_error"] >= 2
    assert caplog.messages == [f"a scenario raised ValueError: sold out ({script}, line 3)"]
