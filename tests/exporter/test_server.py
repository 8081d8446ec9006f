"""The web server: pages, scrapes, invalid requests, limits, shutdown."""

from __future__ import annotations

import gzip
import http.client
import re
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from perfloop_base.errors import ExitCode
from perfloop_exporter.web.messages import BadRequestError, parse_request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.exporter.conftest import Exporter, StartExporter

# Names of node_exporter and cAdvisor that promtool reports: camel case, bits, degrees and the like. The names below
# node_ that node_exporter does not have are excluded.
INHERITED = re.compile(r"^(node_(?!scrape_collector_(timeouts_total|absent))|container_)")


def talk(address: str, data: bytes) -> bytes:
    """Send these bytes and return the response."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def status_of(address: str, path: str) -> tuple[int, str]:
    """Return status and text of a page."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_promtool_reports_no_name_of_our_own(running: Exporter, promtool: str) -> None:
    """Every name that promtool reports is node_exporter's or cAdvisor's."""
    found = subprocess.run(
        [promtool, "check", "metrics"], input=running.get(), capture_output=True, text=True, check=False, timeout=30
    )

    assert [line for line in (found.stdout + found.stderr).splitlines() if not INHERITED.match(line)] == []


@pytest.mark.parametrize(
    ("query", "included", "excluded"),
    [
        ("collect[]=cpu&collect[]=loadavg", {"cpu", "loadavg"}, {"meminfo"}),
        ("collect%5B%5D=cpu", {"cpu"}, {"loadavg"}),
        ("exclude[]=cpu&exclude[]=nothing", {"loadavg", "meminfo"}, {"cpu"}),
        ("other=1", {"cpu", "loadavg"}, set()),
    ],
)
def test_the_url_chooses_collectors(query: str, included: set[str], excluded: set[str], running: Exporter) -> None:
    """collect[] and exclude[] have node_exporter's semantics."""
    names = set(re.findall(r'node_scrape_collector_success\{collector="(\w+)"', running.get(f"/metrics?{query}")))

    assert included <= names
    assert not excluded & names


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("collect[]=cpu&exclude[]=loadavg", "Combined collect and exclude queries are not allowed."),
        ("collect[]=nothing", "couldn't create collector: missing collector: nothing"),
        ("collect[]=processes", "couldn't create collector: disabled collector: processes"),
    ],
)
def test_an_invalid_choice_is_rejected(query: str, sentence: str, running: Exporter) -> None:
    """The response is 400 with node_exporter's own message."""
    status, text = status_of(running.address, f"/metrics?{query}")

    assert status == 400
    assert sentence in text


def test_a_gzip_response_has_the_same_families(running: Exporter) -> None:
    """A client that accepts gzip gets the same families in less than a third of the bytes."""
    request = urllib.request.Request(f"http://{running.address}/metrics", headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        packed = answer.read()
        assert answer.headers["Content-Encoding"] == "gzip"

    plain = running.get()
    families = re.findall(r"^# TYPE .*", gzip.decompress(packed).decode(), re.MULTILINE)
    assert re.findall(r"^# TYPE .*", plain, re.MULTILINE) == families
    assert len(packed) < len(plain) / 3


def test_one_connection_serves_many_scrapes(running: Exporter) -> None:
    """The connection stays open between requests; HEAD has no body; an unknown page is 404, POST 405."""
    connection = http.client.HTTPConnection(running.address, timeout=30)
    seen = []
    for method, path in (
        ("GET", "/metrics"),
        ("HEAD", "/metrics"),
        ("GET", "/nothing"),
        ("POST", "/"),
        ("GET", "/-/ready"),
    ):
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
        seen.append((answer.status, answer.getheader("Connection")))

    assert seen == [(code, "keep-alive") for code in (200, 200, 404, 405, 200)]
    connection.close()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"400"),
        (b"GET /metrics\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"400"),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", b"404"),
        (b"GET /%0d%0aX:1 HTTP/1.0\r\n\r\n", b"404"),
    ],
)
def test_invalid_requests_are_rejected(data: bytes, status: bytes, running: Exporter) -> None:
    """The response has an error status, and the server continues."""
    assert talk(running.address, data).split(b" ")[1] == status
    assert status_of(running.address, "/-/healthy")[0] == 200


def test_noise_on_many_connections_does_not_end_the_server(running: Exporter) -> None:
    """With incomplete requests, resets and idle connections the server still responds."""
    host, _, port = running.address.rpartition(":")
    sleepers = [socket.create_connection((host, int(port)), timeout=30) for _ in range(50)]
    for number, sleeper in enumerate(sleepers):
        sleeper.sendall(b"GET /metr"[: number % 9])

    assert status_of(running.address, "/metrics")[0] == 200
    for sleeper in sleepers:
        sleeper.close()
    assert status_of(running.address, "/metrics")[0] == 200


def test_sigterm_ends_the_process(start_exporter: StartExporter) -> None:
    """With idle connections open the exit code is still 0."""
    running = start_exporter()
    host, _, port = running.address.rpartition(":")
    with socket.create_connection((host, int(port))):
        begin = time.monotonic()

        assert running.stop() == ExitCode.OK
        assert time.monotonic() - begin < 15  # 5 s by contract; the rest is for a busy machine


def test_more_scrapes_than_allowed_are_rejected(start_exporter: StartExporter) -> None:
    """Beyond --web.max-requests the response is 503, and both statuses are counted."""
    exporter = start_exporter("--web.max-requests=1", "--collector.processes")
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.extend(status_of(exporter.address, "/metrics")[0] for _ in range(10)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(statuses) <= {200, 503}
    assert statuses.count(200) > 0
    text = exporter.get()
    assert f'promhttp_metric_handler_requests_total{{code="503"}} {statuses.count(503)}\n' in text


def test_the_header_of_prometheus_bounds_the_scrape(running: Exporter) -> None:
    """A valid scrape timeout in the request is used, an invalid one ignored."""
    for timeout in ("0.5", "soon", "-1", "nan"):
        assert "node_load1" in running.get(headers={"X-Prometheus-Scrape-Timeout-Seconds": timeout})


def test_the_exporter_listens_on_several_addresses(start_exporter: StartExporter) -> None:
    """--web.listen-address may be repeated."""
    exporter = start_exporter("--web.listen-address=127.0.0.1:0")
    end = time.monotonic() + 30
    while exporter.log().count("msg=listening") < 2 and time.monotonic() < end:
        time.sleep(0.02)

    for address in re.findall(r"address=(\S+)", exporter.log()):
        assert status_of(address, "/-/healthy")[0] == 200


@pytest.mark.parametrize(
    "line", ["GET / HTTP/2", "GET  / HTTP/1.1", "", "GET / HTTP/1.1\r\n: x", "GET / HTTP/1.1\r\nA : x"]
)
def test_a_malformed_head_raises(line: str) -> None:
    """Every head that is not a valid request raises."""
    with pytest.raises(BadRequestError):
        parse_request(line.encode())


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    """Check that tests leave no thread running."""
    before = threading.active_count()
    yield
    assert threading.active_count() <= before + 1
