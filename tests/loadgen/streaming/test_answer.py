"""What events of each format bring: kinds of tokens, usage, ends, errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_loadgen.streaming.answer import AnswerReader
from perfloop_loadgen.streaming.events import Event, EventReader
from perfloop_loadgen.streaming.pieces import ANSWER, REASONING, Usage
from perfloop_loadgen.streaming.text import answer_text

BOTH = ANSWER | REASONING


def _event(payload: Any, name: str = "") -> Event:
    return Event(name.encode(), payload if isinstance(payload, bytes) else json.dumps(payload).encode())


def _delta(finish: str | None = None, index: int = 0, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish}], "usage": None}


def _block(**delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": delta}


CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}


@pytest.mark.parametrize(
    ("payload", "kinds"),
    [
        (_delta(role="assistant", content=""), 0),
        (_delta(content="word"), ANSWER),
        (_delta(content=None, reasoning_content="hm"), REASONING),
        (_delta(reasoning="hm", reasoning_details=[{"type": "reasoning.text", "text": "hm"}]), REASONING),
        (_delta(content="a", reasoning_content="b"), BOTH),
        (_delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]), REASONING),
        (_delta(tool_calls=[CALL]), ANSWER),
        (_delta(tool_calls=[{"index": 0, "function": {"arguments": '{"c'}}]), ANSWER),
        (_delta(refusal="no"), ANSWER),
        (_delta("stop"), 0),
        ({"choices": [{"text": "word", "index": 0, "finish_reason": None}]}, ANSWER),
        ({"choices": [], "prompt_filter_results": []}, 0),
        ({"type": "response.created", "response": {"status": "in_progress", "error": None, "usage": None}}, 0),
        ({"type": "response.output_item.added", "item": {"type": "message", "content": []}}, 0),
        ({"type": "response.output_text.delta", "delta": "word"}, ANSWER),
        ({"type": "response.output_text.done", "text": "word"}, 0),
        ({"type": "response.reasoning_text.delta", "delta": "hm"}, REASONING),
        ({"type": "response.reasoning_summary_text.delta", "delta": "hm"}, REASONING),
        ({"type": "response.function_call_arguments.delta", "delta": '{"'}, ANSWER),
        ({"type": "message_start", "message": {"content": [], "usage": {"input_tokens": 3}}}, 0),
        ({"type": "content_block_start", "content_block": {"type": "text", "text": ""}}, 0),
        ({"type": "content_block_start", "content_block": {"type": "tool_use", "id": "t", "name": "f"}}, ANSWER),
        ({"type": "content_block_start", "content_block": {"type": "redacted_thinking", "data": "x"}}, REASONING),
        ({"type": "content_block_start", "content_block": {"type": "web_search_tool_result", "content": "x"}}, 0),
        (_block(type="text_delta", text="word"), ANSWER),
        (_block(text="word"), ANSWER),
        (_block(type="thinking_delta", thinking="hm"), REASONING),
        (_block(type="signature_delta", signature="abc"), 0),
        (_block(type="input_json_delta", partial_json='{"'), ANSWER),
        ({"type": "ping"}, 0),
        ({"message": {"role": "assistant", "content": "word"}, "done": False}, ANSWER),
        ({"message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": False}, REASONING),
        (
            {
                "message": {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f"}}]},
                "done": False,
            },
            1,
        ),
        ({"response": "word", "done": False}, ANSWER),
        ({"response": "", "thinking": "hm", "done": False}, REASONING),
        ({"response": "", "done": True, "done_reason": "stop"}, 0),
        (b"plain text", ANSWER),
        (b"7", ANSWER),
        (b"", 0),
        ({"tick": 1}, ANSWER),
        ({"error": 0.03, "step": 2}, ANSWER),
        ({"status": "failed", "job": 7}, ANSWER),
        ({"code": 200, "message": "fine"}, ANSWER),
        ([{"choices": [{"delta": {"content": "a"}}]}, {"tick": 1}], ANSWER),
        ({"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}], "usage": {}}, ANSWER),
        ({"type": "message", "content": [{"type": "text", "text": "whole"}], "usage": {"input_tokens": 1}}, ANSWER),
    ],
)
def test_what_an_event_brings(payload: Any, kinds: int):
    """Text, refusals and tool calls are the answer; reasoning is a kind of its own; the rest brings nothing."""
    reader = AnswerReader()
    assert reader.take(_event(payload)) == kinds
    assert reader.error == ""


@pytest.mark.parametrize("name", ["ping", "heartbeat", "keep-alive"])
def test_heartbeats_bring_nothing(name: str):
    """Whatever their data is."""
    assert AnswerReader().take(_event({"time": 1}, name)) == 0


OPENAI = [_delta(role="assistant", content=""), _delta(content="a"), _delta("stop")]
ANTHROPIC: list[Any] = [
    {
        "type": "message_start",
        "message": {"usage": {"input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 1}},
    },
    _block(type="text_delta", text="a"),
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
    {"type": "message_stop"},
]
DETAILS = {"input_tokens_details": {"cached_tokens": 4}, "output_tokens_details": {"reasoning_tokens": 2}}
RESPONSES: list[Any] = [
    {"type": "response.output_text.delta", "delta": "a"},
    {"type": "response.completed", "response": {"usage": {"input_tokens": 8, "output_tokens": 6, **DETAILS}}},
]
OLLAMA: list[Any] = [
    {"message": {"content": "a"}, "done": False},
    {"message": {"content": ""}, "done": True, "prompt_eval_count": 11, "eval_count": 12},
]
USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 21,
    "prompt_tokens_details": {"cached_tokens": 16},
    "completion_tokens_details": {"reasoning_tokens": 17},
}


@pytest.mark.parametrize(
    ("events", "usage"),
    [
        ([*OPENAI, {"choices": [], "usage": USAGE}], Usage(20, 21, 17, 16)),
        (ANTHROPIC, Usage(12, 9, None, 7)),
        (RESPONSES, Usage(8, 6, 2, 4)),
        (OLLAMA, Usage(11, 12, None, None)),
        ([{"choices": [], "usage": {"prompt_tokens": -1, "completion_tokens": "many"}}], Usage()),
    ],
)
def test_usage_is_read_where_each_format_has_it(events: list[Any], usage: Usage):
    """Anthropic's input is what its cache held, what it was given and the rest, and its output ends with the answer."""
    reader = AnswerReader()
    for event in events:
        reader.take(_event(event))
    assert reader.usage == usage


@pytest.mark.parametrize(
    ("events", "lacks"),
    [
        (OPENAI[:-1], "[DONE] and no finish_reason"),
        (OPENAI, ""),
        ([*OPENAI[:-1], b"[DONE]"], ""),
        ([*OPENAI[:-1], b" [DONE] "], ""),
        ([*OPENAI[:-1], {"choices": [], "usage": USAGE}], ""),
        ([_delta(content="a"), _delta(content="b", index=1), _delta("stop")], "[DONE] and no finish_reason"),
        ([_delta(content="a"), _delta(content="b", index=1), _delta("stop"), _delta("length", index=1)], ""),
        (ANTHROPIC[:-1], "message_stop"),
        (ANTHROPIC, ""),
        (RESPONSES[:-1], "response.completed"),
        ([*RESPONSES[:-1], {"type": "response.incomplete", "response": {}}], ""),
        (OLLAMA[:-1], "done: true"),
        (OLLAMA, ""),
        ([b"plain", {"tick": 1}], ""),
    ],
)
def test_an_answer_ends_as_its_format_says(events: list[Any], lacks: str):
    """The last of each format, every choice finished; a stream of an unknown form has no end to be missed."""
    reader = AnswerReader()
    for event in events:
        reader.take(_event(event))
    assert reader.lacks == lacks


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (_event({"error": {"message": "boom", "type": "server_error", "code": None}}), "server_error: boom"),
        (_event({"error": {"message": "too long", "code": 400}, **_delta("error")}), "400: too long"),
        (_event({"error": "out of memory"}), "out of memory"),
        (_event({"error": "overloaded", "error_type": "generation"}), "overloaded"),
        (_event({"error": True}), "error"),
        (_event({"object": "error", "message": "bad", "type": "BadRequestError", "code": 400}), "BadRequestError: bad"),
        (_event({"text": "**ERROR**", "error_code": 50001}), "50001"),
        (_event({"code": 503, "message": "no slot"}), "503: no slot"),
        (_event({"status": "error", "message": "gateway"}), "error: gateway"),
        (_event({"success": False, "message": "no"}), "no"),
        (_event({"detail": "Internal Server Error"}), "Internal Server Error"),
        (_event({"type": "message-end", "delta": {"finish_reason": "ERROR"}}), "finish_reason ERROR"),
        (_event([{"error": {"code": 503, "message": "down"}}]), "503: down"),
        (_event({"choices": [{"index": 0, "delta": {}, "error": {"code": 502, "message": "up"}}]}), "502: up"),
        (_event({"errors": [{"message": "first"}, {"message": "second"}]}), "first"),
        (
            _event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "error"),
            "overloaded_error: Overloaded",
        ),
        (_event({"type": "error", "code": "ERR", "message": "Something", "param": None}), "ERR: Something"),
        (
            _event({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "x"}}}),
            "server_error: x",
        ),
        (_event({"type": "response.failed", "response": {"error": None}}), "response.failed"),
        (_event({"status": "failed"}, "thread.run.failed"), "failed"),
        (_event(b"the backend is gone", "error"), "the backend is gone"),
        (_event(b"", "error"), "error"),
        (_event({}, "error"), "error"),
        (_event(_delta("error")), "finish_reason error"),
        (_event(_delta("abort")), "finish_reason abort"),
        (Event(b"error", b'{"code": 500, "message": "slot"}', stray=True), "500: slot"),
        (Event(b'{"error"', b'{"error": {"message": "proxy"}}', stray=True), "proxy"),
        (_event({"error": {"message": "x" * 500}}), "x" * 99 + "…"),
        (_event({"error": {"message": "one\n  two"}}), "one two"),
    ],
)
def test_an_error_inside_of_a_stream_is_named(event: Event, kind: str):
    """Whoever wrote it; it brings no content."""
    reader = AnswerReader()
    reader.take(_event(_delta(content="a")))
    assert reader.take(event) == 0
    assert reader.error == kind


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["choices", "delta", "type", "usage", "error", "message", "response", "done", "index", "item", "x"]
                ),
                inner,
            )
        ),
    )
)
def test_no_payload_breaks_the_reader(payload: Any):
    """Any JSON under the names of every format."""
    reader = AnswerReader()
    assert reader.take(_event(payload)) in {0, ANSWER, REASONING, BOTH}
    assert isinstance(reader.lacks, str)


def _stream(events: list[Any]) -> bytes:
    return b"".join(
        b"data: " + (one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n\n" for one in events
    )


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            _stream([_delta(reasoning_content="hm"), _delta(content="Hello"), _delta(content=" you"), b"[DONE]"]),
            "Hello you",
        ),
        (_stream([_delta(content="a"), _delta(content="b", index=1)]), "a"),
        (_stream([{"choices": [{"text": "one "}]}, {"choices": [{"text": "two"}]}]), "one two"),
        (_stream([_delta(content=[{"type": "text", "text": "part"}, {"type": "thinking", "thinking": "hm"}])]), "part"),
        (
            _stream(
                [_block(type="thinking_delta", thinking="hm"), _block(type="text_delta", text="x"), {"type": "ping"}]
            ),
            "x",
        ),
        (_stream([{"type": "response.reasoning_text.delta", "delta": "hm"}, *RESPONSES]), "a"),
        (b'{"message": {"content": "wo"}, "done": false}\n{"message": {"content": "rd"}, "done": true}', "word"),
        (b'{"response": "x", "done": true}', "x"),
        (b"data: plain\n\n", ""),
        (b"", ""),
    ],
)
def test_the_text_of_an_answer_goes_into_the_next_turn(body: bytes, text: str):
    """What a client would show: no reasoning, and the first choice alone."""
    assert answer_text(body) == text


def test_the_readers_work_on_a_real_answer_in_single_bytes():
    """Parsed byte by byte, the numbers are those of the whole."""
    reader, answer = EventReader(), AnswerReader()
    body = b"\xef\xbb\xbf: hello\r\r" + _stream([*OPENAI, {"choices": [], "usage": USAGE}, b"[DONE]"]).replace(
        b"\n", b"\r"
    )
    kinds = [answer.take(event) for byte in body for event in reader.feed(bytes([byte]))]
    assert kinds == [0, ANSWER, 0, 0, 0]
    assert answer.lacks == ""
