"""The metrics of an instrumented service by OTLP as well, when OpenTelemetry's variables ask for it.

Of several workers one sends what all of them have counted, as one `/metrics` is scraped for all: whichever holds a lock
in their directory, which the kernel hands on when that worker ends.
"""

from __future__ import annotations

import atexit
import logging
import os
import socket
import threading
import time
from itertools import chain
from typing import IO, TYPE_CHECKING, Any

from perfloop_base.errors import ConfigError
from perfloop_exporter.instrument.endpoint import ClientMetrics, ScrapeRequest
from perfloop_exporter.instrument.worker_files import take_lock
from perfloop_exporter.instrument.workers import WorkerGroup
from perfloop_exporter.metrics.collector import FamiliesCollector
from perfloop_exporter.metrics.registry import DEFAULT
from perfloop_exporter.otlp import EXPORTS, EXPORTS_HELP, Sender, from_variables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_exporter.metrics.registry import MetricRegistry

log = logging.getLogger("perfloop")

_LOCK = "otlp.lock"
_groups: dict[MetricRegistry, WorkerGroup] = {}
_creating = threading.Lock()


def group_of(registry: MetricRegistry) -> WorkerGroup:
    """Return this process as a worker of its server: one group for each registry, which also sends its metrics."""
    with _creating:
        group = _groups.get(registry)
        if group is None:
            group = _groups[registry] = WorkerGroup(registry)
            group.when_joined = Telemetry(group, registry).start
        return group


def send_metrics(registry: MetricRegistry = DEFAULT) -> None:
    """Send the metrics by OTLP in a process that serves no requests, such as a batch job; the variables say where to.

    `instrument(app)` does it by itself. A second call changes nothing, and neither does a call without an endpoint.
    """
    group_of(registry).join()


class Telemetry:
    """The sender of one process."""

    def __init__(self, group: WorkerGroup, registry: MetricRegistry) -> None:
        self._group = group
        self._registry = registry
        self._sender: Sender | None = None
        self._lead: IO[str] | None = None
        registry.after_fork(self._forget)

    def start(self) -> None:
        """Start to send, if the variables ask for it; never raises: a wrong variable must not keep a service down."""
        if self._sender is not None:
            return
        try:
            destination = from_variables(os.environ, {"service.name": "unknown_service"})
        except ConfigError as error:
            log.warning("Metrics are not sent by OTLP, /metrics is not affected: %s", "; ".join(error.problems))
            return
        if destination is None:
            return
        exports = self._registry.counter(EXPORTS, EXPORTS_HELP, ("outcome",))
        for outcome in ("sent", "failed"):
            exports.labels(outcome)  # a rate needs a series from the start
        destination.resource.setdefault("service.instance.id", _instance(self._group))
        sender = Sender(destination, self._collect, time.time(), lambda outcome: exports.labels(outcome).inc())
        try:
            sender.start()
        except RuntimeError as error:
            log.warning("Metrics are not sent by OTLP, /metrics is not affected: %s", error)
            return
        self._sender = sender
        atexit.register(sender.stop)
        log.info("metrics are sent to %s", destination.shown)

    def _collect(self) -> Iterator[Any] | None:
        if not self._leads():
            return None
        families = self._group.families()
        own = {name for family in families for name in family.descriptor.exposed}
        request = ScrapeRequest(shared=self._group.shared)
        return chain(FamiliesCollector(lambda: families).collect(), ClientMetrics(request, own).collect())

    def _leads(self) -> bool:
        """Return whether this worker is the one that sends."""
        directory = self._group.directory
        if directory is None or self._lead is not None:
            return True
        self._lead = take_lock(directory / _LOCK)
        return self._lead is not None

    def _forget(self) -> None:
        """In a forked process: its parent goes on sending."""
        if self._lead is not None:
            self._lead.close()  # the copied descriptor alone: the parent keeps its lock
        self._lead = self._sender = None


def _instance(group: WorkerGroup) -> str:
    """Return what distinguishes this service's process, or its group of workers, from others of the same name."""
    return f"{socket.gethostname()}:{os.getppid() if group.several else os.getpid()}"
