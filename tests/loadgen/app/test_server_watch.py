"""The service's own series in the report: a real Prometheus that scrapes a real service during the run."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.app.server_watch import _is_at, find_service
from perfloop_loadgen.prometheus_api import PrometheusApi
from perfloop_loadgen.reporters.files import RENDERERS
from perfloop_loadgen.reporters.server_report import server_lines, server_rows
from perfloop_loadgen.server_series import DEFINITIONS, fill, matcher_of, name_of
from perfloop_loadgen.summary.document import from_json
from perfloop_loadgen.summary.server import Server, ServerLine, ServerSeries
from tests.loadgen.conftest import serving
from tests.support.free_ports import find_free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from perfloop_loadgen.summary.document import Document

CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: services
    static_configs: [{{targets: ["{address}"], labels: {{service: shop}}}}]
"""


class Shop:
    """A service that measures itself under the names that the instrumentation gives; every fifth answer is an error."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ["http_request_method", "http_route", "http_response_status_code", "error_type"]
        self.seconds = Histogram(
            "http_server_request_duration_seconds",
            "Durations.",
            labels,
            registry=self.registry,
            buckets=(0.005, 0.1, 1),
        )
        used = Gauge("db_client_connection_count", "Connections.", ["pool", "state"], registry=self.registry)
        used.labels("main", "used").set(3)
        most = Gauge("db_client_connection_max", "Most connections.", ["pool"], registry=self.registry)
        most.labels("main").set(12)
        self.cache = Counter("cache_requests", "Look-ups.", ["cache"], registry=self.registry)
        self.hits = Counter("cache_hits", "Hits.", ["cache"], registry=self.registry)
        Gauge("vllm:num_requests_waiting", "Queue.", ["model_name"], registry=self.registry).labels("tiny").set(7)
        self.answered = 0

    async def __call__(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        """Answer a scrape, or a request that is counted."""
        if request.startswith(b"GET /metrics"):
            body = generate_latest(self.registry)
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            return
        self.answered += 1
        status = 500 if self.answered % 5 == 0 else 200
        self.seconds.labels("GET", "/", str(status), "" if status == 200 else "500").observe(0.003)
        self.cache.labels("items").inc()
        self.hits.labels("items").inc(self.answered % 2)
        writer.write(b"HTTP/1.1 %d Status\r\nContent-Length: 2\r\n\r\nok" % status)


@asynccontextmanager
async def _prometheus(binary: str, directory: Path, target: str) -> AsyncIterator[str]:
    address = f"127.0.0.1:{find_free_ports(1)[0]}"
    (directory / "prometheus.yml").write_text(CONFIG.format(address=target))
    command = [binary, f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data"]
    process = subprocess.Popen(  # noqa: ASYNC220 - it only starts here
        [*command, f"--web.listen-address={address}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await _until_scraped(f"http://{address}")
        yield f"http://{address}"
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)


async def _until_scraped(url: str) -> None:
    until = time.monotonic() + 30
    async with httpx.AsyncClient() as client:
        while time.monotonic() < until:
            try:
                answer = await client.get(f"{url}/api/v1/query", params={"query": "up == 1"})
                if answer.json()["data"]["result"]:
                    return
            except (httpx.HTTPError, ValueError, KeyError):
                pass
            await asyncio.sleep(0.2)
    raise TimeoutError(url)


def _config(url: str, prometheus_url: str, **changes: Any) -> LoadTestConfig:
    values = {
        "base_url": url,
        "duration_seconds": 3,
        "concurrent_users": 2,
        "think_time_seconds": 0.02,
        "endpoints": [{"path": "/"}],
        "prometheus_url": prometheus_url,
        "generator_limits": {"cpu_ratio": 9, "event_loop_lag_seconds": 9},
    }
    return LoadTestConfig.model_validate(values | changes)


@pytest.fixture(scope="module")
def watched(prometheus_binary: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Document, int]:
    """The document of one run, and how many requests the service answered."""
    return asyncio.run(_watch(prometheus_binary, tmp_path_factory.mktemp("prometheus")))


async def _watch(binary: str, directory: Path) -> tuple[Document, int]:
    shop = Shop()
    async with serving(shop) as service:
        target = service.url.removeprefix("http://")
        async with _prometheus(binary, directory, target) as url:
            tester = LoadTester(_config(service.url, url))
            summary = await tester.run_load_test()
            return tester.document(summary), shop.answered


def _series(document: Document, name: str) -> ServerSeries:
    assert document.server is not None
    return next(one for one in document.server.series if one.name == name)


def test_the_service_is_found_by_its_address(watched: tuple[Document, int]):
    """Its label `service` stands for it."""
    server = watched[0].server
    assert server is not None
    assert (server.service, server.problems) == ('service="shop"', [])


def test_both_sides_count_the_same_requests(watched: tuple[Document, int]):
    """The scrape after the end was waited for: not one request is missing."""
    document, answered = watched
    assert document.server is not None
    assert document.server.client_requests == document.server.server_requests == answered
    rate = _series(document, "request_rate")
    assert rate.client == pytest.approx(rate.lines[0].value)


def test_errors_and_times_beside_the_clients(watched: tuple[Document, int]):
    """A fifth of errors on both sides; the service's p95 is within its first bucket."""
    errors = _series(watched[0], "error_ratio")
    assert errors.client == pytest.approx(0.2, abs=0.02)
    assert errors.lines[0].value == pytest.approx(0.2, abs=0.05)
    p95 = _series(watched[0], "response_time_p95")
    assert 0 < p95.lines[0].value <= 0.005
    assert p95.client == watched[0].summary.total.response.quantiles_seconds["p95"]


def test_states_have_their_mean_and_points(watched: tuple[Document, int]):
    """A pool by its name, a queue by its model, with points through the run."""
    pool = _series(watched[0], "db_pool_used").lines
    assert [(line.name, line.value, line.highest) for line in pool] == [("main", 0.25, 0.25)]
    assert len(pool[0].points) >= 2
    assert all(0 <= moment <= 10 for moment, _ in pool[0].points)
    assert [(line.name, line.value) for line in _series(watched[0], "vllm_waiting").lines] == [("tiny", 7)]
    assert _series(watched[0], "cache_hit_ratio").lines[0].value == pytest.approx(0.5, abs=0.1)


def test_what_is_missing_is_said(watched: tuple[Document, int]):
    """Not drawn as zero."""
    server = watched[0].server
    assert server is not None
    assert {"database query time p95", "CPU of the machine", "vLLM: KV cache used"} <= set(server.missing)
    assert {series.title for series in server.series}.isdisjoint(server.missing)
    assert len(server.series) + len(server.missing) == len(DEFINITIONS)


def test_every_report_has_them(watched: tuple[Document, int], tmp_path: Path):
    """Text, JSON that loads again, HTML with a plot of each kind, Markdown."""
    document, answered = watched
    assert document.server is not None
    lines = list(server_lines(document.server))
    assert lines[0].startswith('the service in Prometheus (service="shop", http://127.0.0.1:')
    assert lines[1].split() == ["requests", "counted", "client", f"{answered},", "service", str(answered)]
    assert any(line.startswith("  no data: ") for line in lines)
    path = tmp_path / "report.json"
    path.write_bytes(RENDERERS["json"](document))
    assert from_json(path).server == document.server
    assert json.loads(path.read_bytes())["server"]["service"] == 'service="shop"'
    page = RENDERERS["html"](document).decode()
    assert "<h2>The service</h2>" in page
    assert page.count("<figcaption>Service: ") == sum(any(x.points for x in s.lines) for s in document.server.series)
    rate = page.split("<figcaption>Service: requests ")[1].split("</figure>")[0]
    assert "</i>client</span>" in rate
    assert "</i>service</span>" in rate
    assert "| connection pool used (main) |  | 25% | 25% |" in RENDERERS["markdown"](document).decode()


async def test_a_prometheus_that_does_not_answer_is_said(hello: Any):
    """The run has its own result all the same."""
    config = _config(hello.url, f"http://127.0.0.1:{find_free_ports(1)[0]}", duration_seconds=0.3)
    tester = LoadTester(config)
    summary = await tester.run_load_test()
    server = tester.document(summary).server
    assert summary.verdict == "passed"
    assert server is not None
    assert (server.series, server.missing) == ([], [])
    assert server.problems[0].startswith("prometheus_url: http://127.0.0.1:")


async def test_a_silent_prometheus_is_not_waited_for_when_somebody_waits(hello: Any, serve: Any):
    """A signal has 5 s for everything."""

    async def silent(_: bytes, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with serve(silent) as prometheus:
        tester = LoadTester(_config(hello.url, prometheus.url, duration_seconds=0.2))
        task = asyncio.create_task(tester.run_load_test())
        async with asyncio.timeout(20):
            while not prometheus.requests:  # noqa: ASYNC110 - it is asked once the run has ended
                await asyncio.sleep(0.02)
        tester.stop("stopped", 0)
        async with asyncio.timeout(5):
            summary = await task
    server = tester.document(summary).server
    assert server is not None
    assert server.problems == ["stopped before Prometheus answered"]


async def test_answers_of_any_form_are_one_sentence(hello: Any, serve: Any):
    """What answers at the address may be anything."""
    for body in (b"[]", b'{"status":"success","data":{"result":[{"metric":[],"value":[1]}]}}', b"\xff", b"{"):
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        async with serve(answer) as prometheus:
            tester = LoadTester(_config(hello.url, prometheus.url, duration_seconds=0.1))
            server = tester.document(await tester.run_load_test()).server
        assert server is not None
        assert server.series == []
        assert len(server.problems) == 1


async def test_the_prometheus_of_a_stack_on_this_machine_is_asked(
    hello: Any, serve: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """Where a stack keeps its files, and no other address is set."""
    body = b'{"status":"success","data":{"result":[]}}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    (tmp_path / "home" / "targets").mkdir(parents=True)
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path / "home"))
    async with serve(answer) as prometheus:
        monkeypatch.setenv("PERFLOOP_PROMETHEUS_PORT", prometheus.url.rpartition(":")[2])
        config = _config(hello.url, "http://x", duration_seconds=0.2)
        config.prometheus_url = None
        tester = LoadTester(config)
        server = tester.document(await tester.run_load_test()).server
    assert server is not None
    assert (server.prometheus_url, server.service) == (prometheus.url, "")
    assert server.problems == ["no target has the address of base_url: name one by `service`, of no targets"]


async def test_gates_without_an_answer_are_enough(hello: Any, serve: Any):
    """The report has the reason once, and the end is not waited for twice."""
    async with serve(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n") as prometheus:
        gate = {"promql": "up", "expect": "> 0"}
        tester = LoadTester(_config(hello.url, prometheus.url, duration_seconds=0.2, thresholds=[gate]))
        summary = await tester.run_load_test()
    assert tester.only_queries_failed
    assert len(prometheus.requests) == 1
    assert tester.document(summary).server is None


async def test_without_a_prometheus_nothing_is_asked(hello: Any):
    """No stack, no setting: the report has no section of the service."""
    config = _config(hello.url, "http://x", duration_seconds=0.2)
    config.prometheus_url = None
    tester = LoadTester(config)
    assert tester.document(await tester.run_load_test()).server is None


class _Targets(PrometheusApi):
    def __init__(self, *targets: dict[str, str]) -> None:
        super().__init__("http://127.0.0.1:1")
        self._targets = targets

    async def instant(self, promql: str, at: float) -> list[tuple[dict[str, str], float]]:
        assert (promql, at) == ("up", 5.0)
        return [(labels, 1.0) for labels in self._targets]


@pytest.mark.parametrize(
    ("targets", "service", "found"),
    [
        ([{"instance": "h:80", "service": "a", "job": "j"}], None, 'service="a"'),
        ([{"instance": "h:80", "job": 'j"x'}], None, 'job="j\\"x"'),
        ([{"instance": "h:80", "service": "a"}, {"instance": "h:81", "service": "b"}], None, 'service="a"'),
        ([{"instance": "x:1", "service": "a"}], "a", 'service="a"'),
        ([{"instance": "x:1", "job": "a"}], "a", 'job="a"'),
        ([{"instance": "x:1", "service": "a"}], None, ""),
        ([{"instance": "x:1", "service": "a"}], "b", ""),
        ([{"instance": "h:80", "service": "a"}, {"instance": "h", "service": "b"}], None, ""),
        ([], None, ""),
    ],
)
async def test_which_target_is_the_service(targets: list[dict[str, str]], service: str | None, found: str):
    """By its address or by its name; where neither decides, nothing is guessed and the targets are named."""
    config = LoadTestConfig(base_url="http://h", service=service)
    matcher, problem = await find_service(_Targets(*targets), config, 5.0)
    assert matcher == found
    assert bool(problem) is not bool(found)
    assert all(one.get("service", "") in problem for one in targets) or found


@pytest.mark.parametrize(
    ("instance", "base_url", "same"),
    [
        ("127.0.0.1:8000", "http://localhost:8000", True),
        ("[::1]:8000", "http://localhost:8000", True),
        ("demo:8000", "http://127.0.0.1:8000", True),
        ("127.0.0.1:8001", "http://localhost:8000", False),
        ("10.0.0.5:8000", "http://localhost:8000", False),
        ("shop.example:443", "https://shop.example", True),
        ("shop.example", "https://shop.example", True),
        ("shop.example:80", "https://shop.example", False),
        ("other:8000", "http://shop:8000", False),
        ("", "http://shop:8000", False),
    ],
)
def test_addresses_of_targets(instance: str, base_url: str, *, same: bool):
    """This machine has several names; another machine has one."""
    assert _is_at(instance, base_url) is same


def test_expressions_are_filled():
    """A range is a whole number of seconds, at least one, and a label's value is quoted."""
    filled = fill("rate(x{$service}[$window])", matcher_of("service", 'a"b\\c'), 0.2)
    assert filled == 'rate(x{service="a\\"b\\\\c"}[1s])'


@pytest.mark.parametrize("name", ["shop", 'a"b\\c', "line\nbreak", "tab\t", "ein Bär", ""])
def test_the_name_of_a_matcher_is_the_service(name: str):
    """Whatever is in it; of no matcher it is empty."""
    assert name_of(matcher_of("service", name)) == name
    assert name_of("") == ""


@pytest.mark.parametrize(("theirs", "shown"), [(100, "100"), (97, "97 (-3)"), (1100, "1100 (+1000)")])
def test_requests_that_one_side_alone_counted(theirs: int, shown: str):
    """Lost before the service, or from somebody else: the gap is named."""
    server = Server("http://p", 'service="a"', client_requests=100, server_requests=theirs)
    assert list(server_rows(server)) == [("requests counted", "100", shown, "")]


def test_a_series_without_points_has_no_plot():
    """Its figure stands in the table."""
    line = ServerLine("", [], 0.5, 0.5)
    server = Server("http://p", 'service="a"', [ServerSeries("x", "thing", "ratio", [line])])
    assert list(server_lines(server)) == [
        'the service in Prometheus (service="a", http://p):',
        "  thing                        50%",
    ]
