"""The real analyzer's API answers in the forms that the checks read."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import pytest
from fastapi.testclient import TestClient

from perfloop.check import analysis
from perfloop.check.findings import Verdict
from perfloop_analyzer.planning.capacity.goals import check_goals
from perfloop_analyzer.planning.capacity.model import LOAD_TEST, Capacity
from perfloop_analyzer.planning.figures import Bounds
from perfloop_analyzer.planning.plan import Plan, ServicePlan
from perfloop_analyzer.ports import Health, Result
from perfloop_analyzer.published import Published
from perfloop_analyzer.server import WebSettings, build_web
from perfloop_analyzer.store import Database
from perfloop_base.scaling import ServiceScaling
from tests.analyzer.test_store import make
from tests.support.readiness import answering, looked, make_sources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATHS = ("/api/v1/health", "/api/v1/recommendations", "/api/v1/capacity")


@pytest.fixture
def answers() -> Iterator[dict[str, bytes]]:
    """What the analyzer answers with a capacity of 120/s or more, a load of 10/s, and one recommendation."""
    bounds = Bounds(120.0, math.inf, math.inf)
    capacity = Capacity(10.0, bounds, bounds, 1, "", LOAD_TEST, 1.0, None, "you run at 10 of 120")
    plan = ServicePlan("shop", 10.0, capacity, goals=check_goals(capacity, 10.0, ServiceScaling()))
    now = time.time()
    published = Published(
        Result(now, (Health("shop", 100.0, {}), Health("overall", 100.0, {})), plan=Plan(now, (plan,)))
    )
    published.made = time.monotonic()
    database = Database("sqlite://")
    database.merge([make("first", "One")], now)
    with TestClient(build_web(published, database, WebSettings())) as client:
        yield {path: client.get(path).content for path in PATHS}
    database.close()


def test_each_line_reads_the_real_answers(answers: dict[str, bytes], tmp_path: Path):
    """A bound that is not known is null, and stops nothing."""
    with answering(answers) as analyzer:
        sources = make_sources(tmp_path, {"analyzer": analyzer.url}, service="shop", now=time.time())
        found = {
            look.__name__: looked(look, sources)
            for look in (
                analysis.look_at_analyzer,
                analysis.look_at_critical,
                analysis.look_at_progress,
                analysis.look_at_headroom,
            )
        }
    assert {name: one.verdict for name, one in found.items()} == dict.fromkeys(found, Verdict.PASSED)
    assert found["look_at_headroom"].words.startswith("10 x the load now is met: the capacity is at least 120")
