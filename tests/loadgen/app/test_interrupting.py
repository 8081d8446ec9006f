"""Ctrl-C and cancellation in programs of one's own: a run that is interrupted returns what it measured."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_loadgen import LoadTestConfig, LoadTester, LoadTestSuite

if TYPE_CHECKING:
    from pathlib import Path

_SCRIPT = """
import asyncio, json, signal, sys
from perfloop import LoadTestConfig, LoadTester, LoadTestSuite

def config(**more):
    return LoadTestConfig(base_url=sys.argv[1], duration_seconds=600, concurrent_users=2, think_time_seconds=0.01,
                          generator_limits={{"cpu_ratio": 9, "event_loop_lag_seconds": 9}},
                          endpoints=[{{"path": "/"}}], **more)

def show(*summaries):
    print(json.dumps([[s.total_requests, s.end_reason, s.verdict] for s in summaries]), flush=True)

async def one(**more):
    print("started", flush=True)
    show(await LoadTester(config(**more)).run_load_test())

async def suite():
    print("started", flush=True)
    tests = LoadTestSuite()
    tests.add_test(config())
    tests.add_test(config())
    show(*await tests.run_suite())

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background has it ignored
    {start}
"""
_STARTS = {
    "asyncio.run": "asyncio.run(one())",
    "a suite": "asyncio.run(suite())",
    "uvloop": "import uvloop; uvloop.run(one())",
    "a loop of its own": "asyncio.new_event_loop().run_until_complete(one())",
    "workers": "asyncio.run(one(workers=2))",
}


@pytest.mark.parametrize("how", _STARTS)
async def test_ctrl_c_returns_the_summary(how: str, hello: Any, tmp_path: Path):
    """A real SIGINT, a second after requests came: the program goes on after `await` and ends well."""
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT.format(start=_STARTS[how]))
    process = await asyncio.create_subprocess_exec(sys.executable, str(script), hello.url, stdout=-1, stderr=-1)
    try:
        async with asyncio.timeout(60):
            while not hello.requests:  # noqa: ASYNC110 - requests of another process are no event
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
            process.send_signal(signal.SIGINT)
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert (process.returncode, err.decode()) == (0, "")
    [[requests, reason, verdict]] = json.loads(out.decode().splitlines()[1])
    assert requests == len(hello.requests)
    assert (reason, verdict) == ("interrupted", "passed")


def _endless(url: str) -> LoadTestConfig:
    return LoadTestConfig(
        base_url=url, duration_seconds=0, concurrent_users=2, think_time_seconds=0.01, endpoints=[{"path": "/"}]
    )


async def test_a_cancelled_task_returns_the_summary(hello: Any):
    """As a notebook cancels a cell; the task is a usual one afterwards."""
    task = asyncio.create_task(LoadTester(_endless(hello.url)).run_load_test())
    await asyncio.sleep(0.3)
    task.cancel()
    summary = await task
    assert summary.total_requests == len(hello.requests) > 0
    assert summary.end_reason == "interrupted"
    assert task.cancelling() == 0


async def test_a_timeout_ends_the_run(hello: Any):
    """What was measured until then is there."""
    async with asyncio.timeout(0.4):
        summary = await LoadTester(_endless(hello.url)).run_load_test()
    assert summary.total_requests == len(hello.requests) > 0


async def test_the_second_cancellation_does_not_wait(serve: Any):
    """Answers that never come are not waited for, and the cancellation is raised."""

    async def silent(_: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3600)

    async with serve(silent) as service:
        task = asyncio.create_task(LoadTester(_endless(service.url)).run_load_test())
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(2):
                await task


async def test_a_suite_begins_no_further_test(hello: Any):
    """The summaries are those of the tests that ran."""
    suite = LoadTestSuite()
    suite.add_test(_endless(hello.url))
    suite.add_test(_endless(hello.url))
    task = asyncio.create_task(suite.run_suite())
    await asyncio.sleep(0.3)
    task.cancel()
    assert len(await task) == 1
