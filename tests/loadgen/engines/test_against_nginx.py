"""Real nginx: its own counters and log against what was measured, over HTTP/1.1 and HTTP/2."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest

from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.config.connection import TlsConfig
from perfloop_loadgen.reporters.exposition import LoadgenCollector
from perfloop_loadgen.reporters.files import RENDERERS
from tests.support.free_ports import find_free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = """
daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/error.log;
events {{ worker_connections 256; }}
http {{
  log_format protocol '$server_protocol $request_uri $status'; access_log {directory}/access.log protocol;
  client_body_temp_path {directory}/a; proxy_temp_path {directory}/b; fastcgi_temp_path {directory}/c;
  uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
  gzip on; gzip_min_length 1; gzip_types application/json;
  server {{
    listen 127.0.0.1:{plain}; keepalive_requests 50;
    location = / {{ return 200 "hello"; }}
    location = /item {{ default_type application/json; return 200 '{{"state": "sold", "pad": "{pad}"}}'; }}
    location = /old {{ return 301 /item; }}
    location = /secure {{ return 301 https://127.0.0.1:{tls}/item; }}
    location = /status {{ access_log off; stub_status; }}
  }}
  server {{
    listen 127.0.0.1:{tls} ssl http2; keepalive_requests 100000;
    ssl_certificate {directory}/both.pem; ssl_certificate_key {directory}/both.pem;
    location = / {{ return 200 "hello"; }}
    location = /item {{ default_type application/json; return 200 '{{"state": "sold", "pad": "{pad}"}}'; }}
    location = /old {{ return 301 /item; }}
  }}
  server {{
    listen 127.0.0.1:{h2c} http2; keepalive_requests 100;
    location = / {{ return 200 "hello"; }}
  }}
}}
"""
PAD = "price " * 100


class Nginx(NamedTuple):
    """A running nginx."""

    plain: str
    tls: str
    h2c: str
    directory: Path


def _make_certificate(directory: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", directory / "key", "-out", directory / "crt"], check=True, capture_output=True)
    (directory / "both.pem").write_text((directory / "key").read_text() + (directory / "crt").read_text())


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """Debian's nginx on free ports; it closes each connection after fifty requests."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        pytest.skip("nginx is not installed (Debian: nginx-light)")
    directory = tmp_path_factory.mktemp("nginx")
    directory.chmod(0o777)
    _make_certificate(directory)
    plain, tls, h2c = find_free_ports(3)
    (directory / "nginx.conf").write_text(CONFIG.format(directory=directory, plain=plain, tls=tls, h2c=h2c, pad=PAD))
    command = [program, "-c", f"{directory}/nginx.conf", "-e", f"{directory}/error.log"]
    with subprocess.Popen(command) as process:
        try:
            _wait_until_open(plain)
            yield Nginx(f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{tls}", f"http://127.0.0.1:{h2c}", directory)
        finally:
            process.terminate()


def _wait_until_open(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(port)


def _config(url: str, **changes: Any) -> LoadTestConfig:
    base = {"name": "n", "base_url": url, "duration_seconds": 0.7, "concurrent_users": 8, "endpoints": [{"path": "/"}]}
    return LoadTestConfig.model_validate(base | changes)


def _seen(nginx: Nginx) -> int:
    """Return nginx's own count of requests, this question included."""
    return int(httpx.get(f"{nginx.plain}/status").text.splitlines()[2].split()[2])


async def test_nginx_counts_what_was_measured_to_the_request(nginx: Nginx):
    """Nginx's counter, the summary, the live series, the JSON and the page: one number."""
    before = await asyncio.to_thread(_seen, nginx)
    tester = LoadTester(_config(nginx.plain))
    summary = await tester.run_load_test()
    after = await asyncio.to_thread(_seen, nginx)
    count = after - before - 1
    collector = LoadgenCollector()
    collector.runs = [tester.live()]
    samples = [sample for family in collector.collect() for sample in family.samples]
    live = sum(sample.value for sample in samples if sample.name == "loadgen_requests_total")
    buckets = sum(sample.value for sample in samples if sample.name == "loadgen_response_seconds_count")
    document = tester.document(summary)
    written = json.loads(RENDERERS["json"](document))["summary"]["total"]["total_requests"]
    assert summary.total_requests == live == buckets == written == count
    assert f'data-value="{count}"' in RENDERERS["html"](document).decode()
    assert summary.failed_requests == 0


@pytest.mark.parametrize(("http2", "protocol"), [(True, "HTTP/2.0"), (False, "HTTP/1.1")])
async def test_httpx_speaks_the_protocol_of_its_key(nginx: Nginx, http2: bool, protocol: str):  # noqa: FBT001 - a column
    """The engine of one key, over TLS: nginx's log names the protocol, and counts the same requests."""
    log = nginx.directory / "access.log"
    before = len(log.read_text().splitlines()) if log.exists() else 0
    config = _config(nginx.tls, engine="httpx", http2=http2, tls={"verify": False}, concurrent_users=2)
    summary = await LoadTester(config).run_load_test()
    lines = log.read_text().splitlines()[before:]
    assert summary.failed_requests == 0
    # What an engine does not measure is not there, rather than 0.
    assert summary.phases == {}
    assert len(lines) == summary.total_requests
    assert {line.split()[0] for line in lines} == {protocol}


async def test_our_own_engine_speaks_tls(nginx: Nginx):
    """HTTP/1.1 over TLS: every request is answered, and each connection has its time for TCP and for TLS."""
    summary = await LoadTester(_config(nginx.tls, tls={"verify": False})).run_load_test()
    assert summary.outcomes == {"ok": summary.total_requests}
    assert summary.total_requests > 50
    assert summary.phases["connect"].count == summary.phases["tls"].count == 8
    assert summary.phases["wait"].count == summary.total_requests


async def test_httpx_names_failures_as_our_engine_does(free_port: int):
    """A port without a server."""
    summary = await LoadTester(_config(f"http://127.0.0.1:{free_port}", engine="httpx")).run_load_test()
    assert set(summary.outcomes) == {"connection_refused"}


@pytest.mark.parametrize("engine", [{}, {"engine": "httpx", "http2": True}, {"engine": "httpx"}])
async def test_a_redirect_to_a_compressed_answer(nginx: Nginx, engine: dict[str, Any]):
    """Followed, decoded and checked, over both protocols: nginx answered twice for each request, with fewer bytes."""
    headers = {"Accept-Encoding": "gzip"}
    checks = [{"json": "state", "equals": "sold"}, {"header": "Content-Encoding", "equals": "gzip"}]
    endpoints = [{"path": "/old", "headers": headers, "checks": checks}]
    config = _config(nginx.tls, redirects="follow", endpoints=endpoints, tls={"verify": False}, **engine)
    summary = await LoadTester(config).run_load_test()
    count = summary.total_requests
    assert summary.outcomes == {"ok": count}
    assert summary.total.statuses == {"200": count, "301": count}
    refused = await LoadTester(config.model_copy(update={"redirects": "refuse"})).run_load_test()
    assert set(refused.outcomes) == {"redirect"}


@pytest.mark.parametrize("engine", ["http1", "httpx"])
async def test_a_redirect_to_tls(nginx: Nginx, engine: str):
    """From the one port to the other, with the test's own settings of TLS."""
    endpoints = [{"path": "/secure", "checks": [{"json": "state", "equals": "sold"}]}]
    config = _config(nginx.plain, engine=engine, redirects="follow", endpoints=endpoints, tls={"verify": False})
    summary = await LoadTester(config).run_load_test()
    assert summary.outcomes == {"ok": summary.total_requests}
    assert summary.statuses == {"200": summary.total_requests, "301": summary.total_requests}
    trusting = config.model_copy(update={"tls": TlsConfig()})
    assert set((await LoadTester(trusting).run_load_test()).outcomes) == {"tls_certificate"}
