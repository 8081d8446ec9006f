"""No two series of a panel share a colour: those that are known keep clear of each other and of Grafana's palette."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.grafana.boards import Panel

# Grafana's classic palette, which draws the series without a colour of their own, each by its place in the panel.
PALETTE = {
    *("green", "semi-dark-yellow", "light-blue", "semi-dark-orange", "red", "blue", "purple", "dark-green", "yellow"),
    *("#705DA0", "#447EBC", "#C15C17", "#890F02", "#0A437C", "#6D1F62", "#584477", "#B7DBAB", "#F4D598", "#70DBED"),
    *("#F9BA8F", "#F29191", "#82B5D8", "#E5A8E2", "#AEA2E0", "#629E51", "#E5AC0E", "#64B0C8", "#E0752D", "#BF1B00"),
    *("#0A50A1", "#962D82", "#614D93", "#9AC48A", "#F2C96D", "#65C5DB", "#F9934E", "#EA6460", "#5195CE", "#D683CE"),
}


def fixed(panel: Panel) -> dict[tuple[str, str], str]:
    """The colours that a panel gives, by query or by the name of a series."""
    return {
        (entry["matcher"]["id"], entry["matcher"]["options"]): one["value"]["fixedColor"]
        for entry in panel.json["fieldConfig"]["overrides"]
        for one in entry["properties"]
        if one["id"] == "color"
    }


def has_unknown(panel: Panel) -> bool:
    """Whether it has series without a colour of their own."""
    coloured = {options for kind, options in fixed(panel) if kind == "byFrameRefID"}
    return bool({target["refId"] for target in panel.json["targets"]} - coloured)


def test_known_series_keep_clear_of_the_palette(panels: list[Panel]):
    """A panel that also has series of any name gives none of the palette's colours to one that it knows."""
    mixed = [panel for panel in panels if panel.kind == "timeseries" and has_unknown(panel)]
    assert {str(panel): shared for panel in mixed if (shared := PALETTE & set(fixed(panel).values()))} == {}


def test_known_series_keep_clear_of_each_other(panels: list[Panel]):
    """Each query, and each name, has its own."""
    twice: dict[str, Any] = {}
    for panel in (panel for panel in panels if panel.kind == "timeseries"):
        given = list(fixed(panel).values())
        if len(given) > len(set(given)):
            twice[str(panel)] = fixed(panel)
    assert twice == {}


def test_the_line_of_a_limit_has_the_colour_of_what_it_limits(panels: list[Panel]):
    """Orange where it warns, red where it is critical, whichever side is bad; the worst series come first."""
    drawn = [panel for panel in panels if panel.kind == "timeseries"]
    for panel in drawn:
        steps = [(step["value"], step["color"]) for step in panel.defaults["thresholds"]["steps"]]
        assert steps[0] == (None, "green"), str(panel)
        assert {colour for _, colour in steps[1:]} <= {"orange", "red"}, str(panel)
        legend = panel.json["options"]["legend"]
        falling = [colour for _, colour in steps[1:]] == ["red", "orange"]
        assert legend["sortDesc"] is (legend["sortBy"] == "Max"), str(panel)
        assert not falling or legend["sortBy"] == "Min", str(panel)
    assert any(panel.json["options"]["legend"]["sortBy"] == "Min" for panel in drawn)
