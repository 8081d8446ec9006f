"""The result as JSON, whose form stays: new fields may come, and those that are here keep their meaning."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from perfloop.check.findings import Part, Verdict
from perfloop_base.redaction import redact
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from perfloop.check.app import Result
    from perfloop.check.checklist import Line

FORMAT = 1
DRAFT = "https://json-schema.org/draft/2020-12/schema"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class LineDocument(_Model):
    """One line of the checklist."""

    check: str = Field(description="the check's name; it stays the same from version to version")
    of: str = Field(description="what the line is about where a check has several; else empty")
    part: Part = Field(description="before (pre) or after (post) the deployment")
    item: str = Field(description="the line of the checklist that it answers")
    title: str = Field(description="what must be so")
    verdict: Verdict = Field(description="unknown is what could not be checked; it is not passed")
    finding: str = Field(description="what was found, in one sentence")
    reads: str = Field(description="where the answer comes from")
    advice: str = Field(description="what to do; empty where it passed")
    command: str = Field(description="the command for it; a person puts in the capital words; empty where it passed")


class Counts(_Model):
    """How many lines have each verdict."""

    passed: int
    failed: int
    unknown: int


class ResultDocument(_Model):
    """The result of `perfloop check`."""

    format: int = Field(description="1; a change that breaks readers has another number")
    at: str = Field(description="when it was asked, ISO 8601 in UTC")
    mode: str = Field(description="the stack that was checked: native, docker, addresses (of flags), or none")
    home: str = Field(description="the stack's directory")
    service: str = Field(description="the service that was asked for; empty for all")
    parts: list[Part] = Field(description="the parts that were checked")
    verdict: Verdict = Field(description="failed if a line failed, else unknown if one is unknown, else passed")
    counts: Counts
    checks: list[LineDocument]


def to_document(result: Result) -> ResultDocument:
    """Return the result as its document, without secrets."""
    return ResultDocument(
        format=FORMAT,
        at=moment(result.at),
        mode=result.mode,
        home=shown(result.home),
        service=shown(result.service),
        parts=list(result.parts),
        verdict=result.verdict,
        counts=Counts(**{verdict.value: result.count(verdict) for verdict in Verdict}),
        checks=[_line(line) for line in result.lines],
    )


def _line(line: Line) -> LineDocument:
    finding = line.finding
    return LineDocument(
        check=line.check.name,
        of=shown(finding.of),
        part=line.item.part,
        item=line.item.title,
        title=line.check.title,
        verdict=finding.verdict,
        finding=shown(finding.words),
        reads=line.check.reads,
        advice=finding.advice.do if finding.advice else "",
        command=finding.advice.command if finding.advice else "",
    )


def to_json(result: Result) -> str:
    """Return the result as JSON text."""
    return to_document(result).model_dump_json(indent=2) + "\n"


def readiness_schema() -> dict[str, Any]:
    """Return the JSON schema of the document."""
    return {"$schema": DRAFT, **ResultDocument.model_json_schema()}


def shown(text: str) -> str:
    """Return a text of another program as a report may show it: without secrets, in visible characters."""
    return visible(redact(text))


def moment(unix: float) -> str:
    """Return a moment in ISO 8601 and UTC, to the second."""
    return f"{datetime.fromtimestamp(unix, UTC):%Y-%m-%dT%H:%M:%SZ}"
