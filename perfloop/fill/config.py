"""The settings of `perfloop fill`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_base.addresses import is_http_url
from perfloop_base.durations import parse_positive_duration
from perfloop_base.errors import ConfigError
from perfloop_base.flags import flag
from perfloop_base.home import running_url
from perfloop_base.redaction import redact_url, register_url
from perfloop_base.visible import brief

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_WINDOW_SECONDS = 3600.0


def _parse_url(text: str) -> str:
    register_url(text)  # before anything shows it
    if not is_http_url(text):
        raise ValueError(f"{redact_url(text)!r} is not a URL: write http://HOST:PORT/PATH")
    return text.rstrip("/")


def _parse_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{brief(text)} is no regular expression: {error}") from error
    return text


@dataclass(frozen=True, slots=True)
class FillConfig:
    """Which span is filled, from where and into what. Times are in seconds."""

    since: float = flag(
        "--since", 3 * 3600.0, parse=parse_positive_duration, help="how far back gaps are looked for, such as 3h or 2d"
    )
    until: float = flag(
        "--until",
        60.0,
        parse=parse_positive_duration,
        help="how far back the span ends: what is younger may still be on its way",
    )
    window: float = flag(
        "--window",
        300.0,
        parse=parse_positive_duration,
        help="so much time is compared at once; less takes less memory",
    )
    prometheus_url: str = flag(
        "--prometheus.url",
        "",
        parse=_parse_url,
        metavar="URL",
        help="the Prometheus that has the samples (default: the running stack's)",
    )
    store_url: str = flag(
        "--store.url",
        "",
        parse=_parse_url,
        metavar="URL",
        help="where the long-term store is read (default: the running stack's)",
    )
    store_write_url: str = flag(
        "--store.write-url",
        "",
        parse=_parse_url,
        metavar="URL",
        help="where the long-term store, a VictoriaMetrics, takes samples (default: found from --store.url)",
    )
    metrics: str = flag(
        "--metrics",
        ".+",
        parse=_parse_pattern,
        metavar="REGEX",
        help="the metrics that the store is to have; others, that write_relabel_configs drop, are left out",
    )
    dry_run: bool = flag("--dry-run", default=False, help="say what is missing, and write nothing")

    def wants(self, name: str) -> bool:
        """Return whether the store is to have a metric."""
        return re.fullmatch(self.metrics, name) is not None

    @property
    def source(self) -> str:
        """Where the samples are."""
        return self.prometheus_url or running_url("prometheus")

    @property
    def store(self) -> str:
        """Where the store is read."""
        return self.store_url or running_url("victoriametrics")

    def check(self) -> None:
        """Refuse what does not fit together.

        Raises:
            ConfigError: With every problem.
        """
        if problems := list(self._problems()):
            raise ConfigError(problems)

    def _problems(self) -> Iterator[str]:
        if self.until >= self.since:
            yield f"--until is {self.until:g} s and --since {self.since:g} s: the span ends before it begins"
        if self.window > LONGEST_WINDOW_SECONDS:
            yield f"--window is {self.window:g} s: at most {LONGEST_WINDOW_SECONDS:g} s are compared at once"
        if self.source == self.store:
            yield f"--prometheus.url and --store.url are both {redact_url(self.source)}: the store must be another"
