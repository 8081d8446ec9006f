"""Marks on every board for what may explain a change: starts, recorded changes, level changes, alerts, load tests.

Grafana asks for a hundred steps of the time range, and joins marks of one series that follow each other into a block.
So each query gives the time of an event as its value, the same at every step: one mark for an event. Each series only
grows, because a block would also be drawn from a later time back to an earlier one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import dashboard as dash
from grafana_foundation_sdk.builders import prometheus

from perfloop_boards import colours
from perfloop_boards.panels import SOURCE
from perfloop_boards.queries import level_changes, selector

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

# What was not scraped for so long and is scraped again is the same phase of a run.
SAME_RUN = "5m"
# A level change whose time is estimated again in each cycle is not an event yet.
STILL_MOVING = "[5m]) > 3"


def marks(name: str, expr: str, text: str, colour: str, *, at_value: bool = False) -> dash.AnnotationQuery:
    """Return marks on every panel: where the expression has a value, or at the time in milliseconds that it gives."""
    mark = dash.AnnotationQuery().name(name).datasource(SOURCE).enable(enable=True).icon_color(colour)
    mark = mark.expr(expr).title_format(text).step("10s")
    # The same for schema v2, which knows the query of an annotation by its target alone.
    mark = mark.target(prometheus.Dataquery().ref_id("Anno").expr(expr).range().interval("10s"))
    return mark.use_value_for_time(use_value_for_time=True) if at_value else mark


def list_events(variables: Collection[str], signals: Collection[str]) -> Sequence[dash.AnnotationQuery]:
    """Return the marks of a board.

    Args:
        variables: the names of the board's variables; a board about services marks what is about the chosen ones.
        signals: the signals that the board shows: only their level changes are marked; all of them where it has none.
    """
    of_service = ('service=~"$service"',) if "service" in variables else ()
    return (
        marks("Starts", _starts(of_service), "{{service}} started ({{instance}})", colours.TRAFFIC, at_value=True),
        marks("Changes", _changes(of_service), "{{service}}: {{title}}", colours.MODEL, at_value=True),
        marks(
            "Level changes",
            _levels((*of_service, *_signals(variables, signals))),
            "{{service}}: {{signal}} changed its level",
            colours.SLOW,
            at_value=True,
        ),
        marks("Alerts", _alerts(of_service), "{{alertname}} ({{severity}}): {{service}}", colours.BAD, at_value=True),
        marks("Load tests", _load_tests(), "Load test {{test}}, run {{run}}", colours.CLIENT, at_value=True),
    )


def _signals(variables: Collection[str], signals: Collection[str]) -> tuple[str, ...]:
    if "signal" in variables:
        return ('signal=~"$signal"',)
    # A signal that is judged for one route has the route behind its name.
    return (f'signal=~"({"|".join(sorted(signals))})(@.*)?"',) if signals else ()


def _starts(of_service: tuple[str, ...]) -> str:
    """When each process started: a release, a crash, a restart. Load generators have marks of their own."""
    others = selector(*of_service, 'job!="loadgen"')
    return f"max by (service, instance) (process_start_time_seconds{others}) * 1000"


def _changes(of_service: tuple[str, ...]) -> str:
    # Starts and load tests have marks of their own, from the programs themselves.
    others = 'kind!~"restart|load_test"'
    recorded = f"perfloop_change_timestamp_seconds{selector(*of_service, others)}"
    return f"max by (id, service, kind, title) ({recorded}) * 1000"


def _levels(matchers: tuple[str, ...]) -> str:
    """When each signal's level changed; a change that the analyzer withdraws leaves the mark where it was."""
    moving = f"changes(perfloop_change_point_timestamp_seconds{selector(*matchers)}{STILL_MOVING}"
    settled = f"max by (service, signal) ({level_changes(*matchers)} unless {moving}) * 1000"
    return f"max_over_time(({settled})[$__range:$__interval])"


def _alerts(of_service: tuple[str, ...]) -> str:
    """When each alert began to fire, as the rules keep it: over restarts of Prometheus, too."""
    since = f"service:alert_firing_since:timestamp_seconds{selector(*of_service)}"
    return f"max by (alertname, service, severity) ({since}) * 1000"


def _load_tests() -> str:
    return "max by (test, run, run_id) (loadgen_run_start_timestamp_seconds) * 1000"
