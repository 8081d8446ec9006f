"""The panels of several analyzers, and of what they ask of Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Row, evenly
from perfloop_boards.findings import SILENCE
from perfloop_boards.links import Link, to_runbook
from perfloop_boards.panels import About, lines
from perfloop_boards.queries import Query

if TYPE_CHECKING:
    from perfloop_boards.panels import AnyPanel

NO_ANALYZER = "No data of the analyzer: is it running, and scraped?"
TO_ANALYZER = Link("Open the analyzer's page", "${analyzer_url}/", new_tab=True)


def analyzers() -> Row:
    """Return the row."""
    return Row(7, evenly(_leaders(), _questions(), _samples()))


def _leaders() -> AnyPanel:
    return lines(
        About(
            "Publishing analyzers",
            "Of several on one database one publishes: 1. Good: one line at 1. Two: boards count twice. None: there "
            "is no analysis of now.",
            "none",
            NO_ANALYZER,
            decimals=0,
            links=(to_runbook("AnalyzerWithoutLeader"), to_runbook("AnalyzerTwoLeaders"), TO_ANALYZER),
        ),
        [Query("max by (instance) (perfloop_analyzer_leader)", "{{instance}}"), SILENCE],
    )


def _questions() -> AnyPanel:
    return lines(
        About(
            "Questions at a time",
            "Queries that the analyzer may run at once. Good: level. Lower: Prometheus is slow or refuses, and gets "
            "fewer; the analyzer's page says why.",
            "none",
            NO_ANALYZER,
            decimals=0,
            links=(TO_ANALYZER,),
        ),
        [Query("max(perfloop_analyzer_query_concurrency)", "at once", colours.TRAFFIC), SILENCE],
    )


def _samples() -> AnyPanel:
    return lines(
        About(
            "Samples read by the analyzer",
            "Per second. Good: level and low, as only what is new is read. Steps up each ten minutes: windows are then "
            "read as a whole.",
            "short",
            NO_ANALYZER,
            links=(TO_ANALYZER,),
        ),
        [Query("sum(rate(perfloop_analyzer_samples_total[$__rate_interval]))", "samples/s", colours.TRAFFIC), SILENCE],
    )
