"""The test in the user's words: what to ask, how hard, for how long."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from perfloop_loadgen.config.gates import GateConfig, GeneratorLimits
from perfloop_loadgen.config.load import LoadConfig
from perfloop_loadgen.config.reading import choose_one, read_all
from perfloop_loadgen.config.scenario import EndpointConfig, ScenarioConfig
from perfloop_loadgen.config.strict import Strict


class TlsConfig(Strict):
    """Whom to trust: the system's authorities, one file of them, or (for tests) anybody."""

    verify: bool = True
    ca_file: Path | None = None


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
    scenarios: list[ScenarioConfig] = Field(default_factory=list)
    data_file: Path | None = None
    load: LoadConfig | None = None
    engine: Literal["http1", "httpx"] = "http1"
    http2: bool = False
    tls: TlsConfig = Field(default_factory=TlsConfig)
    workers: int = Field(default=1, ge=1)
    thresholds: list[str | GateConfig] = Field(default_factory=list)
    prometheus_url: str | None = None
    generator_limits: GeneratorLimits = Field(default_factory=GeneratorLimits)

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

    @model_validator(mode="after")
    def _can_speak_http2(self) -> LoadTestConfig:
        if self.http2 and self.engine != "httpx":
            raise ValueError("http2 needs engine: httpx")
        return self

    @property
    def asked(self) -> list[EndpointConfig]:
        """Return the endpoints that are asked: the default ones only where nothing else is."""
        named = "endpoints" in self.model_fields_set
        return self.endpoints if named or not self.scenarios else []

    @classmethod
    def from_yaml(cls, path: str | Path, test: str | None = None) -> LoadTestConfig:
        """Read one test from a file; `test` names it when the file holds several."""
        return choose_one(Path(path), cls.all_from_yaml(path), test)

    @classmethod
    def all_from_yaml(cls, path: str | Path) -> dict[str, LoadTestConfig]:
        """Read every test of a file, by its key."""
        known = [*cls.model_fields, *EndpointConfig.model_fields, *ScenarioConfig.model_fields]
        return read_all(Path(path), cls.model_validate, known)
