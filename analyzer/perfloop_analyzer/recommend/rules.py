"""The rule base, read from YAML: which findings ask for which action, and how its improvement is computed."""

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
CATEGORIES = ("infrastructure", "caching", "database", "api", "code", "llm", "monitoring")
Category = Literal["infrastructure", "caching", "database", "api", "code", "llm", "monitoring"]
Level = Literal["none", "low", "medium", "high"]


class Computation(BaseModel):
    """Which formula gives the expected improvement, and its settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal[
        "latency_share", "return_to_expected", "cache_share", "pool_size", "replicas", "right_size", "scalability"
    ]
    time: str | None = None
    rate: str | None = None
    metric: str | None = None


class Rule(BaseModel):
    """One entry. `signals` or `component` select findings; `detectors` and `severity` narrow; `{names}` are labels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    category: Category
    signals: tuple[str, ...] = ()
    component: str | None = None
    detectors: tuple[str, ...] = ()
    severity: Literal["info", "warning", "critical"] = "warning"
    title: str
    action: str
    effort: Level
    cost: Level
    affects: tuple[str, ...]
    improvement: Computation

    def matches(self, finding: Finding) -> bool:
        """Whether a finding asks for this action."""
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
    """Read the shipped rules and the user's; a later rule of the same name replaces an earlier one."""
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
