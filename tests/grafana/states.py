"""What the boards show at this moment, asked of Prometheus as Grafana asks; and which programs a panel depends on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tests.grafana.boards import default_values, fill_in
from tests.wire.contract import read_contract, read_foreign
from tests.wire.promql import metric_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import httpx

    from tests.grafana.boards import Panel

Boards = dict[str, dict[str, Any]]
NOTHING = {"nan", "null"}


@dataclass(frozen=True)
class Shown:
    """A panel at one moment.

    Attributes:
        values: what its queries found, without the number of what is down.
        texts: every label's value, as the cells of a table and the names beside a figure.
        down: how many of what it depends on it says to be down.
    """

    values: Sequence[float]
    texts: frozenset[str]
    down: float = 0

    @property
    def looks_well(self) -> bool:
        """Whether it has a figure and says nothing of what is down."""
        return bool(self.values) and not self.down

    def __str__(self) -> str:
        """As it reads on a screen."""
        return f"{self.values or 'nothing'}{f', {self.down:g} down' if self.down else ''}"


class Screen:
    """Every panel of the boards, over one Prometheus."""

    def __init__(
        self,
        client: httpx.Client,
        boards: Boards,
        panels: Sequence[Panel],
        choices: Mapping[str, Mapping[str, str]] | None = None,
        gone: Mapping[str, int] | None = None,
    ) -> None:
        self._client = client
        self.gone = gone or {}
        self._values = {
            uid: default_values(board) | dict((choices or {}).get(uid, {})) for uid, board in boards.items()
        }
        self.panels = {str(panel): panel for panel in panels}

    def look(self, name: str) -> Shown:
        """Return what a panel shows: of the last minutes, all variables at their defaults but for the choices."""
        panel = self.panels[name]
        found = {target["refId"]: self._ask(panel, target["expr"]) for target in panel.json["targets"]}
        down = found.pop("B", []) if panel.kind == "stat" and watched(panel) else []
        every = [series for part in found.values() for series in part]
        return Shown(
            [float(one["value"][1]) for one in every if one["value"][1].lower() not in NOTHING],
            frozenset(text for one in every for text in one["metric"].values()),
            sum(float(one["value"][1]) for one in down),
        )

    def rows(self, name: str, **labels: str) -> list[float]:
        """Return the first figure of each row of a table whose labels have these values."""
        panel = self.panels[name]
        found = self._ask(panel, panel.json["targets"][0]["expr"])
        return [float(one["value"][1]) for one in found if labels.items() <= one["metric"].items()]

    def _ask(self, panel: Panel, expression: str) -> list[dict[str, Any]]:
        query = fill_in(expression, self._values[panel.board])
        answer = self._client.get("/api/v1/query", params={"query": query})
        assert answer.is_success, (str(panel), answer.text)
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found


def watched(panel: Panel) -> bool:
    """Return whether a figure says what is down: its second query."""
    overrides = {one["matcher"]["options"]: one["properties"] for one in panel.json["fieldConfig"]["overrides"]}
    return any(one["id"] == "unit" and str(one["value"]).startswith("suffix:") for one in overrides.get("B", ()))


class Sources:
    """Which programs export what an expression reads, through recorded series, by the wire contract."""

    def __init__(self, checkout: Path) -> None:
        own = {name: [f"(?:{one.name})(_bucket|_sum|_count)?" for one in found] for name, found in _special().items()}
        self._patterns: Mapping[str, Sequence[str]] = {**own, **read_foreign()}
        self._rules: dict[str, list[str]] = {}
        for file in sorted((checkout / "prometheus" / "rules").glob("*.yml")):
            for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
                for rule in group["rules"]:
                    self._rules.setdefault(rule.get("record", ""), []).append(rule["expr"])

    def find(self, expression: str) -> set[str]:
        """Return the programs."""
        found: set[str] = set()
        seen: set[str] = set()
        left = metric_names(expression)
        while left:
            name = left.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in self._rules:
                left |= set().union(*map(metric_names, self._rules[name]))
            found |= {program for program, patterns in self._patterns.items() if _any(patterns, name)}
        return found


def _special() -> dict[str, list[Any]]:
    """Return the metrics that one program alone exports: what several export says nothing of one of them."""
    contract = read_contract()
    names = [metric.name for metrics in contract.values() for metric in {one.name: one for one in metrics}.values()]
    return {program: [one for one in metrics if names.count(one.name) == 1] for program, metrics in contract.items()}


def _any(patterns: Sequence[str], name: str) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in patterns)
