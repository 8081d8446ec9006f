"""Until when response times and error budgets keep their limits: readings, with never and not known apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from perfloop_analyzer.catalog import Limit, load_catalog
from perfloop_analyzer.pipeline import learn
from perfloop_analyzer.pipeline.budgets import EVENTS, LEFT, OBJECTIVE, QUERIES, RATIO, find_budgets
from perfloop_analyzer.pipeline.burns import burn_queries
from perfloop_analyzer.pipeline.latency_limits import until_limit
from perfloop_analyzer.reporters.metrics import reading_families
from perfloop_analyzer.series import Batch, Grid
from tests.wire.promql import metric_names

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop_analyzer.findings import Reading

STEP = 600.0
WEEK = 1008
RNG = np.random.default_rng(4)
NOISE = 0.01 * RNG.standard_normal(WEEK)
DAILY = 0.05 * np.sin(2 * np.pi * np.arange(WEEK) / 144)


def _growing(start: float, end: float) -> np.ndarray:
    return np.linspace(start, end, WEEK) + NOISE


def _cut(values: np.ndarray, points: int) -> np.ndarray:
    cut = values.copy()
    cut[: WEEK - points] = np.nan
    return cut


def _ended(values: np.ndarray) -> np.ndarray:
    ended = values.copy()
    ended[-10:] = np.nan
    return ended


def test_a_latency_that_grows_has_a_moment() -> None:
    """From 500 to 800 ms within a week: the limit of a second is a good four days ahead."""
    (found,) = until_limit(_growing(0.5, 0.8)[None, :], STEP, 1.0)
    assert found["expected"] == pytest.approx(0.2 / 0.3 * 7 * 86_400, rel=0.1)
    assert found["lower"] <= found["expected"] <= found["upper"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (0.3 + NOISE, {"expected": np.inf}),
        (0.8 + NOISE, {"expected": np.inf}),
        (0.8 + DAILY + NOISE, {"expected": np.inf}),
        (_growing(0.8, 0.4), {"expected": np.inf}),
        (1.2 + NOISE, {"expected": 0.0, "lower": 0.0, "upper": 0.0}),
        (_cut(0.3 + NOISE, 20), {}),  # three hours
        (_ended(0.3 + NOISE), {}),
        (np.full(WEEK, np.nan), {}),
        (_growing(0.05, 0.2), {}),  # it grows, from far below: no number, and not never
    ],
    ids=["flat", "flat near", "rhythm", "falls", "beyond", "young", "ended", "nothing", "far below"],
)
def test_never_and_not_known_are_distinct(values: np.ndarray, expected: dict[str, float]) -> None:
    """Infinite is never; nothing is not known; 0 is now."""
    assert until_limit(values[None, :], STEP, 1.0) == [expected]


def test_each_service_has_its_own_limit() -> None:
    """The readings of the history, without a finding: that it grows is another's to say."""
    table = {signal.name: signal for signal in load_catalog()}
    signal = table["api_response_time_p95"].model_copy(update={"own_limits": {"slow": Limit(warning=5.0)}})
    values = np.stack([_growing(0.5, 0.8), _growing(0.5, 0.8), 0.3 + NOISE])
    labels = ({"service": "shop"}, {"service": "slow"}, {"service": "flat"})
    batch = Batch(signal.name, Grid(0.0, STEP, WEEK), labels, values)
    history = learn({signal.name: batch}, {signal.name: signal}, "1m", 1e-3)
    until = {
        (one.service, one.name.partition(":")[2]): one.value for one in history.readings if "until_limit" in one.name
    }
    assert set(until) == {("shop", "expected"), ("shop", "lower"), ("shop", "upper"), ("flat", "expected")}
    assert until["flat", "expected"] == np.inf
    assert "forecast" not in {finding.detector for finding in history.findings}


def _batch(name: str, values: list[float], *slos: str) -> Batch:
    labels = tuple({"service": "shop", "slo": slo} for slo in slos)
    return Batch(name, Grid(0.0, 1.0, 3), labels, np.repeat(np.array(values)[:, None], 3, axis=1))


def _budgets(**changes: Any) -> dict[tuple[str, str], float]:
    """Return the readings of three budgets: one that burns, one that does not, one with too few events."""
    slos = ("availability", "latency", "first_token")
    batches = {
        LEFT: _batch(LEFT, [0.5, 0.9, 0.9], *slos),
        RATIO: _batch(RATIO, [0.01, 0.0, 0.5], *slos),
        EVENTS: _batch(EVENTS, [1e5, 1e5, 4], *slos),
        OBJECTIVE: _batch(OBJECTIVE, [0.999, 0.95, 0.95], *slos),
        **changes,
    }
    return {(one.labels["slo"], one.name.partition(":")[2]): one.value for one in _found(batches)}


def _found(batches: dict[str, Batch]) -> list[Reading]:
    return find_budgets({name: batch for name, batch in batches.items() if batch is not None})


def test_budgets_at_the_present_burn() -> None:
    """A day and a half with bounds; never; not known."""
    found = _budgets()
    assert set(found) == {
        *(("availability", bound) for bound in ("expected", "lower", "upper")),
        ("latency", "expected"),
    }
    assert found["availability", "expected"] == pytest.approx(1.5 * 86_400)
    assert found["latency", "expected"] == np.inf


@pytest.mark.parametrize("missing", [LEFT, RATIO, EVENTS, OBJECTIVE])
def test_without_the_recorded_rules_nothing_is_known(missing: str) -> None:
    """Another Prometheus has none of them: no reading, no guess."""
    assert _budgets(**{missing: None}) == {}


def test_the_recorded_rules_are_asked_for() -> None:
    """With the windows of the burn rates."""
    table = {signal.name: signal for signal in load_catalog()}
    assert {LEFT, RATIO, EVENTS, OBJECTIVE} <= {query.signal for query in burn_queries(table)}


def test_the_recorded_rules_are_those_that_are_generated(checkout: Path) -> None:
    """Names that no rule records would find nothing, for ever."""
    rules = yaml.safe_load((checkout / "prometheus" / "rules" / "slos.yml").read_text(encoding="utf-8"))
    recorded = {rule["record"] for group in rules["groups"] for rule in group["rules"]}
    assert set().union(*(metric_names(expr) for expr in QUERIES.values())) <= recorded


def test_infinite_is_published() -> None:
    """Prometheus has it as +Inf, with the objective in `series`."""
    batches = {
        LEFT: _batch(LEFT, [0.9], "latency"),
        RATIO: _batch(RATIO, [0.0], "latency"),
        EVENTS: _batch(EVENTS, [1e5], "latency"),
        OBJECTIVE: _batch(OBJECTIVE, [0.95], "latency"),
    }
    (family,) = reading_families(find_budgets(batches))
    (sample,) = family.samples
    assert sample.name == "perfloop_seconds_until_limit"
    assert sample.labels == {"service": "shop", "signal": "error_budget", "series": "slo=latency", "bound": "expected"}
    assert sample.value == np.inf
