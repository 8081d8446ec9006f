"""The live series for Prometheus: real histograms that add up over endpoints, tests and machines.

Every series names its run: a rate over a minute would otherwise have the end of one run in the beginning of the next,
and a run's totals are its last values, wherever it ended. How many series a run has is bounded; how long they are kept
is Prometheus's retention.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from perfloop_base.buckets import NAMED, read_bounds
from perfloop_loadgen.config.secrets import shown
from perfloop_loadgen.outcomes import OK
from perfloop_loadgen.reporters.histograms import HistogramFamily
from perfloop_loadgen.reporters.run_figures import figures_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from perfloop_loadgen.capacity import CapacityInterval
    from perfloop_loadgen.samples.book import Book
    from perfloop_loadgen.samples.tally import Tally
    from perfloop_loadgen.summary import Summary
    from perfloop_loadgen.summary.workers import WorkerFigures

# The time of a phase is looked at beside the others, not compared with a limit: so many bounds are enough.
_PHASE_BOUNDS = NAMED["coarse"]
_RUN = ("test", "run_id")
_LONGEST_NAME = 60


@dataclass(slots=True)
class LiveRun:
    """A run as the metrics page shows it; `summary` is set when it has ended.

    Attributes:
        knee_rate: of a search, the highest rate whose good answers kept up.
        confirmed_rate: of a search, the highest rate confirmed to keep the thresholds.
        capacity: of a search, the highest rate that keeps them for long.
        service: the label of the service under test in Prometheus; empty where it is not known.
        workers: returns the figures of each of several workers; none of a single process.
    """

    test: str
    run_id: str
    profile: str
    book: Book
    started_unix: float = field(default_factory=time.time)
    summary: Summary | None = None
    knee_rate: float | None = None
    confirmed_rate: float | None = None
    capacity: CapacityInterval | None = None
    service: str = ""
    workers: Callable[[], Sequence[WorkerFigures]] = tuple

    @property
    def name(self) -> str:
        """Return what people know the run by, `2026-11-29 14:05:07Z stress`: in the order of names they are by time."""
        moment = datetime.fromtimestamp(self.started_unix, UTC)
        return f"{moment:%Y-%m-%d %H:%M:%S}Z {shown(self.test)[:_LONGEST_NAME]}"

    @property
    def key(self) -> tuple[str, str]:
        """Return the values of the labels that every series of the run has."""
        return self.test, self.run_id


class LoadgenCollector:
    """A prometheus_client collector over the books of the process.

    Raises:
        ConfigError: PERFLOOP_BUCKETS has no bounds.
    """

    def __init__(self) -> None:
        self.runs: list[LiveRun] = []
        self._bounds = read_bounds()

    def collect(self) -> Iterable[Metric]:
        """Yield every family, built from the books so far."""
        yield from self._counters()
        yield from self._totals()
        yield from self._histograms()
        yield from self._phases()
        yield from self._streams()
        yield from self._gauges()
        yield from _workers_of(self.runs)
        yield from self._states()
        yield from figures_of(self.runs)

    def _histogram(self, name: str, documentation: str) -> HistogramFamily:
        return HistogramFamily(name, documentation, (*_RUN, "endpoint"), self._bounds)

    def _rows(self) -> Iterator[tuple[tuple[str, str, str], Tally]]:
        """Yield each endpoint of each run: the values of its labels, and what was counted."""
        for run in self.runs:
            for label, tally in run.book.rows():
                yield (*run.key, label), tally

    def _counters(self) -> Iterable[Metric]:
        requests = _counter("loadgen_requests", "Requests that ended, by outcome.", "endpoint", "outcome")
        responses = _counter(
            "loadgen_responses",
            "Responses by status code, redirects that were followed among them.",
            "endpoint",
            "status",
        )
        late = _counter("loadgen_late", "Requests that started more than 10 ms behind the schedule.", "endpoint")
        dropped = _counter(
            "loadgen_dropped",
            "Requests of the schedule that were dropped because no connection became free in time.",
            "endpoint",
        )
        received = _counter("loadgen_received_bytes", "Bytes received in answers, heads included.", "endpoint")
        checks = _counter("loadgen_checks", "Answers by check and its result.", "endpoint", "check", "result")
        retried = _counter(
            "loadgen_retried",
            "Requests sent again on a fresh connection: the server had closed the one that they were sent on.",
            "endpoint",
        )
        connections = _counter(
            "loadgen_connections", "New connections that were answered on, by protocol.", "endpoint", "protocol"
        )
        for key, tally in self._rows():
            # Good answers count from 0 on, as failures do in `loadgen_failed`: a rate begins with the second sample of
            # a counter, and the first answers would be missing in it, but not in the rate of what was offered.
            for outcome, count in {OK: 0, **tally.outcomes}.items():
                requests.add_metric((*key, outcome), count)
            for status, count in tally.statuses_by_name().items():
                responses.add_metric((*key, status), count)
            late.add_metric(key, tally.late)
            dropped.add_metric(key, tally.dropped)
            received.add_metric(key, tally.bytes_received)
            retried.add_metric(key, tally.retried)
            for protocol, count in _by_protocol(tally).items():
                connections.add_metric((*key, protocol), count)
            for (check, passed), count in tally.checks.items():
                checks.add_metric((*key, check, "passed" if passed else "failed"), count)
        return requests, responses, late, dropped, received, checks, retried, connections

    def _totals(self) -> Iterable[Metric]:
        offered = _counter("loadgen_offered", "Requests that were due: ended, under way, waiting or dropped.")
        failed = _counter("loadgen_failed", "Requests that ended with any other outcome than ok.")
        iterations = _counter("loadgen_iterations", "Scenarios that were run to their end.")
        for run in self.runs:
            offered.add_metric(run.key, run.book.offered())
            failed.add_metric(run.key, run.book.total().errors)
            if run.book.total().iterations:
                iterations.add_metric(run.key, run.book.total().iterations)
        return offered, failed, iterations

    def _histograms(self) -> Iterable[Metric]:
        response = self._histogram("loadgen_response_seconds", "Time from the intended start to the end of the answer.")
        service = self._histogram("loadgen_service_seconds", "Time from the actual start to the end of the answer.")
        lag = self._histogram("loadgen_schedule_lag_seconds", "How far behind the schedule requests started.")
        for key, tally in self._rows():
            for family, histogram in ((response, tally.response), (service, tally.service), (lag, tally.lag)):
                family.add_metric(key, histogram)
        return response, service, lag

    def _phases(self) -> Iterable[Metric]:
        family = HistogramFamily(
            "loadgen_request_phase_seconds",
            "Time in a phase of requests: connect and tls of each new connection, wait for the first byte, receive "
            "the rest of answers that came in several pieces.",
            (*_RUN, "phase"),
            _PHASE_BOUNDS,
        )
        for run in self.runs:
            for phase, histogram in run.book.total().phases_by_name().items():
                family.add_metric((*run.key, phase), histogram)
        return (family,)

    def _streams(self) -> Iterable[Metric]:
        first = self._histogram(
            "loadgen_time_to_first_token_seconds", "Time from the intended start to the first event with content."
        )
        answer = self._histogram(
            "loadgen_time_to_first_answer_token_seconds",
            "Time from the intended start to the first event with content other than reasoning.",
        )
        gap = self._histogram(
            "loadgen_inter_chunk_seconds", "Time between neighbouring events with content of one answer."
        )
        stall = self._histogram("loadgen_longest_stall_seconds", "Largest gap between events of each answer.")
        per_token = self._histogram(
            "loadgen_time_per_output_token_seconds",
            "Time per output token: (last event - first event) / (output tokens - 1).",
        )
        tokens = _counter(
            "loadgen_tokens",
            "Tokens of streamed answers (output) and of their prompts (input).",
            "endpoint",
            "direction",
        )
        good = _counter("loadgen_good_answers", "Streamed answers that met the SLO.", "endpoint")
        for key, tally in self._rows():
            streams = tally.streams
            if streams is None:
                continue  # an endpoint that does not stream has no such series, rather than empty ones
            pairs = (
                (first, streams.first_token),
                (answer, streams.first_answer),
                (gap, streams.gap),
                (stall, streams.stall),
                (per_token, streams.per_token),
            )
            for family, histogram in pairs:
                family.add_metric(key, histogram)
            tokens.add_metric((*key, "input"), streams.input_tokens)
            tokens.add_metric((*key, "output"), streams.output_tokens)
            good.add_metric(key, streams.good)
        return first, answer, gap, stall, per_token, tokens, good

    def _gauges(self) -> Iterable[Metric]:
        users = _gauge("loadgen_users", "Active users.")
        rate = _gauge("loadgen_target_rate", "Requested rate of an open model, in requests per second.")
        cpu = _gauge("loadgen_cpu_used_ratio", "CPU used by the busiest generator process, as a ratio of one core.")
        loop = _gauge("loadgen_event_loop_lag_seconds", "99th percentile of the delays of the generator's event loop.")
        for run in self.runs:
            load = run.book.load
            users.add_metric(run.key, load.users)
            if load.target_rate is not None:
                rate.add_metric(run.key, load.target_rate)
            cpu.add_metric(run.key, load.cpu_ratio)
            loop.add_metric(run.key, load.loop_lag_seconds)
        return users, rate, cpu, loop

    def _states(self) -> Iterable[Metric]:
        info = _gauge("loadgen_run_info", "Run of a load test; `run` is its name for people.", "profile", "run")
        phase = _gauge("loadgen_phase", "Phase of the load shape.", "phase")
        for run in self.runs:
            info.add_metric((*run.key, run.profile, run.name), 1)
            if run.summary is None and run.book.load.phase:
                # Only while the run is under way: else dashboards would show an ended phase as the present one.
                phase.add_metric((*run.key, run.book.load.phase), 1)
        return info, phase


def _workers_of(runs: Sequence[LiveRun]) -> Iterable[Metric]:
    up = _gauge("loadgen_worker_up", "Whether a worker takes part in a run; 0 once it is lost.", "worker")
    requests = _counter("loadgen_worker_requests", "Requests of a worker that ended.", "worker")
    cpu = _gauge("loadgen_worker_cpu_used_ratio", "CPU used by a worker, as a ratio of one core.", "worker")
    lag = _gauge(
        "loadgen_worker_schedule_lag_seconds",
        "99th percentile of how far behind the schedule the requests of a worker started, over the whole run.",
        "worker",
    )
    for run in runs:
        for worker in run.workers():
            key = (*run.key, f"{worker.number}")
            up.add_metric(key, 0 if worker.lost else 1)
            requests.add_metric(key, worker.requests)
            cpu.add_metric(key, worker.cpu_ratio)
            if worker.schedule_lag_p99_seconds is not None:
                lag.add_metric(key, worker.schedule_lag_p99_seconds)
    return up, requests, cpu, lag


def _by_protocol(tally: Tally) -> Counter[str]:
    counts: Counter[str] = Counter()
    for (protocol, _), count in tally.connections.items():
        counts[protocol] += count
    return counts


def _counter(name: str, documentation: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, documentation, labels=(*_RUN, *labels))


def _gauge(name: str, documentation: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=(*_RUN, *labels))
