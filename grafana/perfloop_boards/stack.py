"""The board of the monitoring stack itself: is it healthy, and what does it cost?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.analyzers import NO_ANALYZER, TO_ANALYZER, analyzers
from perfloop_boards.board import Board, Row, choice, evenly
from perfloop_boards.findings import SILENCE
from perfloop_boards.limits import FIRST_IS_BAD, Limit, percent, seconds
from perfloop_boards.links import Link, of_label, to_board, to_runbook
from perfloop_boards.long_term import long_term_store
from perfloop_boards.panels import About, lines, number, timeline
from perfloop_boards.queries import Query, ever, highest
from perfloop_boards.tables import bars
from perfloop_boards.targets import GONE, JOB, targets
from perfloop_boards.watches import ANALYZER, Watch, component
from perfloop_boards.words import UP

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

NO_PROMETHEUS = "Prometheus does not scrape itself: see prometheus/prometheus.yml."
INTERVAL = 10  # seconds: the analyzer's cycle
CYCLE_LIMIT = Limit(warning=INTERVAL / 2, critical=INTERVAL)
PROMETHEUS = component("prometheus")
# What Prometheus counts is true while Alertmanager is down: both are shown.
SENDING = Watch(PROMETHEUS.answering, component("alertmanager").down, "alertmanager down")
# The age of the last result goes on while the analyzer is down.
AGEING = Watch('max(up{job="analyzer"}) >= 0', ANALYZER.down, ANALYZER.word)

ALONE = (to_board("Show this job alone", "stack", job=of_label("job")),)
# Its first page alone has the same address in every build: that of Debian has the others below /classic.
TO_PROMETHEUS = Link("Open Prometheus", "${prometheus_url}/", new_tab=True)
TO_ALERTS = to_board("Open the Alerts board", "alerts")
TO_ANALYSIS = to_board("Open the Analysis board", "analysis")
TO_REPORTS = Link("Open the reports", "${analyzer_url}/reports", new_tab=True)
TO_SYSTEM = to_board("Open the System board", "system")


def _down_now() -> AnyPanel:
    # No watch: this is the count of what is down.
    down = f"(count(up{JOB} == 0) or 0 * count(up{JOB})) + (count({GONE}) or vector(0)) or count({GONE})"
    return number(
        About(
            "Targets down",
            "Good: 0. A target that is down, or gone, is not monitored: the table below shows which.",
            "none",
            "no target",
            decimals=0,
            links=(to_runbook("TargetDown"), TO_PROMETHEUS),
        ),
        Query(down),
        FIRST_IS_BAD,
    )


def _series_now() -> AnyPanel:
    return number(
        About(
            "Active series",
            "In memory, about 4 KB each. Good: level. A jump: some label has unbounded values.",
            "short",
            "not scraped",
            decimals=1,
            links=(TO_PROMETHEUS,),
        ),
        Query("sum(prometheus_tsdb_head_series)"),
        Limit(warning=1_000_000, critical=5_000_000),
        watch=PROMETHEUS,
    )


def _rules_now() -> AnyPanel:
    return number(
        About(
            "Rule failures",
            "In 5 min. Good: 0. A rule that fails is an alert that cannot fire: see the rules page of Prometheus.",
            "none",
            "not scraped",
            decimals=0,
            links=(TO_PROMETHEUS, to_runbook("RuleEvaluationFailing")),
        ),
        Query("sum(increase(prometheus_rule_evaluation_failures_total[5m]))"),
        FIRST_IS_BAD,
        watch=PROMETHEUS,
    )


def _undelivered_now() -> AnyPanel:
    return number(
        About(
            "Dropped alerts",
            "From Prometheus to Alertmanager, in 5 min. Good: 0. Otherwise Alertmanager is down or unreachable.",
            "none",
            "not scraped",
            decimals=0,
            links=(TO_ALERTS, to_runbook("NotificationsDropped")),
        ),
        Query("sum(increase(prometheus_notifications_dropped_total[5m]))"),
        FIRST_IS_BAD,
        watch=SENDING,
    )


def _cycle_now() -> AnyPanel:
    return number(
        About(
            "Analyzer cycle",
            f"Duration of a cycle. Good: under half of its {INTERVAL} s interval. Above: cycles are skipped, and "
            "findings come late.",
            "s",
            "no cycle yet",
            links=(TO_ANALYSIS, TO_ANALYZER),
        ),
        Query("max(perfloop_analyzer_cycle_seconds)"),
        CYCLE_LIMIT,
        watch=ANALYZER,
    )


def _age_now(limits: Limits) -> AnyPanel:
    stale = limits.alert("AnalyzerStale")
    return number(
        About(
            "Analysis age",
            f"Since the last successful cycle. Good: under two intervals. Above {seconds(stale.first)}, there is no "
            "analysis of now.",
            "s",
            "no cycle yet",
            decimals=1,
            links=(TO_ANALYSIS, TO_ANALYZER),
        ),
        Query("time() - max(last_over_time(perfloop_analyzer_last_success_timestamp_seconds[1d]) > 0)"),
        stale,
        watch=AGEING,
    )


def _targets() -> AnyPanel:
    return timeline(
        About(
            "Target availability",
            "Good: all green. A gap in every bar: Prometheus itself was down.",
            "none",
            "No target of this job.",
            links=ALONE,
        ),
        Query(f"max by (job, instance) (up{JOB})", "{{job}} · {{instance}}"),
        UP,
    )


def _scrape_time(limits: Limits) -> AnyPanel:
    slow_scrape = limits.alert("ScrapeTooSlow")
    return lines(
        About(
            "Scrape duration",
            f"Good: well under the limit of {seconds(slow_scrape.first)}. Slow: too many series, or a collector "
            "that waits.",
            "s",
            NO_PROMETHEUS,
            links=(*ALONE, TO_PROMETHEUS),
        ),
        [Query(f"max by (job) (scrape_duration_seconds{JOB})", "{{job}}")],
        slow_scrape,
        known=colours.PARTS,
    )


def _samples() -> AnyPanel:
    return lines(
        About(
            "Samples per scrape",
            "By job. Good: level. A steady rise: a label with unbounded values.",
            "short",
            NO_PROMETHEUS,
            links=(*ALONE, TO_PROMETHEUS),
        ),
        [Query(f"sum by (job) (scrape_samples_post_metric_relabeling{JOB})", "{{job}}")],
        known=colours.PARTS,
    )


RULE_SECONDS = "prometheus_rule_group_last_duration_seconds"
RULE_SHARE = highest(
    6, f"max by (rule_group) ({RULE_SECONDS} / prometheus_rule_group_interval_seconds)", RULE_SECONDS, "rule_group"
)


def _rule_time(limits: Limits) -> AnyPanel:
    slow_rules = limits.alert("RuleEvaluationSlow")
    return lines(
        About(
            "Rule evaluation time",
            f"Relative to each group's interval, the slowest six. Good: under {percent(slow_rules.first)}. At "
            "100%, the next evaluation is missed.",
            "percentunit",
            NO_PROMETHEUS,
            links=(TO_PROMETHEUS,),
        ),
        [
            Query(
                # A group is named by its directory, its file and itself: the directory and the group identify it.
                f'label_replace({RULE_SHARE}, "group", "$2 ($1)", "rule_group", "(?:.*/)?([^/]+)/[^/]+;(.+)")',
                "{{group}}",
            )
        ],
        slow_rules,
    )


def _query_time() -> AnyPanel:
    return lines(
        About(
            "Query time p90",
            "Inside Prometheus, by stage. Good: under 1 s. Above: add recording rules for frequent queries.",
            "s",
            NO_PROMETHEUS,
            links=(TO_PROMETHEUS,),
        ),
        [Query('max by (slice) (prometheus_engine_query_duration_seconds{quantile="0.9"})', "{{slice}}")],
        Limit(warning=1),
    )


def _notified() -> AnyPanel:
    return lines(
        About(
            "Alerts sent to Alertmanager",
            "Alerts per second. Good: dropped stays at zero. The watchdog alone sends a few.",
            "short",
            NO_PROMETHEUS,
            links=(TO_ALERTS,),
        ),
        [
            Query("sum(rate(prometheus_notifications_sent_total[$__rate_interval]))", "alerts sent", colours.TRAFFIC),
            Query(
                ever("sum(rate(prometheus_notifications_dropped_total[$__rate_interval]))"),
                "alerts dropped",
                colours.ERRORS,
            ),
        ],
    )


def _cycle() -> AnyPanel:
    return lines(
        About(
            "Analyzer cycle time",
            "Good: under the dashed line. Mostly queries: Prometheus is slow. Mostly computation: too many signals.",
            "s",
            NO_ANALYZER,
            links=(TO_ANALYSIS, TO_ANALYZER),
        ),
        [
            Query("max(perfloop_analyzer_cycle_seconds)", "whole cycle", colours.SLOW),
            Query("max(perfloop_analyzer_query_seconds)", "waiting for Prometheus", colours.TRAFFIC),
            SILENCE,
        ],
        CYCLE_LIMIT,
    )


def _cycles() -> AnyPanel:
    ran = ever("sum by (outcome) (increase(perfloop_analyzer_cycles_total[5m]))", "outcome")
    return lines(
        About(
            "Analyzer runs by outcome",
            "Runs in five minutes. Good: complete alone. Partial: some queries failed. Skipped: the run before took "
            "too long.",
            "none",
            NO_ANALYZER,
            links=(TO_ANALYSIS, TO_ANALYZER),
        ),
        [Query(f'label_replace({ran}, "outcome", "skipped", "outcome", "shed")', "{{outcome}}"), SILENCE],
        known=colours.OUTCOMES,
    )


def _analyzer_queries() -> AnyPanel:
    return lines(
        About(
            "Analyzer queries",
            "Queries to Prometheus. Good: level; failures stay at zero. A query budget limits them, and the "
            "analyzer backs off.",
            "short",
            NO_ANALYZER,
            links=(TO_ANALYSIS, TO_ANALYZER),
        ),
        [
            Query("sum(rate(perfloop_analyzer_queries_total[$__rate_interval]))", "queries/s", colours.TRAFFIC),
            Query(
                ever("sum(rate(perfloop_analyzer_query_failures_total[$__rate_interval]))"), "failed/s", colours.ERRORS
            ),
        ],
    )


def _overdue_reports(limits: Limits) -> AnyPanel:
    due, success = "perfloop_report_due_timestamp_seconds", "perfloop_report_last_success_timestamp_seconds"
    late = limits.alert("ReportNotDelivered")
    return lines(
        About(
            "Overdue reports",
            f"Since when a scheduled report is due and has not arrived. Good: 0. Above {seconds(late.first)}, see the "
            "reports' page for the reason.",
            "s",
            "No report has a schedule: see prometheus/reports.yml.",
            links=(TO_REPORTS, to_runbook("ReportNotDelivered")),
        ),
        [Query(f"max by (report) ((time() - {due}) * ({due} > bool {success}))", "{{report}}"), SILENCE],
        late,
    )


def _report_failures() -> AnyPanel:
    return lines(
        About(
            "Failed report attempts",
            "In 1 h. Good: 0. A report that fails is tried again, after longer and longer waits.",
            "none",
            "No report has a schedule: see prometheus/reports.yml.",
            decimals=0,
            links=(TO_REPORTS,),
        ),
        [Query("sum by (report) (increase(perfloop_report_failures_total[1h]))", "{{report}}"), SILENCE],
    )


def _collectors() -> AnyPanel:
    return bars(
        About(
            "Collector duration",
            "The slowest six. Good: milliseconds. One far above: a device or network disk that does not respond.",
            "s",
            "The exporter is not scraped: is it running?",
            links=(TO_SYSTEM,),
        ),
        Query(
            "sort_desc(topk(6, max by (collector) (node_scrape_collector_duration_seconds)))",
            "{{collector}}",
            instant=True,
        ),
        Limit(warning=0.1, critical=1),
        full=0.2,
        of="Seconds",
    )


def _cpu() -> AnyPanel:
    return lines(
        About(
            "CPU by component",
            "CPUs used. Good: together under a tenth of the machine: monitoring must not be the load that it reports.",
            "none",
            NO_PROMETHEUS,
            links=ALONE,
        ),
        [Query(f"sum by (job) (rate(process_cpu_seconds_total{JOB}[$__rate_interval]))", "{{job}}")],
        known=colours.PARTS,
    )


def _memory() -> AnyPanel:
    return lines(
        About(
            "Memory by component",
            "Good: level. A rise that never ends is a leak: restart the component, then report it.",
            "bytes",
            NO_PROMETHEUS,
            links=ALONE,
        ),
        [Query(f"sum by (job) (process_resident_memory_bytes{JOB})", "{{job}}")],
        known=colours.PARTS,
    )


def _disk() -> AnyPanel:
    return lines(
        About(
            "Prometheus storage",
            "Blocks and write-ahead log. Good: level once the retention period is reached.",
            "bytes",
            NO_PROMETHEUS,
            links=(TO_PROMETHEUS,),
        ),
        [
            Query("sum(prometheus_tsdb_storage_blocks_bytes)", "blocks", colours.DISK),
            Query("sum(prometheus_tsdb_wal_storage_size_bytes)", "write-ahead log", colours.OTHER),
        ],
    )


def build(limits: Limits) -> Board:
    """The stack board of a configuration."""
    return Board(
        uid="stack",
        title="Monitoring stack",
        question="Is the monitoring itself healthy, and what does it cost?",
        related=("system", "analysis", "alerts"),
        variables=(choice("job", "Job", "up"),),
        rows=(
            Row(
                4,
                evenly(_down_now(), _rules_now(), _undelivered_now(), _age_now(limits), _cycle_now(), _series_now()),
            ),
            Row(11, [(24, targets(limits.alert("ScrapeTooSlow")))]),
            Row(8, [(12, _targets()), (6, _scrape_time(limits)), (6, _samples())]),
            Row(7, evenly(_rule_time(limits), _query_time(), _notified())),
            Row(7, evenly(_cycle(), _cycles(), _analyzer_queries())),
            analyzers(),
            Row(7, evenly(_overdue_reports(limits), _report_failures())),
            Row(7, evenly(_collectors(), _cpu(), _memory(), _disk())),
            long_term_store(limits),
        ),
    )
