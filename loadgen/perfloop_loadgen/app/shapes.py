"""The load shape that a configuration asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_loadgen.config.load import (
    BreakpointConfig,
    ConstantRateConfig,
    EnduranceConfig,
    PoissonRateConfig,
    RampingRateConfig,
    RampingUsersConfig,
    SpikeConfig,
)
from perfloop_loadgen.pacing.constant_rate import ConstantRate
from perfloop_loadgen.pacing.constant_users import ConstantUsers
from perfloop_loadgen.pacing.endurance import Endurance
from perfloop_loadgen.pacing.line import Stage
from perfloop_loadgen.pacing.poisson_rate import PoissonRate
from perfloop_loadgen.pacing.ramping_rate import RampingRate
from perfloop_loadgen.pacing.ramping_users import RampingUsers
from perfloop_loadgen.pacing.spike import Spike

if TYPE_CHECKING:
    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.pacing.shapes import RateShape, UserShape

# A spike without an end takes its times from a duration of two minutes.
_ENDLESS_SPIKE_SECONDS = 120.0


def build_shape(config: LoadTestConfig) -> UserShape | RateShape:
    """Return the shape; without a section `load`, so many users with their ramps."""
    return build_rate_shape(config) or build_user_shape(config)


def build_rate_shape(config: LoadTestConfig) -> RateShape | None:
    """Return the open shape that is asked for, if one is."""
    duration = config.duration_seconds or None
    match config.load:
        case ConstantRateConfig(rate=rate):
            return ConstantRate(rate, duration)
        case BreakpointConfig(start_rate=rate, step_seconds=seconds):
            return ConstantRate(rate, seconds)
        case PoissonRateConfig(rate=rate, seed=seed):
            return PoissonRate(rate, duration, seed)
        case RampingRateConfig(start_rate=start, stages=stages):
            return RampingRate(start, tuple(Stage(stage.rate, stage.seconds) for stage in stages))
    return None


def build_user_shape(config: LoadTestConfig) -> UserShape:
    """Return the closed shape that is asked for."""
    duration = config.duration_seconds or None
    match config.load:
        case RampingUsersConfig(start_users=start, stages=stages):
            return RampingUsers(start, tuple(Stage(stage.users, stage.seconds) for stage in stages))
        case SpikeConfig() as spike:
            return _spike(spike, config.concurrent_users, duration)
        case EnduranceConfig():
            return Endurance(config.concurrent_users, duration)
    return ConstantUsers(config.concurrent_users, duration, config.ramp_up_seconds, config.ramp_down_seconds)


def _spike(spike: SpikeConfig, peak: int, duration: float | None) -> Spike:
    quarter = (duration or _ENDLESS_SPIKE_SECONDS) / 4
    return Spike(
        base=spike.base_users or max(1, peak // 10),
        peak=peak,
        after_seconds=spike.spike_after_seconds or quarter,
        spike_seconds=spike.spike_seconds or quarter,
        rise_seconds=spike.rise_seconds,
        duration_seconds=duration,
    )
