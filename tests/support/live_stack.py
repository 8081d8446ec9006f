"""A running stack, and the closed loop on it: what follows when a fault is switched on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping

DEMO_HEALTH = 'perfloop_health_score{service="demo"}'


@dataclass(frozen=True)
class LiveStack:
    """The addresses of a running stack, and the variables with which `perfloop` finds it."""

    demo: str
    inbox: str
    prometheus: str
    exporter: str = ""
    analyzer: str = ""
    loadgen: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an instant query."""
        answer = httpx.get(f"{self.prometheus}/api/v1/query", params={"query": expression}, timeout=30)
        result: list[dict[str, Any]] = answer.raise_for_status().json()["data"]["result"]
        return result

    def read(self, expression: str) -> float | None:
        """Return the value of the one series of a query, or None while there is none."""
        series = self.query(expression)
        return float(series[0]["value"][1]) if series else None

    def find_messages(self, **filters: str) -> list[dict[str, Any]]:
        """Return the messages in the inbox."""
        answer = httpx.get(f"{self.inbox}/api/messages", params=filters, timeout=30)
        messages: list[dict[str, Any]] = answer.raise_for_status().json()
        return messages

    def break_demo(self, **faults: float) -> None:
        """Switch faults on."""
        httpx.put(f"{self.demo}/faults", json=faults, timeout=30).raise_for_status()

    def heal_demo(self) -> None:
        """Switch every fault off."""
        httpx.delete(f"{self.demo}/faults", timeout=30).raise_for_status()

    def wait_for_traffic(self) -> None:
        """Wait until the steady load has given every rule enough samples."""
        enough = 'sum(increase(http_server_request_duration_seconds_count{service="demo"}[1m])) > 60'
        wait_for(lambda: self.query(enough), "the steady load to reach Prometheus")
        wait_for(lambda: self.query(DEMO_HEALTH), "the demo's health score")

    def wait_for_messages(self, status: str, alertname: str, channels: set[str]) -> None:
        """Wait until the notification has arrived by every channel."""

        def arrived() -> bool:
            found = self.find_messages(status=status, alertname=alertname)
            return channels <= {message["channel"] for message in found}

        wait_for(arrived, f"the {status} notification of {alertname} by {', '.join(sorted(channels))}")


def find_firing_alert(stack: LiveStack) -> dict[str, str]:
    """Wait for the alert about the demo's database and return its labels."""
    firing = 'ALERTS{alertstate="firing", service="demo", signal="db_query_time_p95", severity="critical"}'
    (alert,) = wait_for(lambda: stack.query(firing), "the database alert to fire")[:1]
    labels: dict[str, str] = alert["metric"]
    return labels


def assert_loop_closes(stack: LiveStack) -> None:
    """Slow queries bring alert, notifications, a lower score and a recommendation; healing brings the all-clear."""
    stack.heal_demo()
    stack.wait_for_traffic()
    before = wait_for(lambda: stack.read(f"{DEMO_HEALTH} > 80"), "the demo to be healthy")

    stack.break_demo(slow_queries=0.4)
    alert = find_firing_alert(stack)
    assert alert["signal"] == "db_query_time_p95"
    # A critical alert goes to all three channels.
    stack.wait_for_messages("firing", alert["alertname"], {"slack", "email", "pagerduty"})
    wait_for(lambda: stack.query(f"{DEMO_HEALTH} < {before}"), f"a health score below {before:g}")
    named = 'perfloop_recommendation_info{service="demo", category="database", state="open", title=~"(?i).*database.*"}'
    wait_for(lambda: stack.query(named), "a recommendation that names the database")

    stack.heal_demo()
    stack.wait_for_messages("resolved", alert["alertname"], {"slack", "email", "pagerduty"})
    wait_for(lambda: stack.query(f"{DEMO_HEALTH} >= {before}"), "the health score to come back")
