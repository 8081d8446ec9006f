"""Load and duration from the command line, on every shape: they mean what they say or are refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from perfloop_base.errors import ConfigError
from perfloop_loadgen.app.adjusting import adjusted
from perfloop_loadgen.app.build import build_shape
from perfloop_loadgen.config import PROFILES, LoadTestConfig
from perfloop_loadgen.pacing import ConstantRate, ConstantUsers, PoissonRate, RampingRate, RampingUsers, Stage
from perfloop_loadgen.run_flags import LoadFlags, parse_count, parse_rate, parse_share

_STAGES = {"ramping_users": [{"users": 9, "seconds": 60}], "ramping_rate": [{"rate": 9, "seconds": 60}]}


def _config(load: dict[str, Any] | None = None, **values: Any) -> LoadTestConfig:
    return LoadTestConfig.model_validate({"name": "shop", "load": load, **values})


def _shape(config: LoadTestConfig) -> object:
    return build_shape(config.fitted()[0])


@pytest.mark.parametrize(
    ("load", "flags", "shape"),
    [
        (None, LoadFlags(duration=30, users=50), ConstantUsers(50, 30, 0, 0)),
        (None, LoadFlags(duration=30, users=50, ramp_up=10), ConstantUsers(50, 30, 10, 0)),
        (None, LoadFlags(duration=30, rate=200), ConstantRate(200, 30)),
        (
            None,
            LoadFlags(duration=30, users=50, rate=200, ramp_up=10),
            RampingRate(0, (Stage(200, 10), Stage(200, 20))),
        ),
        (None, LoadFlags(duration=10, rate=200, ramp_up=10), RampingRate(0, (Stage(200, 10),))),
        ({"shape": "constant_rate", "rate": 5}, LoadFlags(rate=200), ConstantRate(200, 60)),
        ({"shape": "poisson_rate", "rate": 5, "seed": 3}, LoadFlags(rate=200, duration=9), PoissonRate(200, 9, 3)),
        (
            {"shape": "ramping_users", "stages": _STAGES["ramping_users"]},
            LoadFlags(duration=6),
            RampingUsers(1, (Stage(9, 6),)),
        ),
    ],
)
def test_what_the_flags_make_of_a_test(load: dict[str, Any] | None, flags: LoadFlags, shape: object):
    """A rate makes a closed test an open one; a ramp of a rate is the first stage of its duration."""
    assert _shape(adjusted(_config(load), flags)) == shape


@pytest.mark.parametrize("load", [None, {"shape": "constant_rate", "rate": 5}, {"shape": "poisson_rate", "rate": 5}])
def test_users_of_an_open_test_bound_what_is_under_way(load: dict[str, Any] | None):
    """As the connections of wrk2 or the workers of vegeta do."""
    config = adjusted(_config(load), LoadFlags(users=50, rate=200))
    assert getattr(config.load, "max_in_flight", None) == 50
    assert config.concurrent_users == 10


@pytest.mark.parametrize("profile", PROFILES)
def test_a_duration_goes_with_every_profile(profile: str):
    """Its ramps lie inside it."""
    shape = _shape(adjusted(PROFILES[profile]("http://127.0.0.1:1"), LoadFlags(duration=5, users=3)))
    assert getattr(shape, "duration_seconds", None) == 5
    assert getattr(shape, "max_users", None) == 3


@pytest.mark.parametrize(
    ("load", "flags", "problem"),
    [
        (
            {"shape": "spike"},
            LoadFlags(rate=200),
            "shop: --rate needs an open shape: the test has the shape spike, a number of users at each moment",
        ),
        (
            {"shape": "ramping_rate", "stages": _STAGES["ramping_rate"]},
            LoadFlags(rate=200),
            "shop: --rate: the test has the shape ramping_rate, which has rates of its own",
        ),
        (
            {"shape": "trace", "file": "trace.csv"},
            LoadFlags(rate=200),
            "shop: --rate: the test has the shape trace, which has rates of its own",
        ),
        (
            {"shape": "ramping_users", "stages": _STAGES["ramping_users"]},
            LoadFlags(users=5),
            "shop: --users: the test has the shape ramping_users, whose stages say how many users there are",
        ),
        (
            {"shape": "poisson_rate", "rate": 5},
            LoadFlags(ramp_up=5),
            "shop: --ramp-up needs users or a constant rate to grow to: the test has the shape poisson_rate",
        ),
        (
            None,
            LoadFlags(ramp_up=61),
            "shop: --ramp-up 61s is longer than the test, which takes 60 s: the ramp lies inside it",
        ),
        (
            None,
            LoadFlags(duration=0, rate=5, ramp_up=5),
            "shop: --ramp-up of a rate needs a --duration: its last stage must end",
        ),
        (
            {"shape": "breakpoint"},
            LoadFlags(duration=5),
            "shop: --duration: a search for the breakpoint ends when it has found it: set its step_seconds instead",
        ),
        (
            {"shape": "ramping_users", "stages": _STAGES["ramping_users"]},
            LoadFlags(duration=0),
            "shop: --duration 0: the shape ramping_users ends with its last stage",
        ),
    ],
)
def test_what_does_not_go_together_is_said(load: dict[str, Any] | None, flags: LoadFlags, problem: str):
    """No flag is silently without effect."""
    with pytest.raises(ConfigError) as caught:
        adjusted(_config(load), flags)
    assert list(caught.value.problems) == [problem]


def test_the_test_itself_is_not_changed():
    """One configuration serves several commands."""
    config = _config()
    adjusted(config, LoadFlags(duration=5, users=3, rate=7))
    assert config == _config()


@pytest.mark.parametrize(
    ("text", "rate"), [("200", 200), ("200/s", 200), ("600/m", 10), ("0.5", 0.5), ("36/h", 0.01), ("1e3/s", 1000)]
)
def test_rates(text: str, rate: float):
    """A number a second, or a number per second, minute or hour."""
    assert parse_rate(text) == pytest.approx(rate)


@pytest.mark.parametrize("text", ["", "0", "-5", "5/", "5/d", "five", "1e999", "inf", "5 /s", "٣"])
def test_texts_that_are_no_rate(text: str):
    """One sentence with the value and the rule."""
    with pytest.raises(ValueError, match="write requests per time, such as 200/s"):
        parse_rate(text)


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "many", "9999999999", "²"])
def test_texts_that_are_no_count(text: str):
    """Whole numbers above 0."""
    with pytest.raises(ValueError, match="not a whole number above 0"):
        parse_count(text)


@pytest.mark.parametrize("text", ["", "0", "0%", "-5%", "nan", "inf", "half"])
def test_texts_that_are_no_share(text: str):
    """Per cent above 0."""
    with pytest.raises(ValueError, match="not a number of per cent above 0"):
        parse_share(text)
    assert parse_share("5%") == parse_share("5") == 0.05
