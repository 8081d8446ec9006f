"""The analyzer's metrics: the one home of their names, types, help and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from perfloop_analyzer.findings import MOST_BANDS, OVERALL, Severity, series_of
from perfloop_analyzer.recommend.money import MONEY, SAVING_KINDS
from perfloop_analyzer.recommend.recommendation import by_urgency
from perfloop_analyzer.recommend.track_record import count_outcomes
from perfloop_analyzer.reporters.explanations import explain_signals
from perfloop_analyzer.reporters.planned import plan_families

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from perfloop_analyzer.findings import Reading
    from perfloop_analyzer.ports import Result
    from perfloop_analyzer.published import Costs, Published, ReportHealth
    from perfloop_analyzer.recommend import Recommendation

TITLE_LENGTH = 120

# name: (help, label of the part after the colon). The label `series` distinguishes the series of one signal.
READINGS = {
    "signal_value": ("The newest value that was judged.", ""),
    "anomaly_score": ("Distance from the expected value; 1 is the edge of the band.", ""),
    "anomaly_expected": ("What the signal is expected to be.", ""),
    "anomaly_lower": ("Lower edge of the band.", ""),
    "anomaly_upper": ("Upper edge of the band.", ""),
    "change_point_timestamp_seconds": ("When the signal's level last stepped within the window.", ""),
    "change_point_before": ("Level before the signal's last step, in the signal's unit.", ""),
    "change_point_after": ("Level since the signal's last step, in the signal's unit.", ""),
    "change_point_info": ("The levels around the signal's last step in words; always 1.", "levels"),
    "trend_slope": ("Significant drift, in the signal's unit per second.", ""),
    "seconds_until_limit": (
        "Time until the signal reaches its limit, or an error budget is used up, as it goes now; infinite is never.",
        "bound",
    ),
    "error_budget_burn": ("How many times faster than allowed the error budget is spent over a window.", "window"),
    "error_budget_exhausted_seconds": ("When a full error budget is gone at this burn.", ""),
}
BANDS = frozenset({"signal_value", "anomaly_score", "anomaly_expected", "anomaly_lower", "anomaly_upper"})


class ResultCollector(Collector):
    """Turns the last good result into metric families at each scrape."""

    def __init__(self, published: Published) -> None:
        self._published = published

    def describe(self) -> Iterable[Metric]:
        """Return nothing: families come and go with their findings."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Return every family of the last good result while it is new enough, and the costs so far."""
        yield from _cost_families(self._published.costs)
        post, pace = self._published.post, self._published.pace
        yield GaugeMetricFamily(
            "perfloop_analyzer_query_concurrency",
            "Queries that may run at once now: fewer while Prometheus is slow or refuses.",
            value=pace.now,
        )
        yield from _lease_families(post.as_dict())
        if not post.is_leader:
            return
        yield from _report_families(self._published.reports)
        result = self._published.current
        if result is None:
            return
        yield GaugeMetricFamily(
            "perfloop_analyzer_result_age_seconds",
            "Time since the newest result was made; a result that is too old is no longer published.",
            value=self._published.age(result.at),
        )
        # What an old result says of now is not known: its series end rather than stay as they were.
        if not self._published.is_stale:
            yield from result_families(result)


class LinkCollector(Collector):
    """Where a browser reaches the other programs, for the links of the boards; of two analyzers one says it.

    `links` are URLs by program, `leads` whether this is the one.
    """

    def __init__(self, links: Mapping[str, str], leads: Callable[[], bool] = lambda: True) -> None:
        self._links = links
        self._leads = leads

    def collect(self) -> Iterator[Metric]:
        """Return one series for each program."""
        yield _gauge(
            "perfloop_link_info",
            "Where a browser reaches a program of the stack; the value is 1.",
            ["program", "url"],
            [(pair, 1.0) for pair in self._links.items() if self._leads()],
        )


def result_families(result: Result) -> Iterator[Metric]:
    """Return the families of one result."""
    yield _gauge(
        "perfloop_health_score",
        "Health from 0 to 100: 100 minus the penalties of perfloop_health_penalty.",
        ["service"],
        [((one.service,), one.score) for one in result.health],
    )
    yield _gauge(
        "perfloop_health_penalty",
        "What one signal subtracts from the health score.",
        ["service", "signal"],
        [((one.service, signal), cost) for one in result.health for signal, cost in one.penalties.items()],
    )
    yield _gauge(
        "perfloop_signals_without_data",
        "Signals of a service that the cycle read and that have no value of the last minute: its score ignores them.",
        ["service"],
        [((one.service,), len(one.signals)) for one in result.unseen if one.service != OVERALL],
    )
    yield _gauge(
        "perfloop_bottleneck",
        "A resource that limits a service; the value is its share among the probable causes of its incident.",
        ["service", "resource", "severity"],
        _bottlenecks(result),
    )
    yield _gauge(
        "perfloop_root_cause_score",
        "Share of a component among the possible causes of an incident; they add up to 1.",
        ["incident", "service", "resource"],
        [((i.id, c.service, c.component), c.score) for i in result.incidents for c in i.causes],
    )
    yield from _moment_families(result)
    yield from _recommendation_families(result)
    yield _gauge(
        "perfloop_waste_ratio",
        "Share of what a service has of a resource that the recommendations against waste would take away.",
        ["service", "resource"],
        [((one.service, one.resource), one.ratio) for one in result.wasted],
    )
    yield from _explanation_families(result)
    yield from reading_families(result.readings)
    yield from plan_families(result.plan)
    yield GaugeMetricFamily("perfloop_analyzer_series", "Series that the last cycle read.", value=result.series)
    yield GaugeMetricFamily("perfloop_analyzer_points", "Points that the last cycle read.", value=result.points)


def _bottlenecks(result: Result) -> list[tuple[tuple[str, ...], float]]:
    rows: dict[tuple[str, ...], float] = {}
    for incident in result.incidents:
        for cause in incident.causes:
            own = [f for f in incident.findings if (f.service, f.component) == (cause.service, cause.component)]
            worst = max((finding.severity for finding in own), default=Severity.INFO)
            if worst > 0:
                rows[cause.service, cause.component, worst.word] = cause.score
    return list(rows.items())


def _moment_families(result: Result) -> Iterator[Metric]:
    """Return since when incidents and findings stand, and what people and programs changed."""
    yield _gauge(
        "perfloop_incident_start_timestamp_seconds",
        "When the incident began; kept over restarts, one series for each service that it is about.",
        ["incident", "service"],
        [((one.id, service), one.started) for one in result.incidents for service in one.services],
    )
    yield _gauge(
        "perfloop_finding_start_timestamp_seconds",
        "Since when the signal is unusual or beyond its limit; kept over restarts.",
        ["incident", "service", "signal", "series"],
        [
            ((one.id, finding.service, finding.signal, series_of(finding.labels)), finding.onset)
            for one in result.incidents
            for finding in one.findings
        ],
    )
    yield _gauge(
        "perfloop_change_timestamp_seconds",
        "When something was changed, as it was recorded; the newest fifty of the last seven days.",
        ["id", "service", "kind", "title"],
        [((one.id, one.service, one.kind, one.title[:TITLE_LENGTH]), one.at) for one in result.changes],
    )


def _recommendation_families(result: Result) -> Iterator[Metric]:
    known = by_urgency((*result.recommendations, *result.decided))
    yield _gauge(
        "perfloop_recommendation_info",
        "A recommendation that stands, or that was decided on within thirty days.",
        ["id", "service", "category", "priority", "title", "state", "signal", "gain_of"],
        [
            ((r.id, r.service, r.category, r.priority, r.title[:TITLE_LENGTH], r.state, r.signal, r.gain_of), 1.0)
            for r in known
        ],
    )
    yield _gauge(
        "perfloop_recommendation_rank",
        "Place in the order of all recommendations: by priority, then by expected gain; 1 is the first.",
        ["id"],
        [((r.id,), float(place)) for place, r in enumerate(known, 1)],
    )
    yield _gauge(
        "perfloop_recommendation_start_timestamp_seconds",
        "Since when the recommendation stands; kept over restarts.",
        ["id"],
        [((r.id,), r.created) for r in known],
    )
    yield from _gain_families(known)
    yield from _money_families(known)
    yield _gauge(
        "perfloop_recommendation_outcomes",
        "Changes whose gain was proved or measured, by whether it was within its expected bounds.",
        ["rule", "inside"],
        count_outcomes(result.records),
    )


def _gain_families(known: Iterable[Recommendation]) -> Iterator[Metric]:
    """Return what recommendations are expected to bring, and what they brought."""
    yield _gauge(
        "perfloop_recommendation_expected_improvement_ratio",
        "Computed share by which the recommendation reduces the affected metric.",
        ["id"],
        [((r.id,), r.improvement.ratio) for r in known if r.improvement],
    )
    yield _gauge(
        "perfloop_recommendation_measured_improvement_ratio",
        "Measured share by which the affected metric fell after the recommendation was implemented.",
        ["id"],
        [((r.id,), float(r.values["measured"]["gain"])) for r in known if "measured" in r.values],
    )
    yield _gauge(
        "perfloop_recommendation_proved_improvement_ratio",
        "Share of the affected metric that went away when the incident's load was replayed with the change.",
        ["id"],
        [((r.id,), gain) for r in known if (gain := r.proved_gain) is not None],
    )


def _money_families(known: Iterable[Recommendation]) -> Iterator[Metric]:
    """Return what recommendations are worth, where there are prices."""
    worth = [(r.id, money) for r in known if isinstance(money := r.values.get(MONEY), dict)]
    yield _gauge(
        "perfloop_recommendation_saving_per_month",
        "Money that the recommendation saves in a month, by the prices in use: negative where it costs more.",
        ["id", "kind"],
        [
            ((id_, kind), saving)
            for id_, money in worth
            for kind in SAVING_KINDS
            if (saving := money[f"{kind}_saving_per_month"]) is not None
        ],
    )
    yield _gauge(
        "perfloop_recommendation_effort_cost",
        "What the work on the recommendation costs, where an hour of it has a price.",
        ["id"],
        [((id_,), money["effort_cost"]) for id_, money in worth if money["effort_cost"] is not None],
    )


def _explanation_families(result: Result) -> Iterator[Metric]:
    found = explain_signals(result)
    yield _gauge(
        "perfloop_signal_cause_score",
        "Share of suspicion of the first cause of a signal's incident; the cause in words. None below a third.",
        ["service", "signal", "cause"],
        [((one.service, one.signal, one.cause), one.score) for one in found if one.cause],
    )
    yield _gauge(
        "perfloop_signal_recommendation_info",
        "The recommendation to follow for a signal that is out of its limits.",
        ["service", "signal", "id", "title"],
        [
            ((one.service, one.signal, one.recommendation.id, one.recommendation.title[:TITLE_LENGTH]), 1.0)
            for one in found
            if one.recommendation
        ],
    )


def reading_families(readings: Iterable[Reading]) -> Iterator[Metric]:
    """Return the detectors' continuous outputs; of more than MOST_BANDS series the most anomalous are kept."""
    table: dict[str, dict[tuple[str, str, str, str], float]] = {}
    for reading in readings:
        name, _, extra = reading.name.partition(":")
        key = (reading.service, reading.signal, series_of(reading.labels), extra)
        table.setdefault(name, {})[key] = reading.value
    loudest = table.get("anomaly_score", {})
    kept = set(sorted(loudest, key=lambda key: -loudest[key])[:MOST_BANDS])
    for name, (text, label) in READINGS.items():
        family = GaugeMetricFamily(f"perfloop_{name}", text, labels=())
        for key, value in table.get(name, {}).items():
            if key not in kept and name in BANDS:
                continue
            labels = {"service": key[0], "signal": key[1], "series": key[2], label: key[3]}
            family.add_sample(
                family.name, {word: _plain(text_) for word, text_ in labels.items() if word and text_}, value
            )
        if family.samples:
            yield family


def _cost_families(costs: Costs) -> Iterator[Metric]:
    cycles = CounterMetricFamily("perfloop_analyzer_cycles", "Cycles by outcome.", labels=["outcome"])
    for outcome, count in costs.cycles.items():
        cycles.add_metric([outcome], count)
    yield cycles
    for name, text, value in (
        ("queries", "Queries sent to Prometheus.", costs.queries),
        ("query_failures", "Queries that Prometheus did not answer.", costs.query_failures),
        ("samples", "Samples read from Prometheus.", costs.samples),
        ("store_failures", "Failed reads and writes of the database.", costs.store_failures),
        ("cpu_seconds", "CPU time of all cycles.", costs.cpu_seconds),
        (
            "refused_words",
            "Texts of a language model that were rejected for a number without evidence.",
            costs.refused_texts,
        ),
    ):
        yield CounterMetricFamily(f"perfloop_analyzer_{name}", text, value=value)
    for name, text, value in (
        ("cycle_seconds", "Duration of the last cycle.", costs.cycle_seconds),
        ("query_seconds", "Time that the last cycle waited for Prometheus.", costs.query_seconds),
        (
            "clock_skew_seconds",
            "How far Prometheus's clock is ahead of the analyzer's; 0 within 15 s.",
            costs.clock_skew,
        ),
        (
            "last_success_timestamp_seconds",
            "When the published result was made; 0 before the first.",
            costs.last_success,
        ),
        (
            "config_last_reload_successful",
            "Whether the last reading of the configuration files succeeded.",
            float(costs.reload_succeeded),
        ),
        (
            "config_last_reload_success_timestamp_seconds",
            "When the configuration files were last read successfully.",
            costs.last_reload_success,
        ),
    ):
        yield GaugeMetricFamily(f"perfloop_analyzer_{name}", text, value=value)


def _lease_families(post: Mapping[str, Any]) -> Iterator[Metric]:
    """Return whether this analyzer publishes, and who waits."""
    yield _gauge(
        "perfloop_analyzer_leader",
        "Whether this analyzer publishes: of several on one database exactly one has 1, and no other has results.",
        ["lease"],
        # Before the database was asked it is not known of which lease.
        [((str(post["lease"]),), float(post["leader"]))] if post["lease"] or post["leader"] else [],
    )
    for name, text, value in (
        ("lease_term", "How often the lease of the database was taken; 0 without a shared database.", post["term"]),
        ("standbys", "Analyzers that wait for the lease, as the one that publishes sees them.", post["standbys"]),
    ):
        yield GaugeMetricFamily(f"perfloop_analyzer_{name}", text, value=value)


def _report_families(reports: ReportHealth) -> Iterator[Metric]:
    """Return what became of scheduled reports; none where no report has a schedule."""
    if not reports.due:
        return
    yield _gauge(
        "perfloop_report_due_timestamp_seconds",
        "When the oldest report that is owed was due, else the last one; 0 before the first.",
        ["report"],
        [((name,), at) for name, at in reports.due.items()],
    )
    yield _gauge(
        "perfloop_report_last_success_timestamp_seconds",
        "When a report last arrived by all its channels; 0 before the first.",
        ["report"],
        [((name,), at) for name, at in reports.last_success.items()],
    )
    failures = CounterMetricFamily(
        "perfloop_report_failures", "Attempts to make and send a report that failed.", labels=["report"]
    )
    for name, count in reports.failures.items():
        failures.add_metric([name], count)
    yield failures


def _gauge(name: str, text: str, labels: list[str], rows: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, number in rows:
        # An empty label is none: it is left out.
        given = {label: _plain(value) for label, value in zip(labels, values, strict=True) if value}
        family.add_sample(name, given, number)
    return family


def _plain(text: str) -> str:
    """Return a label's value that UTF-8 can hold: one lone surrogate must not silence every metric."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
