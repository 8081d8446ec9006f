"""Tables of instant queries: which columns, under which names, in which colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import common, table
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig, DynamicConfigValue
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from boards.limits import NO_LIMIT, Limit, build_steps
from boards.panels import About, build_target, build_words, dress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from boards.panels import Word
    from boards.queries import Query


@dataclass(frozen=True, slots=True)
class Column:
    """A column: the label (or `Value #A`, the figure of query A) it shows, its heading, and how it is drawn."""

    field: str
    heading: str
    unit: str = ""
    limit: Limit = NO_LIMIT
    words: Mapping[str, Word] | None = None
    width: int | None = None
    link: str = ""


def rows(about: About, queries: Sequence[Query], columns: Sequence[Column], sort: str = "") -> table.Panel:
    """A table of the queries' labels and figures, joined on their labels, with just the named columns."""
    panel = dress(table.Panel(), about, [])
    for position, query in enumerate(queries):
        panel = panel.with_target(build_target(query, position).format(PromQueryFormat.TABLE))
    for step in _arrange(columns, single=len(queries) == 1):
        panel = panel.with_transformation(step)
    for column in columns:
        panel = panel.override_by_name(column.heading, _properties(column))
    if sort:
        panel = panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(desc=True)])
    return panel.show_header(show_header=True)


def _arrange(columns: Sequence[Column], *, single: bool) -> list[DataTransformerConfig]:
    names = {column.field: column for column in columns}
    if "Value #A" in names:
        # Grafana's name for the figure of the only query, and of the first when the others found nothing.
        names["Value"] = names["Value #A"]
    keep = DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"names": [*names]}})
    order = {"indexByName": {field: columns.index(column) for field, column in names.items()}}
    rename = {"renameByName": {field: column.heading for field, column in names.items()}}
    organise = DataTransformerConfig(id_val="organize", options={**order, **rename, "excludeByName": {}})
    join = [] if single else [DataTransformerConfig(id_val="merge", options={})]
    return [*join, keep, organise]


def _properties(column: Column) -> list[DynamicConfigValue]:
    properties = []
    if column.unit:
        properties.append(DynamicConfigValue("unit", column.unit))
    if column.words:
        properties.append(DynamicConfigValue("mappings", [build_words(column.words)]))
    if column.limit is not NO_LIMIT:
        properties.append(DynamicConfigValue("thresholds", build_steps(column.limit).build()))
    if column.words or column.limit is not NO_LIMIT:
        properties.append(DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
        properties.append(DynamicConfigValue("custom.displayMode", "color-text"))  # the same, as Grafana 9 reads it
    if column.width is not None:
        properties.append(DynamicConfigValue("custom.width", column.width))
    if column.link:
        properties.append(DynamicConfigValue("links", [{"title": "Open", "url": column.link}]))
    return properties
