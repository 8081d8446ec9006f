"""What the watch reads of Prometheus's own series, through restarts and set clocks."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from perfloop_inbox.inbox import Inbox
from perfloop_inbox.watch import Watch

LABELS = {"alertname": "Slow", "service": "shop"}
ANSWERS = {
    "/api/v1/status/runtimeinfo": {"startTime": "2026-11-29T10:00:00Z"},
    "/api/v1/status/config": {"yaml": "global: {}"},
    "/api/v1/rules": {"groups": []},
    "/api/v1/alerts": {"alerts": []},
}


class World:
    """A clock that can be set, and a Prometheus that recorded one alert."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.passed = 1_795_950_000.0, 1000.0
        self.recorded: list[float] = []
        self.asked: list[str] = []
        monkeypatch.setattr(time, "time", lambda: self.now)
        monkeypatch.setattr(time, "monotonic", lambda: self.passed)
        self.inbox = Inbox()
        client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self.watch = Watch(self.inbox, client, "http://prometheus", ["http://alertmanager"], 2.0)

    def look(self, seconds: float = 2.0) -> None:
        """Look once, so many seconds later."""
        self.now += seconds
        self.passed += seconds
        asyncio.run(self.watch.look())

    def found(self) -> int:
        """How many incidents are known."""
        return len(self.inbox.reconciliation.incidents)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.host != "prometheus":
            return httpx.Response(503)
        if request.url.path in ANSWERS:
            return httpx.Response(200, json={"data": ANSWERS[request.url.path]})
        self.asked.append(request.url.params["query"])
        values = [[at, "1"] for at in self.recorded if at <= float(request.url.params["time"])]
        series = {"metric": {"__name__": "ALERTS", "alertstate": "firing", **LABELS}, "values": values}
        return httpx.Response(200, json={"data": {"result": [series] if values else []}})


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Looked at once."""
    world = World(monkeypatch)
    world.look()
    return world


def test_each_look_reads_what_was_recorded_since_the_last(world: World):
    """An alert may come and go between two of them, or while the inbox is down."""
    world.recorded = [world.now + 1]
    world.look()
    assert world.asked == ["ALERTS[62s]"]
    assert world.found() == 1
    world.look(300.0)
    assert world.asked[1:] == ["ALERTS[361s]"]


def test_a_first_start_finds_nothing_old(monkeypatch: pytest.MonkeyPatch):
    """What came and went before the inbox was there is not sent."""
    world = World(monkeypatch)
    world.recorded = [world.now - 10]
    world.look()
    assert world.found() == 0


def test_what_was_recorded_at_the_same_time_before_the_clock_was_set_back_is_old(world: World):
    """An hour later the series can be read again."""
    world.recorded = [world.now - 3590]
    world.now -= 3600
    for _ in range(20):
        world.look()
    assert world.found() == 0
    world.recorded = []
    world.asked.clear()
    world.look(3600.0)
    assert len(world.asked) == 1
