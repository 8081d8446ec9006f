from __future__ import annotations

import pytest

from perfloop_inbox.markup import link_addresses


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a < b & c", "a &lt; b &amp; c"),
        ("<http://p/x?a=1&b=2|Panel> now", '<a href="http://p/x?a=1&amp;b=2" rel="noreferrer">Panel</a> now'),
        ("see http://p/x", 'see <a href="http://p/x" rel="noreferrer">http://p/x</a>'),
        ('<http://p/"onclick=x|<b>>', '<a href="http://p/&#34;onclick=x" rel="noreferrer">&lt;b</a>&gt;'),
        ("javascript:alert(1)", "javascript:alert(1)"),
    ],
)
def test_link_addresses(text: str, html: str):
    """Web addresses become links, everything else stays text whatever it looks like."""
    assert html == link_addresses(text)


def test_long_address_is_shortened():
    """A long address is followed in full and shown in part."""
    html = link_addresses("http://p/" + "x" * 100)
    assert (html.count("x"), "…" in html) == (100 + 51, True)
