"""A trace store's address: what it may be, and the link to a trace."""

from __future__ import annotations

import pytest

from perfloop_base.traces import is_trace_id, parse_store_url, trace_link

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("http://127.0.0.1:16686", f"http://127.0.0.1:16686/trace/{TRACE}"),
        ("https://jaeger.example/ui/", f"https://jaeger.example/ui/trace/{TRACE}"),
        ("http://g:3000/explore?left=%7B%22{trace_id}%22", f"http://g:3000/explore?left=%7B%22{TRACE}%22"),
        ("http://[::1]:16686", f"http://[::1]:16686/trace/{TRACE}"),
        (" ", ""),
    ],
)
def test_the_id_has_its_place(text: str, link: str):
    """Behind /trace/, as Jaeger has it, unless the address has a place for it."""
    assert trace_link(parse_store_url(text), TRACE) == link


@pytest.mark.parametrize(
    "trace_id", ["", "x", TRACE.upper(), TRACE[:-1], f"{TRACE}0", "0" * 32, "../../x", TRACE + "\n"]
)
def test_what_is_no_id_is_in_no_link(trace_id: str):
    """A label of an exemplar may be anything."""
    assert not is_trace_id(trace_id)
    assert trace_link("http://x", trace_id) == ""


@pytest.mark.parametrize(
    "text",
    [
        "jaeger:16686",
        "javascript:alert(1)//{trace_id}",
        "ftp://x",
        "http://",
        "http://x:99999",
        "http://x/<b>",
        'http://x/"{trace_id}',
        "http://x/ y",
        "http://x/é",
        "http://x/?id=1",
        "http://x/{trace}",
        "http://x/" + "y" * 2000,
    ],
)
def test_what_is_no_address_is_one_sentence(text: str):
    """With the value and the rule, and not much longer than both."""
    with pytest.raises(ValueError, match=r"trace store|no \{trace_id\}") as found:
        parse_store_url(text)
    assert len(str(found.value)) < 600


def test_a_password_is_not_repeated():
    """Everybody who sees a page could read it."""
    with pytest.raises(ValueError, match="has a user or a password") as found:
        parse_store_url("http://user:s3cr3t-word@x")
    assert "s3cr3t-word" not in str(found.value)
