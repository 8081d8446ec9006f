"""The table of changes: what was changed, and then which signals are on a level that they did not have before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import common

from perfloop_boards import colours
from perfloop_boards.links import of_cell, to_board
from perfloop_boards.panels import About
from perfloop_boards.queries import Query, chosen, level_changes_in_words, selector
from perfloop_boards.tables import Column, rows
from perfloop_boards.words import name_signals

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

SERVICE = selector(*chosen("service"))
MOST = 8
# The classes, in the order in which they stand.
MADE, MOVED = "1", "2"
CLASSES = {MADE: ("change", colours.MODEL), MOVED: ("new level", colours.SLOW)}


def _recorded() -> str:
    """What people, programs and the analyzer recorded, each with its title; load tests are no service's own."""
    of_service = f"perfloop_change_timestamp_seconds{SERVICE}"
    tests = 'perfloop_change_timestamp_seconds{kind="load_test"}'
    changes = f"max by (id, service, title) ({of_service} or {tests})"
    return f'label_replace({changes}, "what", "$1", "title", "(.*)")'


def _levels() -> str:
    """Signals with a level that they did not have before; the table puts their titles for their names."""
    changed = level_changes_in_words(*chosen("service"))
    return f'label_replace({changed}, "what", "$1", "signal", "(.*)")'


def _newest(of_class: str, changes: str) -> str:
    return f'label_replace(topk({MOST}, {changes}), "class", "{of_class}", "", "")'


CHANGES = f"{_newest(MADE, _recorded())} or {_newest(MOVED, _levels())}"


def recent_changes(limits: Limits) -> AnyPanel:
    """Return the table: what was changed, the newest first, then the levels that hold now."""
    of_row = (to_board("Open the analysis of this service", "analysis", service=of_cell("Service")),)
    panel = rows(
        About(
            "Recent changes",
            "First what was changed: versions, restarts, numbers of instances, configurations, load tests, and what "
            "people recorded. Then the signals that are on a level that they did not have before. The change just "
            "before a problem is the first suspect.",
            "none",
            "No change of the last seven days is known, and no signal is on a new level.",
        ),
        [Query(f"({CHANGES}) * 1000", instant=True)],
        [
            Column("class", "Kind", width=70, words=CLASSES),
            # Not to the board of services: the host and the parts of the stack serve no requests.
            Column("service", "Service", width=100, links=of_row),
            Column("what", "Change", words=name_signals(limits.by_route()), links=of_row),
            Column("levels", "From and to", width=170),
            Column("Value #A", "When", unit="dateTimeFromNow", width=140),
        ],
    )
    order = (("Kind", False), ("When", True))
    return panel.sort_by(
        [common.TableSortByFieldState().display_name(heading).desc(desc=falls) for heading, falls in order]
    )
