"""The test file: its model, its reading, its ready-made profiles."""

from loadgen.config.model import EndpointConfig, LoadTestConfig
from loadgen.config.profiles import (
    create_basic_load_test,
    create_endurance_test,
    create_spike_test,
    create_stress_test,
)

__all__ = [
    "EndpointConfig",
    "LoadTestConfig",
    "create_basic_load_test",
    "create_endurance_test",
    "create_spike_test",
    "create_stress_test",
]
