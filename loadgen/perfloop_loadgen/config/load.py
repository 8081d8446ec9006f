"""The section `load`: the shapes other than plain `concurrent_users`. Times are seconds, rates requests per second."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from perfloop_loadgen.config.strict import Strict


class UserStage(Strict):
    """Move on a straight line to `users` within `seconds`."""

    users: int = Field(ge=0)
    seconds: float = Field(gt=0)


class RateStage(Strict):
    """Move on a straight line to `rate` requests per second within `seconds`."""

    rate: float = Field(ge=0)
    seconds: float = Field(gt=0)


class RampingUsersConfig(Strict):
    """Closed: users along stages; the stages are the duration."""

    shape: Literal["ramping_users"]
    start_users: int = Field(default=1, ge=0)
    stages: list[UserStage] = Field(min_length=1)


class _Open(Strict):
    max_in_flight: int = Field(
        default=1000,
        ge=1,
        description="Requests under way at most; further ones wait, and are dropped after the timeout.",
    )


class ConstantRateConfig(_Open):
    """Open: evenly spaced requests for `duration_seconds`."""

    shape: Literal["constant_rate"]
    rate: float = Field(gt=0, description="Requests per second.")


class RampingRateConfig(_Open):
    """Open: a rate along stages; the stages are the duration."""

    shape: Literal["ramping_rate"]
    start_rate: float = Field(default=0, ge=0, description="Requests per second at the beginning.")
    stages: list[RateStage] = Field(min_length=1)


class PoissonRateConfig(_Open):
    """Open: independent arrivals, as from many unrelated callers, for `duration_seconds`."""

    shape: Literal["poisson_rate"]
    rate: float = Field(gt=0, description="Requests per second on average.")
    seed: int = Field(default=1, description="The same seed gives the same schedule.")


class TraceConfig(_Open):
    """Open: requests at the moments of a recorded trace, with its lengths of prompts and answers.

    The window is the duration, unless `duration_seconds` is given and shorter.
    """

    shape: Literal["trace"]
    file: Path = Field(description="CSV or JSON Lines, also as .gz: Azure's LLM traces, BurstGPT, Mooncake.")
    speed: float = Field(default=1, gt=0, description="2: the trace in half of its time.")
    start_seconds: float = Field(default=0, ge=0, description="Beginning of the window, in the trace's own time.")
    end_seconds: float | None = Field(default=None, gt=0, description="End of the window; left out: the trace's end.")
    timestamp_unit: Literal["s", "ms"] | None = Field(
        default=None, description="Of timestamps that are numbers; left out: ms in JSON Lines, s in CSV."
    )
    block_tokens: int = Field(default=512, ge=1, description="Tokens of a block that hash_ids name.")

    @model_validator(mode="after")
    def _has_a_window(self) -> TraceConfig:
        if self.end_seconds is not None and self.end_seconds <= self.start_seconds:
            raise ValueError(
                f"end_seconds {self.end_seconds:g} must be later than start_seconds {self.start_seconds:g}"
            )
        return self


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
    max_drift_ratio: float = Field(default=0.1, gt=0, description="The p95 may rise by this share over the run.")


class BreakpointConfig(_Open):
    """Open: search for the highest rate that keeps every threshold: double, bisect, confirm."""

    shape: Literal["breakpoint"]
    start_rate: float = Field(default=10, gt=0, description="The first rate, in requests per second.")
    max_rate: float = Field(default=100_000, gt=0, description="No higher rate is tried.")
    step_seconds: float = Field(default=10, ge=0.5, description="Length of each trial.")
    confirm_seconds: float = Field(default=30, ge=0.5, description="Length of the trials that confirm the result.")
    precision_ratio: float = Field(default=0.05, gt=0, lt=1, description="Bisect until the bounds are this close.")


LoadConfig = Annotated[
    RampingUsersConfig
    | ConstantRateConfig
    | RampingRateConfig
    | PoissonRateConfig
    | TraceConfig
    | SpikeConfig
    | EnduranceConfig
    | BreakpointConfig,
    Field(discriminator="shape"),
]
