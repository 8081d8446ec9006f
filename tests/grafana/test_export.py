"""The boards for other Grafanas: what their import asks for, and that a real one takes them."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.grafana.sites import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Boards = dict[str, dict[str, Any]]
PLACE = "portable"  # of what the test imports: it is removed again


@pytest.fixture(scope="module")
def exported(checkout: Path) -> Boards:
    """Every committed export by its uid."""
    files = (checkout / "grafana" / "export").glob("*.json")
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


def test_every_board_is_exported(boards: Boards, exported: Boards):
    """The same board, but for what it asks at its import and that it can be edited there."""
    assert exported.keys() == boards.keys()
    for uid, export in exported.items():
        inside = {name: part for name, part in export.items() if not name.startswith("__")}
        assert {**inside, "editable": False, "templating": 0} == {**boards[uid], "templating": 0}, uid
        assert inside["editable"], uid


def test_an_import_asks_for_the_data_source_alone(exported: Boards):
    """One input, and no data source by a uid of this project: every panel reads what the board's variable names."""
    for uid, export in exported.items():
        (asked,) = export["__inputs"]
        assert (asked["name"], asked["type"], asked["pluginId"]) == ("DS_PROMETHEUS", "datasource", "prometheus"), uid
        sources = {variable["current"]["value"] for variable in export["templating"]["list"][:1]}
        assert sources == {"${DS_PROMETHEUS}"}, uid
        read = set(re.findall(r'"uid": "([^"]+)"', json.dumps(export))) - {uid}
        assert read <= {"${datasource}"}, uid


def test_an_export_names_the_plugins_that_it_needs(exported: Boards):
    """Each shape of panel, in collapsed rows too: Grafana says before the import what is missing."""
    for uid, export in exported.items():
        shapes = set(
            re.findall(r'"type": "(stat|timeseries|table|state-timeline|heatmap)"', json.dumps(export["panels"]))
        )
        assert {one["id"] for one in export["__requires"] if one["type"] == "panel"} == shapes, uid


@pytest.fixture
def grafana() -> Iterator[httpx.Client]:
    """A Grafana that answers at GRAFANA_URL, with a data source of another name and an empty folder."""
    url = os.environ.get("GRAFANA_URL")
    if not url:
        pytest.skip(ABSENT)
    user = (os.environ.get("GRAFANA_USER", "admin"), os.environ.get("GRAFANA_PASSWORD", "admin"))
    with httpx.Client(base_url=url, auth=user, timeout=30) as client:
        source = {"name": PLACE, "uid": PLACE, "type": "prometheus", "access": "proxy", "url": "http://127.0.0.1:9"}
        client.post("/api/datasources", json=source).raise_for_status()
        client.post("/api/folders", json={"title": PLACE, "uid": PLACE}).raise_for_status()
        try:
            yield client
        finally:
            client.delete(f"/api/folders/{PLACE}")
            client.delete(f"/api/datasources/uid/{PLACE}")


@pytest.mark.grafana
def test_a_real_grafana_imports_every_board(grafana: httpx.Client, exported: Boards):
    """Its own import puts the chosen source in: the board's variable names it, and nothing is left to fill in."""
    for uid, export in exported.items():
        chosen = {"name": "DS_PROMETHEUS", "type": "datasource", "pluginId": "prometheus", "value": PLACE}
        # A uid of its own: the stack's Grafana has the board already, and keeps what is provisioned.
        board = {**export, "uid": f"{PLACE}-{uid}", "title": f"{export['title']} ({PLACE})"}
        asked = {"dashboard": board, "inputs": [chosen], "folderUid": PLACE, "overwrite": True}
        answer = grafana.post("/api/dashboards/import", json=asked)
        assert answer.status_code == 200, (uid, answer.text)
        found = grafana.get(f"/api/dashboards/uid/{PLACE}-{uid}").json()["dashboard"]
        assert "DS_PROMETHEUS" not in json.dumps(found), uid
        assert found["templating"]["list"][0]["current"]["value"] == PLACE, uid
        assert len(found["panels"]) == len(export["panels"]), uid
