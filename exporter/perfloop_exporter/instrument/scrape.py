"""What a scrape answers: our families of all workers, and whatever is in prometheus_client's registry."""

from __future__ import annotations

import gzip
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfloop_exporter.metrics.exposition import OPENMETRICS, PLAIN, render, render_openmetrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from perfloop_exporter.metrics.families import AnyFamily

log = logging.getLogger("perfloop")

# Compressing is for the network's sake: the fastest level already takes nine tenths off.
_GZIP_LEVEL = 1
_OF_ONE_PROCESS = ("process_", "python_gc_")


@dataclass(frozen=True, slots=True)
class ScrapeRequest:
    """What the scraper asked for."""

    accept: str = ""
    gzip: bool = False
    names: frozenset[str] = frozenset()
    # Answered by one of several workers: the garbage collector's numbers would be another's at the next scrape.
    shared: bool = False

    @property
    def openmetrics(self) -> bool:
        """Whether it takes OpenMetrics, which alone carries exemplars."""
        return "application/openmetrics-text" in self.accept


def answer(request: ScrapeRequest, families: Iterable[AnyFamily]) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Body and headers."""
    wanted = [family for family in families if _is_wanted(family.descriptor.name, request.names)]
    own = {family.descriptor.name for family in wanted}
    write = render_openmetrics if request.openmetrics else render
    body = write(wanted) + _client_text(request, own)
    headers = [
        (b"content-type", (OPENMETRICS if request.openmetrics else PLAIN).encode()),
        (b"vary", b"accept, accept-encoding"),
    ]
    if request.gzip:
        body = gzip.compress(body, _GZIP_LEVEL)
        headers.append((b"content-encoding", b"gzip"))
    headers.append((b"content-length", str(len(body)).encode()))
    return body, headers


def _is_wanted(name: str, names: frozenset[str]) -> bool:
    return not names or any(name in {asked, asked.rpartition("_")[0]} for asked in names)


class _ClientMetrics:
    """prometheus_client's metrics but for the names that are ours."""

    def __init__(self, request: ScrapeRequest, own: set[str]) -> None:
        self._request = request
        self._own = own

    def collect(self) -> Iterator[Any]:
        """Every foreign metric."""
        from prometheus_client import REGISTRY, CollectorRegistry, multiprocess

        registry = REGISTRY
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        for metric in registry.collect():
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            if self._request.shared and name.startswith(_OF_ONE_PROCESS):
                continue
            if name not in self._own and _is_wanted(name, self._request.names):
                yield metric


def _client_text(request: ScrapeRequest, own: set[str]) -> bytes:
    from prometheus_client import generate_latest
    from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

    metrics: Any = _ClientMetrics(request, own)
    try:
        write: Any = generate_openmetrics if request.openmetrics else generate_latest
        text: bytes = write(metrics)
    except Exception:
        log.exception("prometheus_client's registry failed: this scrape has perfloop's own metrics only")
        return b"# EOF\n" if request.openmetrics else b""
    return text
