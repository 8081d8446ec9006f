"""Tables of instant queries: which columns, under which names, in which colours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import common, table
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig, DynamicConfigValue
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from perfloop_boards import colours
from perfloop_boards.limits import NO_LIMIT, Limit, build_steps
from perfloop_boards.panels import About, build_target, build_words, dress, fixed_colour

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from perfloop_boards.links import Link
    from perfloop_boards.panels import Word
    from perfloop_boards.queries import Query


HEADINGS = {"title": "Recommendation"}
WIDTHS = {"service": 100, "resource": 100, "instance": 140, "mountpoint": 100}
BAR_WIDTH = 150


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        field: the label that it shows, or `Value #A` for the value of query A.
        words: how the values of a label are called and coloured.
        width: in pixels; Grafana divides what is left among the columns without one.
        full: draws a bar beside the value, complete at this value.
        links: where a click on a cell leads.
        hidden: not shown, for the links of other columns alone.
    """

    field: str
    heading: str
    unit: str = ""
    limit: Limit = NO_LIMIT
    words: Mapping[str, Word] | None = None
    width: int | None = None
    full: float | None = None
    links: Sequence[Link] = ()
    hidden: bool = False
    decimals: int | None = None


def rows(
    about: About, queries: Sequence[Query], columns: Sequence[Column], sort: str = "", *, rising: bool = False
) -> table.Panel:
    """Return a table of the values of instant queries, joined on their labels, with the given columns alone.

    It is sorted by the column of the heading `sort`, from the highest value down, or from the lowest up if `rising`.
    """
    panel = dress(table.Panel(), about, [])
    for position, query in enumerate(queries):
        panel = panel.with_target(build_target(query, position).format(PromQueryFormat.TABLE))
    for step in _arrange(columns, single=len(queries) == 1):
        panel = panel.with_transformation(step)
    for column in columns:
        panel = panel.override_by_name(column.heading, _properties(column))
    if sort:
        panel = panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(desc=not rising)])
    return panel.show_header(show_header=True)


def bars(about: About, query: Query, limit: Limit = NO_LIMIT, *, full: float = 1, of: str = "Share") -> table.Panel:
    """Return a table with a bar for each series of an instant query, after the labels that its legend names.

    The bar is complete at `full`, and its column has the heading `of`.
    """
    labels = re.findall(r"{{(\w+)}}", query.legend)
    columns = [Column(label, HEADINGS.get(label, label.capitalize()), width=WIDTHS.get(label)) for label in labels]
    figure = Column("Value #A", of, unit=about.unit, limit=limit, full=full, width=BAR_WIDTH)
    return rows(about, [query], [*columns, figure], sort=of)


def _arrange(columns: Sequence[Column], *, single: bool) -> list[DataTransformerConfig]:
    names = {column.field: column for column in columns}
    if "Value #A" in names:
        # Grafana's name for the figure of the only query, and of the first when the others found nothing.
        names["Value"] = names["Value #A"]
    join = [] if single else _join(names)
    if not single:
        names = {_joined(field): column for field, column in names.items()}
    keep = DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"names": [*names]}})
    order = {"indexByName": {field: columns.index(column) for field, column in names.items()}}
    rename = {"renameByName": {field: column.heading for field, column in names.items()}}
    organise = DataTransformerConfig(id_val="organize", options={**order, **rename, "excludeByName": {}})
    return [*join, keep, organise]


LAST = "lastNotNull"


def _is_figure(field: str) -> bool:
    return field.startswith("Value")


def _joined(field: str) -> str:
    return f"{field} ({LAST})" if _is_figure(field) else field


def _join(fields: Iterable[str]) -> list[DataTransformerConfig]:
    """Return the transformations that make one row of what has the same labels in every query.

    `merge` alone would do, except where nothing is found: Grafana 12 then shows a head for each query's column instead
    of the text of the empty state. Grouped by labels that are not there, nothing remains.
    """
    by = {field: {"operation": "groupby", "aggregations": []} for field in fields if not _is_figure(field)}
    figures = {field: {"operation": "aggregate", "aggregations": [LAST]} for field in fields if _is_figure(field)}
    merge = DataTransformerConfig(id_val="merge", options={})
    return [merge, DataTransformerConfig(id_val="groupBy", options={"fields": {**by, **figures}})]


def _properties(column: Column) -> list[DynamicConfigValue]:
    # A cell without a value shows a dash, not the panel's text for an empty table.
    properties = [DynamicConfigValue("noValue", "-")]
    if column.hidden:
        properties.append(DynamicConfigValue("custom.hidden", value=True))
    if column.links:
        properties.append(DynamicConfigValue("links", [link.as_override() for link in column.links]))
    given = {"unit": column.unit or None, "decimals": column.decimals, "custom.width": column.width}
    properties += [DynamicConfigValue(name, value) for name, value in given.items() if value is not None]
    if column.words:
        properties.append(DynamicConfigValue("mappings", build_words(column.words)))
        properties.append(fixed_colour(colours.UNKNOWN))  # of a value that is not among them
    if column.limit is not NO_LIMIT:
        properties.append(DynamicConfigValue("thresholds", build_steps(column.limit).build()))
    elif column.full is not None:
        properties.append(fixed_colour(colours.OTHER))  # an amount, neither good nor bad
    if column.full is None and (column.words or column.limit is not NO_LIMIT):
        properties.append(DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
        properties.append(DynamicConfigValue("custom.displayMode", "color-text"))  # the same, as Grafana 9 reads it
    return properties + _bar(column)


def _bar(column: Column) -> list[DynamicConfigValue]:
    if column.full is None:
        return []
    cell = {"type": "gauge", "mode": "basic", "valueDisplayMode": "color"}
    ends = [DynamicConfigValue("min", 0), DynamicConfigValue("max", column.full)]
    return [DynamicConfigValue("custom.cellOptions", cell), DynamicConfigValue("custom.displayMode", "basic"), *ends]
