"""What is asked for scaling: the load of the last hour, and what waits, runs and is in use now.

vLLM counts no arrivals: what came is what it began to serve and what its line grew by. Tokens per second of servers
with a line are what full servers serve.
"""

from __future__ import annotations

from perfloop_analyzer.planning.asks import SELDOM_SECONDS, Ask

EVERY_SECONDS = STEP_SECONDS = 15.0
POINTS = 240  # an hour
# Only what waits for capacity is a line; older vLLM has no reason.
_LINE = (
    '(sum by (service) (vllm:num_requests_waiting_by_reason{reason="capacity"}) '
    "or sum by (service) (vllm:num_requests_waiting))"
)
_BEGUN = "sum by (service) (rate(vllm:time_to_first_token_seconds_count[$window]))"
_TOKENS = (
    "(sum by (service) (rate(vllm:prompt_tokens_total[{over}])) "
    "+ sum by (service) (rate(vllm:generation_tokens_total[{over}])))"
)
_SERVERS = "count by (service) (vllm:num_requests_running)"

LOAD = Ask(
    name="load",
    queries={
        "scale_requests": "sum by (service) (rate(http_server_request_duration_seconds_count[$window]))",
        "scale_arrivals": (
            f"clamp_min({_BEGUN} + sum by (service) (deriv(vllm:num_requests_waiting[$window])), 0) or {_BEGUN}"
        ),
    },
    every=EVERY_SECONDS,
    step=STEP_SECONDS,
    points=POINTS,
)
USE = Ask(
    name="use",
    queries={
        "scale_waiting": _LINE,
        "scale_running": "sum by (service) (vllm:num_requests_running)",
        "scale_cache": "avg by (service) (vllm:kv_cache_usage_perc or vllm:gpu_cache_usage_perc)",
        "scale_request_tokens": (
            _TOKENS.format(over="10m") + " / (sum by (service) (rate(vllm:request_success_total[10m])) > 0)"
        ),
        "scale_cores_used": "sum by (service) (rate(process_cpu_seconds_total[$window]))",
        "scale_cores_each": 'max(count by (instance) (node_cpu_seconds_total{mode="idle"}))',
        "scale_replicas": "count by (service) (up == 1)",
    },
    every=EVERY_SECONDS,
    step=STEP_SECONDS,
    points=4,
)
FULL = Ask(
    name="full servers",
    queries={
        "scale_full_tokens": (
            f"quantile_over_time(0.5, ({_TOKENS.format(over='1m')} / {_SERVERS} and on (service) {_LINE} > 0)[1d:1m])"
        ),
    },
    every=SELDOM_SECONDS,
    step=60.0,
    points=2,
)
ASKS = (LOAD, USE, FULL)
