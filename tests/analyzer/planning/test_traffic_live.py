"""Forecasts from outside: a real Prometheus with thirteen days of counters, the loop, metrics and JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from perfloop_analyzer.config import AnalysisConfig, SourceConfig
from perfloop_analyzer.configuration import load_knowledge
from perfloop_analyzer.loop import Loop
from perfloop_analyzer.planning_watch import PlanningWatch
from perfloop_analyzer.prometheus_api import PrometheusSource
from perfloop_analyzer.replay import Scratch
from perfloop_analyzer.reporters.planned import plan_families
from tests.support.history import serve_history, write_history

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = 86_400.0
END = 1_789_992_000.0
DAYS = 13
STEP = 120.0


def _counted(moment: float) -> float:
    """Requests since the begin: 100/s on average, 150 at the top of the day; the counter is reset on the tenth day."""
    since = moment - (END - DAYS * DAY)
    return _total(since) - (_total(9.3 * DAY) if since > 9.3 * DAY else 0.0)


def _total(since: float) -> float:
    return 100 * since + 50 * DAY / (2 * math.pi) * (1 - math.cos(2 * math.pi * since / DAY))


def _young(moment: float) -> float | None:
    return 20 * (moment - END + 5 * 3600) if moment >= END - 5 * 3600 else None


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory, prometheus_binary: str, promtool: str) -> Iterator[str]:
    """The URL of a Prometheus that has the counters of a service, of one that began five hours ago, and of a third."""
    name = "http_server_request_duration_seconds_count"
    directory: Path = tmp_path_factory.mktemp("traffic")
    text = write_history(
        {
            f'{name}{{service="shop",http_route="/"}}': _counted,
            f'{name}{{service="young",http_route="/"}}': _young,
            f'{name}{{service="idle",http_route="/"}}': lambda at: 7.0 if at > END - 2 * DAY else None,
        },
        np.arange(END - DAYS * DAY, END + 900, STEP).tolist(),
    )
    with serve_history(prometheus_binary, promtool, directory, text) as client:
        yield str(client.base_url)


async def test_peaks_are_published_and_listed(past: str) -> None:
    """Hour, day and week of the old service, an hour of the young one, and a sentence for all that is missing."""
    config = AnalysisConfig(source=SourceConfig(url=past), step_seconds=STEP, rate_window="5m")
    async with PrometheusSource(config.source) as source:
        loop = Loop(config, source, Scratch(), load_knowledge(config))
        loop.ahead.planning = PlanningWatch()
        for turn in range(6):
            result = await loop.cycle(END + turn * 61)
            assert result is not None
    found: dict[tuple[str, str], dict[str, float]] = {}
    for family in plan_families(result.plan):
        if family.name == "perfloop_forecast_requests_per_second":
            for sample in family.samples:
                key = sample.labels["service"], sample.labels["horizon"]
                found.setdefault(key, {})[sample.labels["bound"]] = sample.value
    assert set(found) == {("shop", "1h"), ("shop", "1d"), ("shop", "1w"), ("young", "1h")}
    for key, bounds in found.items():
        assert bounds["lower"] <= bounds["expected"] <= bounds["upper"], key
    assert found["shop", "1d"]["expected"] == pytest.approx(150, rel=0.05)
    assert found["shop", "1w"]["expected"] == pytest.approx(150, rel=0.1)
    assert found["young", "1h"]["expected"] == pytest.approx(20, rel=0.05)
    listed: dict[str, Any] = {one["service"]: one for one in result.plan.as_dict()["services"]}
    assert len(listed["shop"]["forecast"]["horizons"]["1w"]["expected"]) == 168
    assert any("7 d ahead take 12 d at least" in note for note in listed["young"]["notes"])
    assert any("there was no request in" in note for note in listed["idle"]["notes"])
    assert "forecast" not in listed["idle"]
