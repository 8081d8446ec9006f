"""Mark a run's phases in Grafana, through its HTTP API."""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import grafana_client
from grafana_client.client import GrafanaException

from perfloop_base.home import local_url
from perfloop_base.redaction import redact_url
from perfloop_loadgen.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator

TAGS = ("perfloop", "loadgen")


@dataclass(frozen=True, slots=True)
class Grafana:
    """Grafana's address, and the token to write with."""

    url: str
    token: str

    @classmethod
    def from_environment(cls) -> Grafana | None:
        """Return Grafana at GRAFANA_URL, else that of the local stack; None without GRAFANA_TOKEN."""
        token = os.environ.get("GRAFANA_TOKEN")
        return cls(os.environ.get("GRAFANA_URL") or local_url("grafana"), token) if token else None


@contextmanager
def _connect(grafana: Grafana) -> Iterator[Any]:
    parts = urlsplit(grafana.url)
    library: Any = grafana_client  # ships without types
    api = library.GrafanaApi(
        library.TokenAuth(grafana.token),
        host=parts.hostname or "localhost",
        port=parts.port,
        protocol=parts.scheme,
        url_path_prefix=parts.path.strip("/"),
        timeout=5,
    )
    try:
        yield api
    finally:
        api.client.s.close()  # the library itself never closes its connections


class Annotator:
    """Writes one annotation for each phase, as a region from its start to its end."""

    def __init__(self, grafana: Grafana, test: str, run_id: str) -> None:
        self._grafana = grafana
        self._tags = [*TAGS, f"run_id:{run_id}"]
        self._test = test
        self._phase = ""
        self._since = 0.0
        self.problem: str | None = None

    async def edge(self, phase: str, now: float) -> None:
        """Close the phase before this one, if it is another; the last one is closed with an empty name."""
        if phase == self._phase:
            return
        before, since = self._phase, self._since
        self._phase, self._since = phase, now
        if before:
            # In a thread: the library blocks, and the event loop sends requests.
            await asyncio.to_thread(self._write, before, since, now)

    def _write(self, phase: str, since: float, until: float) -> None:
        try:
            with _connect(self._grafana) as api:
                api.annotations.add_annotation(
                    time_from=round(since * 1000),
                    # Where the clock was set back meanwhile: Grafana refuses a region that ends before it begins.
                    time_to=round(max(since, until) * 1000),
                    tags=self._tags,
                    text=f"{self._test}: {phase}",
                )
        except (GrafanaException, OSError) as error:
            # A run is worth no less without its marks: the problem is reported once, at the end.
            self.problem = str(
                QueryError(f"Grafana at {redact_url(self._grafana.url)}: the phases were not annotated: {error}")
            )
