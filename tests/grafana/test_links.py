"""Where a click leads: every table and picture leads on, each link to what it names, by variables that are there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.grafana.boards import Panel

Boards = dict[str, dict[str, Any]]
# A value of the row or series that was clicked, the time range, and a choice of the board.
BUILT_IN = re.compile(r"\$\{__(field\.labels\.\w+|data\.fields\[\"[^\"]+\"\]|value\.\w+|url_time_range|from|to)[^}]*\}")
# Figures that nothing can be down for; each with its reason.
UNWATCHED = {
    "overview: Alerts firing": "Prometheus itself knows what fires: while it is down, every panel says so",
    "alerts: Critical": "Prometheus itself knows what fires: while it is down, every panel says so",
    "alerts: Warnings": "Prometheus itself knows what fires: while it is down, every panel says so",
    "alerts: Pending": "Prometheus itself knows what fires: while it is down, every panel says so",
    "fleet: Hosts down": "the count of what is down",
    "load-test: Verdict": "of a run that may have ended: its generator is gone by then",
    "stack: Targets down": "the count of what is down",
    "slo: Objectives": "objectives that the rules record: how many there are, whatever answers",
}


def links_of(panel: Panel) -> list[dict[str, Any]]:
    """The links of a panel's values and of single columns or series of it."""
    config = panel.json["fieldConfig"]
    of_all = config["defaults"].get("links") or []
    of_some = [
        link
        for override in config["overrides"]
        for one in override["properties"]
        if one["id"] == "links"
        for link in one["value"]
    ]
    return [*of_all, *of_some]


def variables_of(board: dict[str, Any]) -> set[str]:
    """The names of a board's variables."""
    return {variable["name"] for variable in board["templating"]["list"]}


def references(url: str) -> Iterator[str]:
    """The variables of its own board that an address names."""
    yield from re.findall(r"\$\{(\w+)(?::\w+)?\}", BUILT_IN.sub("", url))


def test_every_table_and_every_series_leads_on(panels: list[Panel]):
    """A click on what is wrong opens what explains it."""
    shapes = {"table", "timeseries", "state-timeline", "heatmap"}
    assert [str(panel) for panel in panels if panel.kind in shapes and not links_of(panel)] == []


def test_every_link_leads_to_what_is_there(boards: Boards, panels: list[Panel]):
    """A board with variables that it has, taken from variables that this one has; or a program's page."""
    for panel in panels:
        for link in links_of(panel):
            url = link["url"]
            place = (str(panel), url)
            assert link["title"].strip(), place
            assert set(references(url)) <= variables_of(boards[panel.board]), place
            if url.startswith("/d/"):
                there = urlsplit(url).path.split("/")[2]
                assert there in boards, place
                given = set(re.findall(r"[?&]var-(\w+)=", url)) | set(re.findall(r"\$\{(\w+):queryparam\}", url))
                assert given <= variables_of(boards[there]), place
                assert "__url_time_range" in url or "from=" in url, place
            else:
                # A row of targets has the page of each in a cell.
                assert re.match(
                    r"\$\{\w+_url\}(/|$)|\$\{__data\.fields\.dashboard\}|\$\{__value\.raw\}\$\{__url_time_range\}$", url
                ), place
                assert link["targetBlank"] or "__data.fields.dashboard" in url, place


def test_links_of_cells_name_columns_of_their_table(panels: list[Panel]):
    """A reference to another cell of the row is by the heading that the table shows."""
    for panel in panels:
        if panel.kind != "table":
            continue
        headings = {
            heading
            for step in panel.json["transformations"]
            if step["id"] == "organize"
            for heading in step["options"]["renameByName"].values()
        }
        for link in links_of(panel):
            assert set(re.findall(r'__data\.fields\["([^"]+)"\]', link["url"])) <= headings, str(panel)


def test_links_of_series_name_labels_that_the_series_have(panels: list[Panel]):
    """A reference to a label is to one that the query keeps."""
    for panel in panels:
        for link in links_of(panel):
            for label in re.findall(r"__field\.labels\.(\w+)", link["url"]):
                assert any(re.search(rf"\b{label}\b", expression) for expression in panel.expressions), str(panel)


def test_every_figure_has_a_state_for_what_is_down(panels: list[Panel]):
    """Beside its value a figure counts what it depends on and does not answer; without that stands the reason."""
    for panel in (panel for panel in panels if panel.kind == "stat" and str(panel) not in UNWATCHED):
        overrides = {one["matcher"]["options"]: one["properties"] for one in panel.json["fieldConfig"]["overrides"]}
        shown = {query: {one["id"]: one["value"] for one in overrides[query]} for query in overrides}
        down = {query: one for query, one in shown.items() if re.search(r"(down|cut off)$", str(one.get("unit", "")))}
        assert len(down) == 1, str(panel)
        (query,) = down
        assert down[query]["color"] == {"mode": "fixed", "fixedColor": "red"}, str(panel)
        (asked,) = (target["expr"] for target in panel.json["targets"] if target["refId"] == query)
        assert asked.endswith("> 0"), str(panel)


def test_every_figure_asks_for_now(panels: list[Panel]):
    """The last value of a range is one of the past: a service that is dead would look as it did before."""
    for panel in (panel for panel in panels if panel.kind == "stat"):
        assert all(target.get("instant") and not target.get("range") for target in panel.json["targets"]), str(panel)


def test_every_reason_is_one():
    """An exception without a reason is a fault overlooked."""
    assert all(len(reason.split()) >= 4 for reason in UNWATCHED.values())


@pytest.mark.parametrize("program", ["prometheus", "alertmanager", "analyzer", "inbox", "loadgen"])
def test_addresses_come_from_the_metric_of_the_analyzer(boards: Boards, program: str):
    """Each board knows where a browser reaches the programs outside Grafana."""
    for uid, board in boards.items():
        assert f"{program}_url" in variables_of(board), uid
