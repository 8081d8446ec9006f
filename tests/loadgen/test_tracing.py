"""`trace_sampling`: a share of the requests carries a traceparent, and the reports know their traces."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.reporters.html_report import render_html
from perfloop_loadgen.reporters.markdown import render_markdown
from perfloop_loadgen.reporters.text import summary_lines
from perfloop_loadgen.samples.tally import Tally
from perfloop_loadgen.samples.traces import MOST_TRACES, TraceRow, TraceTally
from perfloop_loadgen.scenario.tracing import Tracer, new_traceparent
from perfloop_loadgen.summary.numbers import EndpointSummary, Summary
from tests.loadgen.conftest import build_document

if TYPE_CHECKING:
    import asyncio

HEADER = re.compile(rb"\r\ntraceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-01\r\n")
TRACE = "0af7651916cd43dd8448eb211c80319c"


def _config(url: str, **changes: object) -> LoadTestConfig:
    return LoadTestConfig.model_validate(
        {"name": "t", "base_url": url, "duration_seconds": 0.5, "concurrent_users": 4, "endpoints": [{"path": "/"}]}
        | changes
    )


def _traces(requests: list[bytes]) -> list[str]:
    return [found[1].decode() for request in requests for found in HEADER.finditer(request)]


async def test_without_it_no_request_has_the_header(hello: Any):
    """A load test does not make the service record traces unless it is asked to."""
    summary = await LoadTester(_config(hello.url)).run_load_test()
    assert not any(b"traceparent" in request for request in hello.requests)
    assert summary.total.traces is None


@pytest.mark.parametrize("engine", ["builtin", "httpx"])
async def test_with_a_share_of_one_every_request_has_a_trace_of_its_own(hello: Any, engine: str):
    """Version 00, the flag `sampled`, small letters, no id twice; the ids of the report are those that were sent."""
    endpoints = [{"path": "/a"}, {"path": "/b", "method": "POST", "data": {"x": "\r\n\r\n"}}]
    config = _config(hello.url, trace_sampling=1, endpoints=endpoints, **_engine(engine))
    summary = await LoadTester(config).run_load_test()
    sent = _traces(hello.requests)
    assert len(sent) == len(set(sent)) == len(hello.requests) == summary.total_requests
    assert all(request.count(b"traceparent") == 1 for request in hello.requests)
    assert all(request.endswith(b'{"x":"\\r\\n\\r\\n"}') for request in hello.requests if b"/b " in request)
    traces = summary.total.traces
    assert traces is not None
    assert traces.sampled == summary.total_requests
    assert {one.trace_id for one in traces.slowest} <= set(sent)
    assert len(traces.slowest) == MOST_TRACES
    slowest = max(one.seconds for one in traces.slowest)
    assert slowest == pytest.approx(summary.total.response.max_seconds, rel=0.01)


def _engine(name: str) -> dict[str, str]:
    return {} if name == "builtin" else {"engine": name}


async def test_a_share_is_a_share(hello: Any):
    """One in ten, at random: as many as a binomial distribution has, and counted as many as were sent."""
    summary = await LoadTester(_config(hello.url, trace_sampling=0.1, duration_seconds=1)).run_load_test()
    sent, requests = len(_traces(hello.requests)), len(hello.requests)
    assert requests > 200
    assert abs(sent - requests / 10) < 6 * (requests * 0.09) ** 0.5
    assert summary.total.traces is not None
    assert summary.total.traces.sampled == sent


async def test_failed_requests_are_named_with_their_outcome(serve: Any):
    """Whatever fails a request, its trace is among the last ten that failed."""
    async with serve(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n") as service:
        config = _config(service.url, trace_sampling=1, concurrent_users=1, think_time_seconds=0.02)
        summary = await LoadTester(config).run_load_test()
        traces = summary.total.traces
        assert traces is not None
        assert [one.outcome for one in traces.failed] == ["wrong_status"] * MOST_TRACES
        assert [one.trace_id for one in traces.failed] == _traces(service.requests)[-MOST_TRACES:]
    lines = "\n".join(summary_lines(summary))
    assert f"trace {traces.failed[-1].trace_id} failed: GET /, wrong_status" in lines


async def test_a_request_that_times_out_is_named(serve: Any):
    """Its time is a lower bound."""

    async def never(_: bytes, __: asyncio.StreamWriter) -> None:
        return None

    async with serve(never) as service:
        config = _config(service.url, trace_sampling=1, concurrent_users=1, timeout_seconds=0.1)
        summary = await LoadTester(config).run_load_test()
    traces = summary.total.traces
    assert traces is not None
    assert {one.outcome for one in traces.failed} <= {"timeout", "cut_off"}
    assert traces.failed[0].seconds >= 0.1


async def test_a_header_of_the_test_is_left_alone(hello: Any):
    """Whoever writes a traceparent of their own means it, in whatever letters."""
    own = f"00-{TRACE}-b7ad6b7169203331-01"
    endpoints = [{"path": "/", "headers": {"TraceParent": own}}]
    summary = await LoadTester(_config(hello.url, trace_sampling=1, endpoints=endpoints)).run_load_test()
    assert all(request.lower().count(b"traceparent") == 1 for request in hello.requests)
    assert all(own.encode() in request for request in hello.requests)
    assert summary.total.traces is None


async def test_workers_together_trace_their_share(hello: Any):
    """No id twice over processes, and the count of all is that of the server."""
    config = _config(hello.url, trace_sampling=0.5, workers=2, duration_seconds=1)
    summary = await LoadTester(config).run_load_test()
    sent = _traces(hello.requests)
    assert len(sent) == len(set(sent))
    assert summary.total.traces is not None
    assert summary.total.traces.sampled == len(sent)


@pytest.mark.parametrize("share", [-0.1, 1.1, "often", float("nan"), None])
def test_a_share_is_from_0_to_1(share: object):
    """Everything else is refused, with the field's name."""
    with pytest.raises(ValidationError, match="trace_sampling"):
        _config("http://localhost:1", trace_sampling=share)


@given(share=st.floats(1e-300, 1))
def test_gaps_are_whole_and_at_least_one(share: float):
    """Also of a share so small that none is ever sent."""
    assert all(Tracer(share).left >= 1 for _ in range(20))


def test_ids_are_new_and_never_zeros():
    """A thousand are a thousand."""
    made = [new_traceparent() for _ in range(1000)]
    assert len({trace for trace, _ in made}) == 1000
    assert all(re.fullmatch(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01", header) for _, header in made)


ROWS = st.builds(
    TraceRow,
    st.uuids().map(lambda one: one.hex),
    st.floats(0, 100),
    st.sampled_from(["ok", "timeout"]),
    st.just("GET /"),
)


@settings(max_examples=50)
@given(parts=st.lists(st.lists(ROWS, max_size=15), max_size=4))
def test_tallies_add_up(parts: list[list[TraceRow]]):
    """The slowest and the last that failed of all parts, however they are split; also over the wire."""
    whole, total = TraceTally(), Tally()
    for rows in parts:
        part = Tally()
        for row in rows:
            whole.note(row)
            part.traces_here().note(row)
        total.add(Tally.from_wire(part.to_wire()))
    rows = [row for part in parts for row in part]
    assert whole.sampled == len(rows)
    assert [row.seconds for row in whole.slowest] == sorted((row.seconds for row in rows), reverse=True)[:MOST_TRACES]
    assert whole.failed == [row for row in rows if row.outcome != "ok"][-MOST_TRACES:]
    if rows:
        assert total.traces is not None
        assert total.traces.to_wire() == whole.to_wire()
        assert json.loads(json.dumps(whole.to_wire())) == whole.to_wire()


def test_reports_lead_to_the_trace_store(monkeypatch: pytest.MonkeyPatch):
    """Only where one is named, and only for what is an id."""
    tally = Tally()
    tally.traces_here().note(TraceRow(TRACE, 1.5, "ok", "GET /<b>"))
    tally.outcomes["ok"] += 1
    document = build_document(0.1, 1, summary=Summary("t", 1.0, EndpointSummary.of("all", tally)))
    assert f"`{TRACE}`".encode() in render_markdown(document)
    assert b'<a href="http://jaeger' not in render_html(document)
    monkeypatch.setenv("PERFLOOP_TRACES_URL", "http://jaeger:16686/")
    link = f"http://jaeger:16686/trace/{TRACE}"
    assert f"[{TRACE}]({link})".encode() in render_markdown(document)
    page = render_html(document)
    assert f'<a href="{link}">{TRACE}</a>'.encode() in page
    assert b"GET /<b>" not in page
    monkeypatch.setenv("PERFLOOP_TRACES_URL", "javascript:alert(1)")
    assert b"javascript" not in render_html(document) + render_markdown(document)
