"""The test file: its model, its reading, its ready-made profiles."""

from __future__ import annotations

from perfloop_loadgen.config.model import LoadTestConfig
from perfloop_loadgen.config.profiles import (
    PROFILES,
    create_basic_load_test,
    create_endurance_test,
    create_spike_test,
    create_stress_test,
)
from perfloop_loadgen.config.scenario import EndpointConfig, ScenarioConfig

__all__ = [
    "PROFILES",
    "EndpointConfig",
    "LoadTestConfig",
    "ScenarioConfig",
    "create_basic_load_test",
    "create_endurance_test",
    "create_spike_test",
    "create_stress_test",
]
