"""Mark a run's phases in Grafana, through its HTTP API."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import grafana_client

from perfloop_base.home import local_url
from perfloop_base.redaction import redact_url, split_user
from perfloop_loadgen.config.secrets import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

TAGS = ("perfloop", "loadgen")
TIMEOUT_SECONDS = 8.0
_LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class Grafana:
    """Grafana's address, and the token to write with; without one the user in the address writes."""

    url: str
    token: str = field(repr=False)

    @classmethod
    def from_environment(cls) -> Grafana | None:
        """Return Grafana at GRAFANA_URL, else that of the local stack; None without GRAFANA_TOKEN or a user."""
        token, url = os.environ.get("GRAFANA_TOKEN", ""), os.environ.get("GRAFANA_URL") or local_url("grafana")
        return cls(url, token) if token or split_user(url)[1] else None


@contextmanager
def _connect(grafana: Grafana) -> Iterator[Any]:
    url, user = split_user(grafana.url)
    parts, path = urlsplit(url), urlsplit(url).path.strip("/")
    library: Any = grafana_client  # ships without types
    api = library.GrafanaApi(
        library.TokenAuth(grafana.token) if grafana.token else library.HeaderAuth("Authorization", user),
        host=parts.hostname or "localhost",
        port=parts.port,
        protocol=parts.scheme,
        url_path_prefix=f"{path}/" if path else "",
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
            await self._write_within_time(before, since, now)

    async def _write_within_time(self, phase: str, since: float, until: float) -> None:
        """Write in a thread: the library blocks, and its time limit is that of each read, not of the whole answer.

        A daemon, not one of the loop's own threads, for whose end the program would wait.
        """
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def write() -> None:
            self._write(phase, since, until)
            with suppress(RuntimeError):  # the loop has not waited for it
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=write, name="annotation", daemon=True).start()
        try:
            await asyncio.wait_for(done.wait(), TIMEOUT_SECONDS)
        except TimeoutError:
            self._report(f"no answer within {TIMEOUT_SECONDS:g} s")

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
        except Exception as error:  # noqa: BLE001 - the library raises what it likes on an answer that is not Grafana's
            self._report(str(error) or type(error).__name__)

    def _report(self, reason: str) -> None:
        # A run is worth no less without its marks: the problem is reported once, at the end.
        url = redact_url(self._grafana.url)
        self.problem = shown(f"Grafana at {url}: the phases were not annotated: {reason[:_LONGEST_REASON]}")
