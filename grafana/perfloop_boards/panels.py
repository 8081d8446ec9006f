"""Panels, one small builder for each shape: number, figure, lines, stacked, timeline, heat. Tables: tables.py."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from grafana_foundation_sdk.builders import common, heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import dashboard as dash
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.dashboard import (
    DashboardRegexMapOptions,
    DashboardSpecialValueMapOptions,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    RangeMap,
    RegexMap,
    SpecialValueMap,
    SpecialValueMatch,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from perfloop_boards import colours
from perfloop_boards.limits import NO_LIMIT, Limit, build_lines, build_steps
from perfloop_boards.queries import Query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_base.precision import Precise
    from perfloop_boards.links import Link
    from perfloop_boards.watches import Watch

# The builders of panels share methods, but no base class.
AnyPanel = stat.Panel | timeseries.Panel | table.Panel | statetimeline.Panel | heatmap.Panel
PanelT = TypeVar("PanelT", stat.Panel, timeseries.Panel, table.Panel, statetimeline.Panel, heatmap.Panel)
Word = tuple[str, str]  # a text and its colour
# Of what is asked of all buckets of a histogram, 166 series each: a step of 15 s in half an hour instead of 5 s.
BUCKET_POINTS = 120
_SECONDS = "s"
# Of the number of what is down, where values are named.
DOWN_NAME = "not answering"
# The data source that every panel and variable reads: the one that the board's own variable names.
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")


@dataclass(frozen=True, slots=True)
class About:
    """What a panel says about itself.

    Attributes:
        title: a noun that names what is shown.
        good: what good looks like and what to do otherwise, for the tooltip of the panel.
        unit: Grafana's id of the unit, `none` for a plain number.
        empty: the text shown while nothing is found, with the cause or the remedy.
        decimals: digits after the point; Grafana's own choice where it is None.
        links: where a click on a value, a series or a cell leads.
    """

    title: str
    good: str
    unit: str
    empty: str
    decimals: int | None = None
    links: Sequence[Link] = ()


def build_target(query: Query, position: int) -> prometheus.Dataquery:
    """Return one query of a panel; its letter is its position: A for 0."""
    target = prometheus.Dataquery().ref_id(_letter(position)).datasource(SOURCE).expr(query.expr)
    target = target.instant() if query.instant else target.range()
    if query.legend:
        target = target.legend_format(query.legend)
    return target.exemplar(exemplar=True) if query.exemplar else target


def dress(panel: PanelT, about: About, queries: Sequence[Query], limit: Limit = NO_LIMIT) -> PanelT:
    """Set what every panel has: title, description, unit, empty text, thresholds, source, queries and their colours."""
    panel = panel.title(about.title).description(about.good).datasource(SOURCE)
    panel = panel.unit(about.unit).no_value(about.empty).thresholds(build_steps(limit))
    if about.decimals is not None:
        panel = panel.decimals(about.decimals)
    if about.links:
        panel = panel.data_links([link.build() for link in about.links])
    for position, query in enumerate(queries):
        target = build_target(query, position)
        panel = panel.with_target(target)
        if query.colour or query.dashed:
            panel = panel.override_by_query(_letter(position), _drawn(query))
    return panel


def _drawn(query: Query) -> list[DynamicConfigValue]:
    colour = [fixed_colour(query.colour)] if query.colour else []
    if not query.dashed:
        return colour
    dashes = DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [6, 6]})
    bare = [DynamicConfigValue("custom.fillOpacity", 0), DynamicConfigValue("custom.lineWidth", 1)]
    return [*colour, dashes, *bare]


def fixed_colour(colour: str) -> DynamicConfigValue:
    """Return a field override that draws a series in one colour."""
    return DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})


def build_words(words: Mapping[str, Word]) -> list[ValueMap | RangeMap | RegexMap | SpecialValueMap]:
    """Return value mappings that show values as coloured words; a value between slashes is a regular expression."""
    results = {
        value: ValueMappingResult(text=text, color=colour, index=position)
        for position, (value, (text, colour)) in enumerate(words.items())
    }
    plain = {value: result for value, result in results.items() if not value.startswith("/")}
    patterns = (
        RegexMap(DashboardRegexMapOptions(pattern=value, result=result))
        for value, result in results.items()
        if value not in plain
    )
    return [ValueMap(options=plain), *patterns]


def build_nothing(about: About) -> SpecialValueMap:
    """Return the value mapping that shows the panel's empty text, in a colour without status, for no value."""
    result = ValueMappingResult(text=about.empty, color=colours.UNKNOWN)
    return SpecialValueMap(DashboardSpecialValueMapOptions(match=SpecialValueMatch.NULL_AND_NAN, result=result))


def number(
    about: About,
    query: Query,
    limit: Limit = NO_LIMIT,
    words: Mapping[str, Word] | None = None,
    *,
    watch: Watch | None = None,
) -> stat.Panel:
    """Return a single number of now, coloured by its thresholds: its value, the panel's empty text, or down.

    With a watch, nothing is shown while all that the number depends on is down, and how much is down beside the rest.
    A query with a legend has it beside its value: which of several it is.
    """
    shown = replace(query, expr=watch.guard(query.expr) if watch else query.expr, instant=True)
    queries = [shown, Query(f"{watch.down} > 0", DOWN_NAME, instant=True)] if watch else [shown]
    panel = dress(stat.Panel(), about, queries, limit)
    panel = panel.color_scheme(dash.FieldColor().mode(FieldColorModeId.THRESHOLDS))
    panel = panel.color_mode(kinds.BigValueColorMode.VALUE).justify_mode(kinds.BigValueJustifyMode.CENTER)
    panel = panel.graph_mode(kinds.BigValueGraphMode.NONE).reduce_options(_last())
    # Beside the number of what is down, Grafana would name both by their expressions.
    panel = panel.text_mode(kinds.BigValueTextMode.VALUE_AND_NAME if query.legend else kinds.BigValueTextMode.VALUE)
    nothing = build_nothing(about)
    panel = panel.mappings([*build_words(words), nothing] if words else [nothing])
    return panel.override_by_query("B", _down(watch)) if watch else panel


def _letter(position: int) -> str:
    return chr(ord("A") + position)


def _suffix(word: str) -> DynamicConfigValue:
    return DynamicConfigValue("unit", f"suffix: {word}")


def _down(watch: Watch) -> list[DynamicConfigValue]:
    one = ValueMap(options={"1": ValueMappingResult(text=watch.word, color=colours.BAD, index=0)})
    return [
        fixed_colour(colours.BAD),
        _suffix(watch.word),
        DynamicConfigValue("decimals", 0),
        DynamicConfigValue("mappings", [one]),
    ]


def percentile(about: About, found: Precise, limit: Limit = NO_LIMIT, *, watch: Watch | None = None) -> stat.Panel:
    """Return a percentile of now: its value, or the bounds between which it lies where no more is known; or down."""
    panel = number(about, Query(found.value), limit, watch=watch)
    # With one value alone Grafana leaves out its name.
    panel = panel.text_mode(kinds.BigValueTextMode.AUTO)
    for position, (expr, name) in enumerate(((found.low, "more than"), (found.high, "at most")), 2 if watch else 1):
        guarded = watch.guard(expr) if watch else expr
        panel = panel.with_target(build_target(Query(guarded, name, instant=True), position))
    return panel


def figure(about: About, query: Query, colour: str, *, watch: Watch | None = None) -> stat.Panel:
    """Return a single number that is neither good nor bad, in the colour of what it counts."""
    panel = number(about, query, watch=watch)
    return panel.color_scheme(dash.FieldColor().mode(FieldColorModeId.FIXED).fixed_color(colour))


def counts(about: About, parts: Mapping[str, tuple[str, str]]) -> stat.Panel:
    """Return counts beside each other, as `1 critical` and `2 warning`; the panel's empty text while all are 0.

    `parts` has for each word the series to count and the colour.
    """
    queries = [Query(f"count({series}) > 0", instant=True) for series, _ in parts.values()]
    none = " or ".join(f"({series})" for series, _ in parts.values())
    panel = number(about, queries[0])
    for position, (word, (_, colour)) in enumerate(parts.items()):
        panel = panel.override_by_query(_letter(position), [fixed_colour(colour), _suffix(word)])
    for position, query in enumerate((*queries[1:], Query(f"vector(0) unless on () ({none})", instant=True)), 1):
        panel = panel.with_target(build_target(query, position))
    good = ValueMap(options={"0": ValueMappingResult(text=about.empty, color=colours.GOOD, index=0)})
    mapped = DynamicConfigValue("mappings", [good])
    return panel.override_by_query(_letter(len(parts)), [fixed_colour(colours.GOOD), mapped])


def lines(
    about: About, queries: Sequence[Query], limit: Limit = NO_LIMIT, known: Mapping[str, str] | None = None
) -> timeseries.Panel:
    """Return series over time, the limits as dashed lines; `known` has colours by the last word of a series' name.

    Thresholds never colour a series. One whose name is not known beforehand, as a route, has the next colour of
    Grafana's palette: up to 56 of one panel differ. The legend has the last and the highest value, the highest first;
    the lowest value, the lowest first, where low is bad. Of durations, traced requests are points that lead to their
    trace.
    """
    drawn = [replace(query, expr=_numbers(query.expr)) for query in queries]
    panel = dress(timeseries.Panel(), about, _with_exemplars(about, drawn), limit)
    panel = panel.color_scheme(dash.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC))
    for word, colour in (known or {}).items():
        panel = panel.override_by_regexp(f"/(^| ){word}$/", [fixed_colour(colour)])
    if any("_bucket" in query.expr for query in queries):
        panel = panel.max_data_points(BUCKET_POINTS)
    panel = panel.line_width(2).fill_opacity(0 if len(queries) > 1 else 6)
    panel = panel.show_points(kinds.VisibilityMode.NEVER).axis_soft_min(0)
    panel = panel.tooltip(
        common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING)
    )
    panel = panel.legend(_legend("min" if limit.below else "max")).thresholds(build_lines(limit))
    if about.unit == "percentunit" or (about.unit == "none" and limit.warning):
        # An axis that ends at the limit: what is far below it looks so, and a flat zero is not blown up.
        panel = panel.axis_soft_max(1 if limit.below else limit.warning or 1)
    style = kinds.GraphThresholdsStyleMode.OFF if limit is NO_LIMIT else kinds.GraphThresholdsStyleMode.DASHED
    return panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(style))


def _with_exemplars(about: About, queries: Sequence[Query]) -> list[Query]:
    """Return the queries of a panel, of which the first over buckets of durations asks for their exemplars.

    Its percentiles are of the same buckets: one of them is enough, and each would draw the same points again.
    """
    first = next((position for position, query in enumerate(queries) if "_bucket" in query.expr), None)
    return [
        replace(query, exemplar=True) if position == first and about.unit == _SECONDS else query
        for position, query in enumerate(queries)
    ]


def _numbers(expr: str) -> str:
    """Return the expression without NaN, which a ratio or a quantile of nothing is.

    Of a series that is nothing else the legend would show the panel's text for no data, so wide that it pushes the
    figures of all others out of sight.
    """
    return f"({expr}) > -Inf" if " / " in expr or "histogram_quantile" in expr else expr


def stacked(about: About, queries: Sequence[Query], known: Mapping[str, str] | None = None) -> timeseries.Panel:
    """Return the parts of a whole over time, stacked; without outlines, so that a part of zero is not drawn.

    The line of a part of zero would lie on that of the part below, and seem to be its outline.
    """
    panel = lines(about, queries, known=known).fill_opacity(60).line_width(0)
    return panel.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL).group("A"))


def timeline(about: About, query: Query, words: Mapping[str, Word]) -> statetimeline.Panel:
    """Return states over time, one bar for each series; `words` names and colours each state."""
    panel = dress(statetimeline.Panel(), about, [query]).mappings(build_words(words))
    # Not by thresholds: Grafana 9 would then draw the thresholds and pass over the words.
    panel = panel.color_scheme(dash.FieldColor().mode(FieldColorModeId.FIXED).fixed_color(colours.UNKNOWN))
    panel = panel.show_value(kinds.VisibilityMode.AUTO).row_height(0.8).fill_opacity(80).line_width(0)
    # Each state is a query of its own: a bar two pixels wide at the least is fine enough, for half the cost.
    panel = panel.max_data_points(600)
    # Nothing found is one frame without a field, an error in Grafana 12: without it the empty state shows.
    named = {"include": {"pattern": ".*"}}
    panel = panel.with_transformation(DataTransformerConfig(id_val="filterFieldsByName", options=named))
    # The words stand in the bars; a legend would also list the text of the empty state.
    return panel.legend(common.VizLegendOptions().show_legend(show_legend=False))


def heat(about: About, query: Query) -> heatmap.Panel:
    """Return a histogram over time; the query gives the rate of each bucket by `le`."""
    panel = dress(heatmap.Panel(), about, []).calculate(calculate=False).max_data_points(BUCKET_POINTS)
    query = _with_exemplars(about, [query])[0]
    panel = panel.with_target(build_target(query, 0).format(PromQueryFormat.HEATMAP))
    panel = panel.color(_purples()).y_axis(heatmap.YAxisConfig().unit(about.unit)).cell_gap(1)
    return panel.filter_values(heatmap.FilterValueRange().le(1e-9)).show_legend()


def _purples() -> heatmap.HeatmapColorOptions:
    return heatmap.HeatmapColorOptions().mode(HeatmapColorMode.OPACITY).fill(colours.SLOW).exponent(0.5).steps(64)


def _last() -> common.ReduceDataOptions:
    # Of an instant query: the only one.
    return common.ReduceDataOptions().calcs(["lastNotNull"])


def _legend(worst: str) -> common.VizLegendOptions:
    legend = common.VizLegendOptions().show_legend(show_legend=True)
    legend = legend.display_mode(kinds.LegendDisplayMode.TABLE).placement(kinds.LegendPlacement.BOTTOM)
    return legend.calcs(["lastNotNull", worst]).sort_by(worst.capitalize()).sort_desc(sort_desc=worst == "max")
