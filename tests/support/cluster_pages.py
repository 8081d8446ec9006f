"""A cluster and a mesh as their exporters show them: pages in their format, scraped by a real Prometheus."""

from __future__ import annotations

import http.server
import re
import string
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from tests.support.free_ports import find_free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "tests" / "fixtures" / "kubernetes"
CLUSTER, MESH = ((PAGES / name).read_text(encoding="utf-8") for name in ("cluster.prom", "mesh.prom"))
RULES = ("packs.yml", "spellings.yml", "red.yml")
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
            "bad": passed * float(self.state.get("bad_rate", 0.0)),
        }
        return string.Template(self.text).substitute({**counters, **self.state})


@contextmanager
def scraped(prometheus: str, directory: Path, page: Page, **labels: str) -> Iterator[httpx.Client]:
    """A Prometheus that scrapes a page every second, with the rules of this stack."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page.render().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            with suppress(BrokenPipeError):  # a scrape ends with its Prometheus
                self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (port,) = find_free_ports(1)
    target = {"targets": [f"127.0.0.1:{server.server_address[1]}"], "labels": labels}
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "2s"},
        "rule_files": [f"{directory}/{name}" for name in RULES],
        "scrape_configs": [{"job_name": "cluster", "honor_labels": True, "static_configs": [target]}],
    }
    for name in RULES:
        text = (ROOT / "prometheus" / "rules" / name).read_text(encoding="utf-8")
        # A test does not wait for the intervals of a stack.
        (directory / name).write_text(re.sub(r"(?m)^ +interval: .*\n", "", text), encoding="utf-8")
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    flags = [f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={directory / 'tsdb'}"]
    command = [prometheus, *flags, f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    with subprocess.Popen(command) as process, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        try:
            yield client
        finally:
            process.terminate()
            server.shutdown()
            server.server_close()


def finds(client: httpx.Client, expression: str) -> bool:
    """Return whether a query finds anything now."""
    try:
        answer = client.get("/api/v1/query", params={"query": expression})
    except httpx.HTTPError:
        return False
    return answer.is_success and bool(answer.json()["data"]["result"])
