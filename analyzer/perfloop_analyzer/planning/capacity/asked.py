"""What is asked for capacity: rates, response times, errors, how busy each resource is, and what load tests found."""

from __future__ import annotations

from perfloop_analyzer.planning.asks import OFTEN_SECONDS, SELDOM_SECONDS, Ask

SERVED = "http_server_request_duration_seconds"
# Streamed answers last as long as they are: as in the latency objective they do not count.
NOT_STREAMED = 'http_route!="/v1/chat/completions"'
TOKEN = "vllm:time_to_first_token_seconds"  # noqa: S105 - of a text
# Of services that count HTTP requests, else of vLLM's own count.
RATE = f"sum by (service) (rate({SERVED}_count[$step])) or sum by (service) (rate({TOKEN}_count[$step]))"
FAILED = (
    f'rate({SERVED}_count{{http_response_status_code=~"5.."}}[$step]) '
    f'or rate({SERVED}_count{{error_type!="",http_response_status_code!~"4.."}}[$step])'
)
QUERIES = {
    "rate": RATE,
    "replicas": (
        f"count by (service) (count by (service, instance) (rate({SERVED}_count[$step]))) "
        f"or count by (service) (count by (service, instance) (rate({TOKEN}_count[$step])))"
    ),
    "p95": f"histogram_quantile(0.95, sum by (service, le) (rate({SERVED}_bucket{{{NOT_STREAMED}}}[$step]))) > 0",
    "first_token_p95": f"histogram_quantile(0.95, sum by (service, le) (rate({TOKEN}_bucket[$step]))) > 0",
    "mean": f"sum by (service) (rate({SERVED}_sum[$step])) / (sum by (service) (rate({SERVED}_count[$step])) > 0)",
    "errors": (
        f"(sum by (service) ({FAILED}) or sum by (service) (rate({SERVED}_count[$step])) * 0) "
        f"/ (sum by (service) (rate({SERVED}_count[$step])) > 0)"
    ),
    "cpu": "sum by (service) (rate(process_cpu_seconds_total[$step]))",
    # A Python process runs on about one core, whatever the machine has.
    "cpu_size": (
        "count by (service) (python_info) or count by (service) (process_cpu_seconds_total) "
        '* on () group_left () max(count by (instance) (node_cpu_seconds_total{mode="idle"}))'
    ),
    "pool": 'sum by (service) (avg_over_time(db_client_connection_count{state="used"}[$step]))',
    "pool_size": "sum by (service) (db_client_connection_max)",
    "gpu": "sum by (service) (avg_over_time(perfloop_gpu_used_ratio[$step])) "
    "or sum by (service) (avg_over_time(DCGM_FI_DEV_GPU_UTIL[$step])) / 100",
    "gpu_size": "count by (service) (perfloop_gpu_used_ratio) or count by (service) (DCGM_FI_DEV_GPU_UTIL)",
    "kv_cache": "sum by (service) (avg_over_time(vllm:kv_cache_usage_perc[$step])) "
    "or sum by (service) (avg_over_time(vllm:gpu_cache_usage_perc[$step]))",
    "kv_cache_size": "count by (service) (vllm:kv_cache_usage_perc) or count by (service) (vllm:gpu_cache_usage_perc)",
    "network": 'sum by (service) (rate(node_network_transmit_bytes_total{device!="lo"}[$step]))',
    "network_size": 'sum by (service) (node_network_speed_bytes{device!="lo"} > 0)',
}
HOUR, DAY = "plan_", "plan_day_"

# The last hour closely: `plan_rate` is what every part takes for the rate now.
NOW = Ask("capacity now", {HOUR + name: expr for name, expr in QUERIES.items()}, OFTEN_SECONDS, 60.0, 60)
# The day before: rates of other times of the day.
LONG = Ask("capacity of a day", {DAY + name: expr for name, expr in QUERIES.items()}, SELDOM_SECONDS, 600.0, 144)
# What load tests of the last thirty days found: they end, and what they published with them.
TESTED = Ask(
    "load tests",
    {
        "plan_tested": "last_over_time(loadgen_run_capacity_rate[30d])",
        "plan_tested_at": "last_over_time(loadgen_run_start_timestamp_seconds[30d])",
    },
    OFTEN_SECONDS,
    60.0,
    2,
)
CAPACITY_ASKS = (NOW, LONG, TESTED)
