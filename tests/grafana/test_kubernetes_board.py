"""The Kubernetes board over a cluster with trouble and a mesh: every panel shows its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.grafana.boards import Panel, default_values, fill_in
from tests.support.cluster_pages import CLUSTER, EXPORTER, MESH, SICK, Page, finds, scraped
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

Boards = dict[str, dict[str, Any]]


def test_every_panel_finds_its_series(
    prometheus_binary: str, tmp_path: Path, boards: Boards, panels: list[Panel]
) -> None:
    """Names and labels are those that the exporters have; nothing fails, nothing is empty."""
    page = Page(CLUSTER + MESH, {**SICK, "bad_rate": 1.0})
    own = [panel for panel in panels if panel.board == "kubernetes"]
    values = default_values(boards["kubernetes"])
    with scraped(prometheus_binary, tmp_path, page, service=EXPORTER) as client:
        wait_for(
            lambda: finds(client, "count_over_time(mesh_client_requests_total[1m]) > 4"), "the mesh's requests", 120
        )
        asked = [
            (panel, fill_in(expression, values))
            for panel in own
            for expression in panel.expressions
            if "up{" not in expression  # the number of exporters that do not answer
        ]
        empty = [f"{panel}: {query}" for panel, query in asked if not finds(client, query)]
    assert len(asked) > 15
    assert [one for one in empty if "proxies" not in one] == []
