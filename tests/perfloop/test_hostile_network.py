"""Every program beside strangers: other sites' pages in a browser, slow clients, malformed requests."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt
import httpx
import pytest

from perfloop_base.web.hosts import PRIVATE_SUFFIXES
from perfloop_base.web.limits import Limits
from tests.support.malformed import cases, send
from tests.support.servers import NAMES, TOKEN, parse_answer, read_all, running
from tests.support.strangers import ATTACKS, strangers
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import HttpServer

pytestmark = pytest.mark.xdist_group("hostile network")

LONG = bool(os.environ.get("PERFLOOP_LONG_TESTS"))
STRANGERS, SECONDS = (1000, 1.0) if LONG else (600, 10.0)  # the default suite shares its cores
GOOD_REQUESTS = 20
HEARTBEAT = b"POST /heartbeat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
JSON = {"Content-Type": "application/json"}
# Where each program shows what a request may have changed.
STATES = {"inbox": ("/faults", "/api/messages", "/api/heartbeats"), "demo": ("/faults", "/api/v1/agents")}
HEADERS = {
    "content-security-policy": "default-src 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
ODD_IDS = [
    "team%2Fshop",
    "..%2f..",
    "%00",
    "%0d%0aX-Injected:%20yes",
    "%ff%fe",
    "a%20b",
    "%E2%80%AE",
    "'%22%3Cb%3E",
    "x" * 4000,
]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, HttpServer]]:
    """Every program, without TLS and users."""
    with running(tmp_path_factory.mktemp("servers")) as found:
        yield found


@pytest.fixture(params=NAMES)
def server(request: pytest.FixtureRequest, servers: dict[str, HttpServer]) -> HttpServer:
    """One of the programs."""
    return servers[request.param]


def state(server: HttpServer) -> list[bytes]:
    """Return what requests can change."""
    return [server.ask(path=path).body for path in STATES.get(server.name, ())]


def test_every_path_refuses_a_foreign_name(server: HttpServer):
    """DNS rebinding: a page of another name reads nothing and changes nothing."""
    before = state(server)
    for method, path in server.operations():
        for host in ("evil.example", f"evil.example:{server.address[1]}", "127.0.0.1.evil.example"):
            answer = server.ask(method, path, {"Host": host, **JSON}, b"{}" if method in {"POST", "PUT"} else b"")
            assert (method, path, answer.status) == (method, path, 421)
            assert b"--web.allowed-hosts" in answer.body
    assert state(server) == before


@pytest.mark.parametrize("host", ["localhost:{port}", "127.0.0.1", "[::1]:{port}", "analyzer:19110", "LOCALHOST."])
def test_the_names_of_the_stack_are_answered(server: HttpServer, host: str):
    """Loopback, Compose's names, an IPv6 address."""
    assert server.ask(headers={"Host": host.format(port=server.address[1])}).status == 200


def test_every_response_has_the_headers(server: HttpServer):
    """Of every path and status: 200, 401, 404, 405, 415, 421, 503."""
    seen = set()
    for method, path in server.operations():
        for sent, headers in (
            (method, JSON),
            ("HEAD", {}),
            ("PATCH", JSON),
            ("POST", {}),
            ("GET", {"Host": "evil.example"}),
        ):
            answer = server.ask(sent, path, headers)
            seen.add(answer.status)
            assert answer.status < 500 or answer.status == 503, (sent, path)
            for name, value in HEADERS.items():
                assert answer.headers.get(name, "").startswith(value), (sent, path, name)
    assert {200, 404, 421} <= seen


def test_a_pages_policy_fits_the_page(server: HttpServer):
    """Its own scripts and styles may run, by their hashes; nothing in it needs more than the policy allows."""
    pages = [server.ask(path=path) for path in ("/", "/docs", "/report")]
    pages = [page for page in pages if page.status == 200]
    assert pages
    for page in pages:
        text, policy = page.body.decode(), page.headers["content-security-policy"]
        for found in re.findall(r"<(?:script|style)[^>]*>(.*?)</(?:script|style)>", text, re.DOTALL):
            assert base64.b64encode(hashlib.sha256(found.encode()).digest()).decode() in policy
        assert not re.search(r"<[^>]+\s(?:on[a-z]+|style|src)\s*=", text.partition("</style>")[2] or text)
        assert ("fetch(" in text) == ("connect-src 'self'" in policy)


def test_head_is_answered_as_get(server: HttpServer):
    """With the status and without the body."""
    for method, path in server.operations():
        if method == "GET":
            got, head = server.ask(path=path), server.ask("HEAD", path)
            assert (path, head.status, head.body) == (path, got.status, b"")


def test_a_wrong_method_names_the_right_ones(server: HttpServer):
    """A 405 with Allow."""
    answer = server.ask("PUT", "/metrics", JSON, b"" if server.name in {"exporter", "loadgen"} else b"{}")
    assert (answer.status, answer.headers.get("allow")) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {},
        {**JSON, "Origin": "http://evil.example"},
        {**JSON, "Origin": "null"},
        {**JSON, "Sec-Fetch-Site": "cross-site"},
        {"Authorization": f"Bearer {TOKEN}", "Origin": "http://evil.example"},
    ],
    ids=["form", "text", "multipart", "no type", "foreign origin", "null origin", "cross-site", "token"],
)
@pytest.mark.parametrize("name", ["analyzer", "inbox", "demo"])
def test_no_request_of_another_site_changes_anything(
    servers: dict[str, HttpServer], name: str, headers: dict[str, str]
):
    """The heartbeat among them; a GET never changes anything."""
    server = servers[name]
    before = state(server)
    changes = [(method, path) for method, path in server.operations() if method != "GET"]
    assert changes
    for method, path in changes:
        answer = server.ask(method, path, headers, b'{"slow_queries": 1, "slack": 500}')
        foreign = "Origin" in headers or len(headers) > 1
        expected = 403 if foreign else 401 if name == "analyzer" else 415  # the analyzer asks for its token first
        assert (method, path, answer.status) == (method, path, expected)
    for _, path in server.operations():
        server.ask(path=path)
    if name == "inbox":
        assert state(server) == before


@pytest.mark.parametrize("identifier", ODD_IDS)
@pytest.mark.parametrize(
    "path", ["/api/v1/recommendations/{}", "/{}", "/api/messages?alertname={}", "/metrics?collect[]={}"]
)
def test_odd_identifiers_are_only_text(server: HttpServer, path: str, identifier: str):
    """No error of the program, no header of the client's, no line of its own in the log."""
    lines = len(server.log.splitlines())
    answer = server.ask(path=path.format(identifier))
    assert 200 <= answer.status < 500 or answer.status == 503
    assert "x-injected" not in answer.headers
    assert len(server.log.splitlines()) - lines <= 1


def test_a_malformed_request_costs_no_traceback(server: HttpServer):
    """Nor does one that ends in the middle; the log keeps to one line each."""
    bad = [
        *(
            b"\x16\x03\x01\x02\x00\x01",
            b"hello\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET /\x1b[31m\r\nX HTTP/1.1\r\n\r\n",
        ),
        HEARTBEAT + b"Content-Length: 100\r\n\r\n{",
        HEARTBEAT + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ]
    for request in bad:
        with server.connect(5) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            answer = parse_answer(read_all(connection))
        assert answer.status == 0 or 400 <= answer.status < 500, request
    assert "Traceback" not in server.log
    assert all(line.startswith(("time=", "{")) or server.name == "loadgen" for line in server.log.splitlines())
    assert server.ask().status == 200


def test_malformed_requests_are_no_errors(server: HttpServer):
    """To no endpoint; `python benchmarks/malformed_requests.py` sends 10,000 to each."""
    for endpoint in server.operations():
        for case, status in send(server, cases(7, *endpoint), 25):
            assert status < 500 or status == 503, (endpoint, case)
    assert "Traceback" not in server.log
    assert server.ask().status == 200


@pytest.mark.parametrize("attack", ATTACKS)
def test_slow_clients_keep_nobody_out(server: HttpServer, attack: str):
    """Every one of twenty good requests is answered in time while hundreds of slow connections are open."""
    with strangers(server.address, attack, STRANGERS):
        for _ in range(GOOD_REQUESTS):
            started = time.monotonic()
            assert server.ask(path="/metrics").status == 200
            assert time.monotonic() - started < SECONDS
    assert server.process.poll() is None
    assert "Traceback" not in server.log


@pytest.mark.skipif(not LONG, reason="takes a minute and a half: set PERFLOOP_LONG_TESTS=1 to run it")
def test_slow_clients_are_gone_after_their_deadlines(server: HttpServer):
    """A byte now and then keeps no connection for longer than a head may take."""
    before = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
    with strangers(server.address, "a byte now and then", STRANGERS):
        time.sleep(16)
        assert server.ask().status == 200
        descriptors = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
    assert descriptors < before + 20


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, HttpServer], ssl.SSLContext]]:
    """Every program with TLS and one user, `user` with `secret`, and a client's context."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed: no certificates to test with")
    directory = tmp_path_factory.mktemp("guarded")
    keys = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=server"]
    files = ["-keyout", str(directory / "server.key"), "-out", str(directory / "server.crt")]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([openssl, "req", "-x509", *keys, *files, *names], check=True, capture_output=True)
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    web = directory / "web.yml"
    web.write_text(
        f"tls_server_config: {{cert_file: server.crt, key_file: server.key}}\nbasic_auth_users: {{user: {hashed}}}\n"
    )
    flags = [f"--web.config.file={web}", "--web.allowed-hosts=monitor.example.org,.example.net"]
    with running(directory, flags=flags) as found:
        yield found, ssl.create_default_context(cafile=str(directory / "server.crt"))


@pytest.mark.parametrize("name", NAMES)
def test_tls_and_users_protect_every_path(guarded: tuple[dict[str, HttpServer], ssl.SSLContext], name: str):
    """Nothing in plain text, a 401 without the user, and everything with it; allowed names are answered."""
    server, context = guarded[0][name], guarded[1]
    assert server.ask().status in {0, 400}
    user = {"Authorization": f"Basic {base64.b64encode(b'user:secret').decode()}"}
    for path in ("/", "/metrics", "/-/healthy", "/no/such/page"):
        assert server.ask(path=path, context=context).status == 401
        assert server.ask(path=path, headers={"Authorization": "Basic dXNlcjp4"}, context=context).status == 401
        assert server.ask(path=path, headers=user, context=context).status in {200, 404}
    for host, status in (("monitor.example.org", 200), ("a.example.net:1", 200), ("evil.example", 421)):
        assert server.ask(headers={**user, "Host": host}, context=context).status == status


def test_prometheus_scrapes_every_program_over_tls_with_a_user(
    guarded: tuple[dict[str, HttpServer], ssl.SSLContext], prometheus_binary: str, free_port: int, tmp_path: Path
):
    """With the settings that docs/security.md shows."""
    targets = ", ".join(f"'127.0.0.1:{server.address[1]}'" for server in guarded[0].values())
    certificate = guarded[0]["exporter"].log_path.parents[1] / "server.crt"
    (tmp_path / "prometheus.yml").write_text(
        "scrape_configs:\n- job_name: guarded\n  scrape_interval: 1s\n  scheme: https\n"
        f"  tls_config: {{ca_file: {certificate}}}\n  basic_auth: {{username: user, password: secret}}\n"
        f"  static_configs: [{{targets: [{targets}]}}]\n"
    )
    flags = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    command = [prometheus_binary, *flags, f"--web.listen-address=127.0.0.1:{free_port}"]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_for(lambda: _count_up(free_port) == len(NAMES), "Prometheus to scrape every program", 60)
        finally:
            process.terminate()


def _count_up(port: int) -> int:
    try:
        found = httpx.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": "sum(up)"}, timeout=5).json()
    except httpx.HTTPError:
        return 0
    return sum(int(one["value"][1]) for one in found["data"]["result"])


def test_the_limits_are_documented(checkout: Path):
    """The page of documentation has the flags and the numbers that are in use."""
    text, limits = (checkout / "docs" / "security.md").read_text(), Limits()
    words = ("--web.allowed-hosts", "--web.config.file", f"{limits.head_seconds:g} s", f"{limits.idle_seconds:g} s")
    for word in (*words, str(limits.connections), *(f"`.{suffix}`" for suffix in PRIVATE_SUFFIXES[1:])):
        assert word in text
