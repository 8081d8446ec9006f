"""Every Prometheus API alike: the real servers that are on PATH, and nginx before them with prefix, sign-in and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_analyzer.app import run_once
from perfloop_analyzer.config import RunConfig, SourceConfig
from perfloop_analyzer.errors import SourceError
from tests.analyzer.conftest import wait_for
from tests.support.free_ports import find_free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from perfloop_analyzer.ports import Result

SIGNALS = """
signals:
- {name: depth, title: Queue depth, component: database, kind: use, unit: items, expr: depth, limit: {warning: 10}}
"""
NGINX = """
daemon off; pid {home}/nginx.pid; error_log {home}/error.log; worker_processes 1; {user}
events {{}}
http {{
  access_log off; client_body_temp_path {home}/a; proxy_temp_path {home}/b; fastcgi_temp_path {home}/c;
  uwsgi_temp_path {home}/d; scgi_temp_path {home}/e;
  server {{
    listen 127.0.0.1:{port} ssl; ssl_certificate {home}/cert.pem; ssl_certificate_key {home}/key.pem;
    location /basic/prometheus/ {{
      auth_basic perfloop; auth_basic_user_file {home}/users; proxy_pass {upstream}/;
      proxy_set_header Authorization "";
    }}
    location /team/prometheus/ {{
      if ($http_authorization != "Bearer sesame") {{ return 401; }}
      if ($http_x_scope_orgid != "team-a") {{ return 422; }}
      proxy_pass {upstream}/; proxy_set_header Authorization "";
    }}
  }}
}}
"""


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on PATH: the analyzer was not tried against it here")
    return found


@contextlib.contextmanager
def _started(command: Sequence[object], ready: str, directory: Path | None = None) -> Iterator[None]:
    """Run a program while the block lasts, in a directory for what it leaves behind."""
    words = [str(part) for part in command]
    process = subprocess.Popen(words, cwd=directory, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_for(ready, 60.0)
        yield
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _scrape_file(directory: Path, target: int) -> Path:
    path = directory / "scrape.yml"
    path.write_text(
        "global: {scrape_interval: 1s, external_labels: {replica: a}}\nscrape_configs:\n- job_name: shop\n"
        f"  static_configs: [{{targets: ['127.0.0.1:{target}'], labels: {{service: shop}}}}]\n"
    )
    return path


@contextlib.contextmanager
def _prometheus(binary: str, directory: Path, target: int) -> Iterator[str]:
    (port,) = find_free_ports(1)
    url = f"http://127.0.0.1:{port}"
    flags = [f"--config.file={_scrape_file(directory, target)}", f"--storage.tsdb.path={directory / 'tsdb'}"]
    with _started([binary, *flags, f"--web.listen-address=127.0.0.1:{port}"], f"{url}/-/ready"):
        yield url


@contextlib.contextmanager
def _victoria_metrics(directory: Path, target: int) -> Iterator[str]:
    """The single binary, scraping by itself; asked below its own path prefix."""
    binary = _program("victoria-metrics")
    (port,) = find_free_ports(1)
    (directory / "scrape.yml").write_text(
        _scrape_file(directory, target).read_text().replace(", external_labels: {replica: a}", "")
    )
    flags = [f"-promscrape.config={directory / 'scrape.yml'}", f"-storageDataPath={directory / 'vm'}"]
    flags += [f"-httpListenAddr=127.0.0.1:{port}", "-search.latencyOffset=0s"]
    with _started([binary, *flags], f"http://127.0.0.1:{port}/health"):
        yield f"http://127.0.0.1:{port}/prometheus"


@contextlib.contextmanager
def _thanos(directory: Path, target: int, prometheus: str) -> Iterator[str]:
    """A querier before a sidecar before Prometheus."""
    binary = _program("thanos")
    sidecar, sidecar_http, query, query_http = find_free_ports(4)
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(_prometheus(prometheus, directory, target))
        beside = [f"--prometheus.url={source}", f"--tsdb.path={directory / 'tsdb'}"]
        beside += [f"--grpc-address=127.0.0.1:{sidecar}", f"--http-address=127.0.0.1:{sidecar_http}"]
        stack.enter_context(_started([binary, "sidecar", *beside], f"http://127.0.0.1:{sidecar_http}/-/ready"))
        flags = [f"--endpoint=127.0.0.1:{sidecar}", f"--grpc-address=127.0.0.1:{query}", "--web.route-prefix=/thanos"]
        flags += [f"--http-address=127.0.0.1:{query_http}", "--query.replica-label=replica"]
        stack.enter_context(_started([binary, "query", *flags], f"http://127.0.0.1:{query_http}/-/ready"))
        yield f"http://127.0.0.1:{query_http}/thanos"


MIMIR = """
target: all
multitenancy_enabled: false
no_auth_tenant: team-a
server:
  {{http_listen_address: 127.0.0.1, http_listen_port: {http}, grpc_listen_address: 127.0.0.1, grpc_listen_port: {grpc}}}
common: {{storage: {{backend: filesystem, filesystem: {{dir: {home}/blocks}}}}}}
blocks_storage: {{tsdb: {{dir: {home}/tsdb}}, bucket_store: {{sync_dir: {home}/sync}}, storage_prefix: blocks}}
ruler_storage: {{storage_prefix: rules}}
alertmanager_storage: {{storage_prefix: alerts}}
alertmanager: {{data_dir: {home}/alerts, sharding_ring: {ring}}}
compactor: {{data_dir: {home}/compactor, sharding_ring: {ring}}}
distributor: {{ring: {ring}}}
ingester: {{ring: {ring_of_one}}}
ruler: {{ring: {ring}}}
store_gateway: {{sharding_ring: {ring_of_one}}}
query_scheduler: {{ring: {ring}}}
frontend: {{address: 127.0.0.1}}
usage_stats: {{enabled: false}}
activity_tracker: {{filepath: ''}}
"""
RING = "{instance_addr: 127.0.0.1, kvstore: {store: inmemory}}"
RING_OF_ONE = "{instance_addr: 127.0.0.1, replication_factor: 1, kvstore: {store: inmemory}}"


@contextlib.contextmanager
def _mimir(directory: Path, target: int, prometheus: str) -> Iterator[str]:
    """A Mimir that Prometheus writes to."""
    binary = _program("mimir")
    http, grpc = find_free_ports(2)
    numbers = {"http": http, "grpc": grpc, "home": directory / "mimir", "ring": RING, "ring_of_one": RING_OF_ONE}
    (directory / "mimir.yml").write_text(MIMIR.format(**numbers))
    url = f"http://127.0.0.1:{http}"
    with _started([binary, f"-config.file={directory / 'mimir.yml'}"], f"{url}/ready", directory):
        write = f"remote_write: [{{url: '{url}/api/v1/push'}}]\n"
        source = directory / "source"
        source.mkdir()
        config = _scrape_file(source, target)
        config.write_text(config.read_text() + write)
        (port,) = find_free_ports(1)
        flags = [f"--config.file={config}", f"--storage.tsdb.path={source / 'tsdb'}"]
        ready = f"http://127.0.0.1:{port}/-/ready"
        with _started([prometheus, *flags, f"--web.listen-address=127.0.0.1:{port}"], ready):
            yield f"{url}/prometheus"


async def _finds(source: SourceConfig, directory: Path) -> Result:
    """Analyze until the deep queue is found."""
    signals = directory / "signals.yml"
    signals.write_text(SIGNALS)
    for _ in range(150):
        result = await run_once(RunConfig(source, catalog_files=(signals,)))
        if result.findings:
            return result
        await asyncio.sleep(0.3)
    raise AssertionError(f"nothing was found, failures: {result.failures}")


def _is_complete(result: Result) -> bool:
    """Whether every query of the catalogue was answered, and the finding is the queue's."""
    return not result.failures and {found.signal for found in result.findings} == {"depth"}


@pytest.mark.parametrize("kind", ["prometheus", "victoria-metrics", "thanos", "mimir"])
async def test_every_server_is_understood(kind: str, prometheus_binary: str, service: Any, tmp_path: Path) -> None:
    """The whole catalogue is answered without an error, and a deep queue is found."""
    service.text = "# TYPE depth gauge\ndepth 50\n"
    tenants = {"X-Scope-OrgID": "team-a"} if kind == "mimir" else {}
    opened = {
        "prometheus": lambda: _prometheus(shutil.which("prometheus") or prometheus_binary, tmp_path, service.port),
        "victoria-metrics": lambda: _victoria_metrics(tmp_path, service.port),
        "thanos": lambda: _thanos(tmp_path, service.port, prometheus_binary),
        "mimir": lambda: _mimir(tmp_path, service.port, prometheus_binary),
    }
    with opened[kind]() as url:
        assert _is_complete(await _finds(SourceConfig(url, tenants), tmp_path))


def _until_listening(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("nginx does not listen")


@pytest.fixture
def front(prometheus: str, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Nginx with TLS: one prefix wants user and password, the other a bearer token and a tenant."""
    nginx, openssl = _program("nginx"), _program("openssl")
    (port,) = find_free_ports(1)
    home = tmp_path / "nginx"
    home.mkdir()
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    made = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", *subject]
    subprocess.run([*made, "-keyout", home / "key.pem", "-out", home / "cert.pem"], check=True, capture_output=True)
    (home / "users").write_text("reader:{PLAIN}secret\n")
    user = "user root;" if home.owner() == "root" else ""
    (home / "nginx.conf").write_text(NGINX.format(home=home, port=port, upstream=prometheus, user=user))
    process = subprocess.Popen([nginx, "-p", home, "-c", home / "nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        _until_listening(port)
        yield f"https://127.0.0.1:{port}", home
    finally:
        process.terminate()
        process.wait(10)


async def test_prefix_basic_auth_and_tls(front: tuple[str, Path], service: Any, tmp_path: Path) -> None:
    """With the certificate's authority and the password it works; without either it is refused with a reason."""
    url, home = front
    service.text = "depth 50\n"
    password = tmp_path / "password"
    password.write_text("secret\n")
    good = SourceConfig(
        f"{url}/basic/prometheus", username="reader", password_file=password, ca_file=home / "cert.pem", retries=0
    )
    assert _is_complete(await _finds(good, tmp_path))
    password.write_text("guess\n")
    with pytest.raises(SourceError, match="HTTP 401"):
        await run_once(RunConfig(good))
    with pytest.raises(SourceError, match="certificate verify failed"):
        await run_once(RunConfig(SourceConfig(f"{url}/basic/prometheus", retries=0)))


async def test_prefix_bearer_token_and_tenant(front: tuple[str, Path], service: Any, tmp_path: Path) -> None:
    """Token and tenant reach the server; a missing tenant is a refusal that names itself."""
    url, _ = front
    service.text = "depth 50\n"
    token = tmp_path / "token"
    token.write_text("sesame\n")
    prefix = f"{url}/team/prometheus/"
    good = SourceConfig(prefix, {"X-Scope-OrgID": "team-a"}, bearer_token_file=token, insecure=True, retries=0)
    assert _is_complete(await _finds(good, tmp_path))
    with pytest.raises(SourceError, match="HTTP 422"):
        await run_once(RunConfig(SourceConfig(prefix, bearer_token_file=token, insecure=True, retries=0)))
