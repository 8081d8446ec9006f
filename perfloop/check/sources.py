"""What checks ask, each thing once: the programs of the stack, the store of load tests, and the files."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote as quote_url

from perfloop.check import asking
from perfloop.check.asking import Answer
from perfloop.check.findings import SilentError, UnansweredError
from perfloop.check.history import History, read_history
from perfloop.extras import explain_missing
from perfloop.stack.configuration import grafana_password_file
from perfloop.stack.usage import find_differences, find_differences_at
from perfloop_base.located import show_path
from perfloop_base.promql import quote
from perfloop_base.redaction import register
from perfloop_base.scaling import Scaling, read_scaling
from perfloop_base.slos import Slo, read_slos
from perfloop_base.thresholds import Thresholds, read_thresholds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pydantic import BaseModel

    from perfloop.check.config import CheckConfig
    from perfloop.check.place import Place
    from perfloop.stack.usage import Agreement

T = TypeVar("T", bound="BaseModel")
Values = list[tuple[dict[str, str], float]]
TITLES = {
    "prometheus": "Prometheus",
    "alertmanager": "Alertmanager",
    "grafana": "Grafana",
    "analyzer": "the analyzer",
    "inbox": "the inbox",
}
# The programs of the stack itself: their own pages are no service that is to be ready.
_OWN = ("alertmanager", "analyzer", "exporter", "grafana", "host", "inbox", "loadgen", "prometheus")
_SERVICES = (
    "group by (service) (service_slo:slo_events:rate5m)"
    " or group by (service) (http_server_request_duration_seconds_count)"
)


class _Sample(Answer):
    metric: dict[str, str]
    value: tuple[float, str]


class _Vector(Answer):
    result: list[_Sample]


class _Queried(Answer):
    data: _Vector


@dataclass
class Sources:
    """What can be asked; `now` is in Unix seconds."""

    config: CheckConfig
    place: Place
    now: float
    say: Callable[[str], None] = field(default=lambda _: None)
    _silent: dict[str, str] = field(default_factory=dict)

    def answer(self, kind: type[T], program: str, path: str, parameters: Mapping[str, str | float] | None = None) -> T:
        """Return a program's answer of JSON.

        Raises:
            UnansweredError: There is none of that form.
        """
        url = self.grafana_url if program == "grafana" else self.place.url(program)
        if program in self._silent:  # a program that hangs is waited for once
            raise UnansweredError(self._silent[program])
        try:
            return asking.read_answer(kind, TITLES[program], url, path, parameters)
        except SilentError as error:
            self._silent[program] = str(error)
            raise

    @cached_property
    def grafana_url(self) -> str:
        """The address of Grafana with the user that may read its dashboards.

        Raises:
            UnansweredError: None is known.
            DockerError: Its container does not say the password.
            OSError: The password's file cannot be read.
        """
        url = self.place.url("grafana")
        if self.config.grafana_url or not self.place.has_stack:
            return url
        if self.place.docker is not None:
            password = self.place.docker.read_grafana_password()
        else:
            password = grafana_password_file(self.place.settings.home).read_text(encoding="utf-8").strip()
        register(password)
        scheme, _, rest = url.partition("://")
        return f"{scheme}://admin:{quote_url(password, safe='')}@{rest}"

    def query(self, promql: str) -> Values:
        """Return labels and value of every series of an expression now; those that are no number left out.

        Raises:
            UnansweredError: Prometheus gave no usable answer.
        """
        found = self.answer(_Queried, "prometheus", "/api/v1/query", {"query": promql, "time": self.now})
        values = [(one.metric, _number(one.value[1])) for one in found.data.result]
        return [(labels, value) for labels, value in values if math.isfinite(value)]

    @cached_property
    def services(self) -> Sequence[str]:
        """The services that are to be ready: the one that is asked for, else every one that serves requests.

        Raises:
            UnansweredError: Prometheus gave no usable answer.
        """
        if self.config.service:
            return (self.config.service,)
        found = {labels.get("service", "") for labels, _ in self.query(_SERVICES)}
        return tuple(sorted(found - {"", *_OWN}))

    def of_service(self) -> str:
        """Return the label matcher of the service that is asked for; nothing where all are."""
        return f"service={quote(self.config.service)}" if self.config.service else ""

    @cached_property
    def history(self) -> History:
        """The stored load tests.

        Raises:
            UnansweredError: They cannot be read, with the reason.
        """
        try:
            return read_history(self.config.store_url, self.config.store_file)
        except ImportError as error:
            sentence = explain_missing(error, "loadgen")
            if sentence is None:
                raise
            raise UnansweredError(sentence) from error

    @cached_property
    def differences(self) -> Sequence[Agreement]:
        """What each program of the stack really uses, compared with the files."""
        place = self.place
        if place.has_stack:
            return tuple(find_differences(place.settings, place.docker))
        return tuple(find_differences_at(place.settings, place.urls))

    def file(self, *parts: str) -> tuple[Path, str]:
        """Return the path of a file of the configuration, and how sentences name it."""
        path = self.place.settings.configuration.joinpath(*parts)
        return path, show_path(path)

    @cached_property
    def thresholds(self) -> Thresholds:
        """The limits.

        Raises:
            ConfigError: With every problem of the file.
        """
        return read_thresholds(*self.file("prometheus", "thresholds.yml"))

    @cached_property
    def slos(self) -> Sequence[Slo]:
        """The objectives.

        Raises:
            ConfigError: With every problem of the file.
        """
        return read_slos(*self.file("prometheus", "slos.yml"))

    @cached_property
    def scaling(self) -> Scaling:
        """The goals of each service; those of every service where there is no such file.

        Raises:
            ConfigError: With every problem of the file.
        """
        path, shown = self.file("prometheus", "scaling.yml")
        return read_scaling(path, shown) if path.is_file() else Scaling()


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def in_words(problems: Sequence[str], most: int = 3) -> str:
    """Return the first problems in one sentence, with how many more there are."""
    more = len(problems) - most
    shown = "; ".join(one.rstrip(".") for one in problems[:most])
    return f"{shown}; and {more} more" if more > 0 else shown
