"""A load test's capacity on its way: the search, Prometheus, the analyzer, the board's series, and a longer test."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.support.native_stack import PERFLOOP
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.live_stack import LiveStack

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not os.environ.get("PERFLOOP_LONG_TESTS"),
        reason="takes about four minutes: set PERFLOOP_LONG_TESTS=1 to run it",
    ),
]


def _test(stack: LiveStack, load: dict[str, Any], seconds: float | None = None) -> str:
    test = {
        "base_url": stack.demo,
        "service": "demo",
        "endpoints": [{"path": "/api/v1/agents"}],
        "thresholds": ["p95 < 0.8 s", "errors < 1 %"],
        "generator_limits": {"event_loop_lag_seconds": 0.4},
        "load": load,
    }
    return json.dumps({"load_tests": {"limit": test | ({"duration_seconds": seconds} if seconds else {})}})


def _run(stack: LiveStack, command: str, file: Path, text: str) -> subprocess.CompletedProcess[str]:
    file.write_text(text)
    arguments = [str(PERFLOOP), "loadgen", command, str(file)]
    return subprocess.run(arguments, env=dict(stack.environment), capture_output=True, text=True, check=False)


def test_a_capacity_arrives_and_is_confirmed(live_stack: LiveStack, tmp_path: Path):
    """The search's interval is the analyzer's capacity within two minutes, and a longer test at its lower bound passes.

    Slow queries make the demo's ten connections the limit: 33 requests/s.
    """
    httpx.post(f"{live_stack.demo}/api/v1/agents", json={"name": "one", "goal": "be listed"}).raise_for_status()
    live_stack.wait_for_traffic()
    live_stack.break_demo(slow_queries=0.3)
    try:
        load = {"shape": "breakpoint", "start_rate": 8, "step_seconds": 3, "confirm_seconds": 9}
        done = _run(live_stack, "breakpoint", tmp_path / "limit.yml", _test(live_stack, load))
        assert done.returncode == 0, (done.stdout[-3000:], done.stderr[-3000:])
        assert "the capacity, the highest rate that keeps the thresholds for long" in done.stdout

        def planned() -> dict[str, Any] | None:
            found = httpx.get(f"{live_stack.analyzer}/api/v1/capacity", timeout=30).json()["services"]
            demo: dict[str, Any] = next(one for one in found if one["service"] == "demo")
            return demo if demo.get("capacity", {}).get("source") == "load test" else None

        demo: dict[str, Any] = wait_for(planned, "the analyzer to know the load test's capacity")
        bounds = demo["capacity"]["requests_per_second"]
        assert bounds["lower"] <= bounds["expected"] <= bounds["upper"]
        assert "by the load test 'limit'" in demo["capacity"]["words"]
        lower = live_stack.read('perfloop_capacity_requests_per_second{service="demo",bound="lower"}')
        assert lower is None or lower == pytest.approx(bounds["lower"])
        longer = _test(live_stack, {"shape": "constant_rate", "rate": bounds["lower"]}, 20)
        again = _run(live_stack, "run", tmp_path / "longer.yml", longer)
        assert again.returncode == 0, (again.stdout[-3000:], again.stderr[-3000:])
    finally:
        live_stack.heal_demo()
