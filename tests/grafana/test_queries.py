"""Every query of every board, run against a real Prometheus that scraped the real demo under load."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.grafana.boards import Panel, default_values, fill_in
from tests.support.waiting import wait_for
from tests.wire.promql import metric_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.live_stack import LiveStack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("live-stack"), pytest.mark.timeout(900)]
Boards = dict[str, dict[str, Any]]

# Queries over these find nothing on a stack that has run for a minute without a fault; each with its reason. What
# exporters that are not here, findings and ended tests would show is proven in test_foreign.py.
NOTHING_YET = {
    r"vllm:.*|DCGM_.*|perfloop_gpu_.*": "no vLLM, no GPU: see test_foreign.py",
    r"pg_.*|redis_.*": "neither exporter is here: see test_foreign.py",
    r"kube_.*|kubelet_.*": "no cluster is here: see test_kubernetes_board.py",
    r"mesh_.*": "no service mesh is here: see test_kubernetes_board.py",
    r"ALERTS.*": "no alert needs to fire on a healthy stack",
    r"perfloop_otlp_exports_total": "nothing is sent by OTLP unless it is asked for",
    r"alertmanager_notifications_failed_total": "no channel fails on a healthy stack",
    r"alertmanager_notification_latency_seconds_.*|inbox_messages_total": "nothing may have been sent yet",
    r"service:.*:p95_(low|high)_rate1m": "of histograms with wide buckets alone: the demo's are fine",
    r"perfloop_(anomaly_.*|signal_value|change_point_.*|trend_slope|seconds_until_limit)": "history of a minute",
    r"perfloop_(recommendation|root_cause|bottleneck|desired).*": "nothing need be wrong",
    r"perfloop_(capacity|replica_capacity|headroom).*": "a capacity takes a varied load, or a load test",
    r"loadgen_run_capacity_rate": "no search for a capacity has ended",
    r"perfloop_(price|cost|savings|error_budget_cost).*": "no prices ship with the stack",
    r"perfloop_forecast_requests_per_second": "a forecast takes three hours of data",
    r"perfloop_(needed_replicas|replicas_limit|load_ahead)": "they take a capacity, see above",
    r"perfloop_health_penalty": "a healthy service has no penalties",
    r"perfloop_waste_ratio": "a day of history is needed at least",
    r"service_slo:.*": "an SLO is judged over five minutes at least",
    r"loadgen_worker_.*": "the steady load is sent by one process alone",
    r"loadgen_(verdict|verdict_reason|threshold_passed|checks_total|phase)": "the steady load has no end and no gates",
    r"loadgen_(stored_run_.*|test_passed)": "no load test has ended and is stored on a stack that has just started",
    r"container_.*": "a machine without control groups that can be read has none, and limits are rare",
    r"instance:node_.*_pressure:rate1m": "a kernel without PSI has none",
    r"node_vmstat_oom_kill": "kernels before 4.13 do not count kills",
    r"node_(hwmon|thermal_zone|cooling_device|cpu_scaling|cpu_(core|package)_throttles|schedstat)_?\w*": (
        "sensors and counters that virtual machines lack: see test_hosts.py"
    ),
    r"node_(nf_conntrack|timex|udp_queues|entropy|arp|softnet|pressure_irq|softirqs)_?\w*": (
        "not every kernel, and not every setting, has them: see test_hosts.py"
    ),
    r"node_processes_(threads_)?state": "no process need be in each of the states",
    r"prometheus_tsdb_wal_storage_size_bytes": "Prometheus has it from 2.46 on",
    r"prometheus_remote_storage_(queue_|samples_).*|vm_.*": "no long-term store: see docs/scale.md",
}
# Queries that are empty because nothing is wrong, whatever they read.
GOOD_IF_EMPTY = (
    *(
        r'http_response_status_code=~"[345]\.\."',
        r'error_type!=""',
        r'outcome!="ok"',
        r"loadgen_schedule_lag",
        r"> 0\b|> 1\b",
    ),
    *(r"== 0\)", r'unless on \(\) max\(perfloop_health_score\{service="overall"\}'),  # what is down: nothing is
)


@pytest.fixture(scope="module")
def watched(live_stack: LiveStack) -> Iterator[httpx.Client]:
    """The Prometheus of the running stack, once it has been under load for a while."""
    live_stack.wait_for_traffic()
    wait_for(lambda: live_stack.query("service_db:db_client_operations:rate1m"), "the recording rules")
    for name in ("instance:node_cpu_used:ratio_rate1m", "service_cache:cache_hits_per_request:ratio_rate1m"):
        wait_for(lambda name=name: live_stack.query(name), "the recording rules of a minute")
    wait_for(lambda: live_stack.query("loadgen_run_info"), "the load generator's run")
    # The knee is a rate at which answers were quick: the first ones of a stack that has just started are not.
    quick = "histogram_quantile(0.95, sum by (le) (rate(loadgen_response_seconds_bucket[1m]))) < 1"
    wait_for(lambda: live_stack.query(f"max_over_time(({quick})[5m:15s])"), "answers within a second")
    # One connection for some six hundred questions.
    with httpx.Client(base_url=live_stack.prometheus, timeout=60) as prometheus:
        yield prometheus


def _queries(boards: Boards, panels: list[Panel]) -> Iterator[tuple[Panel, str]]:
    values = {uid: default_values(board) for uid, board in boards.items()}
    for panel in panels:
        for expression in panel.expressions:
            yield panel, fill_in(expression, values[panel.board])


def _ask(prometheus: httpx.Client, expression: str) -> tuple[str, list[Any]]:
    now = time.time()
    asked = {"query": expression, "start": now - 60, "end": now, "step": 15}
    answer = prometheus.get("/api/v1/query_range", params=asked).json()
    return answer.get("error", ""), answer.get("data", {}).get("result", [])


def _excused(guarded: str) -> bool:
    # Not by what is asked of the targets: a figure that finds nothing while they answer has its own reason.
    expression = guarded.split(") and on () (", maxsplit=1)[0]
    if any(re.search(pattern, expression) for pattern in GOOD_IF_EMPTY):
        return True
    return any(re.fullmatch(pattern, name) for name in metric_names(expression) for pattern in NOTHING_YET)


def test_every_query_runs_and_finds_something(watched: httpx.Client, boards: Boards, panels: list[Panel]):
    """No error, and data, unless the list above says why not."""
    wrong = []
    for panel, expression in _queries(boards, panels):
        error, found = _ask(watched, expression)
        if error or (not found and not _excused(expression)):
            wrong.append(f"{panel}: {error or 'no data'}: {expression}")
    assert wrong == []


def test_every_query_survives_a_missing_label(watched: httpx.Client, boards: Boards, panels: list[Panel]):
    """With nothing chosen at all a query finds nothing or something; it never fails."""
    for panel in panels:
        for expression in panel.expressions:
            empty = dict.fromkeys(default_values(boards[panel.board]), "")
            assert _ask(watched, fill_in(expression, empty))[0] == "", str(panel)


def test_every_variable_offers_its_values(watched: httpx.Client, boards: Boards):
    """Services, routes, instances and runs can be chosen; what needs a finding or a firing alert may be empty."""
    for uid, board in boards.items():
        for variable in board["templating"]["list"]:
            if variable["type"] == "datasource":
                continue
            match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
            assert match
            series = fill_in(match.group(1), default_values(board))
            answer = watched.get(f"/api/v1/label/{match.group(2)}/values", params={"match[]": series})
            assert answer.status_code == 200, (uid, variable["name"], answer.text)
            assert answer.json()["data"] or _excused(series), (uid, variable["name"])


def test_every_mark_runs(watched: httpx.Client, boards: Boards):
    """Annotations are queries too."""
    for uid, board in boards.items():
        for mark in board.get("annotations", {}).get("list", ()):
            assert _ask(watched, fill_in(mark["expr"], default_values(board)))[0] == "", uid


def test_every_excuse_has_its_reason():
    """An exception without a reason is a fault overlooked."""
    assert all(len(reason.split()) >= 4 for reason in NOTHING_YET.values())
