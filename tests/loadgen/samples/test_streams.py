"""Streams measured event by event: the meter alone, and a real server that stamps its events."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_base.errors import ConfigError
from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.config.scenario import SloConfig
from perfloop_loadgen.samples.streams import StreamMeter, StreamTally
from perfloop_loadgen.scenario.llm import read_prompts

if TYPE_CHECKING:
    from pathlib import Path

MS = 1_000_000


def _chunk(text: str = "", usage: dict[str, int] | None = None) -> bytes:
    choices = [] if usage else [{"delta": {"content": text}}]
    return b"data: " + json.dumps({"choices": choices, "usage": usage}).encode() + b"\n\n"


def test_the_formulas():
    """First token at 10 ms, events at 10, 20, 50 ms, 5 tokens by usage: every number follows from these."""
    meter, tally = StreamMeter(), StreamTally()
    meter.feed(_chunk(""), 5 * MS)  # the role, without content
    meter.feed(_chunk("a"), 10 * MS)
    meter.feed(_chunk("b"), 20 * MS)
    meter.feed(_chunk("c") + _chunk(usage={"completion_tokens": 5, "prompt_tokens": 7}) + b"data: [DONE]\n\n", 50 * MS)
    meter.close(tally, intended=0, ended=51 * MS, slo=SloConfig(first_token_seconds=0.011, per_token_seconds=0.0101))
    assert tally.first_token.quantile_seconds(1) == pytest.approx(0.01, rel=1e-3)
    assert [tally.gap.quantile_seconds(q) for q in (0, 1)] == pytest.approx([0.01, 0.03], rel=1e-3)
    assert tally.stall.quantile_seconds(1) == pytest.approx(0.03, rel=1e-3)
    assert tally.per_token.quantile_seconds(1) == pytest.approx(0.04 / 4, rel=1e-3)
    assert (tally.output_tokens, tally.input_tokens, tally.events, tally.good) == (5, 7, 3, 1)


@pytest.mark.parametrize("slo", [{"first_token_seconds": 0.009}, {"per_token_seconds": 0.02}, {"whole_seconds": 0.04}])
def test_an_answer_beyond_any_limit_is_not_good(slo: dict[str, float]):
    """Each limit of the SLO alone is enough to fail."""
    meter, tally = StreamMeter(), StreamTally()
    meter.feed(_chunk("a"), 10 * MS)
    meter.feed(_chunk("b"), 40 * MS)
    meter.close(tally, intended=0, ended=41 * MS, slo=SloConfig.model_validate(slo))
    assert tally.good == 0


def test_events_torn_between_pieces_count_when_they_are_whole():
    """An event is there when its last byte is, whatever pieces it came in, and with either line end."""
    meter, tally = StreamMeter(), StreamTally()
    meter.feed(b'data: {"choices": [{"text"', 1 * MS)
    meter.feed(b': "x"}]}\r\n\r\n: comment\n\ndata: plain\n\n', 2 * MS)
    meter.close(tally, intended=0, ended=3 * MS, slo=SloConfig())
    assert (meter.events, tally.output_tokens, tally.counted_by_usage) == (2, 2, 0)
    assert tally.first_token.quantile_seconds(0) == pytest.approx(0.002, rel=1e-3)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


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
        writer.write(_framed(b"data: [DONE]\n\n") + b"0\r\n\r\n")


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


async def test_a_stream_without_an_event_is_an_error(serve: Any):
    """An empty chunked body where events were due."""
    async with serve(HEAD + b"0\r\n\r\n") as service:
        config = _config(service.url, {})
        config.duration_seconds = 0.2
        summary = await LoadTester(config).run_load_test()
    assert set(summary.outcomes) == {"empty_stream"}


def test_bad_prompt_files_are_named(tmp_path: Path):
    """Missing, empty, or not texts: one sentence each."""
    path = tmp_path / "p.json"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_prompts(path)
    path.write_text("[1]")
    with pytest.raises(ConfigError, match="must hold at least one prompt, each a text"):
        read_prompts(path)
    path.write_text('["a", "b"]')
    assert read_prompts(path) == ["a", "b"]
