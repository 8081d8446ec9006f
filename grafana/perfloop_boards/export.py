"""The boards for other Grafanas: an import asks for the data source, and what was imported can be edited."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# Grafana's import puts the data source that is chosen there in the place of `${DS_PROMETHEUS}`.
INPUT = "DS_PROMETHEUS"
SOURCE = "prometheus"
# The oldest Grafana that the boards were seen to load in.
OLDEST_GRAFANA = "9.5.0"


def make_portable(board: dict[str, Any]) -> dict[str, Any]:
    """Return a board of `grafana/dashboards` as Grafana's own export for other installations has it.

    Every panel reads the source that the board's variable names; only what that variable is at first is an input.
    """
    made = copy.deepcopy(board)
    made["editable"] = True
    for variable in made["templating"]["list"]:
        if variable["type"] == "datasource":
            variable["current"] = {"selected": True, "text": f"${{{INPUT}}}", "value": f"${{{INPUT}}}"}
    asked = {
        "name": INPUT,
        "label": "Prometheus",
        "description": "The Prometheus that scrapes the services and evaluates Perfloop's rules.",
        "type": "datasource",
        "pluginId": SOURCE,
        "pluginName": "Prometheus",
    }
    return {"__inputs": [asked], "__elements": {}, "__requires": list(_requirements(made)), **made}


def _requirements(board: dict[str, Any]) -> Iterator[dict[str, str]]:
    yield {"type": "grafana", "id": "grafana", "name": "Grafana", "version": OLDEST_GRAFANA}
    yield {"type": "datasource", "id": SOURCE, "name": "Prometheus", "version": "1.0.0"}
    # A row that is collapsed holds its panels.
    panels = [one for panel in board["panels"] for one in (panel, *panel.get("panels", ()))]
    for kind in sorted({panel["type"] for panel in panels} - {"row"}):
        yield {"type": "panel", "id": kind, "name": kind, "version": ""}
