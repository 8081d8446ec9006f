"""Values that are not there, and steps that were never sent: neither passes silently."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.config.secrets import shown
from perfloop_loadgen.reporters.text import summary_lines
from perfloop_loadgen.summary.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
LIMITS = {"cpu_ratio": 9, "event_loop_lag_seconds": 9}


def _answer(body: bytes) -> bytes:
    return OK % (len(body), body)


def _config(url: str, *steps: dict[str, Any], **changes: Any) -> LoadTestConfig:
    base = {"base_url": url, "duration_seconds": 0.4, "concurrent_users": 2, "think_time_seconds": 0.02}
    scenarios = [{"name": "buy", "steps": list(steps)}]
    return LoadTestConfig.model_validate(base | {"generator_limits": LIMITS, "scenarios": scenarios} | changes)


@pytest.mark.parametrize(
    "source", ["json:access_token", "json:items[0].id", "header:X-Token", "cookie:sid", "regex:id=([0-9]+)"]
)
async def test_a_missing_value_fails_its_request(serve: Any, source: str):
    """From every source: the outcome is of the request whose answer lacks it, the report names the value."""
    async with serve(_answer(b'{"token": "renamed"}')) as service:
        config = _config(
            service.url, {"path": "/login", "extract": {"token": source}}, {"path": "/me"}, thresholds=["errors < 1 %"]
        )
        summary = await LoadTester(config).run_load_test()
        assert not any(b"/me" in request for request in service.requests)
    count = summary.total_requests
    assert summary.outcomes == {"missing_value": count}
    assert summary.verdict is Verdict.FAILED
    lines = list(summary_lines(summary))
    assert f"    missing_value token ({count} requests)" in lines
    # A name is no secret, though secrets have such names.
    assert [shown(line) for line in lines] == lines
    assert f"  broken off             {count}" in lines
    assert not any(line.startswith("  iterations") for line in lines)


async def test_every_missing_value_is_named(serve: Any):
    """Two of three: both names, one outcome a request."""
    extract = {"a": "json:a", "b": "json:b", "c": "json:c"}
    async with serve(_answer(b'{"b": null}')) as service:
        summary = await LoadTester(_config(service.url, {"path": "/x", "extract": extract})).run_load_test()
    count = summary.total_requests
    assert summary.outcomes == {"missing_value": count}
    assert [(one.detail, one.count) for one in summary.endpoints[0].details] == [("a", count), ("c", count)]


@pytest.mark.parametrize(
    ("first", "body", "reason"),
    [
        ({"extract": {"token": "json:token"}}, b"{}", "GET /login: missing_value token"),
        ({"checks": [{"json": "state"}]}, b"{}", "GET /login: check_failed"),
        ({"expected_status": 201}, b"", "GET /login: wrong_status"),
    ],
)
@pytest.mark.parametrize("workers", [1, 2])
async def test_a_step_that_was_never_sent_fails_the_run(
    serve: Any, first: dict[str, Any], body: bytes, reason: str, workers: int
):
    """Also where every threshold holds: the reason has the step, the scenario, and where its passes ended."""
    async with serve(_answer(body)) as service:
        steps = ({"path": "/login", **first}, {"path": "/me"}, {"path": "/out"})
        config = _config(service.url, *steps, thresholds=["p95 < 9 s"], workers=workers, concurrent_users=4)
        summary = await LoadTester(config).run_load_test()
    assert summary.verdict is Verdict.FAILED
    [never] = [one for one in summary.reasons if "never sent" in one]
    assert never.startswith("step 2 (GET /me) of scenario 'buy' was never sent: ")
    assert never.endswith(f"passes ended before it, most of them at step 1 ({reason})")


async def test_a_step_in_the_shadow_of_another_is_missed_too(serve: Any):
    """Two steps of one path have one row; that the second one was never sent is seen all the same."""
    steps = ({"path": "/items", "extract": {"next": "json:next"}}, {"path": "/items?page=${next}"})
    async with serve(_answer(b"{}")) as service:
        config = _config(service.url, *steps, thresholds=["requests > 0"])
        summary = await LoadTester(config).run_load_test()
    assert summary.verdict is Verdict.FAILED
    assert any(one.startswith("step 2 (GET /items) of scenario 'buy' was never sent") for one in summary.reasons)


async def test_good_traffic_beside_it_hides_nothing(serve: Any):
    """One scenario in a hundred is broken: below the limit of errors, and said."""

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(_answer(b"{}"))

    async with serve(answer) as service:
        config = _config(
            service.url,
            {"path": "/login", "extract": {"token": "json:token"}},
            {"path": "/me"},
            endpoints=[{"path": "/health", "weight": 50}],
            think_time_seconds=0,
            thresholds=["errors < 10 %"],
        )
        summary = await LoadTester(config).run_load_test()
    assert summary.error_rate_percent < 10
    assert summary.verdict is Verdict.FAILED


async def test_a_run_that_was_too_short_says_so(serve: Any):
    """The pause before the second step is longer than the run: a note, and no failure."""
    async with serve(_answer(b"{}")) as service:
        config = _config(service.url, {"path": "/a", "think_time_seconds": 30}, {"path": "/b"})
        summary = await LoadTester(config).run_load_test()
    assert summary.verdict is Verdict.PASSED
    assert "step 2 (GET /b) of scenario 'buy' was never sent: the run ended before any user came to it" in summary.notes


async def test_a_request_that_the_end_cut_off_broke_nothing_off(serve: Any):
    """The first step is under way when the run is stopped: nobody knows how it would have gone on."""

    async def silent(_: bytes, writer: asyncio.StreamWriter) -> None:
        del writer
        await asyncio.sleep(10)

    async with serve(silent) as service:
        tester = LoadTester(_config(service.url, {"path": "/a"}, {"path": "/b"}, duration_seconds=30))
        task = asyncio.create_task(tester.run_load_test())
        await asyncio.sleep(0.3)
        tester.stop("enough", 0.0)
        summary = await task
    assert set(summary.outcomes) == {"cut_off"}
    assert summary.total.broken_off == 0
    assert not any("never sent" in one for one in summary.reasons)


async def test_values_that_are_there_go_on(serve: Any):
    """A scenario that works passes, with its iterations."""
    steps = ({"path": "/a", "extract": {"id": "json:id"}}, {"path": "/b/${id}"})
    async with serve(_answer(b'{"id": 7}')) as service:
        summary = await LoadTester(_config(service.url, *steps)).run_load_test()
    assert summary.verdict is Verdict.PASSED
    assert set(summary.outcomes) == {"ok"}
    assert summary.total.iterations >= 2
    assert summary.total.broken_off == 0


async def test_what_a_script_returns_is_its_own(serve: Any, tmp_path: Path):
    """A function may return anything: its pass was run to its end."""
    script = tmp_path / "s.py"
    script.write_text("async def go(user):\n    await user.get('/')\n    await user.think(0.02)\n    return True\n")
    async with serve(_answer(b"")) as service:
        config = _config(service.url, {"path": "/"}, scenarios=[{"python": f"{script}:go"}])
        summary = await LoadTester(config).run_load_test()
    assert summary.total.iterations
    assert summary.total.broken_off == 0
