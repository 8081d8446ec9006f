"""A cluster as its exporters show it, scraped by a real Prometheus, read by the real analyzer.

The first Prometheus scrapes a page in the format of kube-state-metrics and cAdvisor that a test makes sick; the second
scrapes the proxies of a mesh; the past of the third is written by hand, since waste takes days to see.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from perfloop_analyzer.app import run_once
from perfloop_analyzer.config import RunConfig, SourceConfig
from perfloop_analyzer.configuration import load_knowledge
from perfloop_analyzer.kubernetes_watch import KubernetesWatch
from perfloop_analyzer.loop import Loop
from perfloop_analyzer.prometheus_api import PrometheusSource
from perfloop_analyzer.store import Database
from perfloop_analyzer.waste_watch import WasteWatch
from tests.support.cluster_pages import CLUSTER, EXPORTER, HEALTHY, MESH, MIB, SICK, Page, finds, scraped
from tests.support.history import serve_history, write_history
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import httpx

    from perfloop_analyzer.ports import Result
    from perfloop_analyzer.recommend import Recommendation


async def _analyze(client: httpx.Client) -> Result:
    return await run_once(RunConfig(SourceConfig(str(client.base_url)), rate_window="20s", step_seconds=1.0))


def _advice(result: Result) -> dict[str, Recommendation]:
    return {one.rule: one for one in result.recommendations}


def _patch(one: Recommendation) -> Any:
    return yaml.safe_load(one.values["patch"]["yaml"])


async def test_a_cluster_is_healthy_and_then_is_not(prometheus_binary: str, tmp_path: Path) -> None:
    """Nothing is found of a healthy one; each trouble leads to its finding, its cause and its patch."""
    page = Page(CLUSTER, HEALTHY)
    with scraped(prometheus_binary, tmp_path, page, service=EXPORTER) as client:
        wait_for(lambda: finds(client, "count_over_time(kube_pod_owner[1m]) > 8"), "eight scrapes", 60)
        healthy = await _analyze(client)
        assert {one.signal for one in healthy.findings} == set()
        assert healthy.recommendations == ()
        assert {one.service for one in healthy.health} >= {"checkout", "search", "db"}
        recorded = client.get("/api/v1/query", params={"query": "namespace_pod:kube_pod_service:info"}).json()
        services = {row["metric"]["pod"]: row["metric"]["service"] for row in recorded["data"]["result"]}
        assert services == {
            "checkout-7d4b9c6f5d-x2x4v": "checkout",
            "search-5c9f8b7d6c-k8k9p": "search",
            "worker-6f7d8c9b5f-zt2wq": "worker",
            "db-0": "db",
            "agent-vb4x7": "agent",
        }

        page.state = SICK
        grown = (
            "rate(container_cpu_cfs_throttled_periods_total[20s]) / rate(container_cpu_cfs_periods_total[20s]) > 0.5"
        )
        wait_for(lambda: finds(client, grown), "throttling", 60)
        wait_for(lambda: finds(client, "increase(kube_pod_container_status_restarts_total[1m]) > 0.5"), "a restart", 60)
        sick = await _analyze(client)
    found = {(one.service, one.signal) for one in sick.findings if one.detector == "threshold"}
    assert found == {
        ("checkout", "kube_cpu_throttled_ratio"),
        ("search", "kube_memory_kills"),
        ("worker", "kube_pods_waiting"),
        ("checkout", "kube_autoscaler_used_ratio"),
        ("db", "kube_volume_used_ratio"),
    }
    causes = {(cause.service, cause.component) for incident in sick.incidents for cause in incident.causes}
    assert causes >= {("checkout", "cpu"), ("search", "memory"), ("worker", "pods"), ("db", "disk")}
    _check_advice(_advice(sick))


def _check_advice(advice: Mapping[str, Recommendation]) -> None:
    throttled = _patch(advice["container_throttled"])
    assert (throttled["kind"], throttled["metadata"]) == ("Deployment", {"name": "checkout", "namespace": "shop"})
    (container,) = throttled["spec"]["template"]["spec"]["containers"]
    assert container["name"] == "server"
    assert int(container["resources"]["limits"]["cpu"].removesuffix("m")) >= 600
    # The label is the service, the Deployment is what has to be changed.
    killed = _patch(advice["container_killed"])
    assert advice["container_killed"].service == "search"
    assert killed["metadata"]["name"] == "search-v2"
    assert killed["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] == {"memory": "160Mi"}
    assert "Unschedulable" in advice["pods_waiting"].title
    assert _patch(advice["autoscaler_at_maximum"])["spec"] == {"maxReplicas": 6}
    assert "data-db-0" in advice["volume_filling"].title


async def test_a_service_that_only_the_mesh_knows_has_health(prometheus_binary: str, tmp_path: Path) -> None:
    """Requests are counted once, whatever both ends report; a service with series of its own has none of the mesh's."""
    page = Page(MESH, {"bad_rate": 1.0})
    with scraped(prometheus_binary, tmp_path, page, service="istio-proxies") as client:
        for series in ('http_server_request_duration_seconds_count{service="reviews"}', "mesh_server_requests_total"):
            # A value every two seconds: the series is older than the window of the rates.
            enough = f"count_over_time({series}[1m]) > 12"
            wait_for(lambda enough=enough: finds(client, enough), "the mesh's requests", 120)  # type: ignore[misc]
        result = await _analyze(client)
        rates = _rates(client, "sum by (service) (rate(http_server_request_duration_seconds_count[20s]))")
        shares = _rates(client, 'sum by (service) (rate(mesh_server_requests_total{security=~"mutual_tls|true"}[20s]))')
    # Ten a second at the server and as many at the caller; nine and one at the waypoint; what is instrumented says 5.
    assert rates["reviews"] == pytest.approx(10, rel=0.2)
    assert rates["ratings"] == pytest.approx(10, rel=0.2)
    assert rates["details"] == pytest.approx(5, rel=0.2)
    assert rates["voting"] == pytest.approx(10, rel=0.2)
    assert rates["mysql.example.com"] == pytest.approx(10, rel=0.2)
    assert "unknown" not in rates
    assert shares["reviews"] == pytest.approx(9, rel=0.2)
    scores = {one.service: one.score for one in result.health}
    assert scores["reviews"] < 100
    assert scores["details"] == 100
    assert ("reviews", "error_ratio") in {(one.service, one.signal) for one in result.findings}


def _rates(client: httpx.Client, expression: str) -> dict[str, float]:
    answer = client.get("/api/v1/query", params={"query": expression}).json()["data"]["result"]
    return {row["metric"].get("service", ""): float(row["value"][1]) for row in answer}


MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
END = 1_700_000_100.0
START = END - 1.6 * DAY
WEB = 'namespace="shop",pod="{pod}",container="server"'
CHANGED = END - 6 * MINUTE


def _always(value: float) -> Callable[[float], float | None]:
    return lambda _: value


def _since_change(after: bool) -> Callable[[float], float | None]:  # noqa: FBT001 - which side of it
    return lambda moment: 1.0 if (moment >= CHANGED) == after else None


def _past() -> str:
    """A Deployment of three pods that request one core each and use a tenth; six minutes ago it got another image."""
    series: dict[str, Callable[[float], float | None]] = {}
    for number in range(3):
        pod, of = f"web-7d4b9c6f5d-x2x4{'vwx'[number]}", WEB.format(pod=f"web-7d4b9c6f5d-x2x4{'vwx'[number]}")
        use = f'container_cpu_usage_seconds_total{{{of},cpu="total",service="kubelet"}}'
        series[use] = lambda moment: 0.1 * (moment - START) + 0.5 * math.sin(moment / HOUR)
        series[f'container_memory_working_set_bytes{{{of},service="kubelet"}}'] = lambda _: 100 * MIB
        owner = f'namespace="shop",pod="{pod}",owner_kind="ReplicaSet",owner_name="web-7d4b9c6f5d"'
        series[f"kube_pod_owner{{{owner}}}"] = lambda _: 1
        for resource, size in (("cpu", 1.0), ("memory", 1024 * MIB)):
            series[f'kube_pod_container_resource_requests{{{of},resource="{resource}"}}'] = _always(size)
        series[f"kube_pod_container_status_running{{{of}}}"] = lambda _: 1
        for tag, after in (("1.3", False), ("1.4", True)):
            image = f'kube_pod_container_info{{{of},image="shop/web:{tag}"}}'
            series[image] = _since_change(after)
    owned = 'namespace="shop",replicaset="web-7d4b9c6f5d",owner_kind="Deployment",owner_name="web"'
    series[f"kube_replicaset_owner{{{owned}}}"] = lambda _: 1
    return write_history(series, np.arange(START, END + 1, MINUTE).tolist())


async def test_what_is_requested_for_nothing_is_found(prometheus_binary: str, promtool: str, tmp_path: Path) -> None:
    """A core each for a tenth of one: the request is lowered in all three pods, and the deployment is a change."""
    with serve_history(prometheus_binary, promtool, tmp_path, _past()) as client:
        config = RunConfig(SourceConfig(str(client.base_url)), rate_window="5m", step_seconds=MINUTE)
        database = Database("sqlite://")
        try:
            async with PrometheusSource(config.source) as source:
                watch = KubernetesWatch(source)
                loop = Loop(config, watch, database, load_knowledge(config))
                loop.ahead.cluster = watch
                loop.ahead.waste = WasteWatch()
                result = await loop.cycle(END)
        finally:
            database.close()
    assert result is not None
    assert result.findings == ()
    advice = _advice(result)
    assert set(advice) == {"waste_cpu_request", "waste_memory_request"}
    cpu = advice["waste_cpu_request"]
    assert cpu.service == "web"
    assert "in each of 3 pods" in cpu.improvement.explanation  # type: ignore[union-attr]
    request = _patch(cpu)["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"]
    assert 100 <= int(request.removesuffix("m")) <= 250
    freed = 3 * (1.0 - int(request.removesuffix("m")) / 1000)
    assert cpu.added["core_hour"] == pytest.approx(-freed, rel=0.02)
    changes = [(one.kind, one.service, one.title) for one in result.changes]
    assert changes == [("deployment", "web", "went from web:1.3 to web:1.4")]
