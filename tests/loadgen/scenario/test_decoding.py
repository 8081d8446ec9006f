"""Bodies as they were before they were compressed, within bounds."""

from __future__ import annotations

import contextlib
import gzip
import json
import time
import zlib
from typing import TYPE_CHECKING, Any

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from perfloop_loadgen import LoadTestConfig, LoadTester, outcomes
from perfloop_loadgen.scenario import decoding
from perfloop_loadgen.scenario.decoding import BodyError, decode

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path

LIMIT = 1 << 20
PLAIN = json.dumps({"state": "sold", "pad": "price " * 500}).encode()


def _bare(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def _brotli(data: bytes) -> bytes:
    return brotli.compress(data, quality=4)


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": _brotli,
    "zstd": _zstd,
}


def _head(coding: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: {coding}".encode()


@pytest.mark.parametrize("coding", CODINGS)
@given(data=st.binary(max_size=2000))
def test_what_was_compressed_comes_back(coding: str, data: bytes):
    """Any bytes, the empty body among them."""
    assert decode(_head(coding), CODINGS[coding](data), LIMIT) == data


FORMS = {
    "none": (b"HTTP/1.1 200 OK", PLAIN),
    "identity": (_head("identity"), PLAIN),
    "capitals": (_head("GZIP"), gzip.compress(PLAIN)),
    "deflate without a frame": (_head("deflate"), _bare(PLAIN)),
    "two codings": (_head("gzip, br"), _brotli(gzip.compress(PLAIN))),
    "two lines": (_head("gzip") + b"\r\nContent-Encoding: zstd", _zstd(gzip.compress(PLAIN))),
    "lines that end with LF": (b"HTTP/1.1 200 OK\ncontent-encoding :gzip", gzip.compress(PLAIN)),
    "two members": (_head("gzip"), gzip.compress(PLAIN[:100]) + gzip.compress(PLAIN[100:])),
    "zeros behind it": (_head("gzip"), gzip.compress(PLAIN) + b"\0" * 8),
    "two frames": (_head("zstd"), _zstd(PLAIN[:100]) + _zstd(PLAIN[100:])),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_read(name: str):
    """No coding, several, in lines of their own, in any case; bare deflate; several members or frames."""
    assert decode(*FORMS[name], LIMIT) == PLAIN


@pytest.mark.parametrize("coding", CODINGS)
def test_damage_is_said(coding: str):
    """A body that was cut short, and one that is something else."""
    for body in (CODINGS[coding](PLAIN)[:-3], b"<html>not what it says</html>"):
        with pytest.raises(BodyError, match="damaged or cut short") as caught:
            decode(_head(coding), body, LIMIT)
        assert caught.value.outcome == outcomes.BAD_ENCODING


@pytest.mark.parametrize(("coding", "words"), [("exi", "unknown coding 'exi'"), ("gzip, br, br, br, br", "5 layers")])
def test_what_cannot_be_undone_is_said(coding: str, words: str):
    """A coding that nobody here knows; more layers than anybody needs."""
    with pytest.raises(BodyError, match=words):
        decode(_head(coding), b"x", LIMIT)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_is_refused_before_it_is_large(coding: str):
    """64 MiB in a few kilobytes: neither the memory nor the time for more than the bound."""
    bomb = CODINGS[coding](bytes(1 << 26))
    began = time.process_time()
    with pytest.raises(BodyError) as caught:
        decode(_head(coding), bomb, LIMIT)
    assert caught.value.outcome == outcomes.BODY_TOO_LARGE
    assert time.process_time() - began < 2


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT])
@pytest.mark.parametrize("coding", CODINGS)
def test_a_body_of_just_the_bound_is_read(coding: str, size: int):
    """The bound is what may be kept."""
    assert len(decode(_head(coding), CODINGS[coding](bytes(size)), LIMIT)) == size


async def _compressed(request: bytes, writer: asyncio.StreamWriter) -> None:
    coding = request.split(b" ")[1].decode().strip("/")
    body = CODINGS[coding](PLAIN)
    writer.write(b"%s\r\nContent-Length: %d\r\n\r\n%s" % (_head(coding), len(body), body))


def _config(url: str, **changes: Any) -> LoadTestConfig:
    base = {"base_url": url, "duration_seconds": 0.3, "concurrent_users": 1, "think_time_seconds": 0.02}
    return LoadTestConfig.model_validate(base | changes)


@pytest.mark.parametrize("engine", ["http1", "httpx"])
async def test_checks_and_extracts_see_what_was_meant(serve: Any, engine: str):
    """Every coding, in both engines: the check holds and the value is found."""
    steps = [
        {
            "path": f"/{coding}",
            "checks": [{"json": "state", "equals": "sold"}, {"body_contains": "price"}],
            "extract": {"state": "json:state"},
        }
        for coding in CODINGS
    ]
    async with serve(_compressed) as service:
        config = _config(service.url, engine=engine, duration_seconds=1, scenarios=[{"steps": steps}])
        summary = await LoadTester(config).run_load_test()
    assert set(summary.outcomes) == {"ok"}
    assert all(row.total_requests for row in summary.endpoints)


async def test_a_bomb_is_an_outcome(serve: Any):
    """The request has failed as body_too_large, and the report says which coding it was."""
    body = _zstd(bytes(1 << 24))
    answer = b"%s\r\nContent-Length: %d\r\n\r\n%s" % (_head("zstd"), len(body), body)
    async with serve(answer) as service:
        endpoints = [{"path": "/", "checks": [{"json": "state"}]}]
        summary = await LoadTester(_config(service.url, endpoints=endpoints)).run_load_test()
    assert set(summary.outcomes) == {"body_too_large"}
    [detail] = summary.endpoints[0].details
    assert (detail.outcome, detail.detail) == ("body_too_large", "zstd of more than 8388608 bytes")


async def test_nobody_pays_who_does_not_look(serve: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Without a check on the body, and in a script that does not look at it, nothing is decoded."""
    calls: list[bytes] = []
    monkeypatch.setitem(decoding._DECODERS, "gzip", lambda body, _: calls.append(body) or b"{}")
    script = tmp_path / "s.py"
    script.write_text("async def go(user):\n    await user.get('/gzip')\n    await user.think(0.02)\n")
    async with serve(_compressed) as service:
        checked = _config(service.url, endpoints=[{"path": "/gzip", "checks": [{"header": "Content-Type"}]}])
        for config in (checked, _config(service.url, scenarios=[{"python": f"{script}:go"}])):
            summary = await LoadTester(config).run_load_test()
            assert set(summary.outcomes) == {"ok"}
        assert calls == []
        script.write_text(script.read_text().replace("await user.get('/gzip')", "(await user.get('/gzip')).json()"))
        await LoadTester(_config(service.url, scenarios=[{"python": f"{script}:go"}])).run_load_test()
    assert calls


async def test_a_script_that_looks_into_a_bomb_has_its_outcome(serve: Any, tmp_path: Path):
    """The code raises, and what is counted is why."""
    body = gzip.compress(bytes(1 << 24))
    script = tmp_path / "s.py"
    script.write_text("async def go(user):\n    answer = await user.get('/')\n    answer.json()\n")
    async with serve(b"%s\r\nContent-Length: %d\r\n\r\n%s" % (_head("gzip"), len(body), body)) as service:
        summary = await LoadTester(_config(service.url, scenarios=[{"python": f"{script}:go"}])).run_load_test()
    assert set(summary.outcomes) == {"ok", "body_too_large"}


@given(coding=st.sampled_from(sorted(CODINGS)), body=st.binary(max_size=300), head=st.binary(max_size=60))
def test_any_bytes_are_a_body_or_damage(coding: str, body: bytes, head: bytes):
    """Whatever a server sends, as it is or behind the beginning of a good body: never another error."""
    for one in (body, CODINGS[coding](PLAIN)[:20] + body):
        with contextlib.suppress(BodyError):
            assert len(decode(_head(coding) + b"\r\nContent-Encoding:" + head, one, 1000)) <= 1000
