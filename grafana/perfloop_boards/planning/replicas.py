"""How many replicas each service should have, and what asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Row
from perfloop_boards.findings import SILENCE, SILENT
from perfloop_boards.limits import Limit
from perfloop_boards.links import of_cell, of_label, to_board
from perfloop_boards.panels import About, lines
from perfloop_boards.queries import Query, chosen, equal, selector
from perfloop_boards.tables import Column, rows
from perfloop_boards.watches import or_silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_boards.panels import AnyPanel

OF_SERVICE = chosen("service")
NOT_KNOWN = (
    "No number of replicas is known: it is not known yet what one replica carries. The analyzer's page says why."
)
FULL = Limit(warning=1.0)
REASONS = {
    "load": ("load", colours.TRAFFIC),
    "queue": ("waiting requests", colours.SLOW),
    "cache": ("key-value cache", colours.SLOW),
    "cpu": ("CPU", colours.UNKNOWN),
}


def _limit(which: str) -> str:
    return f"max by (service) (perfloop_replicas_limit{selector(*OF_SERVICE, equal('limit', which))})"


def _table() -> AnyPanel:
    needed = f"topk by (service) (1, max by (service, reason) (perfloop_needed_replicas{selector(*OF_SERVICE)}))"

    def beside(expr: str) -> str:
        return f"{needed} * 0 + on (service) group_left () {expr}"

    desired = f"max by (service) (perfloop_desired_replicas{selector(*OF_SERVICE)})"
    return rows(
        About(
            "Replicas by service",
            "What the load of the next minutes needs, within the bounds of scaling.yml. Good: a need below the most "
            "that is allowed.",
            "none",
            NOT_KNOWN,
        ),
        [
            Query(or_silent(beside(desired), "reason"), instant=True),
            Query(beside(f"count by (service) (up{selector(*OF_SERVICE)} == 1)"), instant=True),
            Query(f"{needed} / on (service) group_left () {_limit('max')}", instant=True),
            Query(beside(_limit("max")), instant=True),
        ],
        [
            Column(
                "service",
                "Service",
                width=110,
                links=(to_board("Open the Service board", "service", service=of_cell("Service")),),
            ),
            Column("reason", "By", words={**REASONS, **SILENT}, width=110),
            Column("Value #A", "Desired", unit="none", width=80),
            Column("Value #B", "Running", unit="none", width=80),
            Column("Value #C", "Need / most", unit="percentunit", limit=FULL),
            Column("Value #D", "At most", unit="none", width=80),
        ],
        sort="Need / most",
    )


def _course() -> AnyPanel:
    return lines(
        About(
            "Desired and running replicas",
            "An autoscaler follows the desired number. Good: both are the same but for the minutes in which "
            "replicas start.",
            "none",
            NOT_KNOWN,
            links=(to_board("Open the Service board", "service", service=of_label("service")),),
        ),
        [
            Query(f"max by (service) (perfloop_desired_replicas{selector(*OF_SERVICE)})", "{{service}} desired"),
            Query(
                f"count by (service) (up{selector(*OF_SERVICE)} == 1) "
                f"and on (service) perfloop_desired_replicas{selector(*OF_SERVICE)}",
                "{{service}} running",
                dashed=True,
            ),
            SILENCE,
        ],
    )


def _reasons() -> AnyPanel:
    return lines(
        About(
            "Replicas by reason",
            "What each reason asks for, whatever the bounds: load, waiting requests, key-value cache, CPU. The highest "
            "decides.",
            "none",
            NOT_KNOWN,
            links=(to_board("Open the Service board", "service", service=of_label("service")),),
        ),
        [
            Query(
                f"max by (service, reason) (perfloop_needed_replicas{selector(*OF_SERVICE)})", "{{service}} {{reason}}"
            ),
            SILENCE,
        ],
    )


def build_rows() -> Sequence[Row]:
    """Return the rows of replicas."""
    return (Row(8, [(10, _table()), (7, _course()), (7, _reasons())], title="Replicas"),)
