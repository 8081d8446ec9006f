"""The W3C `traceparent` header: what is exactly as the standard says is a trace, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_exporter.metrics.exemplars import trace_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
LABELS = (("trace_id", TRACE), ("span_id", SPAN))


def of(*values: str | bytes) -> object:
    """Return what is made of a request with these headers."""
    raw = [value.encode("latin-1") if isinstance(value, str) else value for value in values]
    return trace_of([(b"host", b"x"), *((b"traceparent", value) for value in raw)])


@pytest.mark.parametrize("flags", ["01", "03", "ff"])
def test_a_recorded_trace_is_kept(flags: str):
    """The last bit of the flags says that the caller records it; the others are not known yet."""
    assert of(f"00-{TRACE}-{SPAN}-{flags}") == LABELS


@pytest.mark.parametrize("rest", ["", "-", "-what-comes-later"])
def test_a_later_version_may_go_on(rest: str):
    """Its first four fields are those of version 00."""
    assert of(f"cc-{TRACE}-{SPAN}-01{rest}") == LABELS


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-",
        f"00-{TRACE}-{SPAN}-00",  # not recorded
        f"ff-{TRACE}-{SPAN}-01",
        f"FF-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"000-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"CC-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-001",
        f"00-{TRACE}-{SPAN}-0A",
        f"00-{TRACE}-{SPAN}-01-more",  # version 00 has no more
        f"00-{TRACE}-{SPAN}-01-",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"cc-{TRACE}-{SPAN}-01-{'x' * 10_000}",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{TRACE}-{SPAN}-01" * 1000,
        "\xff" * 55,
        b"\0" * 55,
        f'00-{TRACE}"}} 1\n{SPAN}-01',
    ],
)
def test_what_is_no_traceparent_is_no_trace(value: str | bytes):
    """It is ignored, and no part of it becomes a label."""
    assert of(value) == ()


def test_two_of_them_are_none():
    """Nobody can know which is meant; also where they are equal."""
    assert of(f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01") == ()


@given(value=st.binary(max_size=300) | st.text("0123456789abcdefABCDEF-", max_size=70).map(str.encode))
def test_whatever_comes_the_labels_are_ids(value: bytes):
    """Never an exception; at most the two ids, in their one form."""
    for name, text in trace_of([(b"traceparent", value)]):
        assert len(text) == {"trace_id": 32, "span_id": 16}[name]
        assert set(text) <= set("0123456789abcdef")
        assert text.strip("0")
