"""The look of the pages that our programs serve themselves: one style, in light and dark, for any width.

A page carries the style in itself, so that it needs no other request and its policy can name the style by its hash
(web/headers.py). Every text and background of it has a contrast of 4.5 or more.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_CSS = Path(__file__).with_name("page.css").read_text(encoding="utf-8")


def style(own: str = "") -> str:
    """Return the style element of a page; `own` are rules of that page alone, which come last."""
    return f"<style>\n{_CSS}{own}</style>"


def head(title: str, own: str = "", *, refresh_seconds: int = 0) -> str:
    """Return a page from its beginning to the start of its body.

    Args:
        title: The page's title as plain text.
        own: Style rules of this page alone.
        refresh_seconds: After how long a browser loads the page again; 0 for never.
    """
    refresh = f'<meta http-equiv="refresh" content="{refresh_seconds}">\n' if refresh_seconds else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{refresh}<title>{escape(title)}</title>\n{style(own)}\n</head>\n<body>\n"
    )


@dataclass(frozen=True, slots=True)
class Landing:
    """What the page at `/` of a program says that has no more to show than where its other pages are; plain texts.

    Attributes:
        title: The program's name.
        about: What it is, in a sentence.
        facts: Names and values, such as its version.
        links: Addresses and their words.
    """

    title: str
    about: str
    facts: Sequence[tuple[str, str]] = ()
    links: Sequence[tuple[str, str]] = ()


def landing_page(page: Landing) -> str:
    """Return the page at `/` of a program; every text in it is escaped."""
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>\n" for name, value in page.facts)
    links = "".join(f'<li><a href="{escape(address)}">{escape(words)}</a></li>\n' for address, words in page.links)
    return (
        f"{head(f'{page.title} · Perfloop')}<main>\n<h1>{escape(page.title)}</h1>\n"
        f'<p class="soft">{escape(page.about)}</p>\n'
        f'<ul class="links">\n{links}</ul>\n<div class="card"><dl>\n{facts}</dl></div>\n</main>\n</body>\n</html>\n'
    )
