"""The search against a real server whose capacity is known."""

from __future__ import annotations

import asyncio
from typing import Any

from loadgen import LoadTestConfig
from loadgen.app.breakpoint import build_tester
from loadgen.summary.verdict import Verdict

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
        "most_rate": 1600,
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


async def test_the_knee_of_a_known_server_is_found(serve: Any):
    """A server that answers 300 a second: the confirmed rate lies near there, and nothing is lost from sight."""
    async with serve(Budget(300)) as service:
        tester = build_tester(_config(service.url))
        summary = await tester.run_load_test()
        assert summary.total_requests == len(service.requests)
    document = tester.document(summary)
    assert 150 <= document.knee_rate <= 480
    assert summary.verdict is Verdict.PASSED
    assert [trial.stage for trial in document.trials][:3] == ["double"] * 3
    assert any("errors" in trial.reason for trial in document.trials if not trial.passed)
    assert sum(point.requests for point in document.timeline) == summary.total_requests


async def test_a_search_that_is_stopped_keeps_its_trials(serve: Any):
    """Stopped in the first step: no knee, and the summary says why."""
    async with serve(Budget(300)) as service:
        tester = build_tester(_config(service.url))
        task = asyncio.create_task(tester.run_load_test())
        await asyncio.sleep(0.3)
        tester.stop("enough", 0)
        summary = await task
    assert summary.verdict is Verdict.FAILED
    assert summary.reasons == ["enough"]
    assert summary.total_requests > 0
