"""Texts of notifications as HTML: Slack's own markup, and web addresses in plain text.

What Slack's `mrkdwn` knows: https://api.slack.com/reference/surfaces/formatting. Everything is escaped first of all: a
text can produce the elements that stand here, and no others.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Callable

_ADDRESS = re.compile(r"<(?P<slack>https?://[^|>\s]+)\|(?P<words>[^>]+)>|(?P<bare>https?://[^\s<>]+)")
# Longer addresses do not fit a line of the page.
_MAX_ADDRESS = 60
# Code first: nothing within it is markup. A mark stands at the edge of a word, as in Slack: snake_case is not italic.
_MRKDWN = re.compile(
    r"```(?P<block>[^`]+)```"
    r"|`(?P<code>[^`\n]+)`"
    r"|<(?P<angle>[^<>\n]+)>"
    r"|(?P<bare>https?://[^\s<>|]+)"
    r"|(?<![\w*])\*(?P<bold>[^\s*](?:[^*\n]*[^\s*])?)\*(?![\w*])"
    r"|(?<![\w_])_(?P<italic>[^\s_](?:[^_\n]*[^\s_])?)_(?![\w_])"
    r"|(?<![\w~])~(?P<crossed>[^\s~](?:[^~\n]*[^\s~])?)~(?![\w~])"
    r"|:(?P<emoji>[a-z0-9_+-]{1,40}):"
    r"|^&gt; ?(?P<quote>[^\n]*)$",
    re.MULTILINE,
)
_QUOTES = re.compile(r"^(?:&gt; ?)+")  # a quote of a quote is one: nothing nests without end
_ELEMENTS = {
    "bold": Markup("<strong>{}</strong>"),
    "italic": Markup("<em>{}</em>"),
    "crossed": Markup("<s>{}</s>"),
}
# Those that alerts use; another one is shown by its name, as Slack shows one that it does not know.
_EMOJI = {
    "fire": "🔥", "warning": "⚠️", "rotating_light": "🚨", "white_check_mark": "✅", "heavy_check_mark": "✔️", "x": "❌",
    "red_circle": "🔴", "large_yellow_circle": "🟡", "large_green_circle": "🟢", "large_orange_circle": "🟠",
    "bell": "🔔", "no_bell": "🔕", "information_source": "\N{INFORMATION SOURCE}",
    "eyes": "👀", "mag": "🔍", "wrench": "🔧", "tada": "🎉",
    "chart_with_upwards_trend": "📈", "chart_with_downwards_trend": "📉", "hourglass": "⌛", "stopwatch": "⏱️",
    "book": "📖", "link": "🔗", "mute": "🔇", "point_right": "👉", "bulb": "💡", "thumbsup": "👍", "+1": "👍",
}  # fmt: skip
_LINKED = ("http://", "https://", "mailto:")


def link_addresses(text: str) -> Markup:
    """Return plain text as HTML in which web addresses, Slack's `<address|words>` among them, can be followed."""
    parts, end = [], 0
    for found in _ADDRESS.finditer(text):
        parts += [escape(text[end : found.start()]), _link(found["slack"] or found["bare"], found["words"] or "")]
        end = found.end()
    return Markup().join([*parts, escape(text[end:])])


def render_mrkdwn(text: str) -> Markup:
    """Return a text in Slack's markup as HTML; line ends stay for the page to show."""
    parts, end = [], 0
    for found in _MRKDWN.finditer(text):
        kind = found.lastgroup or ""
        parts += [_plain(text[end : found.start()]), _RENDERERS[kind](found[kind])]
        end = found.end()
    return Markup().join([*parts, _plain(text[end:])])


def _plain(text: str) -> Markup:
    return escape(_decode(text))


def _decode(text: str) -> str:
    """Undo the three replacements that Slack asks for; the ampersand last, so that `&amp;lt;` stays `&lt;`."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _link(address: str, words: str) -> Markup:
    shown = words or (address if len(address) <= _MAX_ADDRESS else f"{address[:_MAX_ADDRESS]}…")
    return Markup('<a href="{}" rel="noreferrer">{}</a>').format(address, shown)


def _angle(inner: str) -> Markup:
    """Render what is between angle brackets: a link, or somebody or something that Slack names."""
    target, _, words = inner.partition("|")
    if target.lower().startswith(_LINKED):
        return _link(_decode(target), _decode(words))
    if target.startswith("!date^"):
        return _plain(words)
    if target[:1] in ("@", "#", "!"):
        mark = "#" if target[0] == "#" else "@"
        return Markup("<b>{}</b>").format(mark + _decode(words or target[1:].partition("^")[0]).lstrip("@#"))
    return _plain(f"<{inner}>")


def _within(element: Markup) -> Callable[[str], Markup]:
    # Marks nest only within each other's text, which is shorter each time.
    return lambda inner: element.format(render_mrkdwn(inner))


def _emoji(name: str) -> Markup:
    return escape(_EMOJI.get(name, f":{name}:"))


_RENDERERS: dict[str, Callable[[str], Markup]] = {
    "block": lambda inner: Markup("<pre>{}</pre>").format(_decode(inner.strip("\n"))),
    "code": lambda inner: Markup("<code>{}</code>").format(_decode(inner)),
    "angle": _angle,
    "bare": lambda address: _link(_decode(address), ""),
    "emoji": _emoji,
    "quote": lambda inner: Markup('<span class="quote">{}</span>').format(render_mrkdwn(_QUOTES.sub("", inner))),
    **{kind: _within(element) for kind, element in _ELEMENTS.items()},
}
