"""The rules of grafana/dashboard-linter, restated; each one that we do not follow says why."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.wire.promql import metric_names

if TYPE_CHECKING:
    from tests.grafana.boards import Panel

Boards = dict[str, dict[str, Any]]

# Rules of the linter that these boards do not follow.
NOT_FOLLOWED = {
    "template-job": "our rules, alerts and boards are about services: `service` is where the linter wants `job`",
    "template-instance": "a board is about a service; where machines matter (system) there is an `instance`",
    "target-job": "as template-job: queries match on `service`",
    "target-instance": "as template-instance: machines matter on one board",
    "template-all-value": "`.+` would drop series without the label; `.*` keeps them",
    "target-logql": "there is no Loki in the stack",
    "target-logql-auto": "there is no Loki in the stack",
}

# Variables of which one value is chosen by their nature, and the first one.
ONE_OF = {"signal": "api_response_time_p95", "quantile": "0.95"}


def _variables(board: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [variable for variable in board["templating"]["list"] if variable["type"] == kind]


def _is_hidden(variable: dict[str, Any]) -> bool:
    return bool(variable.get("hide") == 2)  # Grafana's number for "nothing"


def test_template_datasource(boards: Boards):
    """Each board chooses its source by a variable that starts at the provisioned one."""
    for uid, board in boards.items():
        (source,) = _variables(board, "datasource")
        assert (source["name"], source["query"], source["label"]) == ("datasource", "prometheus", "Data source"), uid
        assert source["current"]["value"] == "prometheus", uid


def test_template_label_promql(boards: Boards):
    """Each query variable asks for the values of one label of a series that its matchers narrow."""
    for uid, board in boards.items():
        for variable in _variables(board, "query"):
            assert re.fullmatch(r"label_values\(.+, \w+\)", variable["query"]), (uid, variable["name"])
            assert variable["datasource"]["uid"] == "${datasource}", (uid, variable["name"])


def test_template_on_time_change_reload(boards: Boards):
    """Variables are asked for again when the time range changes; addresses of programs, which are hidden, once."""
    for uid, board in boards.items():
        for variable in _variables(board, "query"):
            assert variable["refresh"] == (1 if _is_hidden(variable) else 2), (uid, variable["name"])


def test_several_values_can_be_chosen(boards: Boards):
    """All at first, series without the label among them; one variable is for one value by its nature."""
    for uid, board in boards.items():
        for variable in _variables(board, "query"):
            if variable["name"] in ONE_OF:
                assert variable["current"]["value"] == ONE_OF[variable["name"]]
                continue
            if _is_hidden(variable):
                assert not variable["multi"], (uid, variable["name"])
                continue
            assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".*"), uid
            assert variable["current"]["value"] == "$__all", (uid, variable["name"])


def test_panel_datasource(panels: list[Panel]):
    """Each panel and each query reads the source that the board has chosen."""
    for panel in panels:
        sources = [panel.json["datasource"], *(target["datasource"] for target in panel.json["targets"])]
        assert {source["uid"] for source in sources} == {"${datasource}"}, str(panel)


def test_panel_title_description(panels: list[Panel]):
    """Each panel has both."""
    assert [str(panel) for panel in panels if not panel.title or not panel.json.get("description")] == []


def test_panel_units(panels: list[Panel]):
    """Each panel has a unit, or says that its number has none; a table has one for each column of figures."""
    assert [str(panel) for panel in panels if "unit" not in panel.defaults] == []
    for panel in panels:
        overridden = [
            entry["matcher"]["options"]
            for entry in panel.json["fieldConfig"]["overrides"]
            if any(one["id"] == "unit" for one in entry["properties"])
        ]
        if panel.kind == "table":
            figures = [
                step["options"]["renameByName"] for step in panel.json["transformations"] if step["id"] == "organize"
            ]
            named = {heading for names in figures for field, heading in names.items() if field.startswith("Value")}
            assert named <= set(overridden), str(panel)


def test_panel_no_targets(panels: list[Panel]):
    """No panel is without a query."""
    assert [str(panel) for panel in panels if not panel.expressions] == []


def test_target_promql(panels: list[Panel]):
    """Every query names a metric; that each is valid is proven where it runs."""
    for panel in panels:
        for expression in panel.expressions:
            assert metric_names(expression), (str(panel), expression)


def test_target_rate_interval(panels: list[Panel]):
    """A rate is over $__rate_interval, or over a window that the title or the description names."""
    windows = {"5m": ("five minutes", "5 min"), "1h": ("1 h",), "$__range": ("of the time range",)}
    for panel in panels:
        named_in = f"{panel.title} {panel.json['description']}"
        for expression in panel.expressions:
            for window in re.findall(r"\b(?:rate|irate|increase)\([^\[\]]*\[([^\]]+)\]", expression):
                named = any(words in named_in for words in windows.get(window, ()))
                # The whole range, to choose the series that are shown.
                chosen = window == "$__range" and "topk(" in expression
                assert window == "$__rate_interval" or named or chosen or " / " in expression, (str(panel), window)


def test_target_counter_agg(panels: list[Panel]):
    """A counter is only read through rate or increase: its bare value says when the process started."""
    for panel in panels:
        for expression in panel.expressions:
            bare = re.sub(r"\b(?:rate|irate|increase)\([^\[\]]*\[[^\]]+\](?: @ end\(\))?\)", "", expression)
            # What a whole run counted is its last value: a run is as old as its process.
            bare = re.sub(r"\blast_over_time\(loadgen_[^\[\]]*\[\$__range\] @ end\(\)\)", "", bare)
            counters = {name for name in metric_names(bare) if name.endswith("_total")}
            assert not counters, (str(panel), counters)


def test_uneditable_dashboard(boards: Boards):
    """Nobody edits what the next start would overwrite."""
    assert [uid for uid, board in boards.items() if board["editable"]] == []


def test_every_rule_left_out_has_its_reason():
    """An exclusion without a reason is a rule forgotten."""
    assert all(len(reason.split()) > 4 for reason in NOT_FOLLOWED.values())
