"""The test in the user's words: what is requested, under which load, for how long, and what must hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PrivateAttr, field_validator, model_validator

from perfloop_base.errors import ConfigError
from perfloop_loadgen.config.addresses import parse_service_url
from perfloop_loadgen.config.connection import ConnectionConfig, connection_problems
from perfloop_loadgen.config.fitting import fit
from perfloop_loadgen.config.load import LoadConfig
from perfloop_loadgen.config.reading import choose_one, read_all
from perfloop_loadgen.config.scenario import EndpointConfig, ScenarioConfig
from perfloop_loadgen.config.secrets import shown
from perfloop_loadgen.config.strict import Strict, known_keys

DEFAULT_URL = "http://localhost:8000"
MAX_BODY_BYTES = 8 * 1024 * 1024
# Of times that were scaled.
_ROUNDING = 1e-9


class GateConfig(Strict):
    """A gate on one endpoint, or on a PromQL expression evaluated over the run.

    `promql` without `$run` must keep `expect` at every moment of the run; with `$run` (the run's length, as in
    `rate(x_total[$run])`) it is evaluated once, at the end.
    """

    expect: str = Field(description="As 'p95 < 0.5 s'; for a promql gate a sign and a bound, as '< 20'.")
    endpoint: str | None = Field(default=None, description="The endpoint's name; left out: all of them.")
    promql: str | None = None
    name: str | None = Field(default=None, description="The name of a promql gate in reports.")
    abort: bool = Field(default=False, description="End the run, which has then failed, as soon as this is crossed.")
    abort_after_seconds: float = Field(
        default=10, ge=0, description="With abort: looked at from this second of the run on, over everything so far."
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> GateConfig:
        if self.endpoint is not None and self.promql is not None:
            raise ValueError("endpoint and promql exclude each other")
        if self.abort and self.promql is not None:
            raise ValueError("abort is for what the generator measures: a promql gate is judged at the end")
        if "abort_after_seconds" in self.model_fields_set and not self.abort:
            raise ValueError("abort_after_seconds needs abort: true")
        return self


class GeneratorLimits(Strict):
    """Beyond these the generator, not the service, was the limit, and the run is invalid."""

    cpu_ratio: float = Field(default=0.9, gt=0, description="CPU used by the generator, in cores.")
    event_loop_lag_seconds: float = Field(default=0.05, gt=0, description="99th percentile of the generator's delays.")
    achieved_ratio: float = Field(default=0.99, ge=0, le=1, description="Share of an open schedule that must be sent.")
    network_ratio: float = Field(default=0.9, gt=0, description="Use of a network card, as a share of its speed.")


DEFAULT_ENDPOINTS = (
    {"path": "/health", "weight": 1},
    {"path": "/api/v1/process/text", "method": "POST", "data": {"content": "Load test content"}, "weight": 2},
    {"path": "/api/v1/search", "method": "POST", "data": {"query": "load test query"}, "weight": 2},
)


def _default_endpoints() -> list[EndpointConfig]:
    return [EndpointConfig.model_validate(endpoint) for endpoint in DEFAULT_ENDPOINTS]


class LoadTestConfig(ConnectionConfig):
    """One load test. `duration_seconds: 0` runs until it is stopped."""

    name: Annotated[str, AfterValidator(shown)] = Field(
        default="load test", description="The name in metrics and reports; in a file, else the key."
    )
    base_url: str = Field(default=DEFAULT_URL, description="The service under test.")
    duration_seconds: float = Field(default=60, ge=0, description="0: until the run is stopped.")
    concurrent_users: int = Field(default=10, ge=1)
    ramp_up_seconds: float = Field(default=0, ge=0, description="Lies inside the duration.")
    ramp_down_seconds: float = Field(default=0, ge=0, description="Lies inside the duration.")
    think_time_seconds: float = Field(default=0, ge=0, description="Pause of a user between two requests.")
    max_errors: int | None = Field(default=None, ge=1, description="Errors that end the run, which has then failed.")
    timeout_seconds: float = Field(default=30, gt=0, description="Of each request, connecting included.")
    max_body_bytes: int = Field(
        default=MAX_BODY_BYTES,
        ge=65_536,
        description="The longest body that checks and extracts read; a longer one fails as body_too_large.",
    )
    cookies: bool = Field(default=False, description="Keep cookies as a browser does: each user has a jar of its own.")
    redirects: Literal["follow", "refuse"] = Field(
        default="refuse",
        description="Whether to follow redirects as browsers do, 10 at most; else one fails as `redirect`.",
    )
    endpoints: list[EndpointConfig] = Field(default_factory=_default_endpoints, min_length=1)
    scenarios: list[ScenarioConfig] = Field(default_factory=list)
    data_file: Path | None = Field(default=None, description="A .csv, .json or .jsonl file whose rows fill ${name}.")
    load: LoadConfig | None = Field(default=None, description="A shape other than concurrent_users with ramps.")
    workers: int = Field(default=1, ge=1, description="Processes, or workers of a Dask cluster, that share the load.")
    on_lost_worker: Literal["invalid", "take-over"] = Field(
        default="invalid",
        description="What a worker that is lost does to the run: it is invalid, or the others take its share over.",
    )
    trace_sampling: float = Field(
        default=0,
        ge=0,
        le=1,
        description="Share of the requests that carry a traceparent header, which has the service record their trace.",
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        lt=2**52,
        description="Of generated prompts; left out: another one in each run. The report has it.",
    )
    thresholds: list[str | GateConfig] = Field(default_factory=list, description="Gates, as 'p95 < 0.5 s'.")
    prometheus_url: str | None = Field(
        default=None,
        description="Where promql gates and the service's series are read; left out: the local stack's Prometheus.",
    )
    service: str | None = Field(
        default=None,
        description="The service's label `service` (or `job`) in Prometheus; left out: the target at base_url.",
    )
    generator_limits: GeneratorLimits = Field(default_factory=GeneratorLimits)

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        parse_service_url(url)
        return url.rstrip("/")

    @field_validator("prometheus_url")
    @classmethod
    def _is_http_if_given(cls, url: str | None) -> str | None:
        return url if url is None else cls._is_http(url)

    # The duration that the ramps were meant for, and the fields that were set afterwards.
    _made_for_seconds: float = PrivateAttr(default=0.0)
    _assigned: frozenset[str] = PrivateAttr(default=frozenset())

    def model_post_init(self, context: Any, /) -> None:
        """Check together what is given together.

        Raises:
            ValueError: with every rule that the fields break.
        """
        del context
        self._made_for_seconds = self.duration_seconds
        problems = self._problems()
        if problems:
            raise ValueError("; ".join(problems))

    def _problems(self) -> list[str]:
        """Return which fields do not go together. Set one after the other in Python, they need not until the run."""
        problems = []
        ramps = self.ramp_up_seconds + self.ramp_down_seconds
        if self.duration_seconds and ramps > self.duration_seconds * (1 + _ROUNDING):
            problems.append(
                f"ramp_up_seconds and ramp_down_seconds take {ramps:g} s of a duration_seconds of "
                f"{self.duration_seconds:g}: the ramps lie inside the duration"
            )
        # Without a base_url in the file, the command line may still give one.
        return problems + connection_problems(self, self.base_url if "base_url" in self.model_fields_set else None)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field, which need not fit the others before they are set too."""
        super().__setattr__(name, value)
        if name in LoadTestConfig.model_fields:
            self._assigned |= {name}

    def fitted(self) -> tuple[LoadTestConfig, list[str]]:
        """Return the test as it can run, and a sentence for each part that follows a duration that was set.

        Raises:
            ConfigError: with every rule that the fields break.
        """
        changes, notes = fit(self, self._made_for_seconds, self._assigned)
        copy = self.model_copy(update=changes)
        copy._made_for_seconds, copy._assigned = copy.duration_seconds, frozenset()  # noqa: SLF001 - its own copy
        problems = copy._problems()  # noqa: SLF001 - its own copy
        if problems:
            raise ConfigError(problems)
        return copy, notes

    def of_round(self, number: int) -> LoadTestConfig:
        """Return the test for the n-th run of one experiment, from 0: each has other prompts, also under one seed.

        Else every run but the first would measure the server's prompt cache.
        """
        return self if self.seed is None else self.model_copy(update={"seed": self.seed + number})

    @property
    def requested(self) -> list[EndpointConfig]:
        """Return the endpoints that are requested: the default ones only where nothing else is."""
        named = "endpoints" in self.model_fields_set
        return self.endpoints if named or not self.scenarios else []

    @classmethod
    def from_yaml(cls, path: str | Path, test: str | None = None) -> LoadTestConfig:
        """Read one test from a file; `test` names it when the file holds several.

        Raises:
            ConfigError: with every problem of the file, each with its line.
        """
        return choose_one(Path(path), cls.all_from_yaml(path), test)

    @classmethod
    def all_from_yaml(cls, path: str | Path) -> dict[str, LoadTestConfig]:
        """Read every test of a file, by its key.

        Raises:
            ConfigError: with every problem of the file, each with its line.
        """
        return read_all(Path(path), cls.model_validate, known_keys())


class LoadTestFile(Strict):
    """A file of load tests for `perfloop loadgen run FILE`."""

    load_tests: dict[str, LoadTestConfig] | LoadTestConfig = Field(description="The tests by name, or one test.")


def load_test_schema() -> dict[str, Any]:
    """Return the JSON Schema of a file of load tests, by which editors complete and check it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **LoadTestFile.model_json_schema(by_alias=True, mode="validation"),
    }
