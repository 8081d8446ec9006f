"""The load-test board: what was offered, what came back, and where the service stops keeping up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.models.dashboard import VariableSort

from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice, evenly, one_of
from perfloop_boards.events import SAME_RUN, marks
from perfloop_boards.load import figures, history, results, series
from perfloop_boards.load.runs import RUN, TEST
from perfloop_boards.queries import selector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grafana_foundation_sdk.builders import dashboard as dash

    from perfloop_boards.limits import Limits


def _phase_marks() -> dash.AnnotationQuery:
    """When each phase was first scraped: the edges of the load's shape."""
    phase, by = f"loadgen_phase{selector(TEST)} and on (run_id) {RUN}", "run_id, phase"
    began = f"max by (test, {by}) (timestamp({phase})) * 1000"
    seen = f"last_over_time(loadgen_phase{selector(TEST)}[{SAME_RUN}] offset $__interval)"
    return marks("Phases", f"{began} unless on ({by}) {seen}", "{{test}}: {{phase}}", colours.SLOW, at_value=True)


def build(limits: Limits) -> Board:
    """The load-test board of a configuration."""
    # The newest first. All of them is the newest alone: the board shows one run, and follows when another begins.
    run = choice("run", "Run (All = newest)", 'loadgen_run_info{test=~"$test"}').sort(VariableSort.ALPHABETICAL_DESC)
    return Board(
        uid="load-test",
        title="Load test",
        question="How much load does the service sustain, where does it stop keeping up, and are the results valid?",
        related=("service", "recommendations", "capacity"),
        variables=(
            choice("test", "Test", "loadgen_run_info"),
            run,
            one_of("quantile", "Quantile", "loadgen_run_response_seconds", "0.95"),
            choice("service", "Service under test", "service:http_server_requests:rate1m"),
        ),
        annotations=(_phase_marks(),),
        rows=_rows(limits),
    )


def _rows(limits: Limits) -> Sequence[Row]:
    return (
        Row(
            4,
            (
                (4, figures.verdict()),
                (4, figures.completed()),
                (4, figures.failed(limits)),
                (4, figures.p95(limits)),
                (3, figures.knee(limits)),
                (5, figures.dropped()),
            ),
        ),
        Row(
            4,
            evenly(
                figures.duration(),
                figures.peak(),
                figures.chosen_quantile(),
                figures.transfer(),
                figures.checks(),
                figures.iterations(),
            ),
        ),
        Row(6, ((9, results.gates()), (11, results.reasons()), (4, figures.capacity()))),
        Row(9, evenly(series.offered(), series.both_sides(limits))),
        Row(9, evenly(results.endpoints(limits), series.by_endpoint(limits))),
        Row(7, evenly(series.users(), series.outcomes(), series.delays(), series.cpu())),
        Row(7, ((14, results.runs(limits)), (10, results.checks()))),
        Row(7, evenly(series.statuses(), series.phases(), results.phases()), title="Status codes, phases"),
        Row(7, evenly(series.transfer(), series.connections()), title="Transfer, connections"),
        Row(
            7,
            evenly(series.first_token(limits), series.gaps(limits), series.tokens()),
            title="Streamed responses",
            collapsed=True,
        ),
        Row(9, ((17, history.runs(limits)), (7, history.tests())), title="History"),
    )
