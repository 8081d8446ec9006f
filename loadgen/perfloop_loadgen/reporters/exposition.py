"""The live series for Prometheus: real histograms that add up over endpoints, tests and machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfloop_loadgen.samples.book import Book
    from perfloop_loadgen.samples.histogram import Histogram
    from perfloop_loadgen.summary.verdict import Verdict

# OpenTelemetry's bounds for HTTP durations, with finer ones below and coarser ones above.
BOUNDS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025),
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(30.0, 60.0),
)


@dataclass(slots=True)
class LiveRun:
    """A run as the metrics page shows it; the verdict is set when it has ended."""

    test: str
    run_id: str
    profile: str
    book: Book
    verdict: Verdict | None = None


class LoadgenCollector:
    """A prometheus_client collector over the books of the process."""

    def __init__(self) -> None:
        self.runs: list[LiveRun] = []

    def collect(self) -> Iterable[Metric]:
        """Yield every family, built from the books so far."""
        yield from self._counters()
        yield from self._histograms()
        yield from self._streams()
        yield from self._gauges()
        yield from self._states()

    def _counters(self) -> Iterable[Metric]:
        requests = CounterMetricFamily(
            "loadgen_requests",
            "Requests that ended, by outcome.",
            labels=("test", "endpoint", "outcome"),
        )
        late = CounterMetricFamily(
            "loadgen_late", "Requests that started more than 10 ms behind the schedule.", labels=("test", "endpoint")
        )
        dropped = CounterMetricFamily(
            "loadgen_dropped",
            "Requests of the schedule that were dropped because no connection became free in time.",
            labels=("test", "endpoint"),
        )
        received = CounterMetricFamily(
            "loadgen_received_bytes", "Bytes received in answers, heads included.", labels=("test", "endpoint")
        )
        for run in self.runs:
            for label, tally in run.book.rows():
                for outcome, count in tally.outcomes.items():
                    requests.add_metric((run.test, label, outcome), count)
                late.add_metric((run.test, label), tally.late)
                dropped.add_metric((run.test, label), tally.dropped)
                received.add_metric((run.test, label), tally.bytes_received)
        return requests, late, dropped, received

    def _histograms(self) -> Iterable[Metric]:
        response = _histogram("loadgen_response_seconds", "Time from the intended start to the end of the answer.")
        service = _histogram("loadgen_service_seconds", "Time from the actual start to the end of the answer.")
        lag = _histogram("loadgen_schedule_lag_seconds", "How far behind the schedule requests started.")
        for run in self.runs:
            for label, tally in run.book.rows():
                for family, histogram in ((response, tally.response), (service, tally.service), (lag, tally.lag)):
                    family.add_metric((run.test, label), _buckets(histogram), histogram.total_seconds)
        return response, service, lag

    def _streams(self) -> Iterable[Metric]:
        first = _histogram(
            "loadgen_time_to_first_token_seconds", "Time from the intended start to the first event with content."
        )
        gap = _histogram("loadgen_inter_chunk_seconds", "Time between neighbouring events with content of one answer.")
        stall = _histogram("loadgen_longest_stall_seconds", "Largest gap between events of each answer.")
        per_token = _histogram(
            "loadgen_time_per_output_token_seconds",
            "Time per output token: (last event - first event) / (output tokens - 1).",
        )
        tokens = CounterMetricFamily(
            "loadgen_tokens",
            "Tokens of streamed answers (output) and of their prompts (input).",
            labels=("test", "endpoint", "direction"),
        )
        good = CounterMetricFamily(
            "loadgen_good_answers", "Streamed answers that met the SLO.", labels=("test", "endpoint")
        )
        for run in self.runs:
            for label, tally in run.book.rows():
                streams = tally.streams
                if streams is None:
                    continue  # an endpoint that does not stream has no such series, rather than empty ones
                pairs = (
                    (first, streams.first_token),
                    (gap, streams.gap),
                    (stall, streams.stall),
                    (per_token, streams.per_token),
                )
                for family, histogram in pairs:
                    family.add_metric((run.test, label), _buckets(histogram), histogram.total_seconds)
                tokens.add_metric((run.test, label, "input"), streams.input_tokens)
                tokens.add_metric((run.test, label, "output"), streams.output_tokens)
                good.add_metric((run.test, label), streams.good)
        return first, gap, stall, per_token, tokens, good

    def _gauges(self) -> Iterable[Metric]:
        users = GaugeMetricFamily("loadgen_users", "Active users.", labels=("test",))
        rate = GaugeMetricFamily(
            "loadgen_target_rate", "Requested rate of an open model, in requests per second.", labels=("test",)
        )
        cpu = GaugeMetricFamily(
            "loadgen_cpu_used_ratio",
            "CPU used by the busiest generator process, as a ratio of one core.",
            labels=("test",),
        )
        loop = GaugeMetricFamily(
            "loadgen_event_loop_lag_seconds",
            "99th percentile of the delays of the generator's event loop.",
            labels=("test",),
        )
        for run in self.runs:
            load = run.book.load
            users.add_metric((run.test,), load.users)
            if load.target_rate is not None:
                rate.add_metric((run.test,), load.target_rate)
            cpu.add_metric((run.test,), load.cpu_ratio)
            loop.add_metric((run.test,), load.loop_lag_seconds)
        return users, rate, cpu, loop

    def _states(self) -> Iterable[Metric]:
        info = GaugeMetricFamily("loadgen_run_info", "Run of a load test.", labels=("test", "run_id", "profile"))
        phase = GaugeMetricFamily("loadgen_phase", "Phase of the load shape.", labels=("test", "phase"))
        verdict = GaugeMetricFamily("loadgen_verdict", "Verdict of an ended run.", labels=("test", "run_id", "verdict"))
        for run in self.runs:
            info.add_metric((run.test, run.run_id, run.profile), 1)
            if run.verdict is not None:
                verdict.add_metric((run.test, run.run_id, run.verdict), 1)
            elif run.book.load.phase:
                # Only while the run is under way: else dashboards would show an ended phase as the present one.
                phase.add_metric((run.test, run.book.load.phase), 1)
        return info, phase, verdict


def _histogram(name: str, documentation: str, labels: Sequence[str] = ("test", "endpoint")) -> HistogramMetricFamily:
    return HistogramMetricFamily(name, documentation, labels=labels)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    cumulative = histogram.cumulative(BOUNDS)
    buckets: list[tuple[str, float]] = [(str(bound), count) for bound, count in zip(BOUNDS, cumulative, strict=True)]
    return [*buckets, ("+Inf", histogram.count)]
