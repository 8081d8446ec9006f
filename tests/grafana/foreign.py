"""What a healthy demo never shows, as a scrape returns it: programs that are not here, and findings of every kind."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = 'model_name="llama",engine="0"'
COUNTERS = {
    f"vllm:prompt_tokens_total{{{MODEL}}}": 900,
    f"vllm:prompt_tokens_cached_total{{{MODEL}}}": 450,
    f"vllm:generation_tokens_total{{{MODEL}}}": 300,
    f"vllm:num_preemptions_total{{{MODEL}}}": 1,
    f"vllm:prefix_cache_queries_total{{{MODEL}}}": 900,
    f"vllm:prefix_cache_hits_total{{{MODEL}}}": 450,
    f'vllm:request_success_total{{{MODEL},finished_reason="stop"}}': 5,
    f'vllm:request_success_total{{{MODEL},finished_reason="abort"}}': 1,
    f'vllm:request_success_total{{{MODEL},finished_reason="length"}}': 2,
    f'vllm:request_success_total{{{MODEL},finished_reason="error"}}': 1,
    'pg_stat_database_blks_hit{datname="app"}': 990,
    'pg_stat_database_blks_read{datname="app"}': 10,
    "redis_evicted_keys_total": 3,
    "redis_expired_keys_total": 7,
}
RECOMMENDATION = 'id="slow",service="shop",category="waste",priority="high",title="Lower the limit"'
OF_SIGNAL = 'service="shop",signal="api_response_time_p95"'
# The analyzer's findings and an ended load test, with the names and labels of the wire contract.
FINDINGS = {
    **{
        f"perfloop_anomaly_{edge}{{{OF_SIGNAL}}}": value
        for edge, value in (("lower", 1), ("expected", 2), ("upper", 3))
    },
    f"perfloop_anomaly_score{{{OF_SIGNAL}}}": 4,
    f"perfloop_signal_value{{{OF_SIGNAL}}}": 6,
    f"perfloop_change_point_timestamp_seconds{{{OF_SIGNAL}}}": 1.8e9,
    f"perfloop_change_point_before{{{OF_SIGNAL}}}": 0.02,
    f"perfloop_change_point_after{{{OF_SIGNAL}}}": 0.733,
    f'perfloop_change_point_info{{{OF_SIGNAL},levels="20 ms → 733 ms"}}': 1,
    f"perfloop_trend_slope{{{OF_SIGNAL}}}": 0.001,
    **{f'perfloop_seconds_until_limit{{{OF_SIGNAL},bound="{bound}"}}': 9e4 for bound in ("lower", "expected", "upper")},
    'perfloop_seconds_until_limit{service="shop",signal="error_budget",series="slo=latency",bound="expected"}': "+Inf",
    f"perfloop_health_penalty{{{OF_SIGNAL}}}": 30,
    'perfloop_health_score{service="shop"}': 70,
    'perfloop_health_score{service="overall"}': 70,
    "perfloop_analyzer_last_success_timestamp_seconds": 1.8e9,
    'perfloop_incident_start_timestamp_seconds{incident="1",service="shop"}': 1.7e9,
    f'perfloop_finding_start_timestamp_seconds{{incident="1",{OF_SIGNAL}}}': 1.7e9,
    **{f'perfloop_recommendation_rank{{id="{name}"}}': rank for rank, name in enumerate(("slow", "cpu"), 1)},
    **{f'perfloop_recommendation_start_timestamp_seconds{{id="{name}"}}': 1.7e9 for name in ("slow", "cpu")},
    'perfloop_bottleneck{resource="database",service="shop",severity="critical"}': 0.8,
    'perfloop_root_cause_score{incident="1",resource="database",service="shop"}': 0.8,
    f'perfloop_recommendation_info{{{RECOMMENDATION},state="validated"}}': 1,
    'perfloop_recommendation_expected_improvement_ratio{id="slow"}': 0.5,
    'perfloop_recommendation_measured_improvement_ratio{id="slow"}': 0.4,
    'perfloop_recommendation_proved_improvement_ratio{id="slow"}': 0.45,
    'perfloop_recommendation_outcomes{rule="slow_queries",inside="true"}': 3,
    'perfloop_recommendation_outcomes{rule="slow_queries",inside="false"}': 1,
    'perfloop_recommendation_info{id="cpu",service="shop",category="code",priority="low",title="Less",state="open"}': 1,
    'perfloop_recommendation_expected_improvement_ratio{id="cpu"}': 0.2,
    'perfloop_desired_replicas{service="shop"}': 3,
    'perfloop_capacity_limit_info{service="shop",resource="cpu"}': 1,
    'perfloop_headroom_ratio{service="shop"}': 2,
    'perfloop_price_info{currency="EUR"}': 1,
    'perfloop_cost_per_hour{service="shop",resource="cores"}': 0.4,
    'perfloop_cost_per_thousand_requests{service="shop"}': 0.002,
    'perfloop_cost_per_million_tokens{service="shop"}': 0.9,
    **{f"perfloop_cost_{name}_per_hour": value for name, value in (("baseline", 4), ("budget", 5), ("goal", 3))},
    **{f'perfloop_cost_reduction_ratio{{kind="{kind}"}}': 0.2 for kind in ("now", "planned", "measured")},
    **{f'perfloop_error_budget_cost{{service="shop",slo="latency",part="{part}"}}': 9 for part in ("spent", "allowed")},
    **{f'perfloop_savings_per_month{{kind="{kind}"}}': 90 for kind in ("expected", "measured")},
    **{
        f'perfloop_recommendation_saving_per_month{{id="{name}",kind="{kind}"}}': 9
        for name in ("slow", "cpu")
        for kind in ("expected", "measured")
    },
    'perfloop_recommendation_effort_cost{id="cpu"}': 160,
    'perfloop_waste_ratio{service="shop",resource="cpu"}': 0.5,
    'perfloop_needed_replicas{service="shop",reason="load"}': 3,
    'perfloop_replicas_limit{service="shop",limit="max"}': 10,
    'perfloop_capacity_goal_info{service="shop",goal="goal_growth",state="met"}': 1,
    **{
        f'perfloop_{name}_requests_per_second{{service="shop",{horizon}bound="{bound}"}}': value
        for name, horizon in (("capacity", ""), ("forecast", 'horizon="1h",'), ("forecast", 'horizon="1w",'))
        for bound, value in (("lower", 200), ("expected", 240), ("upper", 270))
    },
}
GAUGES = {
    **FINDINGS,
    f"vllm:num_requests_running{{{MODEL}}}": 8,
    f"vllm:num_requests_waiting{{{MODEL}}}": 5,
    f'vllm:num_requests_waiting_by_reason{{{MODEL},reason="capacity"}}': 2,
    f'vllm:num_requests_waiting_by_reason{{{MODEL},reason="deferred"}}': 3,
    f"vllm:kv_cache_usage_perc{{{MODEL}}}": 0.4,
    'DCGM_FI_DEV_GPU_UTIL{gpu="0"}': 70,
    'DCGM_FI_DEV_GPU_TEMP{gpu="0"}': 61,
    'DCGM_FI_DEV_FB_USED{gpu="0"}': 30_000,
    'DCGM_FI_DEV_FB_FREE{gpu="0"}': 10_000,
    'DCGM_FI_DEV_POWER_USAGE{gpu="0"}': 290,
    'pg_stat_activity_count{datname="app",state="active"}': 12,
    "pg_settings_max_connections": 100,
    "redis_memory_used_bytes": 1e8,
    "redis_memory_max_bytes": 2e8,
}
# The old spelling of time per token: vLLM renamed it, and both must be read.
HISTOGRAMS = {
    "vllm:time_to_first_token_seconds": 0.1,
    "vllm:time_per_output_token_seconds": 0.025,
    "vllm:e2e_request_latency_seconds": 2.0,
    "vllm:request_queue_time_seconds": 0.3,
    "vllm:request_prefill_time_seconds": 0.2,
    "vllm:request_decode_time_seconds": 1.5,
    "vllm:request_prompt_tokens": 200,
    "vllm:request_generation_tokens": 100,
    "vllm:request_max_num_generation_tokens": 100,
    "vllm:request_params_max_tokens": 500,
    "vllm:iteration_tokens_total": 512,
}


def expose(age: float) -> str:
    """Their metrics after `age` seconds of steady work."""
    lines = [f"{series} {value}" for series, value in GAUGES.items()]
    lines += [f"{series} {per_second * age}" for series, per_second in COUNTERS.items()]
    for name, bound in HISTOGRAMS.items():
        for le in (bound / 2, bound, bound * 2, "+Inf"):
            lines.append(f'{name}_bucket{{{MODEL},le="{le}"}} {(3 if le == bound / 2 else 6) * age}')
        lines += [f"{name}_sum{{{MODEL}}} {4 * bound * age}", f"{name}_count{{{MODEL}}} {6 * age}"]
    return "\n".join(lines) + "\n"


class Foreign(BaseHTTPRequestHandler):
    """Answers each scrape."""

    started: ClassVar[float] = time.monotonic()

    def do_GET(self) -> None:
        """One scrape."""
        body = expose(time.monotonic() - self.started + 60).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class' own name
        """Keep the test's output free of requests."""


@contextmanager
def serve() -> Iterator[int]:
    """Answer scrapes on a port for a while."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Foreign) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
