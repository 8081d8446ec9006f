"""The result for people and pipelines: a table, and JUnit XML in which each line is a test case."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, tostring

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from perfloop.check.document import moment, shown
from perfloop.check.findings import Verdict
from perfloop_base.terminal import show_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from perfloop.check.app import Result
    from perfloop.check.checklist import Line

_STYLES = {Verdict.PASSED: "green", Verdict.FAILED: "bold red", Verdict.UNKNOWN: "yellow"}
_PARTS = {"pre": "Before the deployment", "post": "After the deployment"}
_PIPED_WIDTH = 120
_SUMMARY = {
    Verdict.PASSED: "ready",
    Verdict.FAILED: "not ready",
    Verdict.UNKNOWN: "not known to be ready: not everything could be checked",
}


def show_table(result: Result) -> None:
    """Print the table; in a pipe without colours and at a fixed width."""
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(_render(result))
        return
    console = Console(width=_PIPED_WIDTH, highlight=False, color_system=None)
    with console.capture() as captured:
        console.print(_render(result))
    show_lines(line.rstrip() for line in captured.get().splitlines())


def _render(result: Result) -> RenderableType:
    parts: list[RenderableType] = []
    for part in result.parts:
        lines = [line for line in result.lines if line.item.part is part]
        if lines:
            parts += [Text(_PARTS[part.value], style="bold"), _table(lines)]
    counts = ", ".join(f"{result.count(verdict)} {verdict.value}" for verdict in Verdict)
    return Group(*parts, Text(f"{_SUMMARY[result.verdict]}: {counts}", style=_STYLES[result.verdict]))


def _table(lines: list[Line]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    item = None
    for line in lines:
        if line.item != item:
            item = line.item
            table.add_row("", Text(item.title, style="italic"))
        finding = line.finding
        words = Text.assemble((shown(line.title), "bold"), f"\n{shown(finding.words)}")
        if finding.advice:
            words.append(f"\n→ {finding.advice}")
        # As Text, not as markup: what a name or an answer holds in brackets is no style.
        table.add_row(Text(finding.verdict.value, style=_STYLES[finding.verdict]), words)
    return table


def render_junit(result: Result) -> str:
    """Return one suite: each line is a case; what could not be checked is an error."""
    suite = Element(
        "testsuite",
        name="perfloop check",
        tests=str(len(result.lines)),
        failures=str(result.count(Verdict.FAILED)),
        errors=str(result.count(Verdict.UNKNOWN)),
        skipped="0",
        timestamp=moment(result.at).removesuffix("Z"),
        time="0",
    )
    for line in result.lines:
        place = f"perfloop.check.{line.item.part.value}.{line.check.name}"
        case = SubElement(suite, "testcase", classname=place, name=shown(line.title), time="0")
        for tag, text in _outcome(line):
            problem = SubElement(case, tag, message=shown(line.finding.words), type=line.finding.verdict.value)
            problem.text = text
    return f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(suite, encoding="unicode")}\n'


def _outcome(line: Line) -> Iterator[tuple[str, str]]:
    tags = {Verdict.FAILED: "failure", Verdict.UNKNOWN: "error"}
    if line.finding.verdict in tags:
        yield tags[line.finding.verdict], str(line.finding.advice or "")
