"""Desired replicas from what a real Prometheus answers."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from perfloop_analyzer.config import SourceConfig
from perfloop_analyzer.planning.scaling.asked import ASKS
from perfloop_analyzer.planning_watch import PlanningWatch, queries_of
from perfloop_analyzer.prometheus_api import PrometheusSource
from perfloop_analyzer.reporters.planned import plan_families
from perfloop_base.scaling import Scaling, ServiceScaling
from tests.support.history import serve_history, write_history

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop_analyzer.planning.plan import Plan

STEP = 15.0
LENGTH = 3600.0


def _history(now: float) -> str:
    """An hour of a shop without a known capacity, and of two model servers of which one has a line now."""
    begin = now - LENGTH

    def counter(per_second: float) -> object:
        return lambda at: (at - begin) * per_second

    llm = '{{service="llm",instance="{}"}}'
    readings = {
        'http_server_request_duration_seconds_count{service="shop",instance="a"}': counter(40.0),
        'process_cpu_seconds_total{service="shop",instance="a"}': counter(2.8),
        **{
            f'node_cpu_seconds_total{{service="host",instance="h",cpu="{cpu}",mode="idle"}}': counter(1.0)
            for cpu in "01"
        },
        **{
            f'up{{service="{service}",instance="{name}"}}': (lambda _: 1.0)
            for service, name in (("shop", "a"), ("llm", "a"), ("llm", "b"))
        },
    }
    for name in "ab":
        own = llm.format(name)
        readings |= {
            f"vllm:time_to_first_token_seconds_count{own}": counter(4.0),
            f"vllm:request_success_total{own}": counter(4.0),
            f"vllm:prompt_tokens_total{own}": counter(1600.0),
            f"vllm:generation_tokens_total{own}": counter(400.0),
            f"vllm:num_requests_running{own}": lambda _: 10.0,
            f"vllm:kv_cache_usage_perc{own}": lambda _: 0.9,
            f"vllm:num_requests_waiting{own}": lambda at: 30.0 if at > now - 1200 else 0.0,
        }
    moments = [begin + STEP * number for number in range(round(LENGTH / STEP) + 1)]
    return write_history(readings, moments)  # type: ignore[arg-type]


async def _plan(url: str, at: float) -> Plan:
    watch = PlanningWatch()
    async with PrometheusSource(SourceConfig(url=url)) as source:
        for ask in ASKS:
            watch.note(ask, await source.query(queries_of(ask, "1m"), ask.grid(at)), at)
    scaling = Scaling(services={"llm": ServiceScaling(max_replicas=5)})
    return watch.plan({}, at, scaling=scaling)


async def test_desired_replicas_of_a_real_prometheus(prometheus_binary: str, promtool: str, tmp_path: Path) -> None:
    """By the CPU where nothing better is known; of model servers by their tokens, their line and their caches."""
    now = math.floor(time.time() / STEP) * STEP - 600.0
    with serve_history(prometheus_binary, promtool, tmp_path, _history(now)) as client:
        plan = await _plan(str(client.base_url), now)
    assert plan.failures == {}
    shop, llm = plan.of("shop"), plan.of("llm")
    assert shop is not None
    assert llm is not None
    assert shop.replicas is not None, shop.notes
    assert shop.replicas.as_dict()["needed"] == {"cpu": 2}
    assert llm.replicas is not None, llm.notes
    needed = llm.replicas.as_dict()["needed"]
    assert needed["cache"] == 3
    # A full server serves 2000 tokens per second, and 4000 come: at 70 % that is three.
    assert needed["load"] == 3
    assert needed["queue"] >= needed["load"]
    assert llm.replicas.desired == min(max(needed.values()), 5)
    published = {family.name for family in plan_families(plan)}
    assert published >= {"perfloop_desired_replicas", "perfloop_needed_replicas", "perfloop_replicas_limit"}
