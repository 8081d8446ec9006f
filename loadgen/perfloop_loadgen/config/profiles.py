"""Tests that need no file: basic, stress, spike and endurance, each with the shape of its name."""

from __future__ import annotations

from perfloop_loadgen.config.load import EnduranceConfig, SpikeConfig
from perfloop_loadgen.config.model import DEFAULT_URL, LoadTestConfig


def create_basic_load_test(base_url: str = DEFAULT_URL) -> LoadTestConfig:
    """Ten users for a minute: does it work under ordinary load?"""
    return LoadTestConfig(
        name="basic load test", base_url=base_url, duration_seconds=60, concurrent_users=10, ramp_up_seconds=10
    )


def create_stress_test(base_url: str = DEFAULT_URL) -> LoadTestConfig:
    """A hundred users for five minutes: what gives way first?"""
    return LoadTestConfig(
        name="stress test", base_url=base_url, duration_seconds=300, concurrent_users=100, ramp_up_seconds=60
    )


def create_spike_test(base_url: str = DEFAULT_URL) -> LoadTestConfig:
    """Twenty users, suddenly two hundred for half a minute, twenty again: does it survive, and recover?"""
    return LoadTestConfig(
        name="spike test",
        base_url=base_url,
        duration_seconds=120,
        concurrent_users=200,
        load=SpikeConfig(shape="spike"),
    )


def create_endurance_test(base_url: str = DEFAULT_URL) -> LoadTestConfig:
    """Twenty users for an hour: does anything drift?"""
    return LoadTestConfig(
        name="endurance test",
        base_url=base_url,
        duration_seconds=3600,
        concurrent_users=20,
        think_time_seconds=0.5,
        load=EnduranceConfig(shape="endurance"),
    )


PROFILES = {
    "basic": create_basic_load_test,
    "stress": create_stress_test,
    "spike": create_spike_test,
    "endurance": create_endurance_test,
}
