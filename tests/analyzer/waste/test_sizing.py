"""How much is enough: never less than what was used with its margin, whatever the history is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfloop_analyzer.recommend.rightsizing import MARGIN
from perfloop_analyzer.waste import Use, sizing
from perfloop_analyzer.waste.sizing import Need
from tests.analyzer.waste.known_uses import batch, grid, learn, use

KEY = ("shop", "main")
VALUES = st.lists(st.floats(1e-3, 1e6), min_size=100, max_size=200)


def learned(values: Any, days: float = 7.0) -> Use:
    """What is learned of a constant, or of the last values of the days."""
    whole = np.full(grid(days).points, np.nan)
    newest = np.broadcast_to(values, len(whole)) if np.ndim(values) == 0 else np.asarray(values)[-len(whole) :]
    whole[-len(newest) :] = newest
    (found,) = learn(batch("waste_pool:use", whole, days, service="shop", pool="main")).values()
    return found[KEY]


@settings(deadline=None, max_examples=60)
@given(VALUES, st.floats(1.0, 1e7))
def test_never_below_the_peak_with_its_margin(values: list[float], size: float) -> None:
    """Of CPU, of memory, of any history; and the size does not make what is needed larger than it is by much."""
    one = learned(values)
    for need in (sizing.cpu_limit(one, size, {}), sizing.memory_limit(one, size, {}), sizing.limit_need(one, size)):
        assert isinstance(need, Need)
        assert need.size >= one.peak * MARGIN * (1 - 1e-12)
        assert need.least <= need.size


@settings(deadline=None, max_examples=40)
@given(VALUES, st.integers(-3, 6), st.floats(10.0, 1e4))
def test_another_unit_gives_the_same_size(values: list[float], power: int, size: float) -> None:
    """Bytes or GiB, cores or millicores: a use and a size times as much need times as much."""
    factor = 10.0**power
    small, large = (
        sizing.limit_need(learned(values), size),
        sizing.limit_need(learned(np.array(values) * factor), size * factor),
    )
    assert large.size == pytest.approx(small.size * factor, rel=1e-6)


@given(st.floats(1e-9, 1e15))
def test_rounding_goes_up_and_by_a_tenth_at_most(value: float) -> None:
    """Two significant digits, so that the recommended size stays the same from hour to hour."""
    assert value <= sizing.round_up(value) <= value * 1.1001
    assert sizing.round_up(sizing.round_up(value)) == pytest.approx(sizing.round_up(value), rel=0.1)


def test_fewer_days_need_more() -> None:
    """The Vertical Pod Autoscaler's upper bound is wider the less is known."""
    sizes = [sizing.limit_need(learned(use(1.0, days), days), 100.0).size for days in (1.1, 2.0, 7.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 1.4 * sizes[2]


def test_growth_is_provided_for() -> None:
    """What grows every day needs the peak of a month from now."""
    rising = use(1.0) * np.linspace(1.0, 1.35, grid().points)
    need = sizing.limit_need(learned(rising), 100.0)
    assert need.size > 2.0 * rising.max()
    assert need.risks


def test_throttling_and_kills_forbid() -> None:
    """What is throttled or killed shows less than it needs; a little throttling is a risk that is named."""
    one = learned(use(0.2))
    assert "throttled" in str(sizing.cpu_limit(one, 2.0, {"throttled": learned(0.02)}))
    rare = np.zeros(grid().points)
    rare[5] = 0.3
    found = sizing.cpu_limit(one, 2.0, {"throttled": learned(rare)})
    assert isinstance(found, Need)
    assert "throttled" in " ".join(found.risks)
    killed = np.zeros(grid().points)
    killed[7] = 1.0
    assert "killed" in str(sizing.memory_limit(one, 2.0, {"killed": learned(killed)}))
    assert "killed" in str(sizing.machine_memory(one, 2.0, {"killed": learned(killed)}))
    assert isinstance(sizing.memory_limit(one, 2.0, {"killed": learned(0.0)}), Need)


def test_replicas_keep_two_and_what_their_load_needs() -> None:
    """By CPU, and by a known capacity where that asks for more; without requests nothing is known."""
    total, one, rate = learned(use(0.3)), learned(use(0.05)), learned(use(20.0))
    others = {"one": one, "rate": rate}
    found = sizing.replica_count(total, 8, others)
    assert isinstance(found, Need)
    assert found.size == sizing.LEAST_REPLICAS
    by_rate = sizing.replica_count(total, 8, {**others, "capacity": learned(8.0)})
    assert isinstance(by_rate, Need)
    assert by_rate.size == np.ceil(rate.peak * MARGIN / 8.0)
    assert isinstance(sizing.replica_count(total, 8, {"one": one}), str)
    assert isinstance(sizing.replica_count(total, 8, {"one": one, "rate": learned(0.0)}), str)
    # A replica that was seen to use three cores can use them; one with a limit of half a core cannot.
    busy = sizing.replica_count(learned(use(3.0)), 8, {**others, "one": learned(3.0)})
    bound = sizing.replica_count(learned(use(3.0)), 8, {**others, "limit": learned(0.5)})
    assert isinstance(busy, Need)
    assert isinstance(bound, Need)
    assert busy.size < bound.size


def test_pools_keep_what_was_in_use_and_grow_where_callers_wait() -> None:
    """Where callers waited or timed out, nothing is taken away."""
    used = learned(np.tile([1.0, 2.0, 3.0], 300))
    found = sizing.pool_connections(used, 50.0, {})
    assert isinstance(found, Need)
    assert 3.0 < found.size <= 10.0
    assert isinstance(sizing.pool_connections(used, 50.0, {"timeouts": learned(1.0)}), str)
    assert isinstance(sizing.pool_connections(used, 50.0, {"waiting": learned(1.5)}), str)


def test_disks_caches_and_cards() -> None:
    """A disk needs a week, and its growth; a cache real traffic without hits; a card that nothing ran on."""
    gib = float(2**30)
    disk = sizing.disk_bytes(learned(20 * gib), 100 * gib, {})
    assert isinstance(disk, Need)
    assert disk.size == np.ceil(20 / 0.7) * gib
    assert isinstance(sizing.disk_bytes(learned(use(20 * gib, 3.0), 3.0), 100 * gib, {}), str)
    growing = sizing.disk_bytes(learned(np.linspace(20 * gib, 27 * gib, grid().points)), 400 * gib, {})
    assert isinstance(growing, Need)
    assert growing.size > 100 * gib
    lookups, none = learned(5.0), learned(0.0)
    assert isinstance(sizing.useless_cache(none, 5.0, {"lookups": lookups}), Need)
    assert isinstance(sizing.useless_cache(none, 5.0, {}), str)
    assert isinstance(sizing.useless_cache(none, 5.0, {"lookups": learned(0.01)}), str)
    assert isinstance(sizing.useless_cache(learned(2.0), 5.0, {"lookups": lookups}), str)
    assert isinstance(sizing.useless_cache(none, 5.0, {"lookups": lookups, "share": learned(0.3)}), str)
    assert isinstance(sizing.idle_gpu(none, 1.0, {}), Need)
    assert isinstance(sizing.idle_gpu(learned(0.2), 1.0, {}), str)
