"""The PromQL of load tests: what the chosen runs of the chosen tests asked for, and how it ended."""

from __future__ import annotations

from perfloop_boards.queries import WINDOW, equal, selector

TEST = 'test=~"$test"'
RUN = selector(TEST, 'run_id=~"$run"')


def of_run(expr: str) -> str:
    """The expression, of the chosen runs alone."""
    # A run's id is on its info metric alone: ids on every series would multiply them with each run.
    return f"({expr}) and on (instance, test) loadgen_run_info{RUN}"


def run_rate(metric: str, *matchers: str, by: str = "") -> str:
    """A counter's rise per second, added up over the chosen runs."""
    summed = of_run(f"rate({metric}{selector(TEST, *matchers)}[{WINDOW}])")
    return f"sum{f' by ({by})' if by else ''} ({summed})"


def run_quantile(q: float, histogram: str, by: str = "") -> str:
    """A quantile over the chosen runs at once."""
    return f"histogram_quantile({q:g}, {run_rate(histogram + '_bucket', by=f'le, {by}' if by else 'le')})"


DONE = run_rate("loadgen_requests_total")
# What timed out came to an end, but is no answer: good answers alone keep up with what is offered.
GOOD = run_rate("loadgen_requests_total", equal("outcome", "ok"))
ANSWERED = f"({GOOD} or {DONE} * 0)"
FAILED = run_rate("loadgen_requests_total", 'outcome!="ok"')
CLIENT_P95 = run_quantile(0.95, "loadgen_response_seconds")
USERS = f"sum({of_run(f'loadgen_users{selector(TEST)}')})"
SET_RATE = of_run(f"loadgen_target_rate{selector(TEST)}")
BY_TEST = of_run(f"sum by (instance, test) (rate(loadgen_requests_total{selector(TEST)}[{WINDOW}]))")
# A test that sets users offers what the answers let it; beside one that sets a rate both add up.
OFFERED = f"sum(({SET_RATE}) or ({BY_TEST}) unless on (instance, test) loadgen_target_rate)"


def run_verdict(word: str) -> str:
    """1 where a run has just ended with this verdict."""
    # A run that has ended is scraped once or twice more: over the window, so that no step passes over it.
    return f"max(max_over_time(loadgen_verdict{selector(RUN[1:-1], equal('verdict', word))}[{WINDOW}]))"
