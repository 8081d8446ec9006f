"""The live series of a run: what a whole run's figures are, whatever Prometheus has missed of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.capacity import CapacityInterval
from perfloop_loadgen.reporters.exposition import LiveRun, LoadgenCollector
from perfloop_loadgen.reporters.histograms import render
from perfloop_loadgen.samples.book import Book, Load
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.samples.tally import Tally
from perfloop_loadgen.summary import summarize
from perfloop_loadgen.summary.verdict import GateResult
from tests.wire.contract import read_contract
from tests.wire.exposition import parse_families
from tests.wire.test_programs import find_faults

if TYPE_CHECKING:
    import pytest

CONTRACT = read_contract()["loadgen"]


def _expose(*runs: LiveRun) -> str:
    collector, registry = LoadgenCollector(), CollectorRegistry(auto_describe=False)
    collector.runs = list(runs)
    registry.register(collector)
    return render(registry).decode()


def _samples(text: str, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    return {
        tuple(
            sorted((key, value) for key, value in sample.labels.items() if key not in {"test", "run_id"})
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def _book(*milliseconds: int) -> Book:
    book = Book(Labels(["GET /"]))
    for second, took in enumerate(milliseconds, 1):
        tally = Tally()
        tally.on_time.record(took * 1_000_000, 100)
        tally.outcomes["ok"] = 100
        book.add([tally], second, 1, Load(users=2, in_flight=2))
    return book


def test_a_run_that_was_judged_keeps_to_the_contract():
    """Every family with every label, those of an ended run among them."""
    live = LiveRun("shop", "r1", "constant_users", _book(10, 20, 30), knee_rate=90.0, confirmed_rate=80.0)
    live.capacity, live.service = CapacityInterval(75.0, 81.0, 92.0), "shop"
    gates = [GateResult("p95 < 1 s", passed=True, value=0.03, samples=300, unit="seconds")]
    live.summary = replace(summarize("shop", live.book, 3.5), gates=gates, reasons=["a reason"])
    assert find_faults(CONTRACT, parse_families(_expose(live))) == []


def test_a_capacity_names_the_service_and_has_the_bounds_that_are_known():
    """Of a search whose rates all held there is a lower bound alone; without a Prometheus no service is named."""
    live = LiveRun("peak", "r1", "breakpoint", _book(10))
    assert _samples(_expose(live), "loadgen_run_capacity_rate") == {}
    live.capacity = CapacityInterval(75.0, None, None)
    assert _samples(_expose(live), "loadgen_run_capacity_rate") == {(("bound", "lower"),): 75}
    live.capacity, live.service = CapacityInterval(75.0, 81.0, 92.0), "shop"
    assert _samples(_expose(live), "loadgen_run_capacity_rate") == {
        (("bound", bound), ("tested_service", "shop")): value
        for bound, value in (("lower", 75), ("expected", 81), ("upper", 92))
    }


def test_every_series_names_its_run():
    """Two runs of one test on one page: not one series of both."""
    text = _expose(LiveRun("shop", "r1", "x", _book(10)), LiveRun("shop", "r2", "x", _book(10)))
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines
    assert all('run_id="r1"' in line or 'run_id="r2"' in line for line in lines)
    assert len(lines) == len({line.rpartition(" ")[0] for line in lines})


def test_quantiles_of_a_run_are_those_of_its_report():
    """To the last digit, not to a bucket of the histogram."""
    book = _book(11, 23, 517)
    times = summarize("shop", book, 3).total.response.quantiles_seconds
    found = _samples(_expose(LiveRun("shop", "r1", "x", book)), "loadgen_run_response_seconds")
    assert {key[0][1]: value for key, value in found.items()} == {
        "0.5": times["p50"],
        "0.75": times["p75"],
        "0.9": times["p90"],
        "0.95": times["p95"],
        "0.99": times["p99"],
        "0.999": times["p99.9"],
    }


def test_offered_is_counted_at_the_moments_of_completed():
    """What ended, was dropped, is under way or waits; good answers count from zero on, as what is offered does."""
    before = _expose(LiveRun("shop", "r1", "x", Book(Labels(["GET /"]))))
    assert _samples(before, "loadgen_requests_total") == {(("endpoint", "GET /"), ("outcome", "ok")): 0}
    assert _samples(before, "loadgen_offered_total") == _samples(before, "loadgen_failed_total") == {(): 0}
    book, tally = _book(10), Tally()
    tally.dropped = 3
    book.add([tally], 2, 1, Load(in_flight=4, waiting=5))
    assert _samples(_expose(LiveRun("shop", "r1", "x", book)), "loadgen_offered_total") == {(): 112}


def test_the_peak_is_of_a_whole_second():
    """What a run adds at its end spans a moment, in which a few answers would be a high rate."""
    book, tally = _book(10, 10), Tally()
    tally.outcomes["ok"] = 9
    book.add([tally], 2.01, 0.01, Load())
    assert book.peak_rate == 100


def test_recent_figures_are_of_the_last_seconds():
    """Rate and latency of one window; the first seconds of a run are a burst, and no rate."""
    assert _book(10).recent_good_rate() is None
    text = _expose(LiveRun("shop", "r1", "x", _book(*[900] * 20, *[10] * 10)))
    assert _samples(text, "loadgen_recent_good_rate") == {(): 100}
    recent = _samples(text, "loadgen_recent_response_seconds")
    assert max(recent.values()) < 0.011


def test_reasons_are_few_and_of_bounded_length():
    """A run may have thousands, each with an address of any length in it: the report has all, a label has some."""
    live = LiveRun("shop", "r1", "x", _book(10))
    live.summary = replace(summarize("shop", live.book, 1), reasons=[f"{n}: {'x' * 500}" for n in range(50)])
    reasons = _samples(_expose(live), "loadgen_verdict_reason")
    assert len(reasons) == 10
    assert max(len(dict(key)["reason"]) for key in reasons) == 200


async def test_phases_add_up_and_checks_are_counted(serve: Any):
    """Connections are counted once each, every answer has its wait, and a check its results."""

    async def answer(_: bytes, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        await writer.drain()
        writer.write(b"hello")

    async with serve(answer) as service:
        endpoints = [{"path": "/", "checks": [{"body_contains": "hello"}, {"header": "ETag"}]}]
        settings = {"duration_seconds": 0.6, "concurrent_users": 3, "think_time_seconds": 0.01, "endpoints": endpoints}
        tester = LoadTester(LoadTestConfig.model_validate({"name": "shop", "base_url": service.url, **settings}))
        summary = await tester.run_load_test()
        connections = service.connections
    total = summary.total
    assert summary.phases["connect"].count == connections == 3
    assert summary.phases["wait"].count == total.total_requests
    assert "tls" not in summary.phases
    assert [(check.name, check.passed, check.failed) for check in total.checks] == [
        ("body contains hello", total.total_requests, 0),
        ("header ETag", 0, total.total_requests),
    ]


async def test_the_time_to_connect_is_no_wait(serve: Any, monkeypatch: pytest.MonkeyPatch):
    """A first request's service time has the connection in it, its wait has not."""
    loop = asyncio.get_running_loop()
    connect = loop.create_connection

    async def slowly(*arguments: Any, **settings: Any) -> Any:
        await asyncio.sleep(0.3)
        return await connect(*arguments, **settings)

    monkeypatch.setattr(loop, "create_connection", slowly, raising=False)
    async with serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as service:
        settings = {"duration_seconds": 0.5, "concurrent_users": 1, "think_time_seconds": 0.4}
        config = {"name": "shop", "base_url": service.url, "endpoints": [{"path": "/"}], **settings}
        summary = await LoadTester(LoadTestConfig.model_validate(config)).run_load_test()
    assert (summary.total.service.max_seconds or 0) >= 0.3
    assert (summary.phases["connect"].max_seconds or 0) >= 0.3
    assert (summary.phases["wait"].max_seconds or 1) < 0.3
