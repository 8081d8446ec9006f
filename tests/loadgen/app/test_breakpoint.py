"""The search against a real server whose capacity is known."""

from __future__ import annotations

import asyncio
from typing import Any

from perfloop_loadgen import LoadTestConfig
from perfloop_loadgen.app.breakpoint import BreakpointTester
from perfloop_loadgen.config.model import GateConfig
from perfloop_loadgen.summary.verdict import Verdict

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NO = b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno"


class Budget:
    """A server that answers so many requests in each second, and refuses the rest with 503."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.tokens = rate / 2
        self.seen = 0.0

    async def __call__(self, _: bytes, writer: asyncio.StreamWriter) -> None:
        """Spend a token, or refuse."""
        now = asyncio.get_running_loop().time()
        self.tokens = min(self.rate / 4, self.tokens + (now - (self.seen or now)) * self.rate)
        self.seen = now
        self.tokens -= self.tokens >= 1
        writer.write(OK if self.tokens >= 1 else NO)


def _config(url: str) -> LoadTestConfig:
    load = {
        "shape": "breakpoint",
        "start_rate": 50,
        "max_rate": 1600,
        "step_seconds": 0.6,
        "confirm_seconds": 1,
        "precision_ratio": 0.2,
    }
    return LoadTestConfig.model_validate(
        {
            "base_url": url,
            "endpoints": [{"path": "/"}],
            "load": load,
            "thresholds": ["errors < 5 %"],
            "generator_limits": {"cpu_ratio": 9, "event_loop_lag_seconds": 9, "achieved_ratio": 0},
        }
    )


async def test_the_limit_of_a_known_server_is_found(serve: Any):
    """A server that answers 300 a second: the confirmed rate lies near there, and every request is counted."""
    async with serve(Budget(300)) as service:
        tester = BreakpointTester(_config(service.url))
        summary = await tester.run_load_test()
        assert summary.total_requests == len(service.requests)
    document = tester.document(summary)
    assert 150 <= document.confirmed_rate <= 480
    assert document.knee_rate >= 50
    assert document.capacity.lower <= document.capacity.expected <= document.capacity.upper
    assert document.capacity.lower <= 1.2 * document.confirmed_rate <= 2 * document.capacity.upper
    assert any(document.capacity.sentence == reason for reason in summary.reasons)
    assert {trial.seconds for trial in document.trials} == {0.6, 1}
    assert sum(count for _, count in document.distribution) == summary.total_requests
    assert summary.verdict is Verdict.PASSED
    assert [trial.stage for trial in document.trials][:3] == ["double"] * 3
    assert any("errors" in trial.reason for trial in document.trials if not trial.passed)
    assert sum(point.requests for point in document.timeline) == summary.total_requests


async def test_a_search_that_waited_reports_its_own_duration(serve: Any):
    """Built with the other tests of its file and run after them: the clock starts with the search."""
    async with serve(Budget(300)) as service:
        tester = BreakpointTester(_config(service.url))
        assert tester.summary().duration_seconds == 0
        await asyncio.sleep(2)
        began = asyncio.get_running_loop().time()
        task = asyncio.create_task(tester.run_load_test())
        await asyncio.sleep(0.3)
        tester.stop("enough", 0)
        summary = await task
    assert 0 < summary.duration_seconds <= asyncio.get_running_loop().time() - began


async def test_a_search_that_is_stopped_keeps_its_trials(serve: Any):
    """Stopped in the first step: no rate, and the summary says why."""
    async with serve(Budget(300)) as service:
        tester = BreakpointTester(_config(service.url))
        task = asyncio.create_task(tester.run_load_test())
        await asyncio.sleep(0.3)
        tester.stop("enough", 0)
        summary = await task
    assert summary.verdict is Verdict.FAILED
    assert summary.reasons == ["enough"]
    assert summary.total_requests > 0


async def test_a_service_that_answers_nothing_well_ends_the_search(serve: Any):
    """Not one good answer at the first rate: no lower one is tried, and the reason says what was measured."""
    async with serve(Budget(0)) as service:
        tester = BreakpointTester(_config(service.url))
        summary = await tester.run_load_test()
    assert summary.verdict is Verdict.FAILED
    assert tester.document(summary).capacity is None
    assert summary.reasons[0].startswith("at 50 requests/s the gate 'errors < 5 %' measured 100%")
    assert len(tester.document(summary).trials) == 1


class Backlog:
    """A server of one worker: each answer takes 10 ms, and what comes meanwhile queues up."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()

    async def __call__(self, _: bytes, writer: asyncio.StreamWriter) -> None:
        """Answer in turn."""
        async with self.turn:
            await asyncio.sleep(0.01)
            writer.write(OK)


async def test_a_trial_waits_until_the_one_before_is_answered(serve: Any):
    """Beyond the limit a backlog builds up: it is answered before the next rate is tried, and nothing is cut off."""
    async with serve(Backlog()) as service:
        config = _config(service.url).model_copy(update={"thresholds": ["p95 < 150 ms"]})
        tester = BreakpointTester(config)
        busy: list[int] = []
        tester.trial_listeners.append(lambda _: busy.append(service.requests_open))
        summary = await tester.run_load_test()
    assert not all(trial.passed for trial in tester.trials)
    assert set(busy) == {0}
    assert summary.outcomes == {"ok": summary.total_requests}


async def test_a_prometheus_that_does_not_answer_ends_the_search(serve: Any):
    """Without its answer no rate can be judged: one trial, and the search is invalid for that reason alone."""
    async with serve(OK) as service:
        config = _config(service.url)
        config.thresholds = [GateConfig(promql="up", expect="> 0")]
        config.prometheus_url = "http://127.0.0.1:1"
        tester = BreakpointTester(config)
        summary = await tester.run_load_test()
    assert summary.verdict is Verdict.INVALID
    assert tester.document(summary).capacity is None
    assert summary.reasons[0].startswith("at 50 requests/s prometheus_url: http://127.0.0.1:1: ")
    assert tester.only_queries_failed
    assert len(tester.trials) == 1
