"""Recommendation rules, read from YAML: which findings lead to which action, and how its improvement is computed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from perfloop_analyzer.catalog.overrides import ROUTE_SEPARATOR
from perfloop_analyzer.documents import read_document
from perfloop_analyzer.findings import Finding, Severity
from perfloop_base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).parent / "rules"
Category = Literal["infrastructure", "caching", "database", "api", "code", "llm", "monitoring"]
Level = Literal["none", "low", "medium", "high"]


class Computation(BaseModel):
    """Which formula gives the expected improvement, and the signals that it reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal[
        "latency_share",
        "return_to_expected",
        "cache_share",
        "pool_size",
        "replicas",
        "right_size",
        "scalability",
        "restore",
    ] = Field(description="the formula; see docs/analyzer.md")
    time: str | None = Field(default=None, description="the signal with the component's busy seconds per second")
    rate: str | None = Field(default=None, description="the signal with the component's operations per second")
    operations: str | None = Field(
        default=None, description="for `cache_share`: the signal with the operations per second behind the cache"
    )
    metric: str | None = Field(
        default=None,
        description="for `latency_share`, `cache_share` and `return_to_expected`: the signal that improves. The other "
        "formulas are about the finding's own use, and `scalability` about `api_latency_mean`",
    )


class Rule(BaseModel):
    """One rule: `signals` or `component` select findings, `detectors` and `severity` narrow the selection."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str = Field(
        pattern=r"^[a-z][a-z0-9_]*$", description="the rule's name; a later rule replaces an earlier one of its name"
    )
    category: Category = Field(description="the kind of work")
    signals: tuple[str, ...] = Field(default=(), description="the signals whose findings it answers")
    component: str | None = Field(default=None, description="the component, where no signals are named")
    detectors: tuple[str, ...] = Field(default=(), description="the detectors whose findings it answers; all if empty")
    severity: Literal["info", "warning", "critical"] = Field(default="warning", description="the minimum severity")
    title: str = Field(
        description="what to do, in one line; filled in are {service}, {where} (the service, with its part that stands "
        "out), {part} (that part in parentheses), {signal} (its title) and the names of labels in braces"
    )
    action: str = Field(description="how to do it, in two or three sentences; label names in braces are filled in")
    effort: Level = Field(description="how much work it is")
    cost: Level = Field(description="what it costs to run")
    affects: tuple[str, ...] = Field(description="the signals that improve")
    improvement: Computation = Field(description="how the expected improvement is computed")

    def matches(self, finding: Finding) -> bool:
        """Return whether the rule answers a finding."""
        named = finding.signal.partition(ROUTE_SEPARATOR)[0] in self.signals or (
            not self.signals and finding.component == self.component
        )
        seen = not self.detectors or finding.detector in self.detectors
        return named and seen and finding.severity >= Severity[self.severity.upper()]


class RulesFile(BaseModel):
    """A rules file: recommendation rules that add to the shipped ones or replace them by name."""

    model_config = ConfigDict(extra="forbid")

    rules: list[Rule]


def load_rules(files: Iterable[Path] = ()) -> tuple[Rule, ...]:
    """Return the shipped rules and the user's; a later rule of the same name replaces an earlier one.

    Raises:
        ConfigError: With every problem of every file.
    """
    table: dict[str, Rule] = {}
    problems: list[str] = []
    for path in (*sorted(HERE.glob("*.yml")), *files):
        try:
            for rule in read_document(RulesFile, path).rules:
                if not rule.signals and rule.component is None:
                    problems.append(f"{path}: rule '{rule.rule}' selects nothing: give it signals or a component")
                table[rule.rule] = rule
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return tuple(table.values())
