"""The look of our own pages: what is in one is escaped, its style is allowed by its policy, and can be read."""

from __future__ import annotations

import re

import pytest

from perfloop_base.pages import Landing, head, landing_page, style
from perfloop_base.web.headers import page_policy

READABLE = 4.5  # WCAG 2.1, success criterion 1.4.3
SRGB_KNEE, SRGB_SLOPE = 0.03928, 12.92


def _luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(digit * 2 for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (p / SRGB_SLOPE if p <= SRGB_KNEE else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_text_of_the_style_can_be_read(theme: int) -> None:
    """Each colour of a text on each ground that it is used on."""
    blocks = re.findall(r":root \{(.*?)\}", style(), re.DOTALL)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+);", blocks[theme]))
    pairs = [
        (text, ground) for text in ("ink", "soft", "accent", "good", "fair", "bad") for ground in ("paper", "card")
    ]
    pairs += [(name, f"{name}-soft") for name in ("good", "fair", "bad")] + [("on-accent", "accent"), ("ink", "line")]
    faint = {pair: _contrast(colours[pair[0]], colours[pair[1]]) for pair in pairs}
    assert {pair: ratio for pair, ratio in faint.items() if ratio < READABLE} == {}


def test_a_landing_page_escapes_what_it_shows() -> None:
    """A label from outside is text; the page's policy allows its own style and no script."""
    page = landing_page(Landing("<b>", "a & b", [("Version", "<script>1</script>")], [('x"y', "<i>")]))
    assert "<script" not in page
    assert 'href="x&quot;y"' in page
    assert "a &amp; b" in page
    policy = page_policy(page)
    assert "style-src 'sha256-" in policy
    assert "script-src" not in policy


def test_a_page_reloads_itself_only_where_it_should() -> None:
    """The live page of a load test does."""
    assert 'http-equiv="refresh" content="5"' in head("Live", refresh_seconds=5)
    assert "refresh" not in head("Still")
    assert ".own { top: 0; }</style>" in head("Own", ".own { top: 0; }")
