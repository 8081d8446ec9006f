"""Sends a page's families by OTLP on a thread of its own: what goes wrong is counted, said once, and stays there."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from perfloop_base.durations import format_duration
from perfloop_base.redaction import redact
from perfloop_base.visible import brief
from perfloop_exporter.otlp.conversion import Moments, convert
from perfloop_exporter.otlp.destination import GRPC

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client import Metric

    from perfloop_exporter.otlp.destination import Destination

EXPORTS = "perfloop_otlp_exports_total"
EXPORTS_HELP = "Attempts to send the metrics by OTLP, by outcome: sent or failed."
SENT, FAILED = "sent", "failed"
STOP_SECONDS = 5.0
"""How long the end of a program waits for its last export."""

_LONGEST_REASON = 300
_DEEPEST = 8
_SCOPE = "perfloop"

log = logging.getLogger("perfloop")


class Sender:
    """Sends what `collect` returns, every interval and once at the end.

    Args:
        destination: where to.
        collect: returns the families of now, or None where another process sends them; called on the sender's thread.
        start_seconds: since when the counters count, in Unix seconds.
        note: called with each outcome, `sent` or `failed`.
    """

    def __init__(
        self,
        destination: Destination,
        collect: Callable[[], Iterable[Metric] | None],
        start_seconds: float,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.destination = destination
        self.counts = {SENT: 0, FAILED: 0}
        self._collect = collect
        self._start = round(start_seconds * 1e9)
        self._note = note
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._exporter: Any = None
        self._ear = _Ear()
        self._failing = False
        self._lost: list[str] = []

    def start(self) -> None:
        """Start the thread; nothing is imported or connected before.

        Raises:
            RuntimeError: No thread can be started.
        """
        self._thread = threading.Thread(target=self._run, name="perfloop-otlp", daemon=True)
        self._thread.start()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Send a last time, unless the destination does not take it anyway, and end the thread; waits that long."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is None:
            self._close()
        else:
            thread.join(seconds)

    def _run(self) -> None:
        with suppress(Exception):  # what is wrong with it is said by the first export
            _load(self.destination)  # a second of work, which the end of the program might not have left
        while not self._stop.wait(self.destination.interval_seconds):
            self.send()
        if not self._failing:
            self.send()
        self._close()

    def _close(self) -> None:
        exporter, self._exporter = self._exporter, None
        if exporter is not None:
            exporter.shutdown()

    def send(self) -> None:
        """Send once; never raises."""
        try:
            _load(self.destination)
            with self._ear:
                worked = self._export()
                reason = self._ear.heard
        except Exception as error:  # noqa: BLE001 - the edge: neither a service nor its scrapes may notice
            worked, reason = False, f"{type(error).__name__}: {error}"
        if worked is None:
            return
        outcome = SENT if worked else FAILED
        self.counts[outcome] += 1
        self._note(outcome)
        self._say(worked=worked, reason=reason)

    def _export(self) -> bool | None:
        """Return whether it was taken; None where there is nothing to send."""
        families = self._collect()
        if families is None:
            return None
        metrics, lost = convert(families, Moments(time.time_ns(), self._start))
        if lost != self._lost:
            self._lost = lost
            if lost:
                log.warning("some metrics cannot be sent by OTLP: %s", brief(", ".join(lost)))
        if self._exporter is None:
            self._exporter = _build_exporter(self.destination)
        return _send(self._exporter, self.destination, metrics)

    def _say(self, *, worked: bool, reason: str) -> None:
        """Log once when it begins to fail, and once when it works again."""
        if self._failing != worked:
            return
        self._failing = not worked
        if worked:
            log.info("metrics are sent to %s again", self.destination.shown)
            return
        every = format_duration(self.destination.interval_seconds)
        log.warning(
            "metrics are not sent to %s: %s (tried again every %s, counted in %s; /metrics is not affected)",
            self.destination.shown,
            redact(reason)[:_LONGEST_REASON] or "no reason was given",
            every,
            EXPORTS,
        )


def _load(destination: Destination) -> None:
    """Import the exporter's module, before its logger is listened to."""
    if destination.protocol == GRPC:
        import opentelemetry.exporter.otlp.proto.grpc.metric_exporter
    else:
        import opentelemetry.exporter.otlp.proto.http.metric_exporter  # noqa: F401 - see above


def _build_exporter(destination: Destination) -> Any:
    """Return the SDK's exporter, which reads what else its variables say: certificates, compression, timeout."""
    headers = dict(destination.headers)
    if destination.protocol == GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter

        return GrpcExporter(
            endpoint=destination.url, insecure=destination.insecure, headers=tuple(headers.items()) or None
        )
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter(endpoint=destination.url, headers=headers)


def _send(exporter: Any, destination: Destination, metrics: list[Any]) -> bool:
    from opentelemetry.sdk.metrics import export
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    scope = export.ScopeMetrics(InstrumentationScope(_SCOPE), metrics, "")
    resource = Resource.create(dict(destination.resource))
    data = export.MetricsData([export.ResourceMetrics(resource, [scope], "")])
    return bool(exporter.export(data) is export.MetricExportResult.SUCCESS)


class _Ear(logging.Filter):
    """Takes what the SDK logs while this thread sends: it logs every failure, and the first one is enough.

    What other threads log, such as those of an application that uses the SDK itself, goes on as it is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.heard = ""
        self._thread = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record goes on."""
        if threading.get_ident() != self._thread:
            return True
        if record.levelno >= logging.WARNING and not self.heard:
            raised = [one for one in record.args or () if isinstance(one, BaseException)]
            self.heard = _innermost(raised[0]) if raised else record.getMessage()
        return False

    def __enter__(self) -> None:
        self.heard = ""
        self._thread = threading.get_ident()
        # Each time: a module that is imported late has its logger late.
        for name, logger in list(logging.root.manager.loggerDict.items()):
            if name.startswith("opentelemetry") and isinstance(logger, logging.Logger):
                logger.addFilter(self)

    def __exit__(self, *_: object) -> None:
        self._thread = 0


def _innermost(error: BaseException) -> str:
    """Return what is at the bottom of a library's errors, such as a refused connection, in words."""
    for _ in range(_DEEPEST):
        below = [getattr(error, "reason", None), *error.args, error.__cause__, error.__context__]
        inner = next((one for one in below if isinstance(one, BaseException)), None)
        if inner is None:
            break
        error = inner
    return f"{type(error).__name__}: {error}"
