"""The section `load`: the shapes beside the plain `concurrent_users`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from perfloop_loadgen.config.strict import Strict


class UserStage(Strict):
    """Move on a straight line to so many users within so many seconds."""

    users: int = Field(ge=0)
    seconds: float = Field(gt=0)


class RateStage(Strict):
    """Move on a straight line to so many requests per second within so many seconds."""

    rate: float = Field(ge=0)
    seconds: float = Field(gt=0)


class RampingUsersConfig(Strict):
    """Closed: users along stages; the stages are the duration."""

    shape: Literal["ramping_users"]
    start_users: int = Field(default=1, ge=0)
    stages: list[UserStage] = Field(min_length=1)


class _Open(Strict):
    max_in_flight: int = Field(default=1000, ge=1)


class ConstantRateConfig(_Open):
    """Open: evenly spaced requests for `duration_seconds`."""

    shape: Literal["constant_rate"]
    rate: float = Field(gt=0)


class RampingRateConfig(_Open):
    """Open: a rate along stages; the stages are the duration."""

    shape: Literal["ramping_rate"]
    start_rate: float = Field(default=0, ge=0)
    stages: list[RateStage] = Field(min_length=1)


class PoissonRateConfig(_Open):
    """Open: independent arrivals, as from many unrelated callers, for `duration_seconds`."""

    shape: Literal["poisson_rate"]
    rate: float = Field(gt=0)
    seed: int = 1


class SpikeConfig(Strict):
    """Closed: few users, suddenly `concurrent_users`, few again; `duration_seconds` is the whole.

    Left out, `base_users` is a tenth of the peak, and the spike fills the second quarter of the duration.
    """

    shape: Literal["spike"]
    base_users: int | None = Field(default=None, ge=1)
    spike_after_seconds: float | None = Field(default=None, gt=0)
    spike_seconds: float | None = Field(default=None, gt=0)
    rise_seconds: float = Field(default=1, gt=0)


class EnduranceConfig(Strict):
    """Closed: `concurrent_users` for long, judged by drift: response time must not creep up."""

    shape: Literal["endurance"]
    most_drift_ratio: float = Field(default=0.1, gt=0)


class BreakpointConfig(_Open):
    """Open: search the highest rate that meets every threshold: double, bisect, confirm."""

    shape: Literal["breakpoint"]
    start_rate: float = Field(default=10, gt=0)
    most_rate: float = Field(default=100_000, gt=0)
    step_seconds: float = Field(default=10, ge=0.5)
    confirm_seconds: float = Field(default=30, ge=0.5)
    precision_ratio: float = Field(default=0.05, gt=0, lt=1)


LoadConfig = Annotated[
    RampingUsersConfig
    | ConstantRateConfig
    | RampingRateConfig
    | PoissonRateConfig
    | SpikeConfig
    | EnduranceConfig
    | BreakpointConfig,
    Field(discriminator="shape"),
]
