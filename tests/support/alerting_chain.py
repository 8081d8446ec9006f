"""The whole way of an alert on free ports: a service, the real Prometheus and Alertmanager, and the inbox.

The tests of delivery and the measurement of delivery times drive this same chain.
"""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import yaml

from perfloop.stack import programs
from perfloop.stack.alertmanager_config import install
from perfloop.stack.alertmanager_version import EVENT_RECORDER, EVENT_RECORDER_FLAG, read_version

CHECKOUT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 10.0


def free_port() -> int:
    """Return a loopback port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(url: str, *, method: str = "GET", body: Any = None) -> Any:
    """Return the JSON (or text) that a URL answers with."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            text = response.read().decode()
    except urllib.error.HTTPError as error:
        error.close()  # an error holds its connection open for as long as somebody holds the error
        raise
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def wait_until(look: Callable[[], Any], *, what: str, seconds: float = 60.0, every: float = 0.1) -> Any:
    """Return the first true answer of `look`, or fail with what was waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            found = look()
        except OSError:
            found = None
        if found:
            return found
        time.sleep(every)
    raise TimeoutError(f"waited {seconds:g} s for {what}")


@dataclass
class Process:
    """A program that can be killed and started again with the same command."""

    command: list[str]
    ready_url: str
    log: Path
    popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers."""
        output: IO[bytes] = self.log.open("ab")
        with output:
            self.popen = subprocess.Popen(self.command, cwd=CHECKOUT, stdout=output, stderr=output)
        wait_until(lambda: fetch(self.ready_url) is not None, what=f"{self.ready_url} ({self.log})")

    def stop(self, sig: int = signal.SIGTERM) -> None:
        """Send a signal and wait for the end."""
        if self.popen and self.popen.poll() is None:
            self.popen.send_signal(sig)
            try:
                self.popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


class Service:
    """A made-up service whose metrics say what a test wants: `rates` holds series and how fast each grows a second."""

    def __init__(self) -> None:
        self.rates: dict[str, float] = {}
        self.gauges: dict[str, float] = {}
        self.down = False
        self._counters: dict[str, float] = {}
        self._last = time.monotonic()
        self._lock = threading.Lock()

    def tick(self) -> None:
        """Let the counters grow by the time that went by; called at each scrape and each change of rates."""
        now = time.monotonic()
        for name, rate in self.rates.items():
            self._counters[name] = self._counters.get(name, 0.0) + rate * (now - self._last)
        self._last = now

    def set(self, rates: dict[str, float]) -> None:
        """Change some rates from now on."""
        with self._lock:
            self.tick()
            self.rates |= rates

    def render(self) -> str:
        """Return the exposition."""
        with self._lock:
            self.tick()
            rows = {**self._counters, **self.gauges}
        return "".join(f"{name} {value}\n" for name, value in rows.items())


def queries(seconds: float, *, rate: float = 20.0, system: str = "sqlite") -> dict[str, float]:
    """Return the rates of a histogram of database queries that all take `seconds`."""
    bounds = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0)
    labels = f'db_system_name="{system}",db_operation_name="SELECT"'
    name = "db_client_operation_duration_seconds"
    buckets = {f'{name}_bucket{{{labels},le="{bound}"}}': rate * (seconds <= bound) for bound in bounds}
    return buckets | {f'{name}_bucket{{{labels},le="+Inf"}}': rate, f"{name}_count{{{labels}}}": rate}


@contextmanager
def serve(service: Service) -> Iterator[int]:
    """Serve the made-up service's metrics on a free port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer a scrape."""
            self.send_response(503 if service.down else 200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            if not service.down:
                self.wfile.write(service.render().encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name for it
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


@dataclass
class Chain:
    """A running chain."""

    directory: Path
    service: Service = field(default_factory=Service)
    processes: dict[str, Process] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)

    def messages(self, **query: str) -> list[dict[str, Any]]:
        """Return what the inbox received, newest first."""
        wanted = "&".join(f"{key}={value}" for key, value in query.items())
        return list(fetch(f"{self.urls['inbox']}/api/messages?{wanted}"))

    def wait_message(self, seconds: float = 60, **query: str) -> dict[str, Any]:
        """Return the first message that fits."""
        found = wait_until(lambda: self.messages(**query), seconds=seconds, what=f"a message {query}")
        return dict(found[-1])

    def wait_heartbeats(self, count: int, *, seconds: float = 60) -> list[dict[str, Any]]:
        """Return the heartbeats when so many have come."""
        url = f"{self.urls['inbox']}/api/heartbeats"
        return list(wait_until(lambda: fetch(url)[count - 1 :] and fetch(url), seconds=seconds, what="heartbeats"))

    def post_alerts(self, *alerts: dict[str, Any], to: str = "alertmanager") -> None:
        """Send alerts straight to an Alertmanager."""
        fetch(f"{self.urls[to]}/api/v2/alerts", method="POST", body=list(alerts))

    def break_channel(self, **statuses: int) -> None:
        """Make channels of the inbox answer with these statuses; none heals all."""
        if statuses:
            fetch(f"{self.urls['inbox']}/faults", method="PUT", body=statuses)
        else:
            fetch(f"{self.urls['inbox']}/faults", method="DELETE")

    def query(self, promql: str) -> list[dict[str, Any]]:
        """Return the instant vector of a query."""
        found = fetch(f"{self.urls['prometheus']}/api/v1/query?query={urllib.parse.quote(promql)}")
        return list(found["data"]["result"])

    def stop(self) -> None:
        """Stop every process."""
        for process in reversed(self.processes.values()):
            process.stop()


def binary(name: str) -> str:
    """Return a real program: the one that PERFLOOP_TEST_BIN holds, else the stack's own."""
    peers = os.environ.get("PERFLOOP_TEST_BIN")
    if peers and (Path(peers) / name).exists():
        return str(Path(peers) / name)
    found = programs.find(name)
    if found is None:
        raise FileNotFoundError(f"{name} is neither on PATH nor in .perfloop/bin")
    return str(found)


Rewrite = Callable[[str], str]


def unchanged(text: str) -> str:
    """Return a configuration as it is committed."""
    return text


def quicker(text: str) -> str:
    """Return a configuration or rules with every wait of seconds or minutes at a fifth, so that tests need not wait."""

    def fifth(found: re.Match[str]) -> str:
        seconds = float(found[1]) * {"s": 1, "m": 60}[found[2]]
        return f"{int(seconds * 1000 / 5)}ms" if seconds else "0s"

    return re.sub(r"(?<![\w.])(\d+)([sm])(?![\w.])", fifth, text)


def start_inbox(chain: Chain, *, watching: bool = False) -> None:
    """Start the inbox on free ports.

    Args:
        chain: gets the process.
        watching: whether it keeps its state and watches over the notifications of this chain's Prometheus and
            Alertmanager, which are started later.
    """
    web, mail = free_port(), free_port()
    flags = [f"--web.listen-address=127.0.0.1:{web}", f"--smtp.listen-address=127.0.0.1:{mail}"]
    chain.urls |= {"inbox": f"http://127.0.0.1:{web}", "smtp": f"127.0.0.1:{mail}"}
    if watching:
        later = {name: f"http://127.0.0.1:{free_port()}" for name in ("prometheus", "alertmanager")}
        chain.urls |= later
        flags += [f"--{name}.url={url}" for name, url in later.items()]
        flags += [f"--state.dir={chain.directory / 'state'}", "--notifications.interval=500ms"]
    launch(chain, "inbox", [sys.executable, "-m", "perfloop_inbox", *flags])


def address_of(chain: Chain, name: str) -> str:
    """Return the address of a program: the one that was announced to the inbox, else a free one."""
    return chain.urls.setdefault(name, f"http://127.0.0.1:{free_port()}").removeprefix("http://")


def start_alertmanagers(
    chain: Chain, *, count: int = 1, rewrite: Rewrite = unchanged, flags: tuple[str, ...] = ()
) -> None:
    """Start a cluster of Alertmanagers with the committed configuration, pointed at this chain's inbox."""
    directory = chain.directory / "alertmanager"
    addresses = {"inbox:19130": chain.urls["inbox"].removeprefix("http://"), "inbox:19125": chain.urls["smtp"]}
    version = read_version(Path(binary("alertmanager")))
    install(CHECKOUT / "alertmanager", directory, chain.directory / "secrets", addresses, version=version)
    config = directory / "alertmanager.yml"
    config.write_text(rewrite(config.read_text()))
    gossip = [free_port() for _ in range(count)]
    for index in range(count):
        name = "alertmanager" if index == 0 else f"alertmanager-{index + 1}"
        cluster = f"--cluster.listen-address={f'127.0.0.1:{gossip[index]}' if count > 1 else ''}"
        peers = [f"--cluster.peer=127.0.0.1:{port}" for at, port in enumerate(gossip) if at != index]
        address = address_of(chain, name)
        places = [
            f"--config.file={directory / 'alertmanager.yml'}",
            f"--storage.path={chain.directory / f'data-{name}'}",
        ]
        places += [f"--web.listen-address={address}", f"--web.external-url=http://{address}", cluster, *peers]
        places += ["--data.maintenance-interval=1s"]
        places += [EVENT_RECORDER_FLAG] if version is not None and version >= EVENT_RECORDER else []
        launch(chain, name, [binary("alertmanager"), *places, *flags])


def start_prometheus(
    chain: Chain, targets: dict[str, str], *, rewrite: Rewrite = unchanged, flags: tuple[str, ...] = ()
) -> None:
    """Start Prometheus with the committed configuration and rules, watching the given addresses by name of service."""
    source, directory = CHECKOUT / "prometheus", chain.directory / "prometheus"
    for part in ("rules", "alerts"):
        (directory / part).mkdir(parents=True, exist_ok=True)
        for file in (source / part).glob("*.yml"):
            (directory / part / file.name).write_text(rewrite(file.read_text()))
    config = yaml.safe_load(rewrite((source / "prometheus.yml").read_text()))
    alertmanagers = [url.removeprefix("http://") for key, url in chain.urls.items() if key.startswith("alertmanager")]
    config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": alertmanagers}]}]}
    watched = [{"targets": [address], "labels": {"service": name}} for name, address in targets.items()]
    own = [{"targets": alertmanagers, "labels": {"service": "alertmanager"}}]
    config["scrape_configs"] = [
        {"job_name": "services", "static_configs": watched},
        {"job_name": "alertmanager", "static_configs": own},
    ]
    file = directory / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    address = address_of(chain, "prometheus")
    places = [f"--config.file={file}", f"--storage.tsdb.path={chain.directory / 'data-prometheus'}"]
    places += [f"--web.listen-address={address}", f"--web.external-url=http://{address}"]
    launch(chain, "prometheus", [binary("prometheus"), *places, *flags])


def launch(chain: Chain, name: str, command: list[str]) -> None:
    """Start a program of the chain, and wait until it is ready."""
    process = Process(command, f"{chain.urls[name]}/-/ready", chain.directory / f"{name}.log")
    chain.processes[name] = process
    process.start()
