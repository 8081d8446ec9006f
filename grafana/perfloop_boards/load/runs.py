"""One run, as PromQL: which one, its state, and its figures as a whole or over time.

A run ends with its process, so that an hour later nothing of it is left but its last values: figures of the whole run
read those, over the time range of the board. Every series names its run, so that no rate has the end of one run in
the beginning of the next.
"""

from __future__ import annotations

from perfloop_boards import colours
from perfloop_boards.links import Link, to_board
from perfloop_boards.queries import WINDOW, equal, ratio, selector
from perfloop_boards.watches import Watch

TEST = 'test=~"$test"'
NO_RUN = "No load test ran in this time range: start one with `perfloop loadgen run FILE`."
NO_LINE = f"{NO_RUN} A run shorter than two scrapes has figures, but no line."
_MOST_RUNS = 50

# The state of a run, as a number that a table can show: the verdicts of those that ended, and the others.
STATE = {
    "0": ("invalid", colours.WARNING),
    "1": ("failed", colours.BAD),
    "2": ("passed", colours.GOOD),
    "3": ("running", colours.TRAFFIC),
    "4": ("no answer: killed or frozen", colours.BAD),
}
_VERDICTS = {"passed": 2, "failed": 1, "invalid": 0}


def last(metric: str, *matchers: str) -> str:
    """Return the last value of each series of the chosen tests within the time range, whether or not it went on."""
    return f"last_over_time({metric}{selector(TEST, *matchers)}[$__range] @ end())"


_CHOSEN = " or ".join(last("loadgen_run_start_timestamp_seconds", f'{label}=~"$run"') for label in ("run", "run_id"))
# Always one run: the newest of those that are chosen. Figures of two are never added up.
RUN = f"topk(1, {_CHOSEN})"
# The newest runs of the time range, each once, with the value 1.
# A run has one name: without that said, a name that changed would end every join with it.
_NAMED = f"topk by (run_id) (1, max by (run, run_id) ({last('loadgen_run_start_timestamp_seconds')}))"
RUNS = f"topk({_MOST_RUNS}, {_NAMED})"
_STARTED = f"max by (run, run_id) ({last('loadgen_run_start_timestamp_seconds')})"


def whole(metric: str, *matchers: str) -> str:
    """Return the last values of the run's series: of what has counted since its start, the figures of the whole run."""
    return f"({last(metric, *matchers)} and on (run_id) {RUN})"


def total(metric: str, *matchers: str, by: str = "") -> str:
    """Return the sum of the run's last values."""
    return f"sum{f' by ({by})' if by else ''} ({whole(metric, *matchers)})"


def over_time(metric: str, *matchers: str, by: str = "") -> str:
    """Return the rise per second of a counter of the run, over the time range."""
    # Added up by run first: what is left out then is a few series, not every bucket of every endpoint.
    risen = f"sum by ({f'run_id, {by}' if by else 'run_id'}) (rate({metric}{selector(TEST, *matchers)}[{WINDOW}]))"
    return f"sum{f' by ({by})' if by else ''} ({risen} and on (run_id) {RUN})"


def quantile_over_time(q: float | str, histogram: str, by: str = "") -> str:
    """Return a quantile of a histogram of the run, over the time range."""
    return f"histogram_quantile({q}, {over_time(histogram + '_bucket', by=f'le, {by}' if by else 'le')})"


def level(metric: str) -> str:
    """Return a gauge of the run, over the time range."""
    return f"{metric}{selector(TEST)} and on (run_id) {RUN}"


def state_of(*matchers: str) -> str:
    """Return the state of each run by run_id: its verdict, else whether it still answers."""

    def best(expr: str, value: int) -> str:
        return f"max by (run_id) ({expr}) * 0 + {value}"

    ended = (best(last("loadgen_verdict", equal("verdict", word), *matchers), at) for word, at in _VERDICTS.items())
    running = best(f"loadgen_run_info{selector(TEST, *matchers)}", 3)
    silent = best(last("loadgen_run_info", *matchers), 4)
    return " or ".join((*ended, running, silent))


def per_run(expr: str) -> str:
    """Return values by run_id with the name of each run, of the newest runs of the time range."""
    return f"({expr}) * on (run_id) group_left (run) ({RUNS} > bool 0)"


def by_run(metric: str, *matchers: str) -> str:
    """Return the sum of last values by run."""
    return f"sum by (run_id) ({last(metric, *matchers)})"


OK = equal("outcome", "ok")
NOT_OK = 'outcome!="ok"'
DURATION = total("loadgen_run_duration_seconds")
COMPLETED = f"{total('loadgen_requests_total')} / {DURATION}"
FAILED_RATIO = ratio(total("loadgen_requests_total", NOT_OK), total("loadgen_requests_total"))
# What timed out came to an end, but is no answer: good answers alone keep up with what is offered.
GOOD_OVER_TIME = over_time("loadgen_requests_total", OK)
# Of a counter that is there from the start of the run: that of an outcome begins with the first one.
FAILED_OVER_TIME = over_time("loadgen_failed_total")
CLIENT_P95_OVER_TIME = quantile_over_time(0.95, "loadgen_response_seconds")

_ENDED = last("loadgen_verdict")
# What a run measured before it was cut off stays, and that it was is shown with it.
CUT_OFF = Watch(
    answering=RUN,
    down=f"count({RUN} unless on (run_id) {_ENDED} unless on (run_id) loadgen_run_info{selector(TEST)})",
    word="cut off",
)

TO_SERVICE = to_board("Open the Service board", "service", "service")


def to_report(run: str) -> Link:
    """Return the link to a run's own report, which the stack's load generator serves."""
    return Link("Open the run's report", f"${{loadgen_url}}/runs/{run}", new_tab=True)
