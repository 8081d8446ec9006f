"""The sections `endpoints` and `scenarios`: what is requested, and what the answers must be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from perfloop_loadgen.config.secrets import shown
from perfloop_loadgen.config.strict import Strict

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


class CheckConfig(Strict):
    """One thing that must be true of an answer: a JSON value, a header, or text in the body."""

    json_path: str | None = Field(default=None, alias="json")
    header: str | None = None
    body_contains: str | None = None
    equals: Any = None

    @model_validator(mode="after")
    def _has_one_subject(self) -> CheckConfig:
        named = [name for name in ("json_path", "header", "body_contains") if getattr(self, name) is not None]
        if len(named) != 1:
            raise ValueError("name one of json, header and body_contains")
        return self


class SloConfig(Strict):
    """The limits that a streamed answer must keep to count as good; a limit that is left out is not checked."""

    first_token_seconds: float | None = Field(default=None, gt=0)
    per_token_seconds: float | None = Field(default=None, gt=0)
    whole_seconds: float | None = Field(default=None, gt=0)


class LlmConfig(Strict):
    """An OpenAI-compatible chat: prompts from a file (one a line, or a JSON list), else `prompt_words` random words."""

    model: str
    prompts_file: Path | None = None
    prompt_words: int = Field(default=100, ge=1)
    max_tokens: int = Field(default=128, ge=1)
    temperature: float = Field(default=0, ge=0)


class EndpointConfig(Strict):
    """One kind of request and its share of the traffic."""

    path: str = Field(description="As '/items/7?page=2'; ${name} is filled from data and extracted values.")
    method: Method = "GET"
    name: str | None = Field(default=None, description="The name in metrics and reports; else METHOD PATH.")
    data: Any = Field(default=None, description="The body: text as it is, everything else as JSON.")
    headers: dict[str, str] = Field(default_factory=dict)
    weight: int = Field(default=1, ge=1, description="Its share of the traffic, against the other weights.")
    expected_status: list[int] = Field(default_factory=list, description="Left out: any status from 200 to 399.")
    checks: list[CheckConfig] = Field(default_factory=list)
    stream: bool = Field(default=False, description="Measure server-sent events one by one.")
    slo: SloConfig = Field(default_factory=SloConfig)
    llm: LlmConfig | None = None

    @field_validator("path")
    @classmethod
    def _is_absolute(cls, path: str) -> str:
        if not path.startswith("/"):
            raise ValueError("must start with '/'")
        if any(character <= " " or character == "\x7f" for character in path):
            raise ValueError("must not hold spaces or line ends, nor other control characters")
        return path

    @field_validator("headers")
    @classmethod
    def _are_single_lines(cls, headers: dict[str, str]) -> dict[str, str]:
        if any(character in text for pair in headers.items() for text in pair for character in "\r\n\0"):
            raise ValueError("must not hold line ends or NUL")
        return headers

    @field_validator("method", mode="before")
    @classmethod
    def _to_capitals(cls, method: Any) -> Any:
        return method.upper() if isinstance(method, str) else method

    @field_validator("expected_status", mode="before", json_schema_input_type=int | list[int])
    @classmethod
    def _to_list(cls, status: Any) -> Any:
        return [status] if isinstance(status, int) else status or []

    @model_validator(mode="after")
    def _has_one_body(self) -> EndpointConfig:
        if self.llm is not None and self.data is not None:
            raise ValueError("llm makes the request's body: leave data out")
        return self

    @property
    def label(self) -> str:
        """Return the endpoint's name in metrics and reports."""
        method = self.method if self.llm is None else "POST"
        return shown(self.name or f"{method} {self.path.partition('?')[0]}")


class StepConfig(EndpointConfig):
    """One request of a scenario, and what is kept of its answer for the later ones."""

    extract: dict[str, str] = Field(
        default_factory=dict, description="NAME: json:PATH, header:NAME or regex:PATTERN; later steps use ${NAME}."
    )
    think_time_seconds: float = Field(default=0, ge=0)

    @field_validator("extract")
    @classmethod
    def _have_known_sources(cls, extract: dict[str, str]) -> dict[str, str]:
        for name, source in extract.items():
            if source.partition(":")[0] not in {"json", "header", "regex"}:
                raise ValueError(f"{name} must be json:PATH, header:NAME or regex:PATTERN")
        return extract


class ScenarioConfig(Strict):
    """Steps that one user takes in order, or an async function of a Python file, as `shop.py:buy`."""

    name: Annotated[str, AfterValidator(shown)] = "scenario"
    weight: int = Field(default=1, ge=1)
    steps: list[StepConfig] = Field(default_factory=list)
    python: str | None = None

    @model_validator(mode="after")
    def _has_one_form(self) -> ScenarioConfig:
        if bool(self.steps) == bool(self.python):
            raise ValueError("give either steps or python")
        if self.python is not None and not all(self.python.rpartition(":")[::2]):
            raise ValueError("python must be FILE.py:FUNCTION")
        return self
