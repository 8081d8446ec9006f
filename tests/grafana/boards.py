"""The dashboards as values: panels, queries and variables with what tests ask of them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

# What Grafana puts in a query's place: a rate interval of four scrapes, a range of a quarter of an hour.
BUILT_IN = {"$__rate_interval": "1m", "$__range": "15m", "$__interval": "15s"}
QUESTIONS = ("how ", "what ", "which ", "who ", "where ", "is ", "are ", "does ", "do ", "was ", "since ")


@dataclass(frozen=True)
class Panel:
    """One panel and the board that it is on."""

    board: str
    json: dict[str, Any]

    def __str__(self) -> str:
        """Its name in test reports."""
        return f"{self.board}: {self.title}"

    @property
    def title(self) -> str:
        """The title of the panel."""
        return str(self.json.get("title", ""))

    @property
    def kind(self) -> str:
        """Grafana's name of its shape."""
        return str(self.json["type"])

    @property
    def defaults(self) -> dict[str, Any]:
        """Unit, thresholds, empty state."""
        defaults: dict[str, Any] = self.json["fieldConfig"]["defaults"]
        return defaults

    @property
    def expressions(self) -> list[str]:
        """Its queries."""
        return [target["expr"] for target in self.json.get("targets", ())]


def read_boards(checkout: Path) -> dict[str, dict[str, Any]]:
    """Every committed dashboard by its uid."""
    files = sorted((checkout / "grafana" / "dashboards").glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}


def open_rows(board: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels of a board as JSON, with those of collapsed rows, headings of rows left out."""
    opened = [one for panel in board["panels"] for one in (panel, *(panel.get("panels") or ()))]
    return [panel for panel in opened if panel["type"] != "row"]


def list_panels(boards: dict[str, dict[str, Any]]) -> list[Panel]:
    """Every panel of every board, rows left out."""
    return [Panel(uid, panel) for uid, board in boards.items() for panel in open_rows(board)]


def fill_in(expression: str, variables: dict[str, str]) -> str:
    """The expression as Grafana sends it, each variable at the value given."""
    for name, value in BUILT_IN.items():
        expression = expression.replace(name, value)
    return re.sub(r"\$(\w+)", lambda match: variables.get(match.group(1), match.group(0)), expression)


def default_values(board: dict[str, Any]) -> dict[str, str]:
    """Each variable of the board at its default: everything, the one that is chosen first, or nothing."""
    return {
        variable["name"]: variable.get("allValue") or variable.get("current", {}).get("value", "")
        for variable in board["templating"]["list"]
    }
