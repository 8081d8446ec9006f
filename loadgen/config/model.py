"""The test in the user's words: what to ask, how hard, for how long."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


class Strict(BaseModel):
    """A section of the file: unknown keys are errors, and an assignment is checked like a file is."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)


class EndpointConfig(Strict):
    """One kind of request and its share of the traffic."""

    path: str
    method: Method = "GET"
    name: str | None = None
    data: Any = None
    headers: dict[str, str] = Field(default_factory=dict)
    weight: int = Field(default=1, ge=1)
    expected_status: list[int] = Field(default_factory=list)

    @field_validator("path")
    @classmethod
    def _starts_at_the_root(cls, path: str) -> str:
        if not path.startswith("/"):
            raise ValueError("must start with '/'")
        if any(character in path for character in " \r\n"):
            raise ValueError("must not hold spaces or line ends")
        return path

    @field_validator("method", mode="before")
    @classmethod
    def _in_capitals(cls, method: Any) -> Any:
        return method.upper() if isinstance(method, str) else method

    @field_validator("expected_status", mode="before")
    @classmethod
    def _as_a_list(cls, status: Any) -> Any:
        return [status] if isinstance(status, int) else status or []

    @property
    def label(self) -> str:
        """Return the name this endpoint has in metrics and reports."""
        return self.name or f"{self.method} {self.path.partition('?')[0]}"


DEFAULT_ENDPOINTS = (
    {"path": "/health", "weight": 1},
    {"path": "/api/v1/process/text", "method": "POST", "data": {"content": "Load test content"}, "weight": 2},
    {"path": "/api/v1/search", "method": "POST", "data": {"query": "load test query"}, "weight": 2},
)


def _default_endpoints() -> list[EndpointConfig]:
    return [EndpointConfig.model_validate(endpoint) for endpoint in DEFAULT_ENDPOINTS]


class LoadTestConfig(Strict):
    """One load test. `duration_seconds: 0` runs until it is stopped."""

    name: str = "load test"
    base_url: str = "http://localhost:8000"
    duration_seconds: float = Field(default=60, ge=0)
    concurrent_users: int = Field(default=10, ge=1)
    ramp_up_seconds: float = Field(default=0, ge=0)
    ramp_down_seconds: float = Field(default=0, ge=0)
    think_time_seconds: float = Field(default=0, ge=0)
    max_errors: int | None = Field(default=None, ge=1)
    timeout_seconds: float = Field(default=30, gt=0)
    endpoints: list[EndpointConfig] = Field(default_factory=_default_endpoints, min_length=1)

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _ramps_fit(self) -> LoadTestConfig:
        ramps = self.ramp_up_seconds + self.ramp_down_seconds
        if self.duration_seconds and ramps > self.duration_seconds:
            raise ValueError(
                f"ramp_up_seconds and ramp_down_seconds take {ramps:g} s of a duration_seconds of "
                f"{self.duration_seconds:g}: the ramps lie inside the duration"
            )
        return self

    @classmethod
    def from_yaml(cls, path: str | Path, test: str | None = None) -> LoadTestConfig:
        """Read one test from a file; `test` names it when the file holds several."""
        from loadgen.config.reading import read_test

        return read_test(Path(path), test)
