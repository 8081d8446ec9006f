"""What is asked for capacity: rates, response times, errors, and how busy each resource is."""

from __future__ import annotations

from perfloop_analyzer.planning.asks import OFTEN_SECONDS, Ask

# Streamed answers last as long as they are: as in the latency objective they do not count.
NOT_STREAMED = 'http_route!="/v1/chat/completions"'
SERVED = "http_server_request_duration_seconds"

NOW = Ask(
    name="capacity now",
    queries={
        "plan_rate": f"sum by (service) (rate({SERVED}_count[$step]))",
        "plan_replicas": "count by (service) (up == 1)",
    },
    every=OFTEN_SECONDS,
    step=60.0,
    points=60,
)
