"""From the load generator's request to the exemplar in Prometheus: one trace id all the way."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx

from perfloop_analyzer.config import SourceConfig
from perfloop_analyzer.exemplars import choose_traces
from perfloop_analyzer.prometheus_api import PrometheusSource
from perfloop_loadgen import LoadTestConfig, LoadTester
from tests.support.scraping import scraping
from tests.support.servers import running
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

DURATION = "http_server_request_duration_seconds"
STATEMENT = "db_client_operation_duration_seconds"


async def test_the_trace_of_a_slow_request_is_found_in_prometheus(tmp_path: Path, prometheus_binary: str):
    """Load test, demo, a real Prometheus, and the analyzer's choice of evidence name the same traces.

    The bucket of an exemplar is that of the request's duration, and a statement within the request names its trace.
    """
    with running(tmp_path, ("demo",)) as servers:
        host, port = servers["demo"].address
        url = f"http://{host}:{port}"
        with scraping(tmp_path, prometheus_binary, f"{host}:{port}") as prometheus:
            config = LoadTestConfig.model_validate(
                {
                    "base_url": url,
                    # So few that the report names every one of them.
                    "duration_seconds": 2.4,
                    "concurrent_users": 1,
                    "think_time_seconds": 0.3,
                    "trace_sampling": 1,
                    "endpoints": [{"path": "/api/v1/search", "method": "POST", "data": {"query": "cache"}}],
                }
            )
            summary = await LoadTester(config).run_load_test()
            assert summary.failed_requests == 0
            traces = summary.total.traces
            assert traces is not None
            client = {one.trace_id: one.seconds for one in traces.slowest}
            assert len(client) == traces.sampled == summary.total_requests

            def found(name: str) -> list[Any]:
                now = time.time()
                parameters = {"query": f"{name}_bucket", "start": now - 120, "end": now + 60}
                return list(httpx.get(f"{prometheus}/api/v1/query_exemplars", params=parameters).json()["data"])

            def ids(name: str) -> set[str]:
                return {exemplar["labels"]["trace_id"] for series in found(name) for exemplar in series["exemplars"]}

            wait_for(lambda: ids(DURATION) & client.keys(), "a trace in Prometheus", 60)
            wait_for(lambda: ids(STATEMENT) & client.keys(), "the trace of a statement", 60)
            assert ids(DURATION) <= client.keys()
            for series in found(DURATION):
                for exemplar in series["exemplars"]:
                    assert float(exemplar["value"]) <= float(series["seriesLabels"]["le"])
            expr = f"histogram_quantile(0.95, sum by (http_route, le) (rate({DURATION}_bucket[1m])))"
            async with PrometheusSource(SourceConfig(url=prometheus)) as source:
                answered = await source.exemplars(expr, time.time() - 120, time.time() + 60)
            chosen = choose_traces(answered, {"http_route": "/api/v1/search"})
            assert chosen
            # The caller waits at least as long as the service works.
            assert all(one.seconds <= client[one.trace_id] for one in chosen)
