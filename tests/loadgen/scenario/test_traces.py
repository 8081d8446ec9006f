"""Traces of services: read in every public form, cut to a window, and replayed to the moment."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_base.errors import ConfigError
from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.app.build import build_rate_shape
from perfloop_loadgen.config.load import TraceConfig
from perfloop_loadgen.scenario.traces import read_trace

if TYPE_CHECKING:
    from pathlib import Path

AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
    "2026-01-05 08:59:59.5000000,40,4\r\n"
    "2026-01-05 09:00:00.0000000,50,5\r\n"
    "2026-01-05 08:59:59.7500000,60,0\r\n"
)
ZONED = AZURE.replace("000,", "+00:00,").replace("\r\n", "\n")
BURST = (
    "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,M,40,4,44,API log\n"
    "5.25,M,60,0,60,API log\n"
    "5.5,M,50,5,55,Conversation log\n"
)
MOONCAKE = (
    '{"timestamp": 1000, "input_length": 40, "output_length": 4, "hash_ids": [0, 1]}\n'
    '{"timestamp": 1250, "input_length": 60, "output_length": 0, "hash_ids": [0, 2, 3]}\n\n'
    '{"timestamp": 1500, "input_length": 50, "output_length": 5}'
)


def _write(tmp_path: Path, text: str, name: str = "trace.csv") -> Path:
    path = tmp_path / name
    content = text.encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def _config(path: Path, **fields: Any) -> TraceConfig:
    return TraceConfig.model_validate({"shape": "trace", "file": path} | fields)


@pytest.mark.parametrize(
    ("text", "name", "fields"),
    [
        (AZURE, "a.csv", {}),
        (AZURE, "a.csv.gz", {}),
        (ZONED, "a.csv", {}),
        ("\ufeff" + AZURE.replace(",", ";"), "a.csv", {}),
        (BURST, "a.csv", {}),
        (MOONCAKE, "a.jsonl", {}),
        (MOONCAKE.replace("1000", "1").replace("1250", "1.25").replace("1500", "1.5"), "a", {"timestamp_unit": "s"}),
    ],
)
def test_every_public_form_is_read(tmp_path: Path, text: str, name: str, fields: dict[str, Any]):
    """In the order of time from the first request on, also where the file is not quite in it."""
    trace = read_trace(_config(_write(tmp_path, text, name), **fields))
    assert list(trace.seconds) == pytest.approx([0, 0.25, 0.5])
    assert list(trace.inputs) == [40, 60, 50]
    assert [dict(one)["output_tokens"] for one in trace.values(512, 0, 1)] == [4, 1, 5]


def test_blocks_belong_to_their_request(tmp_path: Path):
    """Each worker has those of its own share."""
    trace = read_trace(_config(_write(tmp_path, MOONCAKE, "a.jsonl")))
    shares = [[list(one["hash_ids"]) for one in trace.values(16, index, 2)] for index in range(2)]
    assert shares == [[[0, 1], []], [[0, 2, 3]]]
    assert next(trace.values(16, 0, 1))["block_tokens"] == 16
    assert list(trace.values(16, 3, 4)) == []


@pytest.mark.parametrize(("window", "seconds"), [((0.2, None), [0.05, 0.3]), ((0, 0.5), [0, 0.25]), ((0.25, 0.3), [0])])
def test_a_window_is_cut_out(tmp_path: Path, window: tuple[float, float | None], seconds: list[float]):
    """From its beginning on, without its end."""
    start, end = window
    trace = read_trace(_config(_write(tmp_path, AZURE), start_seconds=start, end_seconds=end))
    assert list(trace.seconds) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "none of the columns timestamp"),
        ("a,b\n1,2\n", "none of the columns timestamp"),
        ("timestamp,input_length\n1,2\n", "none of the columns generatedtokens"),
        ("timestamp,input_length,output_length\nsoon,2,3\n", r":2: the timestamp 'soon' is neither"),
        ("timestamp,input_length,output_length\n1,2\n", r":2: has too few columns"),
        ("timestamp,input_length,output_length\n1,-2,3\n", r":2: '-2' is no number of tokens"),
        ("timestamp,input_length,output_length\nnan,2,3\n", "is no moment"),
        ("timestamp,input_length,output_length\n", "has no requests between 0 s and its end"),
        ('{"timestamp": 1}\n', r":1: has none of contexttokens"),
        ('{"timestamp": 1, "input_length": 1, "output_length": 1, "hash_ids": ["a"]}\n', "hash_ids must be"),
        ("{\n", r":1: "),
    ],
)
def test_what_is_no_trace_is_said_with_its_line(tmp_path: Path, text: str, sentence: str):
    """One sentence each, not a traceback."""
    with pytest.raises(ConfigError, match=sentence):
        read_trace(_config(_write(tmp_path, text)))


def test_a_trace_that_is_not_there_is_named(tmp_path: Path):
    """Or one that is no archive, though it is called one."""
    with pytest.raises(ConfigError, match=r"load.file: .*none.csv: cannot be read"):
        read_trace(_config(tmp_path / "none.csv"))
    broken = tmp_path / "broken.csv.gz"
    broken.write_bytes(b"not an archive")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_trace(_config(broken))


@pytest.mark.parametrize(
    ("fields", "test", "dues", "duration"),
    [
        ({}, {}, [0, 0.25, 0.5], 0.5),
        ({"speed": 2}, {}, [0, 0.125, 0.25], 0.25),
        ({"speed": 0.5, "end_seconds": 0.4}, {}, [0, 0.5], 0.8),
        ({}, {"duration_seconds": 0.3}, [0, 0.25], 0.3),
        ({}, {"duration_seconds": 0}, [0, 0.25, 0.5], 0.5),
    ],
)
def test_the_schedule_is_the_traces_own(
    tmp_path: Path, fields: dict[str, Any], test: dict[str, Any], dues: list[float], duration: float
):
    """At its speed; a duration of the test's own may cut it, not the default one."""
    load = {"shape": "trace", "file": _write(tmp_path, AZURE), **fields}
    shape = build_rate_shape(LoadTestConfig.model_validate({"load": load} | test))
    assert list(shape.starts()) == pytest.approx(dues)
    assert shape.duration_seconds == pytest.approx(duration)
    assert shape.rate_at(0.25 / fields.get("speed", 1)) >= 1


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_trace_is_replayed_with_its_lengths(serve: Any, tmp_path: Path, workers: int):
    """Every request once, at its moment, with the prompt and the limit that it had."""
    rows = [(round(0.05 * number, 2), 20 + number, 3 + number) for number in range(20)]
    text = "Timestamp,Request tokens,Response tokens\n" + "".join(f"{at},{read},{wrote}\n" for at, read, wrote in rows)
    seen: list[tuple[float, int, int]] = []

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        body = json.loads(request.partition(b"\r\n\r\n")[2])
        seen.append((time.monotonic(), len(body["messages"][0]["content"].split()), body["max_tokens"]))
        events = b'data: {"choices": [{"delta": {"content": "w"}, "finish_reason": "stop"}]}\n\n'
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % len(events) + events)

    async with serve(answer) as service:
        load = {"shape": "trace", "file": _write(tmp_path, text)}
        endpoint = {"path": "/v1/chat/completions", "llm": {"model": "m"}}
        test = {"base_url": service.url, "load": load, "endpoints": [endpoint], "workers": workers}
        summary = await LoadTester(LoadTestConfig.model_validate(test)).run_load_test()
    assert summary.outcomes == {"ok": 20}
    streams = summary.endpoints[0].streams
    assert (streams.asked_output_tokens, streams.counted_output_tokens) == (sum(row[2] for row in rows), 20)
    came = sorted(seen, key=lambda one: one[1])
    assert [(read, wrote) for _, read, wrote in came] == [(read, wrote) for _, read, wrote in rows]
    # The moments, as far as a busy machine lets them be seen: none comes long before its time.
    began = min(moment for moment, _, _ in seen)
    assert all(moment - began > at - 0.2 for (moment, _, _), (at, _, _) in zip(came, rows, strict=True))


async def test_an_arrival_that_is_dropped_takes_its_data_with_it(serve: Any, tmp_path: Path):
    """With one connection that is taken, what waits too long is dropped; the last one has its own length."""
    text = "Timestamp,Request tokens,Response tokens\n0,10,1\n0.05,11,1\n0.1,12,1\n0.9,99,1\n"
    lengths: list[int] = []

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        lengths.append(len(json.loads(request.partition(b"\r\n\r\n")[2])["messages"][0]["content"].split()))
        await asyncio.sleep(0 if lengths[-1] == 99 else 0.6)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\ndata: [DONE]\n\n")

    async with serve(answer) as service:
        load = {"shape": "trace", "file": _write(tmp_path, text), "max_in_flight": 1}
        endpoint = {"path": "/v1/chat/completions", "llm": {"model": "m"}}
        test = {"base_url": service.url, "load": load, "endpoints": [endpoint], "timeout_seconds": 0.3}
        summary = await LoadTester(LoadTestConfig.model_validate(test)).run_load_test()
    assert summary.total.dropped
    assert lengths[-1] == 99


async def test_any_request_may_take_the_lengths_of_a_trace(serve: Any, tmp_path: Path):
    """As placeholders."""
    text = "Timestamp,Request tokens,Response tokens\n0,10,1\n0.05,11,2\n"
    async with serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as service:
        load = {"shape": "trace", "file": _write(tmp_path, text)}
        endpoint = {"path": "/size/${input_tokens}/${output_tokens}"}
        test = {"base_url": service.url, "load": load, "endpoints": [endpoint]}
        await LoadTester(LoadTestConfig.model_validate(test)).run_load_test()
        paths = [request.split(b" ")[1] for request in service.requests]
    assert paths == [b"/size/10/1", b"/size/11/2"]
