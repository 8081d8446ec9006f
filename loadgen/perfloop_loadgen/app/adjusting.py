"""Load and duration from the command line: `--duration 30s --users 50 --rate 200/s --ramp-up 10s` on any test.

A flag means what it says, or is refused with the reason: none is silently without effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError
from perfloop_loadgen.config.load import (
    BreakpointConfig,
    ConstantRateConfig,
    EnduranceConfig,
    PoissonRateConfig,
    RampingRateConfig,
    RampingUsersConfig,
    RateStage,
    SpikeConfig,
    TraceConfig,
)

if TYPE_CHECKING:
    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.run_flags import LoadFlags


def adjusted(config: LoadTestConfig, flags: LoadFlags) -> LoadTestConfig:
    """Return the test with what the flags say.

    Raises:
        ConfigError: with every flag that does not go with the test's shape, and why.
    """
    config = config.model_copy()
    problems: list[str] = []
    # In this order: a rate makes a test with users an open one, and a ramp of a rate takes its place in the duration.
    if flags.duration is not None:
        problems += _set_duration(config, flags.duration)
    if flags.rate is not None:
        problems += _set_rate(config, flags.rate)
    if flags.users is not None:
        problems += _set_users(config, flags.users)
    if flags.ramp_up is not None:
        problems += _set_ramp(config, flags.ramp_up)
    if problems:
        raise ConfigError([f"{config.name}: {problem}" for problem in problems])
    return config


def _shape(config: LoadTestConfig) -> str:
    return f"the shape {config.load.shape}" if config.load is not None else "concurrent_users"


def _set_duration(config: LoadTestConfig, seconds: float) -> list[str]:
    if isinstance(config.load, BreakpointConfig):
        return ["--duration: a search for the breakpoint ends when it has found it: set its step_seconds instead"]
    if not seconds and isinstance(config.load, RampingUsersConfig | RampingRateConfig):
        return [f"--duration 0: {_shape(config)} ends with its last stage"]
    config.duration_seconds = seconds
    return []


def _set_rate(config: LoadTestConfig, rate: float) -> list[str]:
    match config.load:
        case None:
            config.load = ConstantRateConfig(shape="constant_rate", rate=rate)
        case ConstantRateConfig() | PoissonRateConfig():
            config.load = config.load.model_copy(update={"rate": rate})
        case RampingRateConfig() | BreakpointConfig() | TraceConfig():
            return [f"--rate: the test has {_shape(config)}, which has rates of its own"]
        case _:
            return [f"--rate needs an open shape: the test has {_shape(config)}, a number of users at each moment"]
    return []


def _set_users(config: LoadTestConfig, users: int) -> list[str]:
    match config.load:
        case None | SpikeConfig() | EnduranceConfig():
            config.concurrent_users = users
        case RampingUsersConfig():
            return [f"--users: the test has {_shape(config)}, whose stages say how many users there are"]
        case load:
            config.load = load.model_copy(update={"max_in_flight": users})
    return []


def _set_ramp(config: LoadTestConfig, seconds: float) -> list[str]:
    duration = config.duration_seconds
    if duration and seconds > duration:
        return [f"--ramp-up {seconds:g}s is longer than the test, which takes {duration:g} s: the ramp lies inside it"]
    match config.load:
        case None:
            config.ramp_up_seconds = seconds
        case ConstantRateConfig() as load if duration:
            goals = [RateStage(rate=load.rate, seconds=part) for part in (seconds, duration - seconds) if part]
            config.load = RampingRateConfig(
                shape="ramping_rate", start_rate=0, stages=goals, max_in_flight=load.max_in_flight
            )
        case ConstantRateConfig():
            return ["--ramp-up of a rate needs a --duration: its last stage must end"]
        case _:
            return [f"--ramp-up needs users or a constant rate to grow to: the test has {_shape(config)}"]
    return []
