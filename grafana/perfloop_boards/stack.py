"""The stack's own board: is what watches the service itself well, and what does it cost?"""

from __future__ import annotations

from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice
from perfloop_boards.limits import FIRST_IS_BAD, Limit, alert_limit, percent, seconds
from perfloop_boards.panels import About, lines, number, timeline
from perfloop_boards.queries import Query, highest, selector
from perfloop_boards.tables import bars
from perfloop_boards.words import UP

JOB = selector('job=~"$job"')
NO_ANALYZER = "The analyzer is not scraped: is it up?"
NO_PROMETHEUS = "Prometheus does not scrape itself: see prometheus/prometheus.yml."
INTERVAL = 10  # seconds: the analyzer's cycle
STALE = alert_limit("AnalyzerStale")
SLOW_SCRAPE = alert_limit("ScrapeTooSlow")
SLOW_RULES = alert_limit("RuleEvaluationSlow")
CYCLE_LIMIT = Limit(warning=INTERVAL / 2, critical=INTERVAL)

DOWN_NOW = number(
    About(
        "Targets down",
        "Good: 0. What is down is not watched: the timeline below names it.",
        "none",
        "no target",
        decimals=0,
    ),
    Query(f"count(up{JOB} == 0) or count(up{JOB}) * 0"),
    FIRST_IS_BAD,
)
SERIES_NOW = number(
    About(
        "Series",
        "Held in memory, about 4 KB each. Good: level. A jump: a label took free text somewhere.",
        "short",
        "none",
        decimals=1,
    ),
    Query("sum(prometheus_tsdb_head_series)"),
    Limit(warning=1_000_000, critical=5_000_000),
)
RULES_NOW = number(
    About(
        "Failed rules",
        "In 5 min. Good: 0. A rule that fails is an alert that cannot fire: see Prometheus' page of rules.",
        "none",
        "none",
        decimals=0,
    ),
    Query("sum(increase(prometheus_rule_evaluation_failures_total[5m]))"),
    FIRST_IS_BAD,
)
UNDELIVERED_NOW = number(
    About(
        "Dropped alerts",
        "From Prometheus to Alertmanager, in 5 min. Good: 0. Else Alertmanager is down or out of reach.",
        "none",
        "none",
        decimals=0,
    ),
    Query("sum(increase(prometheus_notifications_dropped_total[5m]))"),
    FIRST_IS_BAD,
)
CYCLE_NOW = number(
    About(
        "Analyzer cycle",
        f"Good: under half of its {INTERVAL} s interval. Above it cycles are shed, and findings come late.",
        "s",
        "no cycle yet",
    ),
    Query("max(perfloop_analyzer_cycle_seconds)"),
    CYCLE_LIMIT,
)
AGE_NOW = number(
    About(
        "Analysis age",
        f"Since the last good cycle. Good: under two intervals. "
        f"Above {seconds(STALE.warning)}: what is shown is the past.",
        "s",
        "no cycle yet",
        decimals=0,
    ),
    Query("time() - max(perfloop_analyzer_last_success_timestamp_seconds > 0)"),
    STALE,
)
TARGETS = timeline(
    About(
        "Which target was down, and when?",
        "Good: all green. A gap means that nobody looked: Prometheus itself was away.",
        "none",
        "No target of this job.",
    ),
    Query(f"max by (job, instance) (up{JOB})", "{{job}} · {{instance}}"),
    UP,
)
SCRAPE_TIME = lines(
    About(
        "How long do scrapes take?",
        f"Good: well under the limit of {seconds(SLOW_SCRAPE.warning)}. "
        "Slow: too many series, or a collector that waits.",
        "s",
        NO_PROMETHEUS,
    ),
    [Query(f"max by (job) (scrape_duration_seconds{JOB})", "{{job}}")],
    SLOW_SCRAPE,
)
SAMPLES = lines(
    About(
        "How much does each job export?",
        "Samples for each scrape. Good: level. A climb without end: a label with free text.",
        "short",
        NO_PROMETHEUS,
    ),
    [Query(f"sum by (job) (scrape_samples_post_metric_relabeling{JOB})", "{{job}}")],
    known=colours.PARTS,
)
RULE_SECONDS = "prometheus_rule_group_last_duration_seconds"
RULE_SHARE = highest(
    6, f"max by (rule_group) ({RULE_SECONDS} / prometheus_rule_group_interval_seconds)", RULE_SECONDS, "rule_group"
)
RULE_TIME = lines(
    About(
        "How long do the rules take?",
        f"Of each group's interval, the slowest six. Good: under {percent(SLOW_RULES.warning)}. "
        "At 100 % the next evaluation is missed.",
        "percentunit",
        NO_PROMETHEUS,
    ),
    [
        Query(
            # A group is named by its folder, its file and itself: the folder and the group tell them apart.
            f'label_replace({RULE_SHARE}, "group", "$2 ($1)", "rule_group", "(?:.*/)?([^/]+)/[^/]+;(.+)")',
            "{{group}}",
        )
    ],
    SLOW_RULES,
)
QUERY_TIME = lines(
    About(
        "How long do queries take?",
        "p90 inside Prometheus by kind. Good: under a second. Above: record what is asked most.",
        "s",
        NO_PROMETHEUS,
    ),
    [Query('max by (slice) (prometheus_engine_query_duration_seconds{quantile="0.9"})', "{{slice}}")],
    Limit(warning=1),
)
NOTIFIED = lines(
    About(
        "Do alerts get through?",
        "Alerts per second to Alertmanager. Good: dropped stays on the ground; the watchdog alone is a trickle.",
        "short",
        NO_PROMETHEUS,
    ),
    [
        Query("sum(rate(prometheus_notifications_sent_total[$__rate_interval]))", "alerts sent", colours.TRAFFIC),
        Query("sum(rate(prometheus_notifications_dropped_total[$__rate_interval]))", "alerts dropped", colours.ERRORS),
    ],
)
CYCLE = lines(
    About(
        "What does a cycle cost?",
        "Good: under the dashed line. Mostly waiting: Prometheus is slow; mostly work: too many signals.",
        "s",
        NO_ANALYZER,
    ),
    [
        Query("max(perfloop_analyzer_cycle_seconds)", "whole cycle", colours.SLOW),
        Query("max(perfloop_analyzer_query_seconds)", "waiting for Prometheus", colours.TRAFFIC),
    ],
    CYCLE_LIMIT,
)
CYCLES = lines(
    About(
        "How do cycles end?",
        "Cycles in five minutes. Good: complete alone. Partial: some questions failed. Shed: they took too long.",
        "none",
        NO_ANALYZER,
    ),
    [Query("sum by (outcome) (increase(perfloop_analyzer_cycles_total[5m]))", "{{outcome}}")],
    known=colours.OUTCOMES,
)
ASKED = lines(
    About(
        "What does the analyzer ask of Prometheus?",
        "Good: level; failures on the ground. It lives under a budget and backs off.",
        "short",
        NO_ANALYZER,
    ),
    [
        Query("sum(rate(perfloop_analyzer_queries_total[$__rate_interval]))", "questions/s", colours.TRAFFIC),
        Query("sum(rate(perfloop_analyzer_query_failures_total[$__rate_interval]))", "failed/s", colours.ERRORS),
    ],
)
COLLECTORS = bars(
    About(
        "Which collector is slow?",
        "Good: milliseconds. One far above: a device or a network disk that does not answer.",
        "s",
        "The exporter is not scraped: is it up?",
    ),
    Query(
        "sort_desc(topk(6, max by (collector) (node_scrape_collector_duration_seconds)))", "{{collector}}", instant=True
    ),
    Limit(warning=0.1, critical=1),
    full=0.2,
    of="Seconds",
)
CPU = lines(
    About(
        "CPU of each part",
        "CPUs. Good: together under a tenth of the machine. The stack must not be the load that it reports.",
        "none",
        NO_PROMETHEUS,
    ),
    [Query(f"sum by (job) (rate(process_cpu_seconds_total{JOB}[$__rate_interval]))", "{{job}}")],
    known=colours.PARTS,
)
MEMORY = lines(
    About(
        "Memory of each part",
        "Good: level. A slope that never ends is a leak: restart it, then report it.",
        "bytes",
        NO_PROMETHEUS,
    ),
    [Query(f"sum by (job) (process_resident_memory_bytes{JOB})", "{{job}}")],
    known=colours.PARTS,
)
DISK = lines(
    About(
        "Disk of the history",
        "Blocks and write-ahead log. Good: level once the retention is reached.",
        "bytes",
        NO_PROMETHEUS,
    ),
    [
        Query("sum(prometheus_tsdb_storage_blocks_bytes)", "blocks", colours.DISK),
        Query("sum(prometheus_tsdb_wal_storage_size_bytes)", "write-ahead log", colours.OTHER),
    ],
)

BOARD = Board(
    uid="stack",
    title="The stack itself",
    question="Is what watches the service itself well, and what does it cost?",
    related=("system", "analysis", "alerts"),
    variables=(choice("job", "Job", "up"),),
    rows=(
        Row(4, [(4, panel) for panel in (DOWN_NOW, RULES_NOW, UNDELIVERED_NOW, AGE_NOW, CYCLE_NOW, SERIES_NOW)]),
        Row(8, [(12, TARGETS), (6, SCRAPE_TIME), (6, SAMPLES)]),
        Row(7, [(8, RULE_TIME), (8, QUERY_TIME), (8, NOTIFIED)]),
        Row(7, [(8, CYCLE), (8, CYCLES), (8, ASKED)]),
        Row(7, [(6, COLLECTORS), (6, CPU), (6, MEMORY), (6, DISK)]),
    ),
)
