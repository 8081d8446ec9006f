"""A comparison as Markdown (for a terminal and for a pull request), JUnit and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, tostring

from pydantic import TypeAdapter

from perfloop_base.quantities import quantity
from perfloop_base.visible import visible
from perfloop_loadgen.compare.answers import Answer
from perfloop_loadgen.compare.measures import ERRORS, RATE
from perfloop_loadgen.compare.runs import Comparison, Row
from perfloop_loadgen.reporters.markdown import safe
from perfloop_loadgen.reporters.text import seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

_ADAPTER: TypeAdapter[Comparison] = TypeAdapter(Comparison)
_MARKS = {Answer.WORSE: "**worse**", Answer.BETTER: "**better**"}
# What GitHub and GitLab show as a comment grows long with many endpoints: rows without a change are folded away.
_MOST_ROWS = 12


def headline(compared: Comparison) -> str:
    """Return the answer in one sentence, with what it rests on."""
    runs = f"{len(compared.base_runs)} against {len(compared.new_runs)} runs"
    effect = _effect(compared)
    worst = compared.worst()
    if compared.answer is Answer.SAME:
        return f"same: no change of {effect} or more ({runs})"
    if worst is None or compared.answer is Answer.UNKNOWN:
        return f"cannot tell whether something changed by {effect} or more ({runs}){_more_runs(compared)}"
    return f"{compared.answer}: {_name(worst)} {_change(worst)}, between {_interval(worst)} ({runs})"


def comparison_lines(compared: Comparison) -> Iterator[str]:
    """Yield the answer, the table, and what a reader must know."""
    yield f"### {safe(compared.test)}: {safe(headline(compared))}"
    yield ""
    yield from _table(compared.rows)
    yield ""
    yield from _footer(compared)


def render_markdown(compared: Comparison) -> bytes:
    """Return a comparison for a pull request."""
    return ("\n".join(folded_lines(compared)) + "\n").encode()


def folded_lines(compared: Comparison) -> Iterator[str]:
    """Yield the same as `comparison_lines`; where there are many rows, those without a finding are folded away."""
    if len(compared.rows) <= _MOST_ROWS:
        yield from comparison_lines(compared)
        return
    findings = [row for row in compared.rows if row.answer in _MARKS]
    rest = [row for row in compared.rows if row.answer not in _MARKS]
    yield from (f"### {safe(compared.test)}: {safe(headline(compared))}", "")
    if findings:
        yield from (*_table(findings), "")
    yield from (f"<details><summary>{len(rest)} rows without a change that is proved</summary>", "")
    yield from (*_table(rest), "", "</details>", "")
    yield from _footer(compared)


def render_junit(compared: Comparison) -> bytes:
    """Return a suite with a case for the answer and one for each row; what is undecided is skipped."""
    suite = Element("testsuite", name=visible(compared.test))
    fill_suite(suite, compared)
    suite.set("tests", str(len(suite)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{tag}"))))
    return b"<?xml version='1.0' encoding='utf-8'?>\n" + tostring(suite, encoding="unicode").encode()


def fill_suite(suite: Element, compared: Comparison) -> None:
    """Add the cases of a comparison to a suite of JUnit."""
    name = visible(compared.test)
    _case(suite, name, "gate", compared.answer, headline(compared))
    for row in compared.rows:
        _case(suite, name, _name(row), row.answer, f"{_change(row)}, between {_interval(row)}{_of_row(row)}")


def render_json(compared: Comparison) -> bytes:
    """Return everything, for programs."""
    return _ADAPTER.dump_json(compared, indent=2)


def comparison_schema() -> dict[str, Any]:
    """Return the JSON Schema of the JSON form."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_ADAPTER.json_schema(mode="serialization")}


RENDERERS: Mapping[str, Callable[[Comparison], bytes]] = {
    "json": render_json,
    "junit": render_junit,
    "markdown": render_markdown,
}


def _case(suite: Element, suite_name: str, name: str, answer: Answer, text: str) -> None:
    case = SubElement(suite, "testcase", classname=suite_name, name=visible(name), time="0")
    if answer is Answer.WORSE:
        SubElement(case, "failure", message=visible(text))
    elif answer is Answer.UNKNOWN:
        SubElement(case, "skipped", message=visible(text))


def _table(rows: list[Row]) -> Iterator[str]:
    yield "| endpoint | measure | base | new | change | 90% interval | answer |"
    yield "|---|---|---:|---:|---:|---:|---|"
    for row in rows:
        answer = f"{_MARKS.get(row.answer, row.answer)}{safe(_of_row(row))}"
        cells = (safe(row.endpoint), row.measure, _level(row, row.base), _level(row, row.new), _change(row))
        yield f"| {' | '.join(cells)} | {_interval(row)} | {answer} |"


def _of_row(row: Row) -> str:
    parts = [row.note] if row.note else []
    if row.answer is Answer.UNKNOWN and row.runs_needed is not None:
        parts.append(f"about {row.runs_needed} runs a side would do")
    return f" ({'; '.join(parts)})" if parts else ""


def _name(row: Row) -> str:
    return f"{row.measure} of {row.endpoint}"


def _level(row: Row, value: float | None) -> str:
    if value is None:
        return "-"
    if row.measure == ERRORS:
        return f"{value:.3%}"
    return f"{value:.4g}/s" if row.measure == RATE else seconds(value)


def _change(row: Row) -> str:
    return "-" if row.change is None else _signed(row, row.change)


def _interval(row: Row) -> str:
    if row.low is None or row.high is None:
        return "-"
    return f"{_signed(row, row.low)} and {_signed(row, row.high)}"


def _signed(row: Row, change: float) -> str:
    return f"{change * 100:+.3f} points" if row.measure == ERRORS else f"{change:+.1%}"


def _more_runs(compared: Comparison) -> str:
    needed = compared.runs_needed
    if needed is None:
        return ""
    more = needed - min(len(compared.base_runs), len(compared.new_runs))
    return f": about {more} more runs a side would do" if more > 0 else ""


def _footer(compared: Comparison) -> Iterator[str]:
    yield from (f"- {safe(note)}" for note in compared.notes)
    yield f"- {_how_to_read(compared)}"


def _effect(compared: Comparison) -> str:
    return quantity(compared.min_effect, "ratio", 4)


def _how_to_read(compared: Comparison) -> str:
    effect = _effect(compared)
    return (
        f"worse, better: improbable without a change (p ≤ 1 % over all rows together) and more than {effect}; "
        f"same: the whole interval is within {effect}; cannot tell: neither is proved"
    )
