"""What is provided and was not used: how much of it, and what to make smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Row
from perfloop_boards.findings import RECOMMENDATION_LABELS, SILENT, to_evidence
from perfloop_boards.links import of_cell, to_board
from perfloop_boards.panels import About
from perfloop_boards.queries import Query, chosen, equal, selector
from perfloop_boards.tables import Column, rows
from perfloop_boards.watches import or_silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_boards.links import Link
    from perfloop_boards.panels import AnyPanel

OF_SERVICE = chosen("service")
NOT_KNOWN = "Not known yet: a day of history is needed at least, of something that has a limit."
NONE_FOUND = "No recommendation against waste in this time range."
WASTED = {
    name: (title, colours.UNKNOWN)
    for name, title in {
        "container_cpu": "CPU limits",
        "container_memory": "memory limits",
        "machine_cpu": "cores of machines",
        "machine_memory": "memory of machines",
        "connection_pool": "connection pools",
        "disk": "disks",
        "cache": "caches without hits",
        "gpu": "GPUs",
    }.items()
}


def _of_service() -> tuple[Link, ...]:
    return (to_board("Open the Service board", "service", service=of_cell("Service")),)


def _share() -> AnyPanel:
    share = f"max by (service, resource) (perfloop_waste_ratio{selector(*OF_SERVICE)})"
    return rows(
        About(
            "Waste by service",
            "Share of each resource that days of use did not need, margins included. Good: near 0. Above: follow "
            "the recommendations beside it.",
            "none",
            NOT_KNOWN,
            decimals=0,
        ),
        [Query(or_silent(f"sort_desc({share})", "resource"), instant=True)],
        [
            Column("service", "Service", width=110, links=_of_service()),
            Column("resource", "Resource", words={**WASTED, **SILENT}),
            Column("Value #A", "Waste", unit="percentunit", full=1, width=140),
        ],
        sort="Waste",
    )


def _recommended() -> AnyPanel:
    of_waste = selector(*OF_SERVICE, equal("category", "waste"))
    info = f"max by (id, {RECOMMENDATION_LABELS}) (perfloop_recommendation_info{of_waste})"

    def of_each(metric: str) -> str:
        return f"({info}) * 0 + on (id) group_left () max by (id) (perfloop_recommendation_{metric})"

    evidence = to_evidence(of_cell("Id"))
    return rows(
        About(
            "Recommendations against waste",
            "What to make smaller. Good: none open. Validated once the size fell, and response times and errors did "
            "not rise. The evidence says what each risks.",
            "none",
            NONE_FOUND,
            decimals=2,
        ),
        [
            Query(or_silent(of_each("expected_improvement_ratio"), "title"), instant=True),
            Query(of_each('saving_per_month{kind="expected"}'), instant=True),
            Query(of_each("measured_improvement_ratio"), instant=True),
        ],
        [
            Column("title", "Recommendation", words=SILENT, links=(evidence,)),
            Column("service", "Service", width=90, links=_of_service()),
            Column("state", "State", width=90),
            Column("Value #A", "Less", unit="percentunit", width=110, full=1, decimals=0),
            Column("Value #B", "Money a month", unit="none", width=120),
            Column("Value #C", "Measured", unit="percentunit", width=90, decimals=0),
            Column("id", "Id", width=60, links=(evidence,)),
        ],
        sort="Money a month",
    )


def build_rows() -> Sequence[Row]:
    """Return the rows of waste."""
    return (Row(8, [(8, _share()), (16, _recommended())], title="Waste"),)
