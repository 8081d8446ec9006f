"""The metrics of the plan: the one home of their names, help and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from perfloop_analyzer.planning.plan import Plan

# name without `perfloop_`: (help, labels). A figure of another name or with other labels is an error.
PLANNED: dict[str, tuple[str, tuple[str, ...]]] = {
    "capacity_requests_per_second": (
        "The highest request rate of all running replicas that keeps the objectives, with the bounds that hold it.",
        ("service", "bound"),
    ),
    "replica_capacity_requests_per_second": (
        "The highest request rate of one replica that keeps the objectives, with the bounds that hold it.",
        ("service", "bound"),
    ),
    "headroom_ratio": ("Expected capacity over the request rate now.", ("service",)),
    "forecast_requests_per_second": (
        "The highest request rate of five minutes expected within a horizon, with the bounds that hold it in 90 %.",
        ("service", "horizon", "bound"),
    ),
    "desired_replicas": (
        "The fewest replicas that keep the objectives under the load of the next minutes, within their bounds.",
        ("service",),
    ),
    "needed_replicas": ("The replicas that one reason asks for, whatever the bounds.", ("service", "reason")),
    "replicas_limit": ("The fewest and the most replicas that scaling.yml allows.", ("service", "limit")),
    "load_ahead": (
        "The highest load per second until a replica that is asked for now answers, in requests or tokens.",
        ("service", "unit"),
    ),
    "price_info": ("The currency of every cost and saving; always 1.", ("currency",)),
    "cost_per_hour": (
        "What a resource costs in an hour that a service has reserved or uses; `unallocated` is what nobody has.",
        ("service", "resource"),
    ),
    "cost_budget_per_hour": ("What everything may cost in an hour, from the prices.", ()),
    "cost_per_thousand_requests": ("Everything that a service costs, by the requests that it answers.", ("service",)),
    "cost_per_million_tokens": ("Everything that a service costs, by the tokens that it processes.", ("service",)),
    "cost_baseline_per_hour": (
        "What everything cost in an hour when saving began: what the goal is compared with.",
        (),
    ),
    "cost_goal_per_hour": ("What everything may cost in an hour once the goal is reached.", ()),
    "cost_reduction_ratio": (
        "Share of the baseline that is saved: now, if everything expected were done (planned), and as measured.",
        ("kind",),
    ),
    "savings_per_month": (
        "Money that recommendations save in a month, all together: expected of those not measured yet, and measured.",
        ("kind",),
    ),
    "error_budget_cost": (
        "What the bad events of an objective's thirty days cost (spent), and those that it allows would (allowed).",
        ("service", "slo", "part"),
    ),
    "capacity_goal_info": (
        "Whether it is shown that a service carries a rate that is its goal: met, not met, or not shown; always 1.",
        ("service", "goal", "state"),
    ),
    "capacity_limit_info": ("The resource that limits the capacity first; always 1.", ("service", "resource")),
}


def plan_families(plan: Plan) -> Iterator[Metric]:
    """Return the families of a plan, those with figures."""
    families = {name: GaugeMetricFamily(f"perfloop_{name}", text) for name, (text, _) in PLANNED.items()}
    for figure in plan.figures():
        labels = {label: figure.labels[label] for label in PLANNED[figure.name][1] if figure.labels.get(label)}
        family = families[figure.name]
        family.add_sample(family.name, labels, figure.value)
    yield from (family for family in families.values() if family.samples)
