"""What makes a board readable at a glance: few panels a row, words that help, colours that mean one thing."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.grafana.boards import QUESTIONS, open_rows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.grafana.boards import Panel

Boards = dict[str, dict[str, Any]]
EXPECTED = {
    *("overview", "service", "slo", "system", "fleet", "kubernetes", "llm", "database-cache"),
    *("load-test", "analysis", "recommendations", "capacity", "alerts", "stack"),
}
STATUS = {"green", "orange", "red"}
# The first question of everybody who sees a low score, and the one title that answers it better than a noun.
QUESTION = {"Why is the score low?"}
HIDDEN = 2  # Grafana's number for a variable that nobody sees


def test_the_boards_are_there(boards: Boards):
    """Each board answers one question; its file is named after its uid."""
    assert set(boards) == EXPECTED
    assert [uid for uid, board in boards.items() if board["uid"] != uid] == []


def test_boards_are_loadable_files(boards: Boards):
    """No database id, no inputs to fill, the schema that was seen to load; each says which question it answers."""
    for uid, board in boards.items():
        assert board.get("id") is None, uid
        assert "__inputs" not in board, uid
        assert board["schemaVersion"] == 42, uid
        assert board["description"].endswith("?"), uid


def test_links_lead_both_ways(boards: Boards):
    """What a board links to links back; every board is reached from the overview, and all are in the menu."""
    links = {uid: set(_top_links(board)) for uid, board in boards.items()}
    assert [(here, there) for here, others in links.items() for there in others if here not in links[there]] == []
    reached, border = set(), {"overview"}
    while border:
        reached |= border
        border = {there for here in border for there in links[here]} - reached
    assert reached == EXPECTED
    assert [uid for uid, board in boards.items() if board["links"][-1]["tags"] != board["tags"]] == []


def _top_links(board: dict[str, Any]) -> dict[str, set[str]]:
    """The boards that a board's links open, each with the variables that the link carries."""
    urls = [urlsplit(link["url"]) for link in board["links"] if link["type"] == "link"]
    return {url.path.removeprefix("/d/"): set(re.findall(r"\$\{(\w+):queryparam\}", url.query)) for url in urls}


def test_links_carry_time_and_choices(boards: Boards):
    """Going from board to board keeps the time range, and of the choices all that the other board has too."""
    chosen = {
        uid: {variable["name"] for variable in board["templating"]["list"] if variable.get("hide") != HIDDEN}
        for uid, board in boards.items()
    }
    for uid, board in boards.items():
        assert all(link["keepTime"] for link in board["links"]), uid
        assert not any(link["includeVars"] for link in board["links"] if link["type"] == "link"), uid
        for there, carried in _top_links(board).items():
            assert carried == chosen[uid] & chosen[there], (uid, there)


def test_a_variable_means_the_same_on_every_board(boards: Boards):
    """Choices go from board to board by name: `service` serves requests, what is chosen of hosts is an instance."""
    labels = defaultdict(set)
    for uid, board in boards.items():
        for variable in board["templating"]["list"]:
            if variable["type"] == "query" and variable.get("hide") != HIDDEN:
                series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]).groups()
                labels[variable["name"]].add(label)
                assert variable["name"] != "service" or not series.startswith("node_"), uid
    assert {name: found for name, found in labels.items() if len(found) > 1} == {}


def test_addresses_of_programs_are_hidden_variables_of_every_board(boards: Boards):
    """Links to pages outside Grafana take the address from the analyzer's metric; nobody need choose one."""
    for uid, board in boards.items():
        hidden = {one["name"]: one["query"] for one in board["templating"]["list"] if one.get("hide") == HIDDEN}
        assert hidden == {
            f"{program}_url": f'label_values(perfloop_link_info{{program="{program}"}}, url)'
            for program in ("prometheus", "alertmanager", "analyzer", "inbox", "loadgen")
        }, uid


def test_rows_are_full_and_few(boards: Boards):
    """At most six figures or four pictures side by side, no gap and no overlap."""
    for uid, board in boards.items():
        lines = defaultdict(list)
        for panel in open_rows(board):
            lines[panel["id"] if panel["gridPos"]["x"] == 0 else max(lines)].append(panel)
        for line in lines.values():
            assert sum(panel["gridPos"]["w"] for panel in line) == 24, (uid, [panel["title"] for panel in line])
            figures = all(panel["type"] == "stat" for panel in line)
            assert len(line) <= (6 if figures else 4), uid


def test_the_most_important_comes_first(boards: Boards):
    """The first line of each board is figures; a detail comes below."""
    for uid, board in boards.items():
        first = [panel["type"] for panel in board["panels"] if panel["gridPos"]["y"] == 0]
        assert first.count("stat") >= 3, uid


def test_titles_fit_and_are_unique_on_their_board(panels: list[Panel]):
    """A title that is cut off, on a screen of 1,366 pixels, is none; two alike are one too many.

    Grafana 12 leaves a title the width of its panel but for 110 pixels; a letter takes up to 7.4 on average.
    """
    space = {str(panel): (panel.json["gridPos"]["w"] / 24 * 1_366 - 110) / 7.4 for panel in panels}
    assert [str(panel) for panel in panels if len(panel.title) > space[str(panel)]] == []
    names = [str(panel) for panel in panels]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


def test_titles_are_nouns(panels: list[Panel]):
    """A title names what the panel shows: no question, no sentence, no metric name; `$signal` is the one chosen."""
    for panel in (panel for panel in panels if panel.title not in QUESTION):
        words = panel.title.removesuffix("$signal")
        assert re.fullmatch(r"[A-Zp][^_?!.]*(vs\.[^_?!.]*)?", words), str(panel)
        assert not words.lower().startswith(QUESTIONS), str(panel)


def test_failed_requests_have_one_name(checkout: Path, panels: list[Panel]):
    """The share of failed requests has the title that thresholds.yml gives the signal, on each of the three boards."""
    signals = yaml.safe_load((checkout / "prometheus" / "thresholds.yml").read_text(encoding="utf-8"))["signals"]
    (title,) = (signal["title"] for signal in signals if signal["signal"] == "error_ratio")
    failures = re.compile(r'(?<!slo_)errors:ratio|status_code=~"5\.\."|outcome!="ok"')
    shares = [panel for panel in panels if panel.kind == "stat" and failures.search(" ".join(panel.expressions))]
    assert {panel.board: panel.title for panel in shares} == dict.fromkeys(("overview", "service", "load-test"), title)


def test_descriptions_say_what_good_looks_like(panels: list[Panel]):
    """What good looks like, or for a plain amount what to read from it; whole sentences that fit a tooltip."""
    for panel in panels:
        words = panel.json["description"]
        assert words.endswith((".", "?")), str(panel)
        assert 30 < len(words) < 330, (str(panel), len(words))
        judged = [step for step in panel.defaults["thresholds"]["steps"] if step["color"] in STATUS]
        if len(judged) > 1:
            assert "Good" in words or "good" in words or "Under" in words, str(panel)


def test_an_empty_panel_says_why(panels: list[Panel]):
    """Figures in a word or two; pictures and tables in a sentence with the cause or the remedy."""
    for panel in panels:
        words = panel.defaults["noValue"]
        if panel.kind == "stat":
            assert len(words) <= 16, str(panel)
        else:
            assert words.endswith((".", "?")), str(panel)
        assert words.lower() != "no data", str(panel)


def test_thresholds_are_those_of_the_file(checkout: Path, boards: Boards):
    """A signal's panel warns where the alert warns."""
    signals = yaml.safe_load((checkout / "prometheus" / "thresholds.yml").read_text(encoding="utf-8"))["signals"]
    places = yaml.safe_load((checkout / "grafana" / "panels.json").read_text(encoding="utf-8"))["signals"]
    assert set(places) == {signal["signal"] for signal in signals}
    for signal in signals:
        place = places[signal["signal"]]
        panel = next(one for one in open_rows(boards[place["uid"]]) if one["id"] == place["panel"])
        steps = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        if len(steps) > 1:
            assert signal["warning"] in steps, signal["signal"]


def test_no_column_is_narrower_than_grafana_draws_it(panels: list[Panel]):
    """Grafana makes none narrower than 50 pixels: with one that should be, the table is too wide and its end is cut."""
    widths = {
        str(panel): one["value"]
        for panel in panels
        for entry in panel.json["fieldConfig"]["overrides"]
        for one in entry["properties"]
        if one["id"] == "custom.width" and one["value"] < 50
    }
    assert widths == {}


def test_columns_of_times_are_wide_enough(panels: list[Panel]):
    """`a few seconds ago` takes 130 pixels, and Grafana cuts its beginning."""
    for panel in panels:
        for entry in panel.json["fieldConfig"]["overrides"]:
            given = {one["id"]: one["value"] for one in entry["properties"]}
            if given.get("unit") == "dateTimeFromNow":
                assert given.get("custom.width", 140) >= 140, str(panel)


def test_no_series_is_nan_alone(panels: list[Panel]):
    """Its legend would show the sentence of the empty panel, and push every other figure out of sight."""
    for panel in (panel for panel in panels if panel.kind == "timeseries"):
        for expression in panel.expressions:
            if " / " in expression or "histogram_quantile" in expression:
                assert expression.endswith(") > -Inf"), (str(panel), expression)


def test_one_colour_for_one_thing(panels: list[Panel]):
    """The same name is drawn in the same colour on every board."""
    colours: dict[str, set[str]] = defaultdict(set)
    for panel in panels:
        legends = {target["refId"]: target.get("legendFormat", "") for target in panel.json["targets"]}
        for override in panel.json["fieldConfig"]["overrides"]:
            drawn = [one["value"].get("fixedColor") for one in override["properties"] if one["id"] == "color"]
            if override["matcher"]["id"] == "byFrameRefID":
                colours[legends[override["matcher"]["options"]].split(" · ")[0]].update(filter(None, drawn))
            if override["matcher"]["id"] == "byRegexp":
                colours[override["matcher"]["options"]].update(filter(None, drawn))
    assert {name: found for name, found in colours.items() if len(found) > 1 and name and "{{" not in name} == {}


def test_status_colours_are_reserved(panels: list[Panel]):
    """Green and orange are no known thing's colour, red is only what failed; thresholds colour no series."""
    for panel in panels:
        if panel.kind == "timeseries":
            assert panel.defaults["color"]["mode"] == "palette-classic", str(panel)
            assert panel.defaults["custom"]["thresholdsStyle"]["mode"] in {"off", "dashed"}, str(panel)
        for override in panel.json["fieldConfig"]["overrides"]:
            drawn = {one["value"].get("fixedColor") for one in override["properties"] if one["id"] == "color"}
            # A single figure may be a count of what has that status.
            assert panel.kind == "stat" or not drawn & {"green", "orange"}, str(panel)


@pytest.mark.parametrize("part", ["_sum", "_bucket"])
def test_means_and_quantiles_are_the_correct_ones(panels: list[Panel], part: str):
    """A mean is rate of sum by rate of count; a quantile is of summed bucket rates that keep `le`."""
    for panel in panels:
        for expression in panel.expressions:
            if part == "_sum" and re.search(r"\w_sum\b", expression):
                assert re.search(r"rate\([\w:]*_sum", expression), (str(panel), expression)
                assert " / " in expression, (str(panel), expression)
            # What is at or below one bound is a count, as any other.
            spread = re.sub(r'_bucket\{[^}]*\ble=~?"[^}]*}', "", expression)
            if part == "_bucket" and "_bucket" in spread and panel.kind != "heatmap":
                summed = r"histogram_quantile\((?:[\d.]+|0\$quantile), sum by \(le"
                assert re.search(summed, expression), (str(panel), expression)
