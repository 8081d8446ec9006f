"""From a configuration to its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from perfloop_base.errors import ConfigError
from perfloop_loadgen.app.build import build_engine, build_plan, build_rate_shape, build_shape
from perfloop_loadgen.config import LoadTestConfig
from perfloop_loadgen.pacing import (
    ConstantRate,
    ConstantUsers,
    Endurance,
    PoissonRate,
    RampingRate,
    RampingUsers,
    Spike,
    Stage,
)
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.scenario.request import Target

if TYPE_CHECKING:
    from pathlib import Path

TARGET = Target("http", "shop", 80)


def _config(**values: Any) -> LoadTestConfig:
    return LoadTestConfig.model_validate({"duration_seconds": 100, "concurrent_users": 40} | values)


@pytest.mark.parametrize(
    ("load", "shape"),
    [
        (None, ConstantUsers(40, 100, 10, 5)),
        ({"shape": "endurance"}, Endurance(40, 100)),
        ({"shape": "spike"}, Spike(4, 40, 25, 25, 1, 100)),
        (
            {"shape": "spike", "base_users": 7, "spike_after_seconds": 3, "spike_seconds": 9, "rise_seconds": 2},
            Spike(7, 40, 3, 9, 2, 100),
        ),
        ({"shape": "ramping_users", "stages": [{"users": 9, "seconds": 3}]}, RampingUsers(1, (Stage(9, 3),))),
        ({"shape": "constant_rate", "rate": 50}, ConstantRate(50, 100)),
        ({"shape": "poisson_rate", "rate": 50, "seed": 3}, PoissonRate(50, 100, 3)),
        ({"shape": "ramping_rate", "stages": [{"rate": 9, "seconds": 3}]}, RampingRate(0, (Stage(9, 3),))),
        ({"shape": "breakpoint", "start_rate": 20, "step_seconds": 4}, ConstantRate(20, 4)),
    ],
)
def test_each_section_has_its_shape(load: dict[str, Any] | None, shape: object):
    """The shape with every value of the file, and the defaults of what is left out."""
    assert build_shape(_config(load=load, ramp_up_seconds=10, ramp_down_seconds=5)) == shape


def test_a_test_without_an_end_has_a_shape_without_one():
    """`duration_seconds: 0`; a spike then takes its times from two minutes."""
    assert build_shape(_config(duration_seconds=0)).duration_seconds is None
    assert build_shape(_config(duration_seconds=0, load={"shape": "spike"})) == Spike(4, 40, 30, 30, 1, None)


def test_users_have_no_rate():
    """Only open shapes have a schedule that can be missed."""
    assert build_rate_shape(_config()) is None


def test_workers_share_the_rows_of_a_file(tmp_path: Path):
    """Every row goes to one worker a round, with the number of the pass."""
    rows = tmp_path / "rows.csv"
    rows.write_text("user\nann\nbob\ncid\n")
    config = _config(data_file=rows, endpoints=[{"path": "/"}])
    plans = [build_plan(config, TARGET, Labels(), (index, 2)) for index in range(2)]
    values = [[plan.next_values() for _ in range(3)] for plan in plans]
    assert [[(one["iteration"], one["user"]) for one in part] for part in values] == [
        [(0, "ann"), (2, "cid"), (4, "bob")],
        [(1, "bob"), (3, "ann"), (5, "cid")],
    ]


def test_a_plan_keeps_weights_over_endpoints_and_scenarios():
    """One cycle: each journey as often as its weight."""
    scenario = {"name": "buy", "weight": 2, "steps": [{"path": "/cart"}]}
    config = _config(endpoints=[{"path": "/a", "weight": 4}, {"path": "/b"}], scenarios=[scenario])
    names = [journey.name for journey in build_plan(config, TARGET, Labels()).cycle]
    assert {name: names.count(name) for name in names} == {"GET /a": 4, "GET /b": 1, "buy": 2}


def test_an_authority_that_cannot_be_read_is_named(tmp_path: Path):
    """The key, the file and the reason, before anything is sent."""
    config = _config(base_url="https://shop", tls={"ca_file": tmp_path / "none.pem"})
    with pytest.raises(ConfigError, match=r"^tls\.ca_file: .*none\.pem: cannot be used: "):
        build_engine(config, Target("https", "shop", 443), lambda: 0)
