"""A cluster as its exporters show it, scraped by a real Prometheus, read by the real analyzer.

The first Prometheus scrapes a page in the format of kube-state-metrics and cAdvisor that a test makes sick; the second
scrapes the proxies of a mesh; the past of the third is written by hand, since waste takes days to see.
"""

from __future__ import annotations

import http.server
import string
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
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
from tests.support.free_ports import find_free_ports
from tests.support.history import serve_history, write_history
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from perfloop_analyzer.ports import Result
    from perfloop_analyzer.recommend import Recommendation

ROOT = Path(__file__).parents[3]
PAGES = ROOT / "tests" / "fixtures" / "kubernetes"
RULES = [str(ROOT / "prometheus" / "rules" / name) for name in ("packs.yml", "spellings.yml", "red.yml")]
EXPORTER = "kube-prometheus-stack-kube-state-metrics"
KILLED = 'kube_pod_container_status_last_terminated_reason{namespace="shop",pod="search-5c9f8b7d6c-k8k9p",uid="a2",'
MIB = 2.0**20
HEALTHY = {"tag": "1.3", "restarts": 0, "killed": "", "pending": 0, "desired": 2, "free": 5e9, "throttled_share": 0.0}
SICK = {
    **HEALTHY,
    "restarts": 1,
    "killed": f'{KILLED}container="server",reason="OOMKilled"}} 1',
    "pending": 1,
    "desired": 4,
    "free": 0.5e9,
    "throttled_share": 0.6,
}


@dataclass
class Page:
    """A page of metrics whose counters grow with time; `state` fills in its names."""

    text: str
    state: Mapping[str, Any]
    started: float = field(default_factory=time.monotonic)
    _throttled: float = 0.0
    _at: float = field(default_factory=time.monotonic)

    def render(self) -> str:
        """The page now."""
        now = time.monotonic()
        share = float(self.state.get("throttled_share", 0.0))
        self._throttled += 10.0 * share * (now - self._at)
        self._at = now
        passed = now - self.started
        counters = {
            "periods": 10 * passed,
            "throttled": self._throttled,
            "waited": self._throttled / 20,
            "used": 0.2 * passed,
            "idle": 0.02 * passed,
            "passed": passed,
            "good": 9 * passed,
            "half": 5 * passed,
            "bad": passed * float(self.state.get("bad", 0.0)),
        }
        return string.Template(self.text).substitute({**counters, **self.state})


@contextmanager
def _scraped(prometheus: str, directory: Path, page: Page, **labels: str) -> Iterator[httpx.Client]:
    """A Prometheus that scrapes a page every second, with the rules of this stack."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page.render().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (port,) = find_free_ports(1)
    target = {"targets": [f"127.0.0.1:{server.server_address[1]}"], "labels": labels}
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": RULES,
        "scrape_configs": [{"job_name": "cluster", "honor_labels": True, "static_configs": [target]}],
    }
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    flags = [f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={directory / 'tsdb'}"]
    command = [prometheus, *flags, f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    with subprocess.Popen(command) as process, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        try:
            yield client
        finally:
            process.terminate()
            server.shutdown()


def _finds(client: httpx.Client, expression: str) -> bool:
    try:
        answer = client.get("/api/v1/query", params={"query": expression})
    except httpx.HTTPError:
        return False
    return answer.is_success and bool(answer.json()["data"]["result"])


async def _analyze(client: httpx.Client) -> Result:
    return await run_once(RunConfig(SourceConfig(str(client.base_url)), rate_window="5s", step_seconds=1.0))


def _advice(result: Result) -> dict[str, Recommendation]:
    return {one.rule: one for one in result.recommendations}


def _patch(one: Recommendation) -> Any:
    return yaml.safe_load(one.values["patch"]["yaml"])


async def test_a_cluster_is_healthy_and_then_is_not(prometheus_binary: str, tmp_path: Path) -> None:
    """Nothing is found of a healthy one; each trouble leads to its finding, its cause and its patch."""
    page = Page((PAGES / "cluster.prom").read_text(encoding="utf-8"), HEALTHY)
    with _scraped(prometheus_binary, tmp_path, page, service=EXPORTER) as client:
        wait_for(lambda: _finds(client, "count_over_time(kube_pod_owner[1m]) > 8"), "eight scrapes", 60)
        healthy = await _analyze(client)
        assert {one.signal for one in healthy.findings} == set()
        assert healthy.recommendations == ()
        assert {one.service for one in healthy.health} >= {"checkout", "search", "db"}
        assert EXPORTER not in {one.service for one in healthy.health if one.service != EXPORTER}

        page.state = SICK
        grown = "rate(container_cpu_cfs_throttled_periods_total[5s]) / rate(container_cpu_cfs_periods_total[5s]) > 0.5"
        wait_for(lambda: _finds(client, grown), "throttling", 60)
        wait_for(
            lambda: _finds(client, "increase(kube_pod_container_status_restarts_total[1m]) > 0.5"), "a restart", 60
        )
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
    page = Page((PAGES / "mesh.prom").read_text(encoding="utf-8"), {"bad": 1.0})
    with _scraped(prometheus_binary, tmp_path, page, service="istio-proxies") as client:
        own = 'rate(http_server_request_duration_seconds_count{service="reviews"}[5s])'
        wait_for(lambda: _finds(client, own), "the mesh's requests", 60)
        wait_for(lambda: _finds(client, "rate(mesh_server_requests_total[5s]) > 0"), "its security", 60)
        result = await _analyze(client)
        rates = _rates(client, "sum by (service) (rate(http_server_request_duration_seconds_count[5s]))")
        shares = _rates(client, 'sum by (service) (rate(mesh_server_requests_total{security=~"mutual_tls|true"}[5s]))')
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


def _past() -> str:
    """A Deployment of three pods that request one core each and use a tenth; six minutes ago it got another image."""
    series: dict[str, Callable[[float], float | None]] = {}
    for number in range(3):
        pod, of = f"web-7d4b9c6f5d-x2x4{'vwx'[number]}", WEB.format(pod=f"web-7d4b9c6f5d-x2x4{'vwx'[number]}")
        use = f'container_cpu_usage_seconds_total{{{of},cpu="total",service="kubelet"}}'
        series[use] = lambda moment: 0.1 * (moment - START) + 0.5 * np.sin(moment / HOUR)
        series[f'container_memory_working_set_bytes{{{of},service="kubelet"}}'] = lambda _: 100 * MIB
        owner = f'namespace="shop",pod="{pod}",owner_kind="ReplicaSet",owner_name="web-7d4b9c6f5d"'
        series[f"kube_pod_owner{{{owner}}}"] = lambda _: 1
        for resource, size in (("cpu", 1.0), ("memory", 1024 * MIB)):
            series[f'kube_pod_container_resource_requests{{{of},resource="{resource}"}}'] = lambda _, size=size: size
        series[f"kube_pod_container_status_running{{{of}}}"] = lambda _: 1
        for tag, after in (("1.3", False), ("1.4", True)):
            image = f'kube_pod_container_info{{{of},image="shop/web:{tag}"}}'
            series[image] = lambda moment, after=after: 1 if (moment >= CHANGED) == after else None
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
                loop.name_workloads(watch)
                loop.find_waste(WasteWatch())
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
