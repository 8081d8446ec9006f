"""Figures of the boards beside the truth, under a load that ends by itself. Bar: each within 5 %.

Usage: python benchmarks/board_accuracy.py [--seconds 100] [--markdown]

The demo, an exporter, a load test of `demo/steady.yml` and Prometheus with the shipped rules run by themselves. A while
into the load, and again after its end, the queries of the panels are sent as Grafana sends them, and their answers are
compared with what Prometheus had no part in: the counters on the demo's own page, read by this program over the same
minute; the summary that the load generator writes; /proc, statvfs and the process table. Exits 1 when a figure is more
than 5 % away.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import yaml
from prometheus_client.parser import text_string_to_metric_families

from perfloop.stack import programs
from tests.grafana.boards import default_values, fill_in, list_panels, read_boards
from tests.grafana.proc import Watching
from tests.support.free_ports import find_free_ports
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHECKOUT = Path(__file__).resolve().parents[1]
BAR = 0.05
WINDOW_SECONDS = 60  # of the boards' rates, as BUILT_IN of tests/grafana/boards.py has it
SCRAPE_SECONDS = 5
READ_SECONDS = 0.5
ERROR_RATIO = 0.2  # of the demo's answers, so that there are failures to count
REQUESTS = "http_server_request_duration_seconds_count"
QUERIES = "db_client_operation_duration_seconds_count"
TOKENS = "gen_ai_server_token_usage_total"
SEARCH = {"http_route": "/api/v1/search"}
FAILED = {"http_response_status_code": "500"}
OUTPUT, INPUT = {"gen_ai_token_type": "output"}, {"gen_ai_token_type": "input"}
SQLITE = {"db_system_name": "sqlite"}


@dataclass(frozen=True)
class Truth:
    """What was so, without Prometheus: the demo's counters over the window, the machine, the load test's summary."""

    first: dict[str, Any]
    last: dict[str, Any]
    seconds: float
    machine: Watching
    until: float
    demo: tuple[float, float]
    alerts: int
    series: int
    summary: dict[str, Any] = field(default_factory=dict)

    def rise(self, metric: str, **labels: str) -> float:
        """Return by how much a counter rose, summed over the series with these labels."""
        return _total(self.last, metric, labels) - _total(self.first, metric, labels)

    def rate(self, metric: str, **labels: str) -> float:
        """Return its rise per second."""
        return self.rise(metric, **labels) / self.seconds

    def level(self, name: str) -> float:
        """Return a level of the machine at the end of the window."""
        return min(self.machine.readings, key=lambda reading: abs(reading[0] - self.until))[1][name]

    def busy(self) -> float:
        """Return the share of the CPUs that was used in the window."""
        begin, end = (self.machine.at("CPU busy", moment) for moment in (self.until - WINDOW_SECONDS, self.until))
        return (end - begin) / WINDOW_SECONDS / self.level("CPUs")


@dataclass(frozen=True)
class Figure:
    """A figure of a board: its panel, its query, the series of it that is meant, and how the truth is found."""

    panel: str
    source: str
    find: Callable[[Truth], float]
    query: str = "A"
    labels: dict[str, str] = field(default_factory=dict)
    unit: str = ""


COUNTERS, KERNEL, SUMMARY, PROCESS = "the demo's counters", "/proc", "the run's summary", "the process table"
DURING = (
    Figure("service: Request rate", COUNTERS, lambda it: it.rate(REQUESTS), unit="/s"),
    Figure("overview: Request rate", COUNTERS, lambda it: it.rate(REQUESTS), unit="/s"),
    Figure("service: Failed requests", COUNTERS, lambda it: it.rise(REQUESTS, **FAILED) / it.rise(REQUESTS)),
    Figure("overview: Failed requests", COUNTERS, lambda it: it.rise(REQUESTS, **FAILED) / it.rise(REQUESTS)),
    Figure("service: Routes", COUNTERS, lambda it: it.rate(REQUESTS, **SEARCH), "A", SEARCH, "/s"),
    Figure(
        "service: Routes",
        "sum / count of the demo",
        lambda it: it.rise(REQUESTS.replace("count", "sum"), **SEARCH) / it.rise(REQUESTS, **SEARCH),
        "C",
        SEARCH,
        " s",
    ),
    Figure("service: Responses by status class", COUNTERS, lambda it: it.rate(REQUESTS, **FAILED), "D", unit="/s"),
    Figure(
        "service: Request and response bodies",
        COUNTERS,
        lambda it: it.rate("http_server_response_body_bytes_total"),
        "B",
        unit=" B/s",
    ),
    Figure("database-cache: Queries/s", COUNTERS, lambda it: it.rate(QUERIES, **SQLITE), unit="/s"),
    Figure("database-cache: Queries/request", COUNTERS, lambda it: it.rise(QUERIES, **SQLITE) / it.rise(REQUESTS)),
    Figure(
        "database-cache: Cache hit ratio",
        COUNTERS,
        lambda it: it.rise("cache_hits_total") / it.rise("cache_requests_total"),
    ),
    Figure("llm: Calls", COUNTERS, lambda it: it.rate("gen_ai_server_request_duration_seconds_count"), unit="/s"),
    Figure("llm: Output tokens/s", COUNTERS, lambda it: it.rate(TOKENS, **OUTPUT), unit="/s"),
    Figure("llm: Token throughput", COUNTERS, lambda it: it.rate(TOKENS, **INPUT), "B", unit="/s"),
    Figure("system: CPU used", KERNEL, Truth.busy),
    Figure("system: Memory used", KERNEL, lambda it: it.level("memory used")),
    Figure("system: CPUs", KERNEL, lambda it: it.level("CPUs")),
    Figure("system: Memory", KERNEL, lambda it: it.level("memory"), unit=" B"),
    Figure("system: Uptime", KERNEL, lambda it: it.level("uptime"), unit=" s"),
    Figure("stack: Memory by component", PROCESS, lambda it: it.demo[0], labels={"job": "demo"}, unit=" B"),
    Figure("stack: CPU by component", PROCESS, lambda it: it.demo[1], labels={"job": "demo"}),
    Figure("stack: Active series", "Prometheus' TSDB statistics", lambda it: it.series),
    Figure("alerts: Critical", "Prometheus' list of alerts", lambda it: it.alerts),
)


def _per_second(it: Truth, what: str) -> float:
    return float(it.summary["total"][what] / it.summary["duration_seconds"])


AFTER = (
    Figure("load-test: Completed rate", SUMMARY, lambda it: _per_second(it, "total_requests"), unit="/s"),
    Figure(
        "load-test: Failed requests",
        SUMMARY,
        lambda it: it.summary["total"]["failed_requests"] / it.summary["total"]["total_requests"],
    ),
    Figure(
        "load-test: Response p95",
        SUMMARY,
        lambda it: it.summary["total"]["response"]["quantiles_seconds"]["p95"],
        unit=" s",
    ),
    Figure("load-test: Duration", SUMMARY, lambda it: it.summary["duration_seconds"], unit=" s"),
    Figure("load-test: Transfer rate", SUMMARY, lambda it: _per_second(it, "bytes_received"), unit=" B/s"),
)


class Boards:
    """The panels' queries, asked of Prometheus."""

    def __init__(self, client: httpx.Client) -> None:
        boards = read_boards(CHECKOUT)
        self._client = client
        self._values = {uid: default_values(board) for uid, board in boards.items()}
        self._panels = {str(panel): panel for panel in list_panels(boards)}

    def ask(self, figure: Figure, at: float) -> float | None:
        """Return what a figure shows at a moment, None for nothing."""
        panel = self._panels[figure.panel]
        (expr,) = [target["expr"] for target in panel.json["targets"] if target["refId"] == figure.query]
        asked = {"query": fill_in(expr, self._values[panel.board]), "time": at}
        answer = self._client.get("/api/v1/query", params=asked).raise_for_status().json()
        found = [one for one in answer["data"]["result"] if figure.labels.items() <= one["metric"].items()]
        return float(found[0]["value"][1]) if found else None


def _total(page: dict[str, Any], metric: str, labels: dict[str, str]) -> float:
    return sum(value for found, value in page.get(metric, ()) if labels.items() <= found.items())


def _parse(text: str) -> dict[str, Any]:
    page: dict[str, Any] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            page.setdefault(sample.name, []).append((sample.labels, sample.value))
    return page


class Reader:
    """Reads the demo's page and its process again and again, without Prometheus."""

    def __init__(self, url: str, process: psutil.Process) -> None:
        self.readings: list[tuple[float, str, tuple[float, float]]] = []
        self._url, self._process = url, process
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._end.wait(READ_SECONDS):
                times = self._process.cpu_times()
                used = (float(self._process.memory_info().rss), times.user + times.system)
                sent = time.time()
                text = client.get(f"{self._url}/metrics").text
                self.readings.append(((sent + time.time()) / 2, text, used))

    def stop(self) -> None:
        """End."""
        self._end.set()
        self._thread.join()

    def nearest(self, moment: float) -> tuple[float, str, tuple[float, float]]:
        """Return the reading that is nearest to a moment."""
        return min(self.readings, key=lambda reading: abs(reading[0] - moment))


def _write(directory: Path, ports: dict[str, int], seconds: int) -> None:
    jobs = {"demo": "demo", "node": "exporter", "loadgen": "loadgen", "prometheus": "prometheus"}
    services = {"demo": "demo", "node": "host"}
    scrapes = [
        {
            "job_name": job,
            "static_configs": [
                {"targets": [f"127.0.0.1:{ports[name]}"], "labels": {"service": services.get(job, job)}}
            ],
        }
        for job, name in jobs.items()
    ]
    every = {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"}
    rules = [str(CHECKOUT / "prometheus" / kind / "*.yml") for kind in ("rules", "alerts")]
    config = {"global": {**every, "scrape_timeout": "4s"}, "rule_files": rules, "scrape_configs": scrapes}
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    document = yaml.safe_load((CHECKOUT / "demo" / "steady.yml").read_text(encoding="utf-8"))
    document["load_tests"]["steady"] |= {
        "base_url": f"http://127.0.0.1:{ports['demo']}",
        "duration_seconds": seconds,
        # A load that the machine bears badly is counted all the same.
        "generator_limits": {"cpu_ratio": 9, "event_loop_lag_seconds": 60},
    }
    (directory / "load.yml").write_text(yaml.safe_dump(document), encoding="utf-8")


@contextlib.contextmanager
def _run(directory: Path, name: str, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    with (directory / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=directory)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()


@dataclass(frozen=True)
class Stack:
    """What runs, and where."""

    directory: Path
    ports: dict[str, int]
    demo: psutil.Process

    def url(self, name: str) -> str:
        """Return where a program answers."""
        return f"http://127.0.0.1:{self.ports[name]}"


@contextlib.contextmanager
def _started(directory: Path, prometheus: str, seconds: int) -> Iterator[Stack]:
    names = ("demo", "exporter", "loadgen", "prometheus")
    ports = dict(zip(names, find_free_ports(len(names)), strict=True))
    _write(directory, ports, seconds)

    def at(name: str) -> str:
        return f"--web.listen-address=127.0.0.1:{ports[name]}"

    python = (sys.executable, "-m")
    store = (f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={directory / 'data'}")
    with (
        _run(directory, "demo", *python, "perfloop_demo.service", at("demo"), f"--data.dir={directory}") as demo,
        _run(directory, "exporter", *python, "perfloop_exporter", at("exporter")),
        _run(directory, "prometheus", prometheus, *store, at("prometheus")),
    ):
        stack = Stack(directory, ports, psutil.Process(demo.pid))
        for name, path in (("demo", "/health"), ("exporter", "/metrics"), ("prometheus", "/-/ready")):
            wait_for(functools.partial(_answers, stack.url(name) + path), name)
        yield stack


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url, timeout=10).is_success
    return False


def _observe(client: httpx.Client, reader: Reader, machine: Watching) -> tuple[float, Truth]:
    """Return the moment of the last scrape and what was so in the minute before it."""
    raw = client.get("/api/v1/query", params={"query": f'up{{job="demo"}}[{WINDOW_SECONDS}s]'}).json()
    moments = [float(at) for at, _ in raw["data"]["result"][0]["values"]]
    now = time.time()
    (begun, first, used), (ended, last, now_used) = (reader.nearest(moment) for moment in (moments[0], moments[-1]))
    alerts = client.get("/api/v1/alerts").json()["data"]["alerts"]
    critical = {
        (one["labels"]["alertname"], one["labels"].get("service"))
        for one in alerts
        if one["state"] == "firing" and one["labels"].get("severity") == "critical"
    }
    series = client.get("/api/v1/status/tsdb").json()["data"]["headStats"]["numSeries"]
    demo = (now_used[0], (now_used[1] - used[1]) / (ended - begun))
    found = (_parse(first), _parse(last), ended - begun, machine, moments[-1], demo, len(critical), series)
    return now, Truth(*found)


def _measure(stack: Stack, seconds: int) -> list[tuple[Figure, float | None, float]]:
    report = stack.directory / "report.json"
    flags = (f"--web.listen-address=127.0.0.1:{stack.ports['loadgen']}", f"--report.json={report}")
    command = (sys.executable, "-m", "perfloop_loadgen", "run", str(stack.directory / "load.yml"), *flags)
    httpx.put(f"{stack.url('demo')}/faults", json={"errors": ERROR_RATIO}, timeout=30).raise_for_status()
    with (
        _run(stack.directory, "loadgen", *command) as load,
        httpx.Client(base_url=stack.url("prometheus"), timeout=60) as client,
        Watching() as machine,
    ):
        boards = Boards(client)
        reader = Reader(stack.url("demo"), stack.demo)
        try:
            time.sleep(seconds - 2 * SCRAPE_SECONDS)
            now, truth = _observe(client, reader, machine)
            rows = [(figure, boards.ask(figure, now), figure.find(truth)) for figure in DURING]
        finally:
            reader.stop()
        load.wait(seconds + 120)
        summary = json.loads(report.read_bytes())["summary"]
        ended = Truth({}, {}, 0, machine, now, (0, 0), 0, 0, summary)
        at = time.time()
        return rows + [(figure, boards.ask(figure, at), figure.find(ended)) for figure in AFTER]


def _is_off(shown: float | None, true: float) -> float:
    if shown is None:
        return float("inf")
    return abs(shown - true) / abs(true) if true else float(shown != 0)


def _report(rows: list[tuple[Figure, float | None, float]], *, markdown: bool) -> int:
    line = "| {} | {} | {} | {} | {} |" if markdown else "{:44} {:>16} {:>16}  {:28} {}"
    print(line.format("figure", "board", "truth", "read from", "off by"))
    if markdown:
        print("|---|---|---|---|---|")
    worst = 0.0
    for figure, shown, true in rows:
        off = _is_off(shown, true)
        worst = max(worst, off)
        which = f" ({', '.join(figure.labels.values())})" if figure.labels else ""
        texts = ["nothing" if value is None else f"{value:,.4g}{figure.unit}" for value in (shown, true)]
        print(line.format(f"{figure.panel}{which}", *texts, figure.source, f"{100 * off:.2f} %"))
    print(f"\n{len(rows)} figures, the worst off by {100 * worst:.2f} %; the bar is {100 * BAR:g} %")
    return int(worst > BAR)


def main() -> int:
    """Run the load, print each figure beside the truth, and return 1 if one is beyond the bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=100, help="how long the load lasts (default: %(default)s)")
    parser.add_argument("--markdown", action="store_true", help="print a table for a page")
    options = parser.parse_args()
    prometheus = programs.find("prometheus")
    if prometheus is None:
        print("prometheus is neither on PATH nor in .perfloop/bin: run `make tools`", file=sys.stderr)
        return 1
    with (
        tempfile.TemporaryDirectory(prefix="perfloop-accuracy-") as temporary,
        _started(Path(temporary), str(prometheus), options.seconds) as stack,
    ):
        rows = _measure(stack, options.seconds)
    return _report(rows, markdown=options.markdown)


if __name__ == "__main__":
    sys.exit(main())
