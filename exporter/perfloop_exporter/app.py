"""The one place that knows every part: builds them from the settings, answers requests, runs until told to stop."""

from __future__ import annotations

import html
import logging
import os
import platform
import signal
import socket
import threading
import zlib
from importlib import metadata
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from perfloop_exporter.collectors.catalogue import SPECS, ProcessCollector
from perfloop_exporter.collectors.families import counter, gauge, single
from perfloop_exporter.collectors.host import Host
from perfloop_exporter.errors import ExitCode
from perfloop_exporter.scrape import Scraper, Station
from perfloop_exporter.web.gate import ConfiguredGate
from perfloop_exporter.web.messages import Request, Response, text_response
from perfloop_exporter.web.server import Gate, OpenGate, Server, listen

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Reading
    from perfloop_exporter.config import CollectorSettings, Paths, Settings

BUILD = gauge("perfloop_exporter_build_info", "What is running; always 1.", "version", "python_version")
REQUESTS = counter("promhttp_metric_handler_requests_total", "Scrapes answered, by status.", "code")
IN_FLIGHT = gauge("promhttp_metric_handler_requests_in_flight", "Scrapes being answered.")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# What Prometheus needs to take the answer in before its own timeout.
MARGIN_SECONDS = 0.25
LEAST_BUDGET_SECONDS = 0.1
# Level 1 is 3 times faster than the default and its output 10 % larger; 31 asks for a gzip header.
GZIP_LEVEL, GZIP_WINDOW = 1, 31

log = logging.getLogger("exporter.app")


def version() -> str:
    """The installed version of the distribution."""
    try:
        return metadata.version("perfloop")
    except metadata.PackageNotFoundError:
        return "unknown"


class SelfCollector:
    """Tells what is running and how many scrapes it answered."""

    def __init__(self) -> None:
        self.answered = {200: 0, 500: 0, 503: 0}
        self.in_flight = 0
        self._build = (BUILD, (((version(), platform.python_version()), 1),))

    def collect(self) -> list[Reading]:
        """The exporter's own counters."""
        return [
            self._build,
            (REQUESTS, [((str(status),), count) for status, count in self.answered.items()]),
            single(IN_FLIGHT, self.in_flight),
        ]


def build_host(paths: Paths) -> Host:
    """This machine, seen through the paths."""
    ticks = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
    return Host(proc=paths.procfs, sys=paths.sysfs, root=paths.rootfs, udev=paths.udev, clock_ticks=ticks)


def build_stations(settings: CollectorSettings, host: Host) -> list[Station]:
    """The enabled collectors, each with its deadline."""
    return [
        Station(
            spec.name,
            spec.build(host, settings.options.get(spec.name)),
            settings.deadlines.get(spec.name, settings.deadline_seconds),
        )
        for spec in SPECS
        if spec.name in settings.enabled
    ]


class App:
    """Answers the exporter's pages."""

    def __init__(self, settings: Settings, host: Host) -> None:
        self._web = settings.web
        self._known = settings.collectors.known
        self._self = SelfCollector()
        own = [Station("exporter", self._self, settings.collectors.deadline_seconds)]
        if settings.web.exporter_metrics:
            own.append(Station("process", ProcessCollector(host), settings.collectors.deadline_seconds))
        self._scraper = Scraper(build_stations(settings.collectors, host), own)
        self._lock = threading.Lock()
        self.ready = False

    def answer(self, request: Request) -> Response:
        """The page that was asked for."""
        if request.method not in {"GET", "HEAD"}:
            refusal = text_response(405, f"{request.method} is not answered here, only GET and HEAD\n")
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
            return Response(200, self._landing().encode(), "text/html; charset=utf-8")
        return text_response(404, f"{request.path} is no page of the exporter: see /\n")

    def _metrics(self, request: Request) -> Response:
        with self._lock:
            if 0 < self._web.max_requests <= self._self.in_flight:
                self._self.answered[503] += 1
                return text_response(503, f"{self._web.max_requests} scrapes are being answered already\n")
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
        asked, refusal = self._chosen(request.query) if request.query else (None, None)
        if refusal is not None:
            return text_response(400, refusal)
        body = self._scraper.scrape(asked, _budget(request.headers.get("x-prometheus-scrape-timeout-seconds"))).encode()
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(200, body, CONTENT_TYPE)
        packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WINDOW)
        return Response(200, packer.compress(body) + packer.flush(), CONTENT_TYPE, (("Content-Encoding", "gzip"),))

    def _chosen(self, query: str) -> tuple[list[str] | None, str | None]:
        """The collectors that collect[] and exclude[] choose, or the refusal in node_exporter's own words."""
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

    def _landing(self) -> str:
        path = html.escape(self._web.telemetry_path)
        names = ", ".join(self._scraper.names)
        return (
            "<!doctype html><html lang=en><head><meta charset=utf-8><title>Perfloop exporter</title></head><body>"
            "<h1>Perfloop exporter</h1><p>System metrics under node_exporter's names.</p>"
            f"<p>Version {html.escape(version())}.</p>"
            f'<p><a href="{path}">Metrics</a> · <a href="/-/healthy">Healthy</a> · <a href="/-/ready">Ready</a></p>'
            f"<p>Collectors: {html.escape(names)}.</p></body></html>\n"
        )


def _budget(header: str | None) -> float:
    try:
        return max(float(header or "inf") - MARGIN_SECONDS, LEAST_BUDGET_SECONDS)
    except ValueError:
        return float("inf")


class StopSignal:
    """Waits for SIGTERM or SIGINT.

    The handler itself does nothing: one that set an event would wait for ever if the signal came while that event's
    own lock was held. The interpreter writes a byte for each signal instead.
    """

    def __init__(self) -> None:
        self._inbox, self._outbox = socket.socketpair()
        self._outbox.setblocking(False)  # noqa: FBT003  # the one argument there is
        signal.set_wakeup_fd(self._outbox.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: None)

    def wait(self) -> None:
        """Return once a signal came."""
        self._inbox.recv(1)


def run(settings: Settings) -> ExitCode:
    """Serve until SIGTERM or SIGINT."""
    stop = StopSignal()
    gate: Gate = ConfiguredGate(settings.web.config_file) if settings.web.config_file else OpenGate()
    app = App(settings, build_host(settings.paths))
    listeners = [listen(address) for address in settings.web.listen]
    server = Server(listeners, app.answer, gate)
    server.start()
    app.ready = True
    log.info("started", extra={"version": version(), "collectors": ",".join(settings.collectors.enabled)})
    for listener in listeners:
        host, port = listener.getsockname()[:2]
        log.info("listening", extra={"address": f"[{host}]:{port}" if ":" in host else f"{host}:{port}"})
    stop.wait()
    log.info("stopping")
    app.ready = False
    server.stop()
    return ExitCode.OK
