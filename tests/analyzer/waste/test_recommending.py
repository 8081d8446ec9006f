"""From uses and sizes to recommendations: which, of what, with which risk; and which contradict each other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfloop_analyzer.changes import Change
from perfloop_analyzer.findings import Severity
from perfloop_analyzer.ports import Result
from perfloop_analyzer.recommend.recommendation import from_dict
from perfloop_analyzer.waste import KINDS, WASTE, find_waste, merge_waste
from perfloop_analyzer.waste_watch import WasteWatch, waste_queries
from perfloop_base.promql import find_problem
from tests.analyzer.waste.known_uses import CATALOG, DAY, NOW, batch, grid, known, learn, size, use

if TYPE_CHECKING:
    from perfloop_analyzer.recommend import Recommendation

GIB, MIB = float(2**30), float(2**20)
SHOP = {"service": "host", "container": "shop"}
MEMORY = batch("waste_container_memory:use", use(200 * MIB), **SHOP)
CPU = batch("waste_container_cpu:use", use(0.2), **SHOP)
REQUESTS = size("request_rate", 12.0, service="shop")


def _sizes(*batches: Any) -> dict[str, Any]:
    return {one.signal: one for one in batches}


def _memory(limit: float = 2 * GIB, **changes: Any) -> tuple[Recommendation, ...]:
    sizes = _sizes(size("container_memory_limit_bytes", limit, **SHOP), REQUESTS)
    return find_waste(learn(MEMORY), sizes, known(**changes)).recommendations


def test_an_oversized_limit_is_found_with_what_it_saves_and_risks() -> None:
    """The container has the service's name, so that it is the service's; the numbers stand in the evidence."""
    (found,) = _memory()
    assert (found.service, found.category, found.priority) == ("shop", WASTE, "low")
    assert found.title == "Waste: lower the memory limit of shop"
    new = found.values["resize"]["to"]
    assert 1.15 * MEMORY.values.max() <= new <= 0.25 * 2 * GIB
    assert found.improvement is not None
    assert found.improvement.ratio == pytest.approx(1 - new / (2 * GIB))
    assert found.improvement.low <= found.improvement.ratio <= found.improvement.high
    assert "2048 MiB are provided" in found.improvement.explanation
    assert found.values["headroom"] == pytest.approx(1 - MEMORY.values.max() / new)
    assert found.values["risk"].startswith("The highest use leaves")
    assert found.values["resize"]["resource"] == "memory_gib_hour"
    assert found.values["resize"]["amount"] == pytest.approx((new - 2 * GIB) / GIB)
    (evidence,) = found.evidence
    assert (evidence["before"], evidence["after"], evidence["peak"]) == (2 * GIB, new, MEMORY.values.max())
    assert from_dict(found.as_dict()) == found


def test_what_has_no_limit_or_no_history_is_not_found() -> None:
    """No limit, a limit that fits, no days, hardly any days, a size that is no number."""
    assert not _memory(300 * MIB)
    assert not _memory(np.nan)
    assert not _memory(0.0)
    sizes = _sizes(size("container_memory_limit_bytes", 2 * GIB, **SHOP))
    assert not find_waste({}, sizes, known()).recommendations
    short = batch("waste_container_memory:use", use(200 * MIB, 0.8), 0.8, **SHOP)
    assert not find_waste(learn(short), sizes, known()).recommendations
    assert not find_waste(learn(MEMORY), {}, known()).recommendations


def test_a_short_history_and_a_recent_change_are_risks() -> None:
    """Less than a week may not have seen the busiest day, and a new version may use more."""
    short = batch("waste_container_memory:use", use(200 * MIB, 3.0), 3.0, **SHOP)
    sizes = _sizes(size("container_memory_limit_bytes", 2 * GIB, **SHOP))
    (found,) = find_waste(learn(short), sizes, known()).recommendations
    assert "less than a week" in found.values["risk"]
    change = Change("deployment-1", NOW - 7200.0, "shop", "deployment", "went to 1.4")
    (changed,) = _memory(changes=(change, replace(change, service="other")))
    assert "went to 1.4 2 h ago" in changed.values["risk"]
    (old,) = _memory(changes=(replace(change, at=NOW - 2 * DAY),))
    assert "went to" not in old.values["risk"]


def test_the_share_of_waste_counts_what_is_not_wasted_too() -> None:
    """Of two containers of one service one is too large; of a limit that fits, nothing is wasted."""
    sizes = size("container_memory_limit_bytes", 2 * GIB, **SHOP)
    both = replace(
        sizes, labels=(*sizes.labels, {"service": "host", "container": "mail"}), values=np.full((2, 11), 2 * GIB)
    )
    fits = batch("waste_container_memory:use", use(1.3 * GIB), service="host", container="mail")
    answers = replace(MEMORY, labels=(*MEMORY.labels, *fits.labels), values=np.vstack([MEMORY.values, fits.values]))
    waste = find_waste(learn(answers), _sizes(both), known())
    (found,) = waste.recommendations
    (share,) = waste.wasted
    assert (share.service, share.resource) == ("host", "container_memory")
    assert share.ratio == pytest.approx((2 * GIB - found.values["resize"]["to"]) / (4 * GIB))
    assert found.title == "Waste: lower the memory limit of shop of host"


def test_fewer_replicas_and_smaller_ones_are_not_recommended_together() -> None:
    """Each alone leaves enough; both would not."""
    learned = learn(
        MEMORY,
        CPU,
        batch("waste_replicas:use", use(0.4), service="shop"),
        batch("waste_replicas:one", use(0.05), service="shop"),
        batch("waste_replicas:rate", use(12.0), service="shop"),
    )
    limits = (size("container_memory_limit_bytes", 2 * GIB, **SHOP), size("container_cpu_limit_cores", 2.0, **SHOP))
    alone = find_waste(learned, _sizes(*limits, REQUESTS), known())
    assert {one.rule for one in alone.recommendations} == {"waste_container_cpu", "waste_container_memory"}
    found = find_waste(learned, _sizes(*limits, REQUESTS, size("replicas", 8.0, service="shop")), known())
    assert [one.rule for one in found.recommendations] == ["waste_replicas"]
    needed = find_waste(
        learned, _sizes(REQUESTS, size("replicas", 8.0, service="shop")), known(capacities={"shop": 2.0})
    )
    assert not needed.recommendations


def test_scaling_has_the_last_word_about_replicas() -> None:
    """No fewer than its settings or the load of the next minutes ask for."""
    parts = (("use", 0.4), ("one", 0.05), ("rate", 12.0))
    learned = learn(*(batch(f"waste_replicas:{name}", use(level), service="shop") for name, level in parts))
    sizes = _sizes(REQUESTS, size("replicas", 8.0, service="shop"))
    (found,) = find_waste(learned, sizes, known(least={("shop", "replicas"): 5.0})).recommendations
    assert found.values["resize"]["to"] == 5.0
    assert found.improvement is not None
    assert "what its scaling asks for" in found.improvement.explanation
    assert not find_waste(learned, sizes, known(least={("shop", "replicas"): 8.0})).recommendations


def test_a_watch_adds_what_it_learned_to_a_result(build: Any) -> None:
    """The questions of one answer; before there is one, nothing. What is short keeps what it has."""
    watch, result = WasteWatch(), Result(NOW)
    sizes = _sizes(size("container_memory_limit_bytes", 2 * GIB, **SHOP), REQUESTS)
    assert watch.add(result, sizes, CATALOG, ()).recommendations == ()
    watch.note({MEMORY.signal: MEMORY})
    watch.note({CPU.signal: CPU})
    (found,) = watch.add(result, sizes, CATALOG, ()).recommendations
    assert found.rule == "waste_container_memory"
    short = replace(result, findings=(build.finding(service="shop", component="memory", severity=Severity.WARNING),))
    added = watch.add(short, sizes, CATALOG, ())
    assert (added.recommendations, [one.resource for one in added.wasted]) == ((), ["container_memory"])


def test_what_is_short_is_not_recommended_to_shrink(build: Any) -> None:
    """A finding about the same component, or about slow answers, forbids; one about another component does not."""
    waste = _memory()
    short = build.finding(service="shop", component="memory", severity=Severity.WARNING)
    assert merge_waste((), waste, [short]) == ()
    of_host = build.finding(service="host", component="memory", severity=Severity.CRITICAL)
    assert merge_waste((), waste, [of_host]) == ()
    other = build.finding(service="shop", component="cache", severity=Severity.CRITICAL)
    assert merge_waste((), waste, [other]) == waste
    mild = build.finding(service="shop", component="memory", severity=Severity.INFO)
    assert merge_waste((), waste, [mild]) == waste


def test_a_cache_that_never_had_hits_has_nothing_to_restore() -> None:
    """Its recommendation replaces the one to restore the hit ratio of the same cache, with its priority."""
    own = {"service": "shop", "cache": "sessions"}
    learned = learn(batch("waste_cache:use", 0.0, **own), batch("waste_cache:lookups", 5.0, **own))
    (found,) = find_waste(learned, _sizes(size("cache_misses_per_second", 5.0, **own)), known()).recommendations
    assert found.title == "Waste: fix or remove the cache sessions of shop"
    restore = replace(found, id="restore", rule="low_hit_ratio", priority="high", category="caching")
    of_other = replace(restore, id="other", evidence=({"labels": {"service": "shop", "cache": "pages"}},))
    merged = merge_waste((restore, of_other), (found,), ())
    assert {one.id for one in merged} == {found.id, "other"}
    assert next(one for one in merged if one.id == found.id).priority == "high"


def test_every_query_is_promql_and_every_size_a_signal() -> None:
    """Placeholders are filled in, and each kind names a signal of the catalogue."""
    for query in waste_queries(600.0, "1m"):
        assert find_problem(query.expr) == ""
        assert "$" not in query.expr.replace('"$1"', "")
    assert {kind.size for kind in KINDS} <= CATALOG.keys()
    assert all(name in CATALOG for kind in KINDS for name in kind.harmed)
    assert all(CATALOG[kind.size].detect == () for kind in KINDS)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from([np.nan, np.inf, -np.inf, -5.0, 0.0, 1e-300, 1.0, 1e9, 1e300]), min_size=1, max_size=40),
    st.sampled_from([np.nan, np.inf, -1.0, 0.0, 1e-300, 1.0, 1e12, 1e300]),
)
def test_hostile_histories_give_finite_sizes_or_none(values: list[float], limit: float) -> None:
    """Whatever the exporters say: no exception, and each size lies between what was used and what is there."""
    tiled = np.resize(values, grid().points)
    questions = [query.signal for query in waste_queries(600.0, "1m")]
    labels = dict.fromkeys(("service", "namespace", "container", "pool", "instance", "mountpoint", "cache", "gpu"), "x")
    learned = learn(*(batch(name, tiled, **labels) for name in questions))
    sizes = _sizes(*(size(kind.size, limit, **labels) for kind in KINDS), size("request_rate", 1.0, service="x"))
    for one in find_waste(learned, sizes, known()).recommendations:
        resize = one.values["resize"]
        assert np.isfinite(resize["to"])
        assert 0 <= resize["to"] < resize["from"]
        assert one.improvement is not None
        assert 0 < one.improvement.low <= one.improvement.ratio <= one.improvement.high <= 1
        if resize["to"] and one.rule != "waste_replicas":
            assert resize["to"] >= one.evidence[0]["peak"]
