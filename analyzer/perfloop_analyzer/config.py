"""The settings of a run, checked once, all problems told at once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from perfloop_analyzer.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_FULL_DURATION = re.compile(rf"(?:{_DURATION.pattern})+")

M = TypeVar("M", bound=BaseModel)


def parse_duration(text: str) -> float:
    """Turn Prometheus' own notation (`10s`, `1h30m`) into seconds."""
    if not _FULL_DURATION.fullmatch(text):
        raise ConfigError(f"'{text}' is not a duration: write a number and a unit out of ms, s, m, h, d, w, as in 10s")
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))


def format_duration(seconds: float) -> str:
    """Turn seconds into the shortest whole-unit Prometheus duration."""
    for unit in ("d", "h", "m", "s"):
        if seconds >= _UNITS[unit] and seconds % _UNITS[unit] == 0:
            return f"{int(seconds // _UNITS[unit])}{unit}"
    return f"{round(seconds * 1000)}ms"


def read_yaml(path: Path) -> Any:
    """Read one YAML file; whatever is wrong with it becomes a sentence that names it."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: is not valid YAML: {reason}") from error


def parse_model(model: type[M], data: object, where: str) -> M:
    """Check `data` against `model`; every problem is listed with its place."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError([f"{where}: {_sentence(problem)}" for problem in error.errors()]) from error


def _sentence(problem: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in problem["loc"]) or "document"
    if problem["type"] == "extra_forbidden":
        return f"unknown field '{place}'"
    if problem["type"] == "missing":
        return f"field '{place}' is missing"
    return f"field '{place}' has value {problem['input']!r}: {problem['msg'].lower()}"


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """Where Prometheus is, how to sign in, and how much may be asked of it."""

    url: str = "http://127.0.0.1:9090"
    headers: Mapping[str, str] = field(default_factory=dict)
    username: str | None = None
    password_file: Path | None = None
    bearer_token_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    insecure: bool = False
    timeout_seconds: float = 10.0
    concurrency: int = 4
    max_points: int = 11_000
    max_samples: int = 20_000_000
    retries: int = 2


@dataclass(frozen=True, slots=True)
class RunConfig:
    """One run of the service."""

    source: SourceConfig = field(default_factory=SourceConfig)
    listen_host: str = "127.0.0.1"
    listen_port: int = 19110
    token_file: Path | None = None
    store_url: str = "sqlite://"
    thresholds_file: Path | None = None
    catalog_files: Sequence[Path] = ()
    rule_files: Sequence[Path] = ()
    topology_file: Path | None = None
    interval_seconds: float = 10.0
    points: int = 240
    step_seconds: float | None = None
    rate_window: str = "auto"
    history_seconds: float = 604_800.0
    history_step_seconds: float = 600.0
    history_interval_seconds: float = 300.0
    burn_interval_seconds: float = 60.0
    follow_interval_seconds: float = 60.0
    llm_url: str | None = None
    llm_model: str = ""
    llm_token_file: Path | None = None


def read_secret(path: Path) -> str:
    """Read a one-line secret; an empty or missing file is an error that names it."""
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{path}: the secret cannot be read: {error.strerror}") from error
    if not secret:
        raise ConfigError(f"{path}: the secret is empty")
    return secret
