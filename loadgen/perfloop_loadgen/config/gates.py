"""The sections `thresholds` and `generator_limits`: what a run must keep, and what makes it worthless."""

from __future__ import annotations

from pydantic import Field, model_validator

from perfloop_loadgen.config.strict import Strict


class GateConfig(Strict):
    """A gate on one endpoint, or on a PromQL expression evaluated over the run.

    `promql` without `$run` must keep `expect` at every moment of the run; with `$run` (the run's length, as in
    `rate(x_total[$run])`) it is evaluated once, at the end.
    """

    expect: str
    endpoint: str | None = None
    promql: str | None = None
    name: str | None = None

    @model_validator(mode="after")
    def _looks_at_one_side(self) -> GateConfig:
        if self.endpoint is not None and self.promql is not None:
            raise ValueError("endpoint and promql exclude each other")
        return self


class GeneratorLimits(Strict):
    """Beyond these the generator, not the service, was the limit, and the run is invalid."""

    cpu_ratio: float = Field(default=0.9, gt=0)
    event_loop_lag_seconds: float = Field(default=0.05, gt=0)
    achieved_ratio: float = Field(default=0.99, ge=0, le=1)
