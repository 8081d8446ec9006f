"""The watch over notifications: reads Prometheus and Alertmanager every few seconds and posts what is missing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx

from perfloop_inbox import alertmanager
from perfloop_inbox.alertmanager import parse_time
from perfloop_inbox.incidents import in_batches
from perfloop_inbox.prometheus import Prometheus
from perfloop_inbox.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from perfloop_inbox.inbox import Inbox
    from perfloop_inbox.incidents import PrometheusView

_ANSWER_SECONDS = 3.0
# The rules are a long answer: asked for only when something depends on them, and this often.
_RULES_SECONDS = 15.0
# Between batches: Alertmanager must know what inhibits before what it inhibits.
_BATCH_SECONDS = 0.2
# A clock that differs by more than this from what has passed was set.
_JUMP_SECONDS = 5.0
# Prometheus's own series of alerts is read from so long before the last look, and from no longer ago than an hour.
_OVERLAP_SECONDS = 60.0
_LONGEST_HOLE_SECONDS = 3600.0

log = logging.getLogger(__name__)


class Watch:
    """The loop.

    Args:
        inbox: holds the incidents.
        client: with the timeout of every question.
        prometheus_url: empty where there is none to ask.
        alertmanager_urls: one for each member of a cluster.
        interval: seconds between two looks.
    """

    def __init__(
        self,
        inbox: Inbox,
        client: httpx.AsyncClient,
        prometheus_url: str,
        alertmanager_urls: Sequence[str],
        interval: float,
    ) -> None:
        self._inbox = inbox
        self._client = client
        self._prometheus = Prometheus(client, prometheus_url)
        self._urls = alertmanager_urls
        self._interval = interval
        self._clocks = time.time(), time.monotonic()
        self._rules_at = -_RULES_SECONDS
        self._warned = False
        self._intervals: Mapping[str, float] = {}
        self._longest = _RULES_SECONDS
        self._recorded_after = 0.0

    async def run(self) -> None:
        """Look until cancelled; a look that fails is logged, and the next one comes."""
        while True:
            try:
                await self.look()
            except Exception:  # the edge of the loop: nothing may end it
                log.exception("a look at the notifications failed")
            await asyncio.sleep(self._interval)

    async def look(self) -> None:
        """Look once, and post what is missing."""
        now = self._read_clock()
        reconciliation = self._inbox.reconciliation
        view = await self._read_prometheus()
        if view is not None:
            view = await self._read_recorded(view, now)
        alertmanagers = await alertmanager.read_view(self._client, self._urls)
        self._inbox.note_upstreams(prometheus=view is not None, alertmanager=alertmanagers is not None)
        # Where alerts are relabelled on their way, their labels here are not those that Alertmanager knows.
        posts = reconciliation.step(now, view, alertmanagers)
        self._inbox.save_incidents(now, looked=view is not None)
        if self._prometheus.relabels:
            self._warn_of_relabelling()
            return
        for number, batch in enumerate(in_batches(posts, now)):
            if number:
                await asyncio.sleep(_BATCH_SECONDS)
            if await alertmanager.post(self._client, self._urls, batch):
                self._inbox.note_posts(batch, now)
        self._inbox.note_look(now)

    def _read_clock(self) -> float:
        wall, monotonic = time.time(), time.monotonic()
        drift = (wall - self._clocks[0]) - (monotonic - self._clocks[1])
        if abs(drift) > _JUMP_SECONDS:
            log.warning("the clock was set", extra={"seconds": round(drift)})
            self._inbox.shift(drift)
            if drift < 0:  # what was recorded at these times was recorded then
                self._recorded_after = max(self._recorded_after, wall - drift)
        self._clocks = wall, monotonic
        return wall

    async def _read_prometheus(self) -> PrometheusView | None:
        due = time.monotonic() - self._rules_at >= _RULES_SECONDS
        rules = due or self._inbox.reconciliation.needs_rules()
        view = await self._prometheus.read_view(rules=rules)
        if view is not None and rules:
            self._rules_at = time.monotonic()
        return view

    async def _read_recorded(self, view: PrometheusView, now: float) -> PrometheusView:
        """Find what began or ended between two looks, as Prometheus recorded it."""
        looked_at = self._inbox.looked_at
        if not looked_at or now < self._recorded_after:
            return view
        reconciliation = self._inbox.reconciliation
        oldest = min(looked_at, reconciliation.find_oldest() or looked_at)
        since = max(oldest - _OVERLAP_SECONDS, now - _LONGEST_HOLE_SECONDS)
        samples = await self._prometheus.read_samples(since, now)
        if not samples:
            return view
        if view.rules is not None:
            self._intervals, self._longest = view.rules, view.interval
        timeline = Timeline(samples, self._intervals, self._longest, reconciliation.timing.evaluations)
        began_at = parse_time(view.run)
        reconciliation.note_recorded(timeline, view.run, began_at, now)
        return replace(view, evaluating_since=timeline.first_since(began_at))

    def _warn_of_relabelling(self) -> None:
        if not self._warned:
            self._warned = True
            log.warning("alert_relabel_configs change alerts on their way: nothing is sent again if it is lost")


@contextlib.asynccontextmanager
async def watching(
    inbox: Inbox, prometheus_url: str, alertmanager_urls: Sequence[str], interval: float
) -> AsyncIterator[None]:
    """Watch for as long as the context lasts; not at all where no Prometheus or no Alertmanager is named."""
    if not prometheus_url or not alertmanager_urls:
        yield
        return
    async with httpx.AsyncClient(timeout=_ANSWER_SECONDS, trust_env=False) as client:
        watch = Watch(
            inbox, client, prometheus_url.rstrip("/"), [url.rstrip("/") for url in alertmanager_urls], interval
        )
        task = asyncio.create_task(watch.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
