"""Worker processes: one schedule, nothing lost."""

from __future__ import annotations

import asyncio
import errno
import multiprocessing.context
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.errors import TargetError
from perfloop_loadgen.summary.verdict import Verdict
from tests.support.waiting import wait_for

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
        os.kill(_workers()[-1].pid, signal.SIGKILL)

    tester.run.listeners.append(kill_one)
    summary = await tester.run_load_test()
    assert summary.verdict is Verdict.INVALID
    assert summary.reasons[0] == "worker 2 of 2 died before the run was over"
    assert summary.total_requests > 0


def _workers() -> list[psutil.Process]:
    """The worker processes of this process, in the order of their start."""
    children = (child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


async def test_a_frozen_worker_makes_the_run_invalid_and_not_late(hello: Any):
    """SIGSTOP half way: it is ended after 5 s, the run says why, and no process is left."""
    tester = LoadTester(_config(hello.url, think_time_seconds=0.01, timeout_seconds=60, duration_seconds=2.5))

    def freeze_one(_: float) -> None:
        tester.run.listeners.clear()
        os.kill(_workers()[-1].pid, signal.SIGSTOP)

    tester.run.listeners.append(freeze_one)
    summary = await tester.run_load_test()
    assert summary.verdict is Verdict.INVALID
    assert summary.reasons[0] == "worker 2 of 2 did not report for 5 s and was ended"
    assert summary.duration_seconds < 2.5 + 5 + 3
    assert summary.total_requests > 0
    assert _workers() == []


async def test_a_frozen_worker_ends_an_endless_run_only_for_itself(hello: Any):
    """Without a duration the others go on; the run ends when it is stopped, and is invalid."""
    tester = LoadTester(_config(hello.url, think_time_seconds=0.01, duration_seconds=0))

    def freeze_one(elapsed: float) -> None:
        if len(frozen) == 0:
            frozen.append(_workers()[-1])
            frozen[0].suspend()
        elif tester.run.faults:
            tester.stop("enough")

    frozen: list[psutil.Process] = []
    tester.run.listeners.append(freeze_one)
    summary = await tester.run_load_test()
    assert summary.reasons[0] == "worker 2 of 2 did not report for 5 s and was ended"
    assert summary.end_reason == "enough"
    assert _workers() == []


@pytest.mark.parametrize("after_seconds", [0.0, 0.5])
async def test_a_run_can_be_stopped_before_its_workers_are_ready(hello: Any, after_seconds: float):
    """Whenever the stop comes, every process ends at once."""
    tester = LoadTester(_config(hello.url, duration_seconds=60, think_time_seconds=0.01))
    task = asyncio.create_task(tester.run_load_test())
    await asyncio.sleep(after_seconds)
    tester.stop("stopped by SIGINT", 0.5)
    summary = await asyncio.wait_for(task, 15)
    assert summary.end_reason == "stopped by SIGINT"
    assert summary.duration_seconds < 5
    assert _workers() == []


async def test_a_worker_that_cannot_be_started_makes_the_run_invalid(hello: Any, monkeypatch: pytest.MonkeyPatch):
    """No more processes or descriptors: the reason is the run's, and those that were started have ended."""
    begun = []
    start = multiprocessing.context.SpawnProcess.start

    def start_one(self: Any) -> None:
        begun.append(self)
        if len(begun) == 2:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        start(self)

    monkeypatch.setattr(multiprocessing.context.SpawnProcess, "start", start_one)
    summary = await LoadTester(_config(hello.url)).run_load_test()
    assert summary.verdict is Verdict.INVALID
    assert summary.reasons[0] == f"worker 2 of 2 could not be started: {os.strerror(errno.EAGAIN)}"
    assert _workers() == []


@pytest.mark.parametrize("frozen", [False, True], ids=["killed", "frozen and killed"])
def test_workers_end_with_a_parent_that_is_killed(raw_server: Any, tmp_path: Path, frozen: bool):  # noqa: FBT001 - a table's column
    """SIGKILL on the parent while its workers send: none goes on, not even one that is frozen."""
    test = tmp_path / "test.yml"
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as server:
        section = f'{{base_url: "{server.url}", duration_seconds: 60, workers: 2, think_time_seconds: 0.05}}'
        test.write_text(f"load_tests:\n  t: {section}\n")
        command = [sys.executable, "-m", "perfloop_loadgen", "run", str(test)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as parent:
            try:
                wait_for(lambda: server.connections >= 2, "the first requests")
                children = psutil.Process(parent.pid).children(recursive=True)
                if frozen:
                    children[-1].suspend()
            finally:
                parent.kill()
        gone, alive = psutil.wait_procs(children, timeout=5)
    assert len(gone) >= 2
    assert alive == []


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
