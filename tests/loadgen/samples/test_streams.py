"""Streams measured event by event: the meter alone, and a real server that stamps its events."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_loadgen import LoadTestConfig, LoadTester, outcomes
from perfloop_loadgen.config.scenario import SloConfig
from perfloop_loadgen.samples.streams import StreamMeter, StreamTally

if TYPE_CHECKING:
    from pathlib import Path

MS = 1_000_000
DONE = b"data: [DONE]\n\n"


def _data(payload: Any) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


def _chunk(text: str = "", usage: dict[str, int] | None = None, **delta: Any) -> bytes:
    choices = [] if usage else [{"delta": {"content": text, **delta}}]
    return _data({"choices": choices, "usage": usage})


def _count(
    meter: StreamMeter, ended: int, slo: SloConfig | None = None, asked: tuple[int, int] = (0, 0)
) -> StreamTally:
    tally = StreamTally()
    assert meter.end(ended) == (outcomes.OK, "")
    meter.count(tally, (0, ended), slo or SloConfig(), asked)
    return tally


def test_the_formulas():
    """First token at 10 ms, events at 10, 20, 50 ms, 5 tokens by usage: every number follows from these."""
    meter = StreamMeter()
    meter.feed(_chunk(""), 5 * MS)  # the role, without content
    meter.feed(_chunk("a"), 10 * MS)
    meter.feed(_chunk("b"), 20 * MS)
    meter.feed(_chunk("c") + _chunk(usage={"completion_tokens": 5, "prompt_tokens": 7}) + DONE, 50 * MS)
    tally = _count(meter, 51 * MS, SloConfig(first_token_seconds=0.011, per_token_seconds=0.0101))
    assert tally.first_token.quantile_seconds(1) == pytest.approx(0.01, rel=1e-3)
    assert tally.first_answer.quantile_seconds(1) == pytest.approx(0.01, rel=1e-3)
    assert tally.first_reasoning.count == 0
    assert [tally.gap.quantile_seconds(q) for q in (0, 1)] == pytest.approx([0.01, 0.03], rel=1e-3)
    assert tally.stall.quantile_seconds(1) == pytest.approx(0.03, rel=1e-3)
    assert tally.per_token.quantile_seconds(1) == pytest.approx(0.04 / 4, rel=1e-3)
    assert (tally.output_tokens, tally.input_tokens, tally.events, tally.good) == (5, 7, 3, 1)


def test_reasoning_counts_and_has_a_time_of_its_own():
    """Reasoning at 10 and 20 ms, the answer from 50 ms on: first token, gaps and output are of all three."""
    meter = StreamMeter()
    meter.feed(_chunk(reasoning_content="hm"), 10 * MS)
    meter.feed(_chunk(reasoning="so"), 20 * MS)
    meter.feed(_chunk("a") + DONE, 50 * MS)
    tally = _count(meter, 51 * MS)
    for times, expected in ((tally.first_token, 0.01), (tally.first_reasoning, 0.01), (tally.first_answer, 0.05)):
        assert times.quantile_seconds(1) == pytest.approx(expected, rel=1e-3)
    assert [tally.gap.quantile_seconds(q) for q in (0, 1)] == pytest.approx([0.01, 0.03], rel=1e-3)
    assert (tally.events, tally.reasoning_events, tally.output_tokens) == (3, 2, 3)


@pytest.mark.parametrize(
    "slo",
    [
        {"first_token_seconds": 0.009},
        {"first_answer_seconds": 0.039},
        {"per_token_seconds": 0.02},
        {"whole_seconds": 0.04},
    ],
)
def test_an_answer_beyond_any_limit_is_not_good(slo: dict[str, float]):
    """Each limit of the SLO alone is enough to fail."""
    meter = StreamMeter()
    meter.feed(_chunk(reasoning="a"), 10 * MS)
    meter.feed(_chunk("b") + DONE, 40 * MS)
    assert _count(meter, 41 * MS, SloConfig.model_validate(slo)).good == 0


def test_an_answer_that_ends_in_its_reasoning_has_no_first_answer_token():
    """It is none in time, whatever the limit; the other times are there."""
    meter = StreamMeter()
    meter.feed(_chunk(reasoning="a") + DONE, 10 * MS)
    tally = _count(meter, 11 * MS, SloConfig(first_answer_seconds=100))
    assert (tally.answers, tally.good, tally.first_answer.count, tally.first_token.count) == (1, 0, 0, 1)


def test_an_answer_in_one_event_has_no_time_per_token():
    """As from a server that does not stream: 0 would be the best there is."""
    meter = StreamMeter()
    usage = {"prompt_tokens": 3, "completion_tokens": 40}
    meter.feed(json.dumps({"choices": [{"message": {"content": "all of it"}}], "usage": usage}).encode(), 30 * MS)
    tally = StreamTally()
    assert meter.end(31 * MS)[0] == outcomes.TRUNCATED_STREAM
    meter = StreamMeter()
    choice = {"message": {"content": "all of it"}, "finish_reason": "stop"}
    meter.feed(json.dumps({"choices": [choice], "usage": usage}, indent=1).encode(), 30 * MS)
    tally = _count(meter, 31 * MS)
    assert (tally.output_tokens, tally.per_token.count, tally.gap.count, tally.first_token.count) == (40, 0, 0, 1)


def test_what_was_asked_for_is_beside_what_the_server_counted():
    """Only of answers that have both numbers."""
    total = StreamTally()
    for asked, usage in ((100, {"prompt_tokens": 110, "completion_tokens": 1}), (100, None), (0, {"prompt_tokens": 9})):
        meter = StreamMeter()
        meter.feed(_chunk("a") + (_chunk(usage=usage) if usage else b"") + DONE, MS)
        total.add(StreamTally.from_wire(_count(meter, 2 * MS, asked=(asked, 5 * (asked > 0))).to_wire()))
    assert (total.asked_answers, total.asked_input_tokens, total.counted_input_tokens) == (1, 100, 110)
    assert total.input_tokens == 119
    assert (total.asked_output_answers, total.asked_output_tokens, total.counted_output_tokens) == (2, 10, 2)


def test_events_torn_between_pieces_count_when_they_are_whole():
    """An event is there when its last byte is, whatever pieces it came in, and with either line end."""
    meter = StreamMeter()
    meter.feed(b'data: {"tick', 1 * MS)
    meter.feed(b'": 1}\r\n\r\n: comment\n\ndata: plain\n\n', 2 * MS)
    tally = _count(meter, 3 * MS)
    assert (tally.events, tally.output_tokens, tally.counted_by_usage) == (2, 2, 0)
    assert tally.first_token.quantile_seconds(0) == pytest.approx(0.002, rel=1e-3)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def _framed(piece: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(piece), piece)


class Model:
    """An OpenAI-compatible server that writes down when it sent each event."""

    def __init__(self, pauses: list[float]) -> None:
        self.pauses = pauses
        self.first: list[float] = []
        self.gaps: list[float] = []
        self.bodies: list[dict[str, Any]] = []

    async def __call__(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        """Stream as many tokens as there are pauses."""
        begun = sent = time.monotonic()
        self.bodies.append(json.loads(request.partition(b"\r\n\r\n")[2]))
        writer.write(HEAD)
        for number, pause in enumerate(self.pauses):
            await asyncio.sleep(pause)
            now = time.monotonic()
            (self.gaps if number else self.first).append(now - (sent if number else begun))
            sent = now
            writer.write(_framed(_chunk("word")))
        writer.write(_framed(_chunk(usage={"completion_tokens": len(self.pauses), "prompt_tokens": 3})))
        writer.write(_framed(DONE) + END)


def _config(url: str, llm: dict[str, Any], **changes: Any) -> LoadTestConfig:
    endpoint = {"path": "/v1/chat/completions", "llm": {"model": "m", "max_tokens": 9} | llm} | changes
    return LoadTestConfig.model_validate(
        {"base_url": url, "duration_seconds": 1, "concurrent_users": 3, "endpoints": [endpoint]}
    )


async def test_a_streaming_model_is_measured_as_it_says_itself(serve: Any, tmp_path: Path):
    """Tokens to the token; the stall of each answer is seen; prompts come from the file in turn."""
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("one\n\ntwo\n")
    model = Model([0.02, 0.01, 0.1, 0.01])
    async with serve(model) as service:
        tester = LoadTester(_config(service.url, {"prompts_file": prompts}, slo={"first_token_seconds": 5}))
        summary = await tester.run_load_test()
    streams = summary.endpoints[0].streams
    assert summary.failed_requests == 0
    assert streams.answers == len(model.first) == summary.total_requests
    assert streams.output_tokens == 4 * streams.answers
    assert streams.gap.count == len(model.gaps)
    # A token before the stall that a busy machine read late takes its delay off the stall: the mean has the whole.
    assert streams.stall.mean_seconds >= 0.099
    assert streams.stall.min_seconds >= 0.05
    assert streams.good == streams.answers
    assert {body["messages"][0]["content"] for body in model.bodies} == {"one", "two"}
    assert model.bodies[0]["stream_options"] == {"include_usage": True}
    assert any("had the 2 prompts of" in note for note in summary.notes)


TOKENS = _chunk("a") + _chunk("b")
NAMED = b"event: error\ndata: the backend is gone\n\n"
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@pytest.mark.parametrize(
    ("body", "outcome", "detail"),
    [
        (b"", "empty_stream", None),
        (DONE, "empty_stream", None),
        (_data({"choices": [{"delta": {}, "finish_reason": "stop"}]}) + DONE, "empty_stream", None),
        (TOKENS, "truncated_stream", "no [DONE] and no finish_reason"),
        (TOKENS + DONE[:-1], "truncated_stream", "no [DONE] and no finish_reason"),
        (TOKENS + _data({"error": {"type": "server_error", "message": "x"}}) + DONE, "stream_error", "server_error: x"),
        (TOKENS + _data({"object": "error", "message": "x"}) + DONE, "stream_error", "x"),
        (TOKENS + b"event: error\n" + _data(OVERLOADED), "stream_error", "overloaded_error: Overloaded"),
        (TOKENS + NAMED + DONE, "stream_error", "the backend is gone"),
        (NAMED, "stream_error", "the backend is gone"),
        (_data({"type": "content_block_delta", "delta": {"text": "w"}}), "truncated_stream", "no message_stop"),
        (b'{"message": {"content": "w"}, "done": false}\n', "truncated_stream", "no done: true"),
        (b'{"message": {"content": "w"}, "done": false}\n{"error": "oom"}\n', "stream_error", "oom"),
        (json.dumps({"error": {"message": "bad model"}}, indent=2).encode(), "stream_error", "bad model"),
    ],
)
async def test_a_failure_after_the_200_counts_as_nothing_good(
    serve: Any, body: bytes, outcome: str, detail: str | None
):
    """Neither token nor first token nor goodput; the outcome's detail is the kind."""
    async with serve(HEAD + (_framed(body) if body else b"") + END) as service:
        config = _config(service.url, {})
        config.duration_seconds, config.think_time_seconds = 0.2, 0.05
        summary = await LoadTester(config).run_load_test()
    assert set(summary.outcomes) == {outcome}
    [endpoint] = summary.endpoints
    assert [(one.outcome, one.detail) for one in endpoint.details] == ([(outcome, detail)] if detail else [])
    streams = endpoint.streams
    assert (streams.answers, streams.good, streams.output_tokens, streams.first_token.count) == (0, 0, 0, 0)


@pytest.mark.parametrize("engine", ["http1", "httpx"])
async def test_either_engine_sees_the_events_of_a_stream(serve: Any, engine: str):
    """A good answer and one that fails in turn: half of the requests, with either client."""
    bodies = [TOKENS + DONE, TOKENS + NAMED]

    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        bodies.reverse()
        writer.write(HEAD + _framed(bodies[0]) + END)

    async with serve(answer) as service:
        config = _config(service.url, {}).model_copy(update={"engine": engine, "concurrent_users": 1})
        config.duration_seconds, config.think_time_seconds = 0.4, 0.02
        summary = await LoadTester(config).run_load_test()
    assert set(summary.outcomes) == {"ok", "stream_error"}
    assert abs(summary.outcomes["ok"] - summary.outcomes["stream_error"]) <= 1
    streams = summary.endpoints[0].streams
    assert (streams.answers, streams.events) == (summary.outcomes["ok"], 2 * summary.outcomes["ok"])


async def test_a_server_that_says_why_and_hangs_up_has_failed_for_that_reason(serve: Any):
    """The kind, not only that the connection closed in the middle."""

    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + _framed(TOKENS + NAMED))
        await writer.drain()
        writer.close()

    async with serve(answer) as service:
        config = _config(service.url, {})
        config.duration_seconds, config.think_time_seconds = 0.2, 0.05
        summary = await LoadTester(config).run_load_test()
    assert set(summary.outcomes) == {"stream_error"}
    assert summary.endpoints[0].details[0].detail == "the backend is gone"
