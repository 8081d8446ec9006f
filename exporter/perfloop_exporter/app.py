"""The composition root: builds every part from the settings, routes requests, and runs until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import os
import platform
import signal
import socket
import threading
import zlib
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import psutil

from perfloop_base.addresses import inherited_listeners, listen, shown_address
from perfloop_base.errors import ConfigError, ExitCode
from perfloop_base.pages import Landing, landing_page
from perfloop_base.web.gate import Gate
from perfloop_base.web.headers import POLICY, page_policy
from perfloop_base.web.preferences import accepts_gzip
from perfloop_exporter.collectors.catalogue import SPECS, ProcessCollector
from perfloop_exporter.collectors.families import counter, gauge, single
from perfloop_exporter.collectors.host import Host
from perfloop_exporter.otlp import EXPORTS, EXPORTS_HELP, Sender, read_page
from perfloop_exporter.scrape import CollectorSlot, Scraper
from perfloop_exporter.web.guard import Guard
from perfloop_exporter.web.messages import Request, Response, text_response
from perfloop_exporter.web.server import BACKLOG, Server, Statistics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import Metric

    from perfloop_exporter.collectors.families import Reading
    from perfloop_exporter.collectors.spec import Spec
    from perfloop_exporter.config import CollectorSettings, Paths, Settings, WebSettings
    from perfloop_exporter.otlp import Destination

BUILD = gauge(
    "perfloop_exporter_build_info", "Version of the exporter and of Python; always 1.", "version", "python_version"
)
# Names of Go's promhttp, which node_exporter exports.
REQUESTS = counter("promhttp_metric_handler_requests_total", "Scrapes answered, by status.", "code")
IN_FLIGHT = gauge("promhttp_metric_handler_requests_in_flight", "Scrapes being answered.")

CONNECTIONS = gauge("perfloop_exporter_connections", "Connections open to the web server, as of the last look.")
DROPPED = counter(
    "perfloop_exporter_dropped_connections_total",
    "Connections closed since the client took too long (deadline), or there were too many (limit).",
    "reason",
)

SENT = counter(EXPORTS, EXPORTS_HELP, "outcome")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TIMEOUT_HEADER = "x-prometheus-scrape-timeout-seconds"
# Subtracted from Prometheus's own timeout: the response has to arrive before it.
MARGIN_SECONDS = 0.25
MINIMUM_BUDGET_SECONDS = 0.1
# Level 1 is 3 times faster than the default, for 10% more bytes; a window of 31 means a gzip header.
GZIP_LEVEL, GZIP_WINDOW = 1, 31

log = logging.getLogger(__name__)


@cache
def version() -> str:
    """Return the installed version of the distribution, which is looked up in files."""
    try:
        return metadata.version("perfloop")
    except metadata.PackageNotFoundError:
        return "unknown"


class SelfCollector:
    """Exports the exporter's version and its counters of scrapes and connections."""

    def __init__(self, connections: Statistics) -> None:
        self._connections = connections
        self.answered = {200: 0, 500: 0, 503: 0}
        self.in_flight = 0
        self.otlp: Sender | None = None
        self._build = (BUILD, (((version(), platform.python_version()), 1),))

    def collect(self) -> list[Reading]:
        """Return the exporter's own metrics."""
        return [
            self._build,
            (REQUESTS, [((str(status),), count) for status, count in self.answered.items()]),
            single(IN_FLIGHT, self.in_flight),
            single(CONNECTIONS, self._connections.open),
            (DROPPED, [((reason,), count) for reason, count in self._connections.dropped.items()]),
            (SENT, [((outcome,), count) for outcome, count in self.otlp.counts.items()] if self.otlp else []),
        ]


def build_host(paths: Paths) -> Host:
    """Return the machine whose files are mounted at these paths."""
    ticks = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
    return Host(proc=paths.procfs, sys=paths.sysfs, root=paths.rootfs, udev=paths.udev, clock_ticks=ticks)


def build_slots(settings: CollectorSettings, host: Host) -> list[CollectorSlot]:
    """Build the enabled collectors, each with its deadline.

    Raises:
        ConfigError: Options are invalid; the problems of all collectors are reported together.
    """
    slots: list[CollectorSlot] = []
    problems: list[str] = []
    for spec in SPECS:
        if spec.name in settings.enabled:
            try:
                slots.append(_build_slot(spec, settings, host))
            except ConfigError as error:
                problems += error.problems
    if problems:
        raise ConfigError(problems)
    return slots


def _build_slot(spec: Spec, settings: CollectorSettings, host: Host) -> CollectorSlot:
    deadline_seconds = settings.deadlines.get(spec.name, settings.deadline_seconds)
    return CollectorSlot(spec.name, spec.build(host, settings.options.get(spec.name)), deadline_seconds)


class App:
    """Routes requests to the metrics, the health checks and the landing page."""

    def __init__(self, settings: Settings, host: Host) -> None:
        self._web = settings.web
        self._known = settings.collectors.known
        self.connections = Statistics()
        self._self = SelfCollector(self.connections)
        own = [CollectorSlot("exporter", self._self, settings.collectors.deadline_seconds)]
        if not settings.web.disable_exporter_metrics:
            own.append(CollectorSlot("process", ProcessCollector(host), settings.collectors.deadline_seconds))
        self._scraper = Scraper(build_slots(settings.collectors, host), own)
        self._lock = threading.Lock()
        self.ready = False

    def prepare(self) -> None:
        """Start what the first scrape needs.

        Raises:
            RuntimeError: No thread can be started.
        """
        self._scraper.prepare()

    def build_sender(self, destination: Destination) -> Sender:
        """Return what sends a scrape of every collector by OTLP; the exporter counts what becomes of each."""

        def collect() -> Iterable[Metric]:
            return read_page(self._scraper.scrape())

        # The kernel's counters count from its start.
        sender = self._self.otlp = Sender(destination, collect, psutil.boot_time())
        return sender

    def is_quick(self, request: Request) -> bool:
        """Return whether the response takes no time that matters: only a scrape does."""
        return request.path != self._web.telemetry_path

    def share_key(self, request: Request) -> tuple[str, ...] | None:
        """Return what a scrape depends on: a crowd of scrapers that wait for the same gets the same."""
        if request.path != self._web.telemetry_path:
            return None
        asked = (request.headers.get(name, "") for name in ("accept-encoding", TIMEOUT_HEADER))
        return request.method, request.query, *asked

    def answer(self, request: Request) -> Response:
        """Return the response to a request."""
        if request.method not in {"GET", "HEAD"}:
            refusal = text_response(405, f"method not allowed: {request.method}; use GET or HEAD\n")
            return refusal._replace(headers=(("Allow", "GET, HEAD"),))
        if request.path == self._web.telemetry_path:
            return self._metrics(request)
        if request.path == "/-/healthy":
            return text_response(200, "perfloop exporter is healthy\n")
        if request.path == "/-/ready":
            return (
                text_response(200, "perfloop exporter is ready\n") if self.ready else text_response(503, "starting\n")
            )
        if request.path == "/":
            return self._landing()
        return text_response(404, f"no such page: {request.path}; see /\n")

    def _metrics(self, request: Request) -> Response:
        with self._lock:
            if 0 < self._web.max_requests <= self._self.in_flight:
                self._self.answered[503] += 1
                return text_response(503, f"limit of {self._web.max_requests} parallel scrapes reached\n")
            self._self.in_flight += 1
        status = 500
        try:
            response = self._scrape(request)
            status = response.status
        finally:
            with self._lock:
                self._self.in_flight -= 1
                self._self.answered[status] = self._self.answered.get(status, 0) + 1
        return response

    def _scrape(self, request: Request) -> Response:
        names, refusal = self._chosen(request.query) if request.query else (None, None)
        if refusal is not None:
            return text_response(400, refusal)
        body = self._scraper.scrape(names, _budget(request.headers.get(TIMEOUT_HEADER))).encode("utf-8", "replace")
        if not accepts_gzip(request.headers.get("accept-encoding", "")):
            return Response(200, body, CONTENT_TYPE)
        packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WINDOW)
        return Response(200, packer.compress(body) + packer.flush(), CONTENT_TYPE, (("Content-Encoding", "gzip"),))

    def _chosen(self, query: str) -> tuple[list[str] | None, str | None]:
        """Return the collectors that collect[] and exclude[] choose, or the error in node_exporter's own words."""
        parameters = parse_qs(query)
        collect, exclude = parameters.get("collect[]", []), parameters.get("exclude[]", [])
        if collect and exclude:
            return None, "Combined collect and exclude queries are not allowed."
        enabled = self._scraper.names
        if exclude:
            return [name for name in enabled if name not in exclude], None
        for name in collect:
            if name not in enabled:
                why = "disabled" if name in self._known else "missing"
                return (
                    None,
                    f"Couldn't create filtered metrics handler: couldn't create collector: {why} collector: {name}",
                )
        return list(dict.fromkeys(collect)) or None, None

    def _landing(self) -> Response:
        links = [(self._web.telemetry_path, "Metrics"), ("/-/healthy", "Healthy"), ("/-/ready", "Ready")]
        names = self._scraper.names
        facts = [("Version", version()), (f"{len(names)} collectors", ", ".join(names))]
        page = landing_page(Landing("Exporter", "System metrics under node_exporter's names.", facts, links))
        return Response(200, page.encode(), "text/html; charset=utf-8", ((POLICY, page_policy(page)),))


def _budget(header: str | None) -> float:
    """Return how many seconds a scrape may take, from the header that Prometheus sends with its own timeout."""
    try:
        return max(float(header or "inf") - MARGIN_SECONDS, MINIMUM_BUDGET_SECONDS)
    except ValueError:
        return float("inf")


class StopSignal:
    """Waits for SIGTERM or SIGINT.

    The handler itself does nothing: one that sets an event would deadlock if the signal arrived while the event's own
    lock is held. The interpreter writes a byte to a socket for each signal instead.
    """

    def __init__(self) -> None:
        self._inbox, self._outbox = socket.socketpair()
        self._outbox.setblocking(False)  # noqa: FBT003  # the one argument there is
        signal.set_wakeup_fd(self._outbox.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: None)

    def wait(self) -> None:
        """Block until a signal has arrived."""
        self._inbox.recv(1)


def _listen(web: WebSettings) -> list[socket.socket]:
    if web.systemd_socket:
        return inherited_listeners("--web.systemd-socket")
    return [listen(address, "--web.listen-address", BACKLOG) for address in web.listen]


def run(settings: Settings) -> ExitCode:
    """Serve until SIGTERM or SIGINT.

    Raises:
        ConfigError: A collector's option, the web configuration file or a host to listen on is invalid, or systemd
            passed no socket.
        ListenError: An address is taken.
    """
    # First, so that a signal during the start is not lost; and listeners last, so that nothing connects too early.
    stop = StopSignal()
    gate = Gate(settings.web.config_file) if settings.web.config_file else None
    guard = Guard(gate, settings.web.allowed_hosts)
    app = App(settings, build_host(settings.paths))
    listeners = _listen(settings.web)
    server = Server(listeners, app, guard, statistics=app.connections)
    sender = app.build_sender(settings.otlp) if settings.otlp else None
    try:
        app.prepare()
        server.start()
        if sender is not None:
            sender.start()
    except RuntimeError as error:
        raise ConfigError(f"the web server needs a thread, and none can be started: {error}") from error
    app.ready = True
    log.info("started", extra={"version": version(), "collectors": ",".join(settings.collectors.enabled)})
    for listener in listeners:
        log.info("listening", extra={"address": shown_address(listener)})
    if sender is not None:
        log.info("sending by OTLP", extra={"endpoint": sender.destination.shown})
    stop.wait()
    log.info("stopping")
    app.ready = False
    if sender is not None:
        sender.stop()
    server.stop()
    return ExitCode.OK
