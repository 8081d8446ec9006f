"""A board: rows of panels on Grafana's 24 columns, its variables, and its links up, down and across."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import dashboard as dash
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    GridPos,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from perfloop_boards.panels import SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from perfloop_boards.panels import AnyPanel

TAG = "perfloop"
WIDTH = 24


@dataclass(frozen=True, slots=True)
class Row:
    """Panels side by side, each with its width in columns; what is over 24 columns goes on below, as lines of a text.

    Attributes:
        height: of each panel, in Grafana's rows of 30 pixels.
        title: the heading above; a row without one continues the row before it.
        collapsed: only the heading is shown until it is clicked, and only then are the panels asked for: details, and
            what many installations do not have.
    """

    height: int
    panels: Sequence[tuple[int, AnyPanel]]
    title: str = ""
    collapsed: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """What a board is made of.

    Attributes:
        question: the one question that the board answers, its description in Grafana.
        related: the uids of the boards it links to; each of them links back.
        signals: which panel shows which signal of thresholds.yml: alerts link there.
        since: the start of the time range that is shown first.
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
    """Return the panels of a row, all of the same width."""
    return [(WIDTH // len(panels), panel) for panel in panels]


def build_dashboard(board: Board, titles: dict[str, str]) -> dash.Dashboard:
    """Return the board as Grafana's dashboard; `titles` has the titles of all boards by uid, for the links."""
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
    identity = top = 0
    for row in rows:
        heading = dash.Row(row.title).grid_pos(GridPos(x=0, y=top, w=WIDTH, h=1))
        top += bool(row.title)
        placed = list(_place(row, top, identity))
        identity += len(placed)
        if row.collapsed:
            for panel in placed:
                heading = heading.with_panel(panel)
            made = made.with_row(heading)
            continue
        made = made.with_row(heading) if row.title else made
        for panel in placed:
            made = made.with_panel(panel)
        top += row.height * _count_lines(row)
    return made


def _place(row: Row, top: int, identity: int) -> Iterator[AnyPanel]:
    """Give each panel its number and its place, as it is when the row is open."""
    across = 0
    for number, (width, panel) in enumerate(row.panels, identity + 1):
        line, left = divmod(across, WIDTH)
        yield panel.id(number).grid_pos(GridPos(x=left, y=top + line * row.height, w=width, h=row.height))
        across += width


def _count_lines(row: Row) -> int:
    return -(-sum(width for width, _ in row.panels) // WIDTH)


def locate_signals(board: Board) -> dict[str, dict[str, str | int]]:
    """Return for each signal of the board the board's uid and the id of the panel that shows it."""
    panels = [panel for row in board.rows for _, panel in row.panels]
    return {
        signal: {"uid": board.uid, "panel": 1 + next(i for i, one in enumerate(panels) if one is panel)}
        for signal, panel in board.signals.items()
    }


def choice(name: str, title: str, values: str, *, label_name: str = "") -> dash.QueryVariable:
    """Return a variable of label values, all chosen at first. Their `.*` matches series without the label too."""
    everything = VariableOption(text="All", value="$__all", selected=True)
    query = f"label_values({values}, {label_name or name})"
    chooser = dash.QueryVariable(name).label(title).datasource(SOURCE).query(query)
    chooser = chooser.multi(multi=True).include_all(include_all=True).all_value(".*").current(everything)
    return chooser.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)


def one_of(name: str, title: str, values: str, first: str) -> dash.QueryVariable:
    """Return a variable of label values of which one is chosen: `first` until another is."""
    chooser = dash.QueryVariable(name).label(title).datasource(SOURCE).query(f"label_values({values}, {name})")
    chooser = chooser.current(VariableOption(text=first, value=first, selected=True))
    return chooser.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)


def marks(name: str, expr: str, text: str, colour: str, *, at_value: bool = False) -> dash.AnnotationQuery:
    """Return marks on every panel: where the expression has a value, or at the time in milliseconds that it gives."""
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
