"""The service's own series that a report shows beside the client's: the one list of them.

Names are those that the exporter, the instrumentation and vLLM give them (HTTP, database, cache, language models,
process, machine). In an expression `$service` stands for the matcher of the service under test, and `$window` for a
range: the whole run for the figure, a few scrapes for the plot. An expression without `$window` is a state, and its
figure is its mean.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

# What the client measured of the same thing.
CLIENT_RATE, CLIENT_P95, CLIENT_ERRORS = "rate", "p95", "errors"
SERVICE, WINDOW = "$service", "$window"
# The counter by which requests of client and server are compared one by one.
REQUESTS = "sum(http_server_request_duration_seconds_count{$service})"


@dataclass(frozen=True, slots=True)
class Definition:
    """One thing that is measured; `unit` is a base unit, or a noun that is counted."""

    name: str
    title: str
    unit: str
    expr: str
    client: str = ""


_FAILED = (
    'sum(rate(http_server_request_duration_seconds_count{http_response_status_code=~"5..",$service}[$window]) or '
    "rate(http_server_request_duration_seconds_count"
    '{error_type!="",http_response_status_code!~"4..",$service}[$window]))'
)
_ALL = "sum(rate(http_server_request_duration_seconds_count{$service}[$window]))"

DEFINITIONS = (
    Definition("request_rate", "requests", "per_second", _ALL, CLIENT_RATE),
    Definition(
        "response_time_p95",
        "response time p95",
        "seconds",
        "histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket{$service}[$window])))",
        CLIENT_P95,
    ),
    Definition("error_ratio", "failed requests", "ratio", f"({_FAILED} or {_ALL} * 0) / {_ALL}", CLIENT_ERRORS),
    Definition("active_requests", "requests under way", "number", "sum(http_server_active_requests{$service})"),
    Definition("process_cpu", "CPU of the process", "cores", "sum(rate(process_cpu_seconds_total{$service}[$window]))"),
    Definition("process_memory", "memory of the process", "bytes", "sum(process_resident_memory_bytes{$service})"),
    Definition(
        "machine_cpu",
        "CPU of the machine",
        "ratio",
        '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[$window]))',
    ),
    Definition(
        "machine_memory",
        "memory of the machine",
        "ratio",
        "1 - max by (instance) (node_memory_MemAvailable_bytes) / max by (instance) (node_memory_MemTotal_bytes)",
    ),
    Definition(
        "db_query_time_p95",
        "database query time p95",
        "seconds",
        "histogram_quantile(0.95, sum by (db_system_name, le) "
        "(rate(db_client_operation_duration_seconds_bucket{$service}[$window])))",
    ),
    Definition(
        "db_pool_used",
        "connection pool used",
        "ratio",
        'sum by (pool) (db_client_connection_count{state="used",$service}) '
        "/ sum by (pool) (db_client_connection_max{$service})",
    ),
    Definition(
        "cache_hit_ratio",
        "cache hits",
        "ratio",
        "sum by (cache) (rate(cache_hits_total{$service}[$window])) "
        "/ sum by (cache) (rate(cache_requests_total{$service}[$window]))",
    ),
    Definition(
        "first_token_p95",
        "time to first token p95",
        "seconds",
        "histogram_quantile(0.95, sum by (le) ("
        "rate(gen_ai_server_time_to_first_token_seconds_bucket{$service}[$window]) "
        "or rate(vllm:time_to_first_token_seconds_bucket[$window])))",
    ),
    Definition("vllm_running", "vLLM: requests running", "number", "sum by (model_name) (vllm:num_requests_running)"),
    Definition("vllm_waiting", "vLLM: requests waiting", "number", "sum by (model_name) (vllm:num_requests_waiting)"),
    Definition(
        "vllm_kv_cache",
        "vLLM: KV cache used",
        "ratio",
        "max by (model_name) (vllm:kv_cache_usage_perc or vllm:gpu_cache_usage_perc)",
    ),
)


def fill(expr: str, matcher: str, window_seconds: float) -> str:
    """Return an expression with its service and its range, which is a whole number of seconds for Prometheus 2."""
    return expr.replace(SERVICE, matcher).replace(WINDOW, f"{max(1, round(window_seconds))}s")


def name_of(matcher: str) -> str:
    """Return the value in `label="value"`; empty of nothing."""
    _, _, quoted = matcher.partition("=")
    text: str = json.loads(quoted, strict=False) if quoted else ""
    return text


def matcher_of(label: str, value: str) -> str:
    """Return `label="value"`, whatever is in the value."""
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{label}="{quoted}"'
