"""A Prometheus, or a pair, that writes to a VictoriaMetrics as `perfloop up --scale` sets them up.

Tests and benchmarks of the long-term store drive these: the configuration is the committed one with other targets.
"""

from __future__ import annotations

import http.server
import shutil
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from perfloop.stack.components import STORE_INSERT_FLAGS, STORE_QUERY_FLAGS
from perfloop.stack.remote_write import SINGLE, extend, for_single, read_remote_write
from tests.support.free_ports import find_free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

CHECKOUT = Path(__file__).resolve().parents[2]
INTERVAL = "1s"
_START_SECONDS = 60.0
_ITSELF = "itself:9090"
_STORE = next(iter(SINGLE.values())).partition("/")[0]


class Load:
    """A target with a number of series that all count on: each value is the number of the scrape."""

    def __init__(self, series: int, labels: int = 3) -> None:
        self.series = series
        self._more = "".join(f',label_{index}="value"' for index in range(labels))
        self._scrapes = 0

    def page(self) -> bytes:
        """Return the next page of metrics."""
        self._scrapes += 1
        head = "# TYPE load_total counter\n"
        return (
            head + "".join(f'load_total{{n="{n}"{self._more}}} {self._scrapes}\n' for n in range(self.series))
        ).encode()


@contextmanager
def serve(load: Load) -> Iterator[str]:
    """Serve a load for as long as the block lasts; yield its `host:port`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = load.page()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Program:
    """A program on a port of its own, which can be killed and started again."""

    command: list[str]
    url: str
    health: str
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it is healthy."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        wait_for(self.is_healthy, f"{self.command[0]} to be healthy", _START_SECONDS)

    def is_healthy(self) -> bool:
        """Return whether it answers."""
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text(errors="replace")[-2000:]
        try:
            return httpx.get(self.url + self.health, timeout=2, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal and wait until it is gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60.0, every: float = 0.2) -> Any:
    """Return the first true answer."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}")
        time.sleep(every)
    return found


@dataclass
class Pair:
    """One Prometheus or two, the store they write to, and what a test asks of each."""

    store: Program
    prometheus: list[Program] = field(default_factory=list)

    def query(self, url: str, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """Return the result of an instant query."""
        data = {"query": expression} | ({} if at is None else {"time": f"{at:.3f}"})
        answer = httpx.post(f"{url}/api/v1/query", data=data, timeout=60, trust_env=False)
        return list(answer.raise_for_status().json()["data"]["result"])

    def moments(self, url: str, selector: str, start: float, end: float) -> dict[str, list[float]]:
        """Return when each series has a sample, by its label `n`, in Unix seconds, after `start` and up to `end`."""
        found = self.query(url, f"{selector}[{round((end - start) * 1000)}ms]", end)
        return {one["metric"].get("n", ""): [float(at) for at, _ in one["values"]] for one in found}

    def number(self, expression: str, which: int = 0) -> float:
        """Return the value of an expression on one Prometheus; 0 where there is none."""
        found = self.query(self.prometheus[which].url, expression)
        return float(found[0]["value"][1]) if found else 0.0

    def sent_all(self, until: float) -> bool:
        """Return whether everything that was scraped before `until` has been sent by every Prometheus."""
        sent = "prometheus_remote_storage_queue_highest_sent_timestamp_seconds"
        return all(read_metric(one.url, sent) >= until for one in self.prometheus)


def read_metric(url: str, name: str, **labels: str) -> float:
    """Return the sum of a metric's series on a page of metrics, those with these labels."""
    total, wanted = 0.0, [f'{key}="{value}"' for key, value in labels.items()]
    for line in httpx.get(f"{url}/metrics", timeout=10, trust_env=False).text.splitlines():
        if line.startswith((f"{name}{{", f"{name} ")) and all(one in line for one in wanted):
            total += float(line.rpartition(" ")[2])
    return total


def start_store(binary: str, directory: Path, *flags: str, port: int = 0) -> Program:
    """Return a store that was started, with the flags that the stack gives it."""
    port = port or find_free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    command = [binary, f"-storageDataPath={directory / 'store'}", f"-httpListenAddr=127.0.0.1:{port}"]
    # Tests scrape each second, so nothing is hidden from them for five.
    query = [flag for flag in STORE_QUERY_FLAGS if "latencyOffset" not in flag]
    command += ["-retentionPeriod=400d", f"-dedup.minScrapeInterval={INTERVAL}", "-search.latencyOffset=0s", *query]
    program = Program([*command, *STORE_INSERT_FLAGS, *flags], url, "/health", directory / "store.log")
    program.start()
    return program


def render(target: str, store_url: str, component: str, change: Callable[[dict[str, Any]], None] | None = None) -> str:
    """Return the configuration of one Prometheus: the committed remote write, on a target of the test's own."""
    own = {
        "global": {"scrape_interval": INTERVAL, "scrape_timeout": "900ms"},
        "scrape_configs": [
            {"job_name": "load", "static_configs": [{"targets": [target]}]},
            {"job_name": "prometheus", "static_configs": [{"targets": [_ITSELF]}]},
            {"job_name": "victoriametrics", "static_configs": [{"targets": [store_url.removeprefix("http://")]}]},
        ],
    }
    addition = dict(for_single(read_remote_write(CHECKOUT / "prometheus" / "remote_write.yml")))
    addition["scrape_configs"] = []
    if change is not None:
        change(addition["remote_write"][0])
    return extend(yaml.safe_dump(own), addition, component).replace(_STORE, store_url.removeprefix("http://"))


def start_prometheus(binary: str, directory: Path, text: str, component: str, flags: Sequence[str] = ()) -> Program:
    """Return a Prometheus that was started."""
    port = find_free_ports(1)[0]
    home = directory / component
    home.mkdir(exist_ok=True)
    (home / "prometheus.yml").write_text(text.replace(_ITSELF, f"127.0.0.1:{port}"))
    command = [binary, f"--config.file={home / 'prometheus.yml'}", f"--storage.tsdb.path={home / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", *flags]
    program = Program(command, f"http://127.0.0.1:{port}", "/-/ready", directory / f"{component}.log")
    program.start()
    return program


@contextmanager
def run_pair(  # noqa: PLR0913 - each is a choice of a test
    binaries: Mapping[str, str],
    directory: Path,
    target: str,
    *,
    replicas: int = 1,
    flags: Sequence[str] = (),
    disk: Path | None = None,
) -> Iterator[Pair]:
    """Start a store and one Prometheus or two, and end them afterwards.

    Args:
        binaries: the paths of `prometheus` and `victoria-metrics`.
        directory: for everything that they leave.
        target: what is scraped.
        replicas: 1, or 2 for a pair.
        flags: further ones of the store.
        disk: where the store has its data, where that is not in `directory`.
    """
    pair = Pair(start_store(binaries["victoria-metrics"], disk or directory, *flags))
    try:
        for component in ("prometheus", "prometheus_2")[:replicas]:
            text = render(target, pair.store.url, component)
            pair.prometheus.append(start_prometheus(binaries["prometheus"], directory, text, component))
        yield pair
    finally:
        for program in (*pair.prometheus, pair.store):
            program.end()


def small_disk(directory: Path, megabytes: int) -> bool:
    """Mount a small disk at `directory`; return whether that was possible: it takes root."""
    directory.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(directory)]
    return (
        shutil.which("mount") is not None and subprocess.run(command, check=False, capture_output=True).returncode == 0
    )
