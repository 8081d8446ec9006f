"""The table of recent changes: what was changed, what started, and which signals went to another level."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards.links import of_cell, to_board
from perfloop_boards.panels import About
from perfloop_boards.queries import Query, chosen, level_changes_in_words, selector
from perfloop_boards.tables import Column, rows
from perfloop_boards.words import name_signals

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

SERVICE = selector(*chosen("service"))
MOST = 12


def _moment(metric: str, what: str) -> str:
    """When something last happened to each service; `what` says it."""
    return f'label_replace(max by (service) ({metric}{SERVICE}), "what", "{what}", "", "")'


def _recorded() -> str:
    """What people and programs recorded with the analyzer, each with its title."""
    changes = f"max by (id, service, title) (perfloop_change_timestamp_seconds{SERVICE})"
    return f'label_replace({changes}, "what", "$1", "title", "(.*)")'


def _levels() -> str:
    """Signals whose level changed, with the old and the new one; the table puts their titles for their names."""
    changed = level_changes_in_words(*chosen("service"))
    return f'label_replace({changed}, "what", "$1", "signal", "(.*)")'


CHANGES = (
    _levels(),
    _recorded(),
    _moment("process_start_time_seconds", "process started"),
    _moment("prometheus_config_last_reload_success_timestamp_seconds", "configuration and rules reloaded"),
    _moment("alertmanager_config_last_reload_success_timestamp_seconds", "configuration reloaded"),
)


def recent_changes(limits: Limits) -> AnyPanel:
    """Return the table, the newest change first."""
    of_row = (to_board("Open the analysis of this service", "analysis", service=of_cell("Service")),)
    return rows(
        About(
            "Recent changes",
            "Recorded changes, processes that started (a release, a crash, a load test), configurations that were "
            "loaded, and signals that went from one level to another. The one just before a problem is the first "
            "suspect.",
            "none",
            "No recent change: no start, no reload, no signal whose level changed.",
        ),
        [Query(f"topk({MOST}, {' or '.join(CHANGES)}) * 1000", instant=True)],
        [
            # Not to the board of services: the host and the parts of the stack serve no requests.
            Column("service", "Service", width=100, links=of_row),
            Column("what", "Change", words=name_signals(limits.by_route()), links=of_row),
            Column("levels", "From and to", width=170),
            Column("Value #A", "When", unit="dateTimeFromNow", width=140),
        ],
        sort="When",
    )
