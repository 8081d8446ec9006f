"""Money from outside: a real Prometheus with a past, prices that change, a machine that grew two hours ago."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from perfloop_analyzer.app import open_loop
from perfloop_analyzer.config import RunConfig, SourceConfig
from perfloop_analyzer.recommend import Improvement, Recommendation, money_words
from perfloop_analyzer.reporters.html import render_page
from perfloop_analyzer.reporters.metrics import ResultCollector
from perfloop_analyzer.store import Database
from perfloop_base.prices import HOURS_A_MONTH
from tests.support.history import serve_history, write_history

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from perfloop_analyzer.loop import Loop
    from perfloop_analyzer.published import Published

HOUR = 3600.0
STEP = 30.0
NOW = time.time() // STEP * STEP
CHANGED = NOW - 2 * HOUR  # when the machine was given a fourth core
ACCEPTED = NOW - 2.5 * HOUR
PRICES = "currency: EUR\nprices: {core_hour: 0.03, memory_gib_hour: 0.004}\neffort_hour: 80\n"
ON = 'host="m1",instance="m1:1"'
SHOP = 'service="shop",host="m1",instance="m1:2",job="services"'


def _level(before: float, after: float) -> Any:
    return lambda at: before if at <= CHANGED else after


def _grows(rate: float) -> Any:
    return lambda at: rate * (at - NOW + 5 * HOUR)


SERIES = {
    f'node_cpu_seconds_total{{mode="idle",cpu="0",service="host",job="node",{ON}}}': _grows(0.5),
    f'node_cpu_seconds_total{{mode="idle",cpu="1",service="host",job="node",{ON}}}': _grows(0.5),
    f'node_cpu_seconds_total{{mode="idle",cpu="2",service="host",job="node",{ON}}}': _grows(0.5),
    f'node_cpu_seconds_total{{mode="idle",cpu="3",service="host",job="node",{ON}}}': _grows(0.5),
    f'node_memory_MemTotal_bytes{{service="host",job="node",{ON}}}': lambda _: 8.0 * 2**30,
    f"process_cpu_seconds_total{{{SHOP}}}": _grows(0.5),
    f"process_resident_memory_bytes{{{SHOP}}}": lambda _: 2.0 * 2**30,
    f"http_server_request_duration_seconds_count{{{SHOP}}}": _grows(20.0),
    f'container_spec_cpu_quota{{{SHOP},id="/shop"}}': lambda _: 100_000.0,
    f'container_spec_cpu_period{{{SHOP},id="/shop"}}': lambda _: 100_000.0,
    # What this analyzer published then.
    'perfloop_cost_per_hour{service="shop",resource="cpu"}': lambda _: 0.03,
    'perfloop_cost_per_hour{service="unallocated",resource="cpu"}': _level(0.06, 0.09),
    'perfloop_cost_per_hour{service="unallocated",resource="memory"}': lambda _: 0.02,
    'perfloop_price_info{currency="EUR"}': lambda _: 1.0,
}


@pytest.fixture(scope="module")
def past(prometheus_binary: str, promtool: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The history, from four hours ago until a few minutes from now."""
    times = [NOW - 4 * HOUR + STEP * step for step in range(int((4 * HOUR + 600) / STEP))]
    directory = tmp_path_factory.mktemp("past")
    with serve_history(prometheus_binary, promtool, directory, write_history(SERIES, times)) as client:
        yield client


def _config(past: httpx.Client, home: Path) -> RunConfig:
    """Settings with a database and prices of one's own."""
    source = SourceConfig(url=str(past.base_url))
    return RunConfig(source=source, store_url=f"sqlite:///{home}/analyzer.sqlite", prices_file=home / "prices.yml")


async def _shop(loop: Loop, at: float) -> float:
    """Return what the cores of shop cost, after one more cycle."""
    result = await loop.cycle(at)
    assert result is not None
    assert result.plan.bill is not None
    return result.plan.bill.services["shop"].per_hour["cpu"]


def _store_decision(home: Path) -> None:
    """Store a recommendation that was accepted and implemented."""
    database = Database(f"sqlite:///{home}/analyzer.sqlite")
    more = Recommendation(
        *("cpu-host-1", "cpu_saturated", "host", "cpu", "infrastructure", "high", "Add cores", "do"),
        *("medium", "medium", ("cpu_used_ratio",), ({},)),
        improvement=Improvement(0.2, 0.1, 0.3, "cpu_used_ratio", "replicas", "", added={"core_hour": 1.0}),
        values={"signal": "cpu_used_ratio"},
    )
    database.merge([more], NOW - 3 * HOUR)
    database.transition("cpu-host-1", "accept", ACCEPTED, effort_hours=0.5)
    database.transition("cpu-host-1", "implement", CHANGED)
    database.close()


def _published(published: Published) -> dict[str, float]:
    """Return the samples about money, by name and labels."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ResultCollector(published))
    lines = generate_latest(registry).decode().splitlines()
    words = ("cost", "saving", "price")
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
        if name.startswith("perfloop_") and any(word in name for word in words)
    }


async def test_without_prices_nothing_is_published(past: httpx.Client, tmp_path: Path):
    """Not even a currency; the page says how to give prices, and what is given counts from the next cycles on."""
    prices = tmp_path / "prices.yml"
    async with open_loop(_config(past, tmp_path), clock=lambda: NOW) as (loop, _):
        first = await loop.cycle(NOW)
        assert first is not None
        assert first.plan.bill is None
        assert _published(loop.published) == {}
        assert "No cost is known: no prices are given" in render_page(loop.published, NOW)
        prices.write_text(PRICES)
        assert await _shop(loop, NOW + 10.0) == pytest.approx(0.03, rel=1e-3)


async def test_prices_are_read_again(past: httpx.Client, tmp_path: Path):
    """What is wrong changes nothing and is said; other prices change every figure."""
    prices = tmp_path / "prices.yml"
    prices.write_text(PRICES)
    async with open_loop(_config(past, tmp_path), clock=lambda: NOW) as (loop, _):
        assert await _shop(loop, NOW) == pytest.approx(0.03, rel=1e-3)
        prices.write_text("currency: EUR\nprices: {core_hour: -1}\n")
        assert await _shop(loop, NOW + 70.0) == pytest.approx(0.03, rel=1e-3)
        assert "core_hour has the value -1" in loop.published.configuration_problem
        prices.write_text(PRICES.replace("0.03", "0.06"))
        assert await _shop(loop, NOW + 140.0) == pytest.approx(0.06, rel=1e-3)


async def test_cost_baseline_and_saving(past: httpx.Client, tmp_path: Path):
    """The bill of now, the cost when saving began, and what the fourth core has cost since: a negative saving."""
    _store_decision(tmp_path)
    (tmp_path / "prices.yml").write_text(PRICES)
    async with open_loop(_config(past, tmp_path), clock=lambda: NOW) as (loop, _):
        await loop.cycle(NOW)
        result = await loop.cycle(NOW + 70.0)
        found = _published(loop.published)
    assert result is not None
    assert result.plan.bill is not None
    assert result.plan.bill.services["shop"].per_hour == pytest.approx({"cpu": 0.03, "memory": 0.008}, rel=1e-3)
    expected = {
        'perfloop_cost_per_hour{resource="cpu",service="unallocated"}': 0.09,
        'perfloop_cost_per_thousand_requests{service="shop"}': 0.038 / 72,
        "perfloop_cost_baseline_per_hour": 0.125,  # half an hour of 0.11, half an hour of 0.14
        'perfloop_cost_reduction_ratio{kind="now"}': 1 - 0.152 / 0.125,
        'perfloop_recommendation_saving_per_month{id="cpu-host-1",kind="measured"}': -0.03 * HOURS_A_MONTH,
        'perfloop_savings_per_month{kind="measured"}': -0.03 * HOURS_A_MONTH,
    }
    assert {name: found.get(name) for name in expected} == pytest.approx(expected, rel=0.02)
    (decided,) = result.decided
    assert money_words(decided) == (
        "costs 21.90 EUR a month (expected); costs 21.90 EUR a month (measured); 0.5 h of work for 40.00 EUR"
    )


async def test_the_baseline_outlives_prometheus(past: httpx.Client, tmp_path: Path):
    """Another start of the analyzer compares with the same cost, though Prometheus may have forgotten it."""
    _store_decision(tmp_path)
    (tmp_path / "prices.yml").write_text(PRICES)
    seen = []
    for later in (0.0, 70.0):
        async with open_loop(_config(past, tmp_path), clock=lambda: NOW) as (loop, database):
            result = await loop.cycle(NOW + later)
            assert result is not None
            assert result.plan.progress is not None
            seen.append(result.plan.progress.baseline)
            assert database.cost_baseline(ACCEPTED, "EUR") == seen[0]
            assert database.cost_baseline(ACCEPTED, "USD") is None
    assert seen[0] == seen[1]
