"""A test without thresholds is held to those of thresholds.yml, and says so."""

from __future__ import annotations

import asyncio
import math
import re
from itertools import count
from typing import TYPE_CHECKING, Any

from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.app.breakpoint import BreakpointTester
from perfloop_loadgen.app.hold import default_thresholds
from perfloop_loadgen.reporters.files import RENDERERS
from perfloop_loadgen.reporters.text import summary_lines
from perfloop_loadgen.summary.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

LIMITS = {"cpu_ratio": 9, "event_loop_lag_seconds": 9}
HELD = "the test sets no thresholds: it is held to those of thresholds.yml for an API, "
SEED = "p95 < 1 s, errors < 5 %, timeouts < 1 %"
CHAT = {"path": "/v1/chat/completions", "method": "POST", "stream": True}
STACK = """
signals:
  - {signal: api_response_time_p95, title: t, component: api, kind: red, unit: seconds, direction: above, warning: 0.3,
     owner: api, alert: A, category: degradation, record: "a:b", expr: x, record_by_route: "a:c"}
  - {signal: error_ratio, title: t, component: api, kind: red, unit: ratio, direction: above, warning: 0.002,
     owner: api, alert: B, category: errors, record: "b:b", expr: x}
overrides:
  - {signal: api_response_time_p95, route: /slow, warning: 4}
  - {signal: api_response_time_p95, service: other, route: /a, warning: 9}
"""


def _config(url: str = "http://127.0.0.1:1", **changes: Any) -> LoadTestConfig:
    base = {"base_url": url, "duration_seconds": 0.4, "concurrent_users": 2, "think_time_seconds": 0.01}
    base |= {"endpoints": [{"path": "/"}], "generator_limits": LIMITS}
    return LoadTestConfig.model_validate(base | changes)


def _limits(config: LoadTestConfig) -> list[tuple[str | None, str]]:
    return [(gate.endpoint, gate.expect) for gate in default_thresholds(config)[0]]


async def test_four_of_five_failed_is_no_pass(serve: Any):
    """Without thresholds the run fails, and every report says what it was held to."""
    numbers = count()

    async def mostly_wrong(_: bytes, writer: asyncio.StreamWriter) -> None:
        status = b"200 OK" if next(numbers) % 5 == 0 else b"503 No"
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status)

    async with serve(mostly_wrong) as service:
        tester = LoadTester(_config(service.url))
        summary = await tester.run_load_test()
    assert summary.verdict is Verdict.FAILED
    assert any(reason.startswith("the gate 'errors < 5 %' measured ") for reason in summary.reasons)
    assert HELD + SEED in summary.notes
    assert f"  note: {HELD}{SEED}" in list(summary_lines(summary))
    document = tester.document(summary)
    for kind in ("json", "html", "junit", "markdown"):
        text = RENDERERS[kind](document).decode().replace("&lt;", "<").replace("\\", "")
        assert HELD + SEED in text, kind


async def test_a_slow_service_is_no_pass(serve: Any):
    """Every answer is right, and takes more than a second."""

    async def slow(_: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1.1)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with serve(slow) as service:
        summary = await LoadTester(_config(service.url)).run_load_test()
    assert summary.verdict is Verdict.FAILED
    assert [reason.partition(" measured")[0] for reason in summary.reasons] == ["the gate 'p95 < 1 s'"]


async def test_a_good_service_passes(hello: Any):
    """With the three gates in its report."""
    summary = await LoadTester(_config(hello.url)).run_load_test()
    assert summary.verdict is Verdict.PASSED
    assert [gate.text for gate in summary.gates] == SEED.split(", ")


async def test_thresholds_of_the_test_are_the_only_ones(serve: Any):
    """Who sets one says what matters."""
    async with serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as service:
        summary = await LoadTester(_config(service.url, thresholds=["requests > 0"])).run_load_test()
    assert [gate.text for gate in summary.gates] == ["requests > 0"]
    assert not any(HELD in note for note in summary.notes)


async def test_nothing_answered_is_never_zero_milliseconds(free_port: int):
    """No time is NaN in Python and a dash in reports; the run has failed, it is not invalid."""
    tester = LoadTester(_config(f"http://127.0.0.1:{free_port}"))
    summary = await tester.run_load_test()
    assert summary.verdict is Verdict.FAILED
    times = [getattr(summary, f"{name}_response_time_ms") for name in ("avg", "min", "max", "p50", "p95", "p99")]
    assert all(math.isnan(value) for value in times)
    # The user's own line prints, and says that there is none.
    assert f"{summary.avg_response_time_ms:.1f}ms" == "nanms"
    document = tester.document(summary)
    for text in ("\n".join(summary_lines(summary)), *(RENDERERS[kind](document).decode() for kind in RENDERERS)):
        assert not re.search(r"(?<![\d.])0(\.0*)? ?ms", text)


def test_the_limits_are_those_of_the_running_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its file is read, with the route's own limit; what it does not give is the default."""
    etc = tmp_path / "home" / "etc" / "prometheus"
    etc.mkdir(parents=True)
    (etc / "prometheus.yml").write_text("")
    (etc / "thresholds.yml").write_text(STACK)
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path / "home"))
    assert _limits(_config()) == [(None, "p95 < 0.3 s"), (None, "errors < 0.2 %"), (None, "timeouts < 1 %")]
    both = _config(endpoints=[{"path": "/a"}, {"path": "/b"}, {"path": "/slow?x=1"}])
    assert _limits(both)[:3] == [
        ("GET /a", "p95 < 0.3 s"),
        ("GET /b", "p95 < 0.3 s"),
        ("GET /slow", "p95 < 4 s"),
    ]
    assert "p95 < 0.3 s (2 endpoints), p95 < 4 s (GET /slow), errors < 0.2 %" in default_thresholds(both)[1]


def test_the_configuration_beside_the_test_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What `perfloop init` wrote, before it is up; another project's `prometheus/` is none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prometheus").mkdir()
    (tmp_path / "prometheus" / "thresholds.yml").write_text(STACK)
    assert _limits(_config())[0] == (None, "p95 < 1 s")
    (tmp_path / "prometheus" / "prometheus.yml").write_text("")
    assert _limits(_config())[0] == (None, "p95 < 0.3 s")


def test_a_streamed_answer_is_held_to_its_own_limit():
    """A chat takes as long as what it says: thresholds.yml has a limit for its route, and none for other streams."""
    assert _limits(_config(endpoints=[CHAT]))[0] == (None, "p95 < 15 s")
    assert _limits(_config(endpoints=[{"path": "/events", "stream": True}]))[0] == (None, "errors < 5 %")
    mixed = _limits(_config(endpoints=[CHAT, {"path": "/events", "stream": True}, {"path": "/"}]))
    assert mixed[:2] == [("POST /v1/chat/completions", "p95 < 15 s"), ("GET /", "p95 < 1 s")]


async def test_an_endpoint_without_requests_is_no_gap(serve: Any):
    """Of a run too short for every endpoint: gates that nobody set do not make it invalid."""
    async with serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as service:
        endpoints = [{"path": "/", "weight": 1000}, {**CHAT, "stream": False}]
        config = _config(service.url, endpoints=endpoints, concurrent_users=1, duration_seconds=0.2)
        summary = await LoadTester(config).run_load_test()
    assert summary.verdict is Verdict.PASSED


def test_a_search_is_held_to_the_same():
    """And says so."""
    load = {"shape": "breakpoint"}
    assert BreakpointTester(_config(load=load)).summary().notes == [HELD + SEED]
    assert BreakpointTester(_config(load=load, thresholds=["p95 < 2 s"])).summary().notes == []
