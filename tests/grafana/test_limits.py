"""A limit lives once: what thresholds.yml and slos.yml say is what panels draw, and what their descriptions say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from perfloop_analyzer.reporters.formatting import FAIR, GOOD
from perfloop_boards.generation import write
from perfloop_boards.limits import NO_LIMIT, Limit, build_steps, megabytes, percent, plain, seconds
from perfloop_loadgen.config.model import GeneratorLimits
from tests.grafana.boards import Panel, list_panels, read_boards

if TYPE_CHECKING:
    from pathlib import Path

STATUS = {"orange", "red"}
NUMBERS = {"info", "warning", "critical", "goal", "within"}
FACTOR = 1.25
# Panels that are judged by what no alert watches; each with its reason.
OWN = {
    "overview: Health score": "the score is the analyzer's: judged as on its page, see below",
    "analysis: Health score by service": "the score is the analyzer's: judged as on its page, see below",
    "overview: Why is the score low?": "points of the score: 5 are noticeable, 20 are a bad day",
    "analysis: Why is the score low?": "points of the score: 5 are noticeable, 20 are a bad day",
    "overview: Budget spent": "three quarters are much and all of it is all, whatever the objective",
    "overview: Services": "failures and p95 as the signals; the score and the budget as the figures above",
    "service: Inter-chunk gap (streaming)": "no alert: the chunks of every service differ",
    "slo: Budgets spent": "a count: the first is already bad",
    "slo: Alerts firing": "a count: the first is already bad",
    "slo: Least budget": "a quarter left is little and nothing left is nothing, whatever the objective",
    "slo: Error budget left over time": "a quarter left is little and nothing left is nothing, whatever the objective",
    "slo: Fastest burn": "the burn rates at which every objective alerts, see burn_rates.py",
    "slo: Budget gone in": "the burn rates at which every objective alerts, see burn_rates.py",
    "slo: Objectives and their budgets": "the burn rates at which every objective alerts, see burn_rates.py",
    "slo: Burn rate over 1h and 6h": "the burn rates at which every objective alerts, see burn_rates.py",
    "slo: Burn rate over 1d and 3d": "the burn rates at which every objective alerts, see burn_rates.py",
    "load-test: Inter-chunk gap (streaming)": "no alert: the chunks of every service differ",
    "system: CPU throttling by container": "no alert: a CPU limit exists to be reached",
    "system: Out-of-memory kills": "a count: the first is one to look at",
    "system: Faulty mounts": "a count: the first is one to look at",
    "system: Clock offset": "no alert: whether a clock is right matters to those who compare times",
    "system: Clock offset and error": "no alert: whether a clock is right matters to those who compare times",
    "system: Process and file limits used": "the kernel's own limits: near them nothing can be started",
    "system: CPU thermal throttling": "a count: the first is one to look at",
    "system: Interfaces": "lost packets: the first per second is one to look at",
    "system: Carrier changes": "a count: the first is one to look at",
    "system: TCP retransmits": "no alert: each path loses something; one segment of a hundred is felt",
    "system: Tracked connections": "the kernel's own limit: a full table drops new connections",
    "llm: GPU held down": "1 is held down, 0 is not",
    "llm: GPU memory errors": "a count: the first is one to look at",
    "fleet: Hosts down": "a count: the first is already bad",
    "kubernetes: Pending pods": "a count: the first is one to look at",
    "kubernetes: Restarts": "a count: the first is one to look at",
    "kubernetes: OOM kills": "a count: the first is one to look at",
    "kubernetes: Evicted pods": "a count: the first is one to look at",
    "kubernetes: Node pressure": "a count: the first is one to look at",
    "kubernetes: Nodes not ready": "a count: the first is already bad",
    "load-test: Dropped iterations": "a count: the first is one to look at",
    "load-test: Checks passed": "a check that fails once is one to look at",
    "load-test: Generator delays (p99)": "the load generator's own limits, see below",
    "load-test: Generator CPU": "the load generator's own limits, see below",
    "analysis: Incidents": "a count: the first is one to look at",
    "analysis: Anomalous signals": "a count: the first is one to look at",
    "analysis: Bottlenecks": "a count: the first is one to look at",
    "analysis: Anomaly scores": "1 is the edge of the band by definition",
    "analysis: Time to first limit": "a day and a week are how far people plan",
    "capacity: Time to the limits of objectives": "a day and a week are how far people plan",
    "capacity: Replicas by service": "all that are allowed are all: beyond them ReplicasAtMaximum fires",
    "capacity: Expected peaks": "the share of the capacity: nothing alerts on a forecast",
    "capacity: Cost reduction": "the goal of a quarter less, and dearer than before is already bad: no alert",
    "capacity: Planned reduction": "the goal of a quarter less, and dearer than before is already bad",
    "capacity: Cost of failures": "three quarters of a budget are much and all of it is all, as on the SLO board",
    "analysis: Forecast: time to limit": "a day and a week are how far people plan",
    "recommendations: Open": "a count: the first is one to look at",
    "recommendations: No effect": "a count: the first is one to look at",
    "recommendations: Validated share": "how far the advice can be trusted: nothing alerts on it",
    "recommendations: Expectations that held": "how far the advice can be trusted: nothing alerts on it",
    "recommendations: Mean measured gain": "how far the advice can be trusted: nothing alerts on it",
    "recommendations: Measured ÷ expected gain": "how far the advice can be trusted: nothing alerts on it",
    "alerts: Critical": "a count: the first is already bad",
    "alerts: Warnings": "a count: the first is one to look at",
    "alerts: Not delivered": "a count: the first is already bad",
    "alerts: Failed notifications by channel": "a count: the first is one to look at",
    "alerts: Delivery time": "no alert: each receiver has its own speed",
    "stack: Targets down": "a count: the first is already bad",
    "stack: Rule failures": "a count: the first is already bad",
    "stack: Dropped alerts": "a count: the first is already bad",
    "stack: Analyzer cycle": "its own interval is the limit",
    "stack: Analyzer cycle time": "its own interval is the limit",
    "stack: Active series": "what one Prometheus holds in 4 and in 20 GB of memory",
    "stack: Query time p90": "no alert: nobody is paged for a slow dashboard",
    "stack: Collector duration": "no alert: a collector has a deadline of its own",
}


def steps_of(panel: Panel) -> list[float]:
    """The values at which a panel, or a column of it, turns orange or red; 0 and the lowest step left out."""
    fields = panel.json["fieldConfig"]
    columns = [
        one["value"] for entry in fields["overrides"] for one in entry["properties"] if one["id"] == "thresholds"
    ]
    every = [fields["defaults"]["thresholds"], *columns]
    return [step["value"] for one in every for step in one["steps"] if step["value"]]


def judges(panel: Panel) -> bool:
    """Whether a panel turns orange or red somewhere."""
    fields = json.dumps(panel.json["fieldConfig"])
    return bool(steps_of(panel)) and any(f'"color": "{colour}"' in fields for colour in STATUS)


def scale(node: Any) -> Any:
    """Every limit of a file, a quarter higher."""
    if isinstance(node, list):
        return [scale(one) for one in node]
    if not isinstance(node, dict):
        return node
    return {
        key: value * FACTOR if key in NUMBERS and isinstance(value, int | float) else scale(value)
        for key, value in node.items()
    }


@pytest.fixture(scope="module")
def raised(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Panel]:
    """The panels of boards that were generated after every limit was raised, by board and title."""
    copy = tmp_path_factory.mktemp("raised")
    (copy / "prometheus").mkdir()
    for name in ("thresholds.yml", "slos.yml"):
        content = yaml.safe_load((checkout / "prometheus" / name).read_text(encoding="utf-8"))
        (copy / "prometheus" / name).write_text(yaml.safe_dump(scale(content)), encoding="utf-8")
    write(copy)
    return {str(panel): panel for panel in list_panels(read_boards(copy))}


def test_every_status_colour_follows_the_files_or_has_its_reason(panels: list[Panel], raised: dict[str, Panel]):
    """A panel turns orange and red where the files say; where they say nothing, the list above says why."""
    judged = {str(panel): panel for panel in panels if judges(panel)}
    still = {
        name
        for name, panel in judged.items()
        if any(new == old for new, old in zip(steps_of(raised[name]), steps_of(panel), strict=True))
    }
    assert still == OWN.keys()
    for name in judged.keys() - still:
        expected = [pytest.approx(step * FACTOR) for step in steps_of(judged[name])]
        assert steps_of(raised[name]) == expected, name


def test_descriptions_follow_the_files(panels: list[Panel], raised: dict[str, Panel]):
    """A description that says a limit of its panel says the new one once the file has changed."""
    for panel in panels:
        before, after = panel.json["description"], raised[str(panel)].json["description"]
        for old in set(steps_of(panel)) - set(steps_of(raised[str(panel)])):
            for said in (f" {percent(old)}", f" {seconds(old)}", f" {megabytes(old)}", f" {plain(old)}."):
                assert said not in before or said not in after, (str(panel), said)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (Limit(warning=1, critical=2), [(None, "green"), (1, "orange"), (2, "red")]),
        (Limit(warning=1), [(None, "green"), (1, "orange")]),
        (Limit(warning=None, critical=2), [(None, "green"), (2, "red")]),
        (Limit(warning=2, critical=1, below=True), [(None, "red"), (1, "orange"), (2, "green")]),
        (Limit(warning=2, below=True), [(None, "orange"), (2, "green")]),
        (Limit(warning=None, critical=1, below=True), [(None, "red"), (1, "green")]),
        (NO_LIMIT, [(None, "green")]),
    ],
)
def test_a_panel_is_coloured_on_the_bad_side_of_its_limits(limit: Limit, expected: list[tuple[float | None, str]]):
    """Good values are green, whichever side is bad and whichever limit is given."""
    steps = build_steps(limit).build().steps
    assert [(step.value, step.color) for step in steps] == expected


def test_health_is_judged_as_on_the_analyzers_page(raised: dict[str, Panel]):
    """One score has one status, wherever it is shown."""
    assert steps_of(raised["overview: Health score"]) == [FAIR, GOOD]


def test_the_generator_is_judged_by_its_own_limits(raised: dict[str, Panel]):
    """Red on the board is invalid in the report."""
    limits = GeneratorLimits()
    assert steps_of(raised["load-test: Generator delays (p99)"])[-1] == limits.event_loop_lag_seconds
    assert steps_of(raised["load-test: Generator CPU"])[-1] == limits.cpu_ratio
