"""The sections `endpoints` and `scenarios`: what is requested, and what the answers must be."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from perfloop_loadgen.config.llm import LlmConfig
from perfloop_loadgen.config.placeholders import starts_raw
from perfloop_loadgen.config.secrets import shown
from perfloop_loadgen.config.strict import Strict

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
# A token (RFC 9110, section 5.6.2).
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


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

    first_token_seconds: float | None = Field(default=None, gt=0, description="Of any kind: reasoning counts too.")
    first_answer_seconds: float | None = Field(default=None, gt=0, description="To the first token after reasoning.")
    per_token_seconds: float | None = Field(default=None, gt=0)
    whole_seconds: float | None = Field(default=None, gt=0)


class PartConfig(Strict):
    """One part of an upload: a file, or a text; a text without more is a plain field."""

    file: str | None = Field(default=None, description="The file to send; ${name} is filled from data.")
    text: Any = Field(default=None, description="What to send instead of a file: text as it is, else as JSON.")
    filename: str | None = Field(default=None, description="The name that the server sees; else the file's own.")
    content_type: str | None = Field(default=None, description="Left out: guessed from the file's name.")

    @model_validator(mode="after")
    def _has_one_content(self) -> PartConfig:
        if self.file is not None and self.text is not None:
            raise ValueError("give either file or text")
        return self

    @field_validator("filename", "content_type")
    @classmethod
    def _is_single_line(cls, text: str | None) -> str | None:
        if text is not None and any(character in text for character in "\r\n\0"):
            raise ValueError("must not hold line ends or NUL")
        return text


Part = str | int | float | bool | None | PartConfig


def _to_part(value: Any) -> Any:
    return value if isinstance(value, dict | PartConfig) else {"text": value}


class EndpointConfig(Strict):
    """One kind of request and its share of the traffic."""

    path: str = Field(
        description="As '/items/7?page=2'; ${name} is filled from data and extracted values, ${raw:name} as it is."
    )
    method: Method = Field(default="GET", description="Left out: GET, but POST of a form or an upload.")
    name: str | None = Field(default=None, description="The name in metrics and reports; else METHOD PATH.")
    data: Any = Field(
        default=None,
        description="The body: text as it is, everything else as JSON, or as a form where Content-Type says so.",
    )
    form: dict[str, Any] | None = Field(
        default=None, description="The body as a form, application/x-www-form-urlencoded; a list repeats its field."
    )
    multipart: dict[str, list[PartConfig]] = Field(
        default_factory=dict,
        description="The body as an upload, multipart/form-data: by field a text, {file, content_type}, or a list.",
    )
    headers: dict[str, str] = Field(default_factory=dict)
    weight: int = Field(default=1, ge=1, description="Its share of the traffic, against the other weights.")
    expected_status: list[int] = Field(default_factory=list, description="Left out: 200 to 299, and 304.")
    checks: list[CheckConfig] = Field(default_factory=list)
    stream: bool = Field(default=False, description="Measure server-sent events one by one.")
    slo: SloConfig = Field(default_factory=SloConfig)
    llm: LlmConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _forms_are_posted(cls, values: Any) -> Any:
        sent = isinstance(values, dict) and "method" not in values and (values.get("form") or values.get("multipart"))
        return {**values, "method": "POST"} if sent else values

    @field_validator("path")
    @classmethod
    def _is_absolute(cls, path: str) -> str:
        if not path.startswith("/") and not starts_raw(path):
            raise ValueError("must start with '/'")
        if "#" in path:
            raise ValueError("must not hold a fragment (#), which is never sent: write %23 for the character")
        if any(character <= " " or character == "\x7f" for character in path):
            raise ValueError("must not hold spaces or line ends, nor other control characters")
        return path

    @field_validator("headers")
    @classmethod
    def _are_single_lines(cls, headers: dict[str, str]) -> dict[str, str]:
        if any(character in text for pair in headers.items() for text in pair for character in "\r\n\0"):
            raise ValueError("must not hold line ends or NUL")
        for name in headers:
            if not _HEADER_NAME.fullmatch(name) and "${" not in name:
                raise ValueError(f"{name!r} is no name of a header")
        return headers

    @field_validator("method", mode="before")
    @classmethod
    def _to_capitals(cls, method: Any) -> Any:
        return method.upper() if isinstance(method, str) else method

    @field_validator("expected_status", mode="before", json_schema_input_type=int | list[int])
    @classmethod
    def _to_list(cls, status: Any) -> Any:
        return [status] if isinstance(status, int) else status or []

    @field_validator("form")
    @classmethod
    def _are_fields(cls, form: dict[str, Any] | None) -> dict[str, Any] | None:
        for name, value in (form or {}).items():
            if any(isinstance(one, dict | list) for one in (value if isinstance(value, list) else [value])):
                raise ValueError(f"{name} must be a text, a number, or a list of them")
        return form

    @field_validator("multipart", mode="before", json_schema_input_type=dict[str, Part | list[Part]])
    @classmethod
    def _to_parts(cls, multipart: Any) -> Any:
        if not isinstance(multipart, dict):
            return multipart
        many = {name: value if isinstance(value, list) else [value] for name, value in multipart.items()}
        return {name: [_to_part(part) for part in parts] for name, parts in many.items()}

    @model_validator(mode="after")
    def _has_one_body(self) -> EndpointConfig:
        bodies = [name for name in ("data", "form", "multipart", "llm") if getattr(self, name) not in (None, {})]
        if self.llm is not None and len(bodies) > 1:
            raise ValueError(f"llm makes the request's body: leave {bodies[0]} out")
        if len(bodies) > 1:
            raise ValueError(f"a request has one body: choose one of {' and '.join(bodies)}")
        return self

    @property
    def label(self) -> str:
        """Return the endpoint's name in metrics and reports."""
        method = self.method if self.llm is None else "POST"
        return shown(self.name or f"{method} {self.path.partition('?')[0]}")


class StepConfig(EndpointConfig):
    """One request of a scenario, and what is kept of its answer for the later ones."""

    extract: dict[str, str] = Field(
        default_factory=dict,
        description="NAME: json:PATH, header:NAME, cookie:NAME or regex:PATTERN; later steps use ${NAME}.",
    )
    think_time_seconds: float = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _is_one_request(self) -> StepConfig:
        if self.llm is not None and self.llm.turns > 1:
            raise ValueError("llm: turns is for an endpoint: a step is one request")
        return self

    @field_validator("extract")
    @classmethod
    def _have_known_sources(cls, extract: dict[str, str]) -> dict[str, str]:
        for name, source in extract.items():
            if source.partition(":")[0] not in {"json", "header", "cookie", "regex"}:
                raise ValueError(f"{name} must be json:PATH, header:NAME, cookie:NAME or regex:PATTERN")
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
