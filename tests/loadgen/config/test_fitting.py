"""Fields that are set in Python, one after the other: the ramps follow the duration, whatever the order."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_base.errors import ConfigError
from perfloop_loadgen import LoadTester
from perfloop_loadgen.config import (
    PROFILES,
    LoadTestConfig,
    create_basic_load_test,
    create_endurance_test,
    create_stress_test,
)
from perfloop_loadgen.config.load import RampingRateConfig, RampingUsersConfig, RateStage, SpikeConfig, UserStage

_SECONDS = st.floats(0.01, 10_000)


def test_a_shorter_stress_test_ramps_up_for_its_share():
    """A minute of five becomes six seconds of thirty, and the report says so."""
    config = create_stress_test("http://127.0.0.1:1")
    config.duration_seconds = 30
    fitted, notes = config.fitted()
    assert fitted.ramp_up_seconds == 6
    assert notes == ["ramp_up_seconds is 6 s instead of 60 s: in proportion to a duration of 30 s"]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("seconds", [0, 0.5, 5, 30, 100_000])
def test_every_profile_takes_any_duration(profile: str, seconds: float):
    """Also one of which the ramp would be longer than the test; fitted once, a test does not change again."""
    config = PROFILES[profile]("http://127.0.0.1:1")
    config.duration_seconds = seconds
    fitted, _ = config.fitted()
    assert fitted.duration_seconds == seconds
    again, notes = fitted.fitted()
    assert (again, notes) == (fitted, [])
    # As a worker process reads it.
    assert LoadTestConfig.model_validate(fitted.model_dump(mode="json")) is not None


async def test_an_endurance_test_that_is_too_short_says_what_it_did_not_judge(hello: Any):
    """Its own verdict is on how far response times rise, for which a second has too few points."""
    config = create_endurance_test(hello.url)
    config.duration_seconds = 1
    summary = await LoadTester(config).run_load_test()
    assert "whether the p95 rose was not judged: it takes 10 seconds with answers" in summary.notes


def test_a_longer_test_ramps_up_as_before():
    """A ramp is as long as it has to be for a service, unless the test has no place for it."""
    config = create_basic_load_test("http://127.0.0.1:1")
    config.duration_seconds = 3600
    assert config.fitted()[0].ramp_up_seconds == 10
    assert config.fitted()[1] == []


def test_a_ramp_that_was_set_stays():
    """Before the duration or after it: it is meant for the duration of the end."""
    for order in permutations([("ramp_up_seconds", 20), ("duration_seconds", 30)]):
        config = create_stress_test("http://127.0.0.1:1")
        for name, value in order:
            setattr(config, name, value)
        assert config.fitted()[0].ramp_up_seconds == 20
        assert config.fitted()[1] == []


@given(st.permutations(["duration_seconds", "ramp_up_seconds", "ramp_down_seconds"]), _SECONDS, _SECONDS, _SECONDS)
def test_the_order_does_not_matter(order: list[str], duration: float, up: float, down: float):
    """No order is refused, all of them are the same test, and its ramps lie inside its duration."""
    values = {"duration_seconds": duration, "ramp_up_seconds": up, "ramp_down_seconds": down}
    results = []
    for names in (order, list(values)):
        config = create_stress_test("http://127.0.0.1:1")
        for name in names:
            setattr(config, name, values[name])
        results.append(config.fitted())
    assert results[0] == results[1]
    fitted, notes = results[0]
    assert fitted.ramp_up_seconds + fitted.ramp_down_seconds <= duration * (1 + 1e-9)
    assert not notes or up + down > duration


@pytest.mark.parametrize("seconds", [5, 400])
def test_stages_become_as_long_as_the_duration_that_was_set(seconds: float):
    """The stages are the duration: all of them shrink and grow with it."""
    users = RampingUsersConfig(
        shape="ramping_users", stages=[UserStage(users=9, seconds=30), UserStage(users=1, seconds=10)]
    )
    rates = RampingRateConfig(
        shape="ramping_rate", stages=[RateStage(rate=9, seconds=30), RateStage(rate=1, seconds=10)]
    )
    for load in (users, rates):
        config = LoadTestConfig(load=load)
        assert config.fitted() == (config, [])
        config.duration_seconds = seconds
        fitted, notes = config.fitted()
        assert isinstance(fitted.load, type(load))
        assert [stage.seconds for stage in fitted.load.stages] == [seconds * 0.75, seconds * 0.25]
        assert notes == [f"the stages take {seconds:g} s instead of 40 s, each in proportion to the duration"]
        assert [stage.seconds for stage in load.stages] == [30, 10]


def test_the_times_of_a_spike_keep_their_share():
    """Given in a file for two minutes, run for twelve seconds."""
    times = {"spike_after_seconds": 40, "spike_seconds": 20, "rise_seconds": 2}
    config = LoadTestConfig(duration_seconds=120, load=SpikeConfig(shape="spike", **times))
    config.duration_seconds = 12
    load = config.fitted()[0].load
    assert isinstance(load, SpikeConfig)
    assert (load.spike_after_seconds, load.spike_seconds, load.rise_seconds) == (4, 2, 0.2)


def test_fields_that_need_one_another_are_set_in_any_order():
    """HTTP/2 before the engine that speaks it; alone it is refused when the test is built."""
    config = LoadTestConfig()
    config.http2 = True
    with pytest.raises(ConfigError, match="http2 needs engine: httpx"):
        config.fitted()
    config.engine = "httpx"
    assert config.fitted()[0].http2


@pytest.mark.parametrize("given", [{"duration_seconds": 5, "ramp_up_seconds": 9}, {"http2": True}])
def test_what_is_given_together_must_fit(given: dict[str, Any]):
    """A file that contradicts itself is refused, as before."""
    with pytest.raises(ValueError, match=r"the ramps lie inside the duration|http2 needs"):
        LoadTestConfig(**given)
