"""A board: rows of panels on Grafana's 24 columns, its variables, and its links up, down and across."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import dashboard as dash
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    GridPos,
    VariableHide,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from perfloop_boards.events import list_events
from perfloop_boards.links import of_choice
from perfloop_boards.panels import SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from perfloop_boards.panels import AnyPanel

TAG = "perfloop"
WIDTH = 24
# Programs that links lead to. The analyzer exports the address of each; without it the variable is empty, and the link
# leads nowhere.
PROGRAMS = ("prometheus", "alertmanager", "analyzer", "inbox", "loadgen")


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


def build_dashboard(board: Board, boards: Mapping[str, Board]) -> Dashboard:
    """Return the board as Grafana's dashboard; `boards` has all of them by uid, for the links."""
    made = dash.Dashboard(board.title).uid(board.uid).description(board.question).tags([TAG]).readonly()
    made = made.time(board.since, "now").refresh("10s").timezone("browser").tooltip(DashboardCursorSync.CROSSHAIR)
    made = made.with_variable(_datasource())
    for variable in board.variables:
        made = made.with_variable(variable)
    for program in PROGRAMS:
        made = made.with_variable(_address(program))
    for annotation in (*list_events(_name_variables(board), board.signals), *board.annotations):
        made = made.annotation(annotation)
    for uid in board.related:
        if uid in boards:
            made = made.link(_link(board, boards[uid]))
    made = made.link(_every_board())
    built = _lay_out(made, board.rows).build()
    for link in built.links or ():
        # The builder's default would move the links into the menu that holds the switches of the marks.
        link.placement = None  # type: ignore[assignment]  # it may be left out, but the builder's type has no None
    return built


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


def _datasource() -> dash.DatasourceVariable:
    ours = VariableOption(text="Prometheus", value="prometheus", selected=True)
    return dash.DatasourceVariable("datasource").label("Data source").type("prometheus").current(ours)


def _address(program: str) -> dash.QueryVariable:
    """Return the hidden variable with the address of a program outside Grafana, for links: `${prometheus_url}`."""
    query = f'label_values(perfloop_link_info{{program="{program}"}}, url)'
    hidden = dash.QueryVariable(f"{program}_url").datasource(SOURCE).query(query).hide(VariableHide.HIDE_VARIABLE)
    # An address does not depend on the time range: it is asked for once.
    return hidden.refresh(VariableRefresh.ON_DASHBOARD_LOAD).sort(VariableSort.ALPHABETICAL_ASC)


def _name_variables(board: Board) -> list[str]:
    return [variable.build().name for variable in board.variables]


def _link(here: Board, there: Board) -> dash.DashboardLink:
    """Return the link to a related board with the choices that both have: a variable of one name has one meaning."""
    shared = ["datasource", *(name for name in _name_variables(here) if name in _name_variables(there))]
    url = f"/d/{there.uid}?{'&'.join(map(of_choice, shared))}"
    link = dash.DashboardLink(there.title).type(DashboardLinkType.LINK).url(url).icon("dashboard")
    return link.keep_time(keep_time=True).include_vars(include_vars=False).tooltip(f"Go to {there.title}")


def _every_board() -> dash.DashboardLink:
    link = dash.DashboardLink("All boards").type(DashboardLinkType.DASHBOARDS).tags([TAG]).as_dropdown(as_dropdown=True)
    return link.keep_time(keep_time=True).include_vars(include_vars=True)
