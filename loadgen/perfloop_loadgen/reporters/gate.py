"""What a gate says about each test of a file: Markdown for a pull request, JUnit, and JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, SubElement, tostring

from pydantic import TypeAdapter

from perfloop_base.errors import ExitCode
from perfloop_base.visible import visible
from perfloop_loadgen.compare.runs import Comparison  # noqa: TC001 - pydantic reads the annotation
from perfloop_loadgen.config.secrets import shown
from perfloop_loadgen.reporters.comparison import comparison_lines, fill_suite, folded_lines
from perfloop_loadgen.reporters.markdown import safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """One test's result.

    Attributes:
        code: The exit code for it.
        result: `better`, `same`, `worse`, `cannot tell`; or `failed` (by its own thresholds), `invalid`, `stopped`.
        reasons: Why, one sentence each, where the comparison does not say it.
    """

    test: str
    baseline: str
    code: int
    result: str
    reasons: list[str]
    comparison: Comparison | None = None


_ADAPTER: TypeAdapter[list[GateOutcome]] = TypeAdapter(list[GateOutcome])


def outcome_lines(outcome: GateOutcome) -> Iterator[str]:
    """Yield a test's result for a terminal."""
    yield from _reasons(outcome)
    if outcome.comparison is not None:
        yield from comparison_lines(outcome.comparison)


def render_markdown(outcomes: Sequence[GateOutcome]) -> bytes:
    """Return every test's result as the comment under a pull request."""
    lines: list[str] = []
    for outcome in outcomes:
        lines += _reasons(outcome)
        if outcome.comparison is not None:
            lines += folded_lines(outcome.comparison)
        lines.append("")
    return "\n".join(lines).encode()


def render_junit(outcomes: Sequence[GateOutcome]) -> bytes:
    """Return a suite for each test: the gate itself, then every row."""
    root = Element("testsuites")
    for outcome in outcomes:
        suite = SubElement(root, "testsuite", name=visible(outcome.test))
        if outcome.comparison is not None:
            fill_suite(suite, outcome.comparison)
        if outcome.code in {ExitCode.FAILED, ExitCode.INVALID, ExitCode.STOPPED} and outcome.reasons:
            case = SubElement(suite, "testcase", classname=visible(outcome.test), name=outcome.result, time="0")
            kind = "failure" if outcome.code == ExitCode.FAILED else "error"
            SubElement(case, kind, message=outcome.result).text = "\n".join(map(shown, outcome.reasons))
        _count(suite)
    return b"<?xml version='1.0' encoding='utf-8'?>\n" + tostring(root, encoding="unicode").encode()


def render_json(outcomes: Sequence[GateOutcome]) -> bytes:
    """Return every result with everything that it rests on, for programs."""
    return _ADAPTER.dump_json(list(outcomes), indent=2)


def gate_schema() -> dict[str, Any]:
    """Return the JSON Schema of the JSON form."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_ADAPTER.json_schema(mode="serialization")}


RENDERERS: Mapping[str, Callable[[Sequence[GateOutcome]], bytes]] = {
    "json": render_json,
    "junit": render_junit,
    "markdown": render_markdown,
}


def _reasons(outcome: GateOutcome) -> Iterator[str]:
    if outcome.reasons:
        yield f"### {safe(outcome.test)}: {outcome.result}"
        yield ""
        yield from (f"- {safe(shown(reason))}" for reason in outcome.reasons)
        yield ""


def _count(suite: Element) -> None:
    suite.set("tests", str(len(suite.findall("testcase"))))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{tag}"))))
