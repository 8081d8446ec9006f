"""Every check, in the order of the checklist."""

from __future__ import annotations

from perfloop.check import advice, analysis, backups, channels, load_tests, monitoring, objectives, reviews
from perfloop.check.checklist import Check
from perfloop.check.findings import Item, Part

BASELINES = Item(Part.PRE, "Performance baselines established")
TESTED = Item(Part.PRE, "Load testing completed successfully")
CONFIGURED = Item(Part.PRE, "Performance thresholds configured")
SET_UP = Item(Part.PRE, "Monitoring and alerting set up")
IMPLEMENTED = Item(Part.PRE, "Optimization recommendations implemented")
RECOVERABLE = Item(Part.PRE, "What cannot be made again is backed up")
ACTIVE = Item(Part.POST, "Real-time monitoring active")
WITHIN = Item(Part.POST, "Performance metrics within thresholds")
ALERTING = Item(Part.POST, "Alert system functioning")
REVIEWED = Item(Part.POST, "Regular performance reviews scheduled")
IMPROVED = Item(Part.POST, "Continuous optimization process established")
ITEMS = (
    *(BASELINES, TESTED, CONFIGURED, SET_UP, IMPLEMENTED, RECOVERABLE),
    *(ACTIVE, WITHIN, ALERTING, REVIEWED, IMPROVED),
)
_STORE, _RULES = "the load generator's store", "Prometheus: /api/v1/rules"

CHECKS = (
    Check(
        "baseline", "A load test has a baseline", (BASELINES,), _STORE, load_tests.look_for_baseline, advice.LIST_RUNS
    ),
    Check(
        "load-test",
        "Load tests passed on what goes live",
        (TESTED,),
        f"{_STORE}; git",
        load_tests.look_for_passed_test,
        advice.LIST_RUNS,
    ),
    Check(
        "throughput",
        "A load test has shown the goal for throughput",
        (TESTED,),
        f"{_STORE}; prometheus/scaling.yml",
        load_tests.look_for_throughput,
        advice.LIST_RUNS,
    ),
    Check(
        "headroom",
        "There is headroom for growth",
        (TESTED,),
        "the analyzer: /api/v1/capacity; prometheus/scaling.yml",
        analysis.look_at_headroom,
        advice.READ_ANALYZER,
    ),
    Check(
        "configuration",
        "Limits and objectives are set, and every file is valid",
        (CONFIGURED,),
        "the configuration's files",
        monitoring.look_at_configuration,
        advice.UNDERSTAND,
    ),
    Check(
        "limits",
        "Limits are the same everywhere",
        (CONFIGURED,),
        "exporter, Prometheus, analyzer, Grafana, prometheus/thresholds.yml",
        monitoring.look_at_limits,
        advice.STATUS,
    ),
    Check("alerts", "Rules and alerts are loaded", (SET_UP,), _RULES, monitoring.look_at_alerts, advice.STATUS),
    Check(
        "routes",
        "Alerts go to an Alertmanager with the routes of the files",
        (SET_UP,),
        "Prometheus: /api/v1/alertmanagers; Alertmanager's hash of its configuration",
        monitoring.look_at_routes,
        advice.STATUS,
    ),
    Check(
        "real-channel",
        "Alerts reach somebody outside",
        (SET_UP,),
        "secrets/",
        channels.look_for_a_real_channel,
        advice.ADD_CHANNEL,
    ),
    Check(
        "test-alert",
        "A test alert arrives",
        (SET_UP, ALERTING),
        "the inbox; Alertmanager's counts of notifications",
        channels.look_at_channels,
        advice.STATUS,
    ),
    Check(
        "retention",
        "Data is kept for the longest window",
        (SET_UP,),
        f"{_RULES}, /api/v1/status/runtimeinfo",
        monitoring.look_at_retention,
        advice.STATUS,
    ),
    Check(
        "remote-write",
        "Samples reach the long-term store",
        (SET_UP, ACTIVE),
        "Prometheus: prometheus_remote_storage_*, vm_*",
        monitoring.look_at_remote_write,
        advice.STATUS,
    ),
    Check(
        "dashboards",
        "Dashboards are provisioned",
        (SET_UP, ACTIVE),
        "Grafana: /api/dashboards/uid",
        monitoring.look_at_dashboards,
        advice.GET_GRAFANA,
    ),
    Check(
        "critical-recommendations",
        "No critical recommendation is open",
        (IMPLEMENTED,),
        "the analyzer: /api/v1/recommendations",
        analysis.look_at_critical,
        advice.READ_ANALYZER,
    ),
    Check(
        "backup",
        "There is a young backup",
        (RECOVERABLE,),
        "backups.json of the stack's directory",
        backups.look_at_backup,
        advice.BACK_UP,
    ),
    Check(
        "secrets-backup",
        "Secrets can be restored",
        (RECOVERABLE,),
        "backups.json of the stack's directory; secrets/",
        backups.look_at_secrets,
        advice.BACK_UP_SECRETS,
    ),
    Check(
        "targets",
        "Every target is up",
        (ACTIVE,),
        "Prometheus: /api/v1/targets",
        monitoring.look_at_targets,
        advice.STATUS,
    ),
    Check(
        "services",
        "Requests of services are recorded",
        (ACTIVE,),
        "Prometheus: service_slo:slo_events:rate5m",
        monitoring.look_at_services,
        advice.STATUS,
    ),
    Check(
        "analysis",
        "The analyzer sees the present",
        (ACTIVE,),
        "the analyzer: /api/v1/health",
        analysis.look_at_analyzer,
        advice.READ_ANALYZER,
    ),
    Check(
        "objective",
        "Objectives are met",
        (WITHIN,),
        "Prometheus: service_slo:*; prometheus/slos.yml",
        objectives.look_at_objectives,
        advice.STATUS,
    ),
    Check(
        "goal",
        "Goals are met",
        (WITHIN,),
        "Prometheus; the goals of prometheus/thresholds.yml",
        objectives.look_at_goals,
        advice.STATUS,
    ),
    Check("firing", "No alert fires", (WITHIN,), "Prometheus: ALERTS", objectives.look_at_firing, advice.STATUS),
    Check(
        "reviews",
        "Reports are scheduled and made",
        (REVIEWED,),
        "prometheus/reports.yml; the analyzer's metrics",
        reviews.look_at_reviews,
        advice.SCHEDULE,
    ),
    Check(
        "progress",
        "No recommendation waits for long",
        (IMPROVED,),
        "the analyzer: /api/v1/recommendations",
        analysis.look_at_progress,
        advice.READ_ANALYZER,
    ),
)
