"""A board: rows of panels on Grafana's 24 columns, its variables, and its links up, down and across."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import dashboard as dash
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from perfloop_boards.panels import SOURCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_boards.panels import AnyPanel

TAG = "perfloop"
WIDTH = 24


@dataclass(frozen=True, slots=True)
class Row:
    """Panels side by side, each with its width; the widths add up to the board's 24."""

    height: int
    panels: Sequence[tuple[int, AnyPanel]]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """What a board is made of.

    `related` are the uids it links to; each of them links back. `signals` says which panel shows which signal:
    alerts link there.
    """

    uid: str
    title: str
    question: str
    rows: Sequence[Row]
    related: Sequence[str]
    variables: Sequence[dash.QueryVariable | dash.CustomVariable] = ()
    annotations: Sequence[dash.AnnotationQuery] = field(default_factory=tuple)
    signals: Mapping[str, AnyPanel] = field(default_factory=dict)
    since: str = "now-30m"


def evenly(*panels: AnyPanel) -> Sequence[tuple[int, AnyPanel]]:
    """The panels of one row, all of the same width."""
    return [(WIDTH // len(panels), panel) for panel in panels]


def build_dashboard(board: Board, titles: dict[str, str]) -> dash.Dashboard:
    """The board as Grafana's dashboard; `titles` names the boards it links to."""
    made = dash.Dashboard(board.title).uid(board.uid).description(board.question).tags([TAG]).readonly()
    made = made.time(board.since, "now").refresh("10s").timezone("browser").tooltip(DashboardCursorSync.CROSSHAIR)
    made = made.with_variable(_datasource())
    for variable in board.variables:
        made = made.with_variable(variable)
    for annotation in board.annotations:
        made = made.annotation(annotation)
    for uid in board.related:
        if uid in titles:
            made = made.link(_link(titles[uid], uid))
    made = made.link(_every_board())
    return _lay_out(made, board.rows)


def _lay_out(made: dash.Dashboard, rows: Sequence[Row]) -> dash.Dashboard:
    identity = 0
    for row in rows:
        if row.title:
            made = made.with_row(dash.Row(row.title))
        for width, panel in row.panels:
            identity += 1
            made = made.with_panel(panel.id(identity).span(width).height(row.height))
    return made


def locate_signals(board: Board) -> dict[str, dict[str, str | int]]:
    """Where each signal of the board is shown: the board's uid and the panel's id."""
    panels = [panel for row in board.rows for _, panel in row.panels]
    return {
        signal: {"uid": board.uid, "panel": 1 + next(i for i, one in enumerate(panels) if one is panel)}
        for signal, panel in board.signals.items()
    }


def choice(name: str, title: str, values: str, *, label_name: str = "") -> dash.QueryVariable:
    """A variable of label values: several at once, all of them at first. `.*` also lets series without the label in."""
    everything = VariableOption(text="All", value="$__all", selected=True)
    query = f"label_values({values}, {label_name or name})"
    chooser = dash.QueryVariable(name).label(title).datasource(SOURCE).query(query)
    chooser = chooser.multi(multi=True).include_all(include_all=True).all_value(".*").current(everything)
    return chooser.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)


def one_of(name: str, title: str, values: str, first: str) -> dash.QueryVariable:
    """A variable of label values of which one is looked at: `first` until another is chosen."""
    chooser = dash.QueryVariable(name).label(title).datasource(SOURCE).query(f"label_values({values}, {name})")
    chooser = chooser.current(VariableOption(text=first, value=first, selected=True))
    return chooser.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)


def marks(name: str, expr: str, text: str, colour: str, *, at_value: bool = False) -> dash.AnnotationQuery:
    """Vertical marks on every panel: wherever the expression has a value, or at the moment that its value names."""
    mark = dash.AnnotationQuery().name(name).datasource(SOURCE).enable(enable=True).icon_color(colour)
    mark = mark.expr(expr).title_format(text).step("10s")
    return mark.use_value_for_time(use_value_for_time=True) if at_value else mark


def _datasource() -> dash.DatasourceVariable:
    ours = VariableOption(text="Prometheus", value="prometheus", selected=True)
    return dash.DatasourceVariable("datasource").label("Data source").type("prometheus").current(ours)


def _link(title: str, uid: str) -> dash.DashboardLink:
    link = dash.DashboardLink(title).type(DashboardLinkType.LINK).url(f"/d/{uid}").icon("dashboard")
    return link.keep_time(keep_time=True).include_vars(include_vars=True).tooltip(f"Go to {title}")


def _every_board() -> dash.DashboardLink:
    link = dash.DashboardLink("All boards").type(DashboardLinkType.DASHBOARDS).tags([TAG]).as_dropdown(as_dropdown=True)
    return link.keep_time(keep_time=True).include_vars(include_vars=True)
