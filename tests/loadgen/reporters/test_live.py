"""The live view, and Grafana's annotations against an HTTP server that takes them."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from perfloop_loadgen.app.display import Display
from perfloop_loadgen.reporters import annotations
from perfloop_loadgen.reporters.annotations import Annotator, Grafana
from perfloop_loadgen.reporters.live_view import LiveView
from perfloop_loadgen.samples.book import Book, Load
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.samples.tally import Tally

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{"id":1}'


def test_the_view_shows_the_last_seconds_and_the_whole_run():
    """Progress, rate against target, both rows of percentiles, errors by kind."""
    book = Book(Labels(["GET /"]))
    for milliseconds in (10, *[20] * 10):
        tally = Tally()
        tally.on_time.record(milliseconds * 1_000_000, 50)
        tally.outcomes |= {"ok": 49, "timeout": 1}
        book.add([tally], 11, 1, Load(users=3, target_rate=80, phase="steady"))
    text = io.StringIO()
    Console(file=text, width=120).print(LiveView("shop", 60).render(11, book))
    shown = text.getvalue()
    assert "shop  11 s of 60 s  steady  target 80/s  50.0 requests/s" in shown
    assert [line.split()[-3:] for line in shown.splitlines() if "last 10 s" in line and "500" in line]
    assert any("whole run" in line and "550" in line for line in shown.splitlines())
    assert any(line.split()[1:6:2] == ["timeout", "10", "11"] for line in shown.splitlines())
    assert [line.split()[1:3] for line in shown.splitlines() if "late" in line or "dropped" in line] == [
        ["late", "starts"],
        ["dropped", "│"],
    ]


def test_grafana_is_found_by_its_variables(monkeypatch: pytest.MonkeyPatch):
    """Without a token nothing is annotated; with one, at GRAFANA_URL, else at the local stack's port."""
    monkeypatch.delenv("GRAFANA_TOKEN", raising=False)
    monkeypatch.delenv("GRAFANA_URL", raising=False)
    assert Grafana.from_environment() is None
    monkeypatch.setenv("GRAFANA_TOKEN", "t")
    monkeypatch.setenv("PERFLOOP_GRAFANA_PORT", "3999")
    assert Grafana.from_environment() == Grafana("http://127.0.0.1:3999", "t")
    monkeypatch.setenv("GRAFANA_URL", "http://grafana.example")
    assert Grafana.from_environment() == Grafana("http://grafana.example", "t")
    monkeypatch.delenv("GRAFANA_TOKEN")
    assert Grafana.from_environment() is None
    monkeypatch.setenv("GRAFANA_URL", "http://ann:some-pass@grafana.example")
    assert Grafana.from_environment() == Grafana("http://ann:some-pass@grafana.example", "")


async def test_a_user_in_grafanas_address_writes(serve: Any):
    """Basic authentication below the address's path; the sentence about a failure has no password."""
    async with serve(ANSWER) as service:
        annotator = Annotator(Grafana(service.url.replace("://", "://ann:some-pass@") + "/sub/", ""), "shop", "r1")
        await annotator.edge("steady", 100.0)
        await annotator.edge("", 101.0)
        head = service.requests[0].decode()
    assert head.startswith("POST /sub/api/annotations ")
    assert f"Basic {base64.b64encode(b'ann:some-pass').decode()}" in head
    annotator = Annotator(Grafana("http://ann:some-pass@127.0.0.1:1", ""), "shop", "r1")
    await annotator.edge("steady", 100.0)
    await annotator.edge("", 101.0)
    assert annotator.problem is not None
    assert "some-pass" not in annotator.problem


class SlowView:
    """A view that takes its time to draw."""

    def __init__(self) -> None:
        self.drawn: list[float] = []

    def show(self, elapsed_seconds: float, _: Book) -> None:
        """Draw for long."""
        time.sleep(0.02)
        self.drawn.append(elapsed_seconds)


def test_a_view_that_draws_slowly_is_drawn_less_often():
    """The view shares the loop with what sends: after a drawing of 20 ms the next one waits for seconds."""
    view: Any = SlowView()
    tester: Any = SimpleNamespace(book=Book(Labels(["GET /"])))
    display = Display(tester, view, None)
    for elapsed in (1.0, 1.1, 1.2):
        display.second(elapsed)
    assert view.drawn == [1.0]


async def test_each_phase_becomes_one_annotation(serve: Any):
    """Two phases: two regions with their edges, the run's id among the tags."""
    async with serve(ANSWER) as service:
        annotator = Annotator(Grafana(service.url, "secret"), "shop", "r1")
        for phase, now in (("ramp up", 100.0), ("ramp up", 101.0), ("steady", 110.0), ("", 160.5)):
            await annotator.edge(phase, now)
        bodies = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in service.requests]
    assert annotator.problem is None
    assert [(body["time"], body["timeEnd"], body["text"]) for body in bodies] == [
        (100_000, 110_000, "shop: ramp up"),
        (110_000, 160_500, "shop: steady"),
    ]
    assert bodies[0]["tags"] == ["perfloop", "loadgen", "run_id:r1"]
    assert b"Bearer secret" in service.requests[0]


@pytest.mark.parametrize("kind", ["drips", "garbage", "deep"])
def test_a_grafana_that_is_none_is_given_up(raw_server: Any, monkeypatch: pytest.MonkeyPatch, kind: str):
    """An answer that never ends, or is no JSON: one visible sentence, within its time."""
    monkeypatch.setattr(annotations, "TIMEOUT_SECONDS", 0.5)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

    def drip(connection: Any, _: int) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(b"X: y\r\n")
            time.sleep(0.05)

    body = {"garbage": b"\x1b[2J\xff", "deep": b"[" * 100_000}.get(kind, b"")
    answer = drip if kind == "drips" else head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)

    async def annotate(url: str) -> str | None:
        annotator = Annotator(Grafana(url, "t"), "shop", "r1")
        await annotator.edge("a", 1)
        await annotator.edge("", 2)
        return annotator.problem

    began = time.monotonic()
    with raw_server(answer) as server:
        problem = asyncio.run(annotate(server.url))
    assert time.monotonic() - began < 8
    assert problem is not None
    assert problem.startswith("Grafana at http://127.0.0.1:")
    assert problem.isprintable()


async def test_a_grafana_that_does_not_answer_is_reported_once(free_port: int):
    """The problem is one sentence with the address; nothing is raised."""
    url = f"http://127.0.0.1:{free_port}"
    annotator = Annotator(Grafana(url, "t"), "shop", "r1")
    await asyncio.wait_for(annotator.edge("a", 1), 5)
    await asyncio.wait_for(annotator.edge("", 2), 5)
    assert annotator.problem.startswith(f"Grafana at {url}: the phases were not annotated: ")
