"""Each discovery example: taken by promtool; DNS, HTTP and Consul found by a real Prometheus, with our labels."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from tests.support.dns_server import Records, run_dns
from tests.support.free_ports import find_free_ports
from tests.support.prometheus_versions import find_newer, find_shipped
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

DISCOVERY = Path(__file__).parents[2] / "examples" / "discovery"
NAMES = ("azure", "consul", "dns", "ec2", "gce", "http", "kubernetes")
OUR_LABELS = {"service", "host"}
NAME_SERVER = "127.11.0.53"
# Debian's build of 2.42 has neither of the two.
LEAST = {"consul": (2, 43), "kubernetes": (2, 43)}


def load(name: str) -> dict[str, Any]:
    """An example."""
    document: dict[str, Any] = yaml.safe_load((DISCOVERY / f"{name}.yml").read_text())
    return document


def test_every_example_is_tried() -> None:
    """No file of the directory is left out here."""
    assert sorted(path.stem for path in DISCOVERY.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_promtool_accepts_the_example(name: str, promtool: str) -> None:
    """By the promtool that this machine has, 2.42 or later: each file is a whole configuration."""
    checker = find_newer("promtool", promtool, LEAST.get(name, (2, 42)))
    command = [checker, "check", "config", "--syntax-only", str(DISCOVERY / f"{name}.yml")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_promtool_accepts_the_example(name: str) -> None:
    """By the promtool of the image that Compose runs."""
    command = [find_shipped("promtool"), "check", "config", "--syntax-only", str(DISCOVERY / f"{name}.yml")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_target_gets_our_labels(name: str) -> None:
    """Rules, boards and the analyzer select by service, and know a machine by its host."""
    for job in load(name)["scrape_configs"]:
        assert {rule.get("target_label") for rule in job["relabel_configs"]} >= OUR_LABELS, job["job_name"]


@pytest.fixture
def answering() -> Iterator[Callable[[Callable[[str, Mapping[str, str]], tuple[int, Any]]], int]]:
    """Start an HTTP server whose answers a function gives as JSON; its port."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Callable[[str, Mapping[str, str]], tuple[int, Any]]) -> int:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, document = answer(self.path, self.headers)
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("X-Consul-Index", "7")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return int(server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def discovering(binary: str, text: str, directory: Path, before: Sequence[str] = ()) -> Iterator[str]:
    """Run a Prometheus with this configuration while the block lasts; its URL."""
    (port,) = find_free_ports(1)
    (directory / "prometheus.yml").write_text(text)
    command = [*before, binary, f"--config.file={directory / 'prometheus.yml'}"]
    command += [f"--storage.tsdb.path={directory / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def targets(url: str, log: Path) -> list[dict[str, str]]:
    """The labels of every target that Prometheus found, with its address; in the order of addresses."""

    def ask() -> Any:
        try:
            answer = httpx.get(f"{url}/api/v1/targets", params={"state": "active"}, timeout=5, trust_env=False)
            return answer.json()["data"]["activeTargets"]
        except (httpx.TransportError, ValueError):
            return []

    found = wait_for(ask, f"targets: {log.read_text(errors='replace')[-1500:]}", 60)
    shown = [{**target["labels"], "url": target["scrapeUrl"]} for target in found]
    return sorted(shown, key=lambda labels: labels["url"])


def test_http_discovery_finds_the_inventorys_targets(prometheus_binary: str, answering: Any, tmp_path: Path) -> None:
    """The token is sent, the labels of the inventory are kept, an entry without a service is known by its address."""
    token = tmp_path / "inventory_token"
    token.write_text("inventory-token-1\n")
    inventory = [
        {"targets": ["10.0.0.7:8000"], "labels": {"service": "search"}},
        {"targets": ["10.0.0.9:8000"]},
    ]
    sent: list[str] = []

    def answer(_: str, headers: Mapping[str, str]) -> tuple[int, Any]:
        sent.append(headers["Authorization"])
        return 200, inventory

    text = (DISCOVERY / "http.yml").read_text().replace("/run/secrets", str(tmp_path))
    text = text.replace("https://inventory.shop.internal", f"http://127.0.0.1:{answering(answer)}")
    with discovering(prometheus_binary, text, tmp_path) as url:
        found = targets(url, tmp_path / "log")
    assert [(one["service"], one["host"], one["instance"], one["job"]) for one in found] == [
        ("search", "10.0.0.7", "10.0.0.7:8000", "http"),
        ("10.0.0.9:8000", "10.0.0.9", "10.0.0.9:8000", "http"),
    ]
    assert set(sent) == {"Bearer inventory-token-1"}


def _instance(number: int, status: str) -> dict[str, Any]:
    node = {"Node": f"node-{number}", "Address": f"10.1.0.{number}", "Datacenter": "dc1", "Meta": {}}
    service = {"ID": f"search-{number}", "Service": "search", "Tags": ["perfloop"], "Address": "", "Port": 8000}
    checks = [{"CheckID": "alive", "Status": status}]
    return {"Node": node, "Service": service | {"Meta": {"metrics_path": "/internal/metrics"}}, "Checks": checks}


def test_consul_discovery_finds_healthy_instances(prometheus_binary: str, answering: Any, tmp_path: Path) -> None:
    """The service's name, its node and its path are taken; an instance that Consul has given up is no target."""
    binary = find_newer("prometheus", prometheus_binary, LEAST["consul"])

    def answer(path: str, _: Mapping[str, str]) -> tuple[int, Any]:
        if path.startswith("/v1/agent/self"):
            return 200, {"Config": {"Datacenter": "dc1"}}
        if path.startswith("/v1/catalog/services"):
            return 200, {"search": ["perfloop"], "consul": []}
        if path.startswith("/v1/health/service/search"):
            return 200, [_instance(1, "passing"), _instance(2, "critical")]
        return 404, {}

    text = (DISCOVERY / "consul.yml").read_text().replace("127.0.0.1:8500", f"127.0.0.1:{answering(answer)}")
    with discovering(binary, text, tmp_path) as url:
        found = targets(url, tmp_path / "log")
    assert [(one["service"], one["host"], one["instance_id"], one["zone"], one["url"]) for one in found] == [
        ("search", "node-1", "search-1", "dc1", "http://10.1.0.1:8000/internal/metrics")
    ]


def test_dns_discovery_finds_records(prometheus_binary: str, tmp_path: Path) -> None:
    """SRV records bring the port, A records the address; a name that does not exist has no targets."""
    unshare = shutil.which("unshare")
    if os.geteuid() != 0 or unshare is None:
        pytest.skip("Prometheus asks the servers of /etc/resolv.conf: only root can give it another one, with unshare")
    resolver = tmp_path / "resolv.conf"
    resolver.write_text(f"nameserver {NAME_SERVER}\n")
    mounted = f'mount --bind {resolver} /etc/resolv.conf && exec "$@"'
    before = [unshare, "--mount", "sh", "-c", mounted, "sh"]
    if subprocess.run([*before, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine allows no mount of its own: Prometheus cannot be given another name server")
    records = Records(
        addresses={"cart.shop.internal": ["10.2.0.1", "10.2.0.2"]},
        services={"_metrics._tcp.search.shop.internal": [("search-1.shop.internal", 9100)]},
    )
    text = re.sub(r"refresh_interval: \w+", "refresh_interval: 1s", (DISCOVERY / "dns.yml").read_text())
    with (
        contextlib.contextmanager(run_dns)(NAME_SERVER, records),
        discovering(prometheus_binary, text, tmp_path, before) as url,
    ):
        wait_for(lambda: len(targets(url, tmp_path / "log")) >= 3, "three targets", 60)
        found = targets(url, tmp_path / "log")
    assert [(one["service"], one["host"], one["instance"], one["job"]) for one in found] == [
        ("cart", "10.2.0.1", "10.2.0.1:8000", "dns-a"),
        ("cart", "10.2.0.2", "10.2.0.2:8000", "dns-a"),
        ("search", "search-1.shop.internal", "search-1.shop.internal:9100", "dns-srv"),
    ]
    assert "_metrics._tcp.orders.shop.internal" in records.asked
