"""A report as HTML, Markdown, JSON, and as the messages that announce it. One template for every kind of report."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from markupsafe import Markup

from perfloop_analyzer.answers import to_json
from perfloop_analyzer.reporters.formatting import clock
from perfloop_analyzer.reporters.html import shown_text
from perfloop_base.pages import style
from perfloop_base.templating import load_templates
from perfloop_base.visible import visible
from perfloop_base.web.headers import page_policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jinja2 import Environment

    from perfloop_analyzer.reports.document import Cell, Report, Section, Table

FORMATS = ("html", "md", "json")
_TEMPLATES = Path(__file__).with_name("templates")
_STYLE = Markup(style((_TEMPLATES / "own.css").read_text(encoding="utf-8")))  # noqa: S704 - our own file
REPORT_POLICY = page_policy(_STYLE)
# A text inside of one is escaped: it holds no end of it.
_FIGURE = re.compile(r"<figure\b.*?</figure>\s*", re.DOTALL)
# An underscore within a word marks nothing.
_MARKS = re.compile(r"([\\`*\[\]<>|~]|(?<!\w)_|_(?!\w))")


@dataclass(frozen=True, slots=True)
class PageLink:
    """A link at the top of a page."""

    url: str
    words: str


def render_body(report: Report) -> str:
    """Return what is between the body tags of a report's page."""
    return _environment().get_template("body.html").render(report=report)


def render_page(title: str, body: str, links: Sequence[PageLink] = ()) -> str:
    """Return a whole page around a body that this module made; it loads nothing else."""
    inner = Markup(body)  # noqa: S704 - rendered by a template that escapes every text
    return _environment().get_template("page.html").render(title=title, body=inner, style=_STYLE, links=links)


def render_mail(title: str, body: str, page: str) -> str:
    """Return a report for a mail: without its pictures, which mail programs do not show, but where they are."""
    links = [PageLink(page, "This report with its pictures")] if page else []
    return render_page(title, _FIGURE.sub("", body), links)


def render_html(report: Report) -> str:
    """Return a report as one HTML file."""
    return render_page(report.name, render_body(report))


def render_shelf(**values: object) -> str:
    """Return what is between the body tags of the page that lists reports."""
    return _environment().get_template("shelf.html").render(**values)


def render_json(report: Report) -> str:
    """Return the JSON form, indented."""
    return to_json(report.as_dict(), orjson.OPT_INDENT_2).decode() + "\n"


def render_markdown(report: Report) -> str:
    """Return a report as Markdown (GitHub's, for the tables), without its pictures."""
    return "\n".join(_markdown(report)) + "\n"


RENDERERS = {"html": render_html, "md": render_markdown, "json": render_json}


def _markdown(report: Report) -> Iterator[str]:
    yield f"# {_plain(report.title)}"
    yield ""
    yield f"{_plain(report.window.words)} · made {clock(report.made)}"
    yield ""
    yield from (f"- {_plain(sentence)}" for sentence in report.headlines)
    if report.unknown:
        yield ""
        yield "**Not known**"
        yield ""
        yield from (f"- {_plain(sentence)}." for sentence in report.unknown)
    for section in report.sections:
        yield ""
        yield from _section(section)


def _section(section: Section) -> Iterator[str]:
    yield f"## {_plain(section.title)}"
    if section.facts:
        yield ""
        yield " · ".join(f"{_plain(fact.name)}: **{_plain(fact.value)}**" for fact in section.facts)
    if section.points:
        yield ""
        yield from (f"- {_plain(sentence)}" for sentence in section.points)
    for table in section.tables:
        yield ""
        yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    if table.title:
        yield f"### {_plain(table.title)}"
        yield ""
    if not table.rows:
        yield _plain(table.empty)
        return
    yield f"| {' | '.join(map(_plain, table.columns))} |"
    yield f"|{'---|' * len(table.columns)}"
    for row in table.rows:
        yield f"| {' | '.join(map(_cell, row))} |"
    if table.more:
        yield ""
        yield f"{table.more} more."


def _cell(cell: Cell) -> str:
    return _plain(f"{cell.text} ({cell.small})" if cell.small else cell.text)


def _plain(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line."""
    return _MARKS.sub(r"\\\1", visible(text))


@cache
def _environment() -> Environment:
    environment = load_templates(_TEMPLATES, shown_text)
    environment.filters.update(clock=clock, drawn=Markup)
    return environment
