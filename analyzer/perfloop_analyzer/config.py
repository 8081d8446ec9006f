"""The analyzer's settings, each declared once: its flag, default, rule and help."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from perfloop_analyzer.links import PROGRAMS, parse_link
from perfloop_analyzer.moments import MOMENTS, parse_moment
from perfloop_analyzer.source_auth import AuthConfig, parse_header, parse_header_file
from perfloop_analyzer.spread_config import SpreadConfig
from perfloop_base.addresses import Address, parse_address
from perfloop_base.durations import parse_positive_duration
from perfloop_base.errors import ConfigError
from perfloop_base.flags import flag, section
from perfloop_base.home import local_port, running_url
from perfloop_base.redaction import redact_url, register, register_url
from perfloop_base.visible import brief
from perfloop_base.web.flags import allowed_hosts_flag, config_file_flag

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

AUTO = "auto"
READ_URL_VARIABLE = "PERFLOOP_READ_URL"
IN_MEMORY = "sqlite://"
MEMORY = frozenset({IN_MEMORY, "sqlite:///:memory:"})
MOST_EFFORT_HOURS = 10_000.0


def parse_url(text: str) -> str:
    """Return the URL of an HTTP API; what is secret in it is shown nowhere.

    Raises:
        ValueError: One sentence with the value and the rule.
    """
    register_url(text)
    shown = redact_url(text)
    if not text.startswith(("http://", "https://")):
        raise ValueError(f"{shown!r} is not a URL: it must begin with http:// or https://")
    try:
        parts = urlsplit(text)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or not text.isprintable() or " " in text:
        raise ValueError(f"{shown!r} is not a URL: write http://HOST:PORT/PATH, an IPv6 address in brackets")
    return text


def _parse_effort(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = math.nan
    if not 0 <= hours <= MOST_EFFORT_HOURS:
        raise ValueError(f"{brief(text)} is no number of hours: write one from 0 to {MOST_EFFORT_HOURS:,.0f}")
    return hours


def _parse_rate_window(text: str) -> str:
    if text != AUTO:
        parse_positive_duration(text)
    return text


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """Where Prometheus is, how to authenticate, and how much may be queried. Times are in seconds."""

    url: str = flag(
        "--prometheus.url",
        "",
        parse=parse_url,
        metavar="URL",
        help="a Prometheus-compatible API with its path prefix (default: PERFLOOP_READ_URL, else the running stack's "
        "Prometheus)",
    )
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = flag(
        "--prometheus.header",
        (),
        parse=parse_header,
        repeat=True,
        metavar="NAME: VALUE",
        help="a header of every request; may be repeated",
    )
    header_files: tuple[tuple[str, Path], ...] = flag(
        "--prometheus.header-file",
        (),
        parse=parse_header_file,
        repeat=True,
        metavar="NAME: FILE",
        help="a header of every request whose value is a secret in a file; may be repeated",
    )
    tenant: str = flag("--prometheus.tenant", "", help="value of the header X-Scope-OrgID (Mimir, Cortex)")
    username: str = flag("--prometheus.username", "", help="user name of basic authentication")
    password_file: Path | None = flag("--prometheus.password-file", None, parse=Path, help="file with the password")
    bearer_token_file: Path | None = flag(
        "--prometheus.bearer-token-file", None, parse=Path, help="file with a bearer token"
    )
    ca_file: Path | None = flag("--prometheus.ca-file", None, parse=Path, help="certificates of trusted authorities")
    cert_file: Path | None = flag("--prometheus.cert-file", None, parse=Path, help="the client's certificate")
    key_file: Path | None = flag("--prometheus.key-file", None, parse=Path, help="the key of the client's certificate")
    insecure: bool = flag("--prometheus.insecure", default=False, help="do not verify the server's certificate")
    url_file: Path | None = flag(
        "--prometheus.url-file",
        None,
        parse=Path,
        help="file with the URL, for one that contains a secret; a process list shows flags",
    )
    timeout_seconds: float = flag(
        "--query.timeout", 10.0, parse=parse_positive_duration, help="time limit of one query"
    )
    concurrency: int = flag("--query.concurrency", 4, minimum=1, help="concurrent queries")
    max_samples: int = flag("--query.max-samples", 20_000_000, minimum=1, help="samples that one cycle may read")
    max_kept: int = flag(
        "--query.max-kept",
        100_000_000,
        minimum=1,
        help="samples that are kept in memory, 8 bytes each, so that only what is new is read",
    )
    retries: int = 2
    auth: AuthConfig = section(AuthConfig, "authentication of a managed Prometheus")

    def all_headers(self) -> dict[str, str]:
        """Return the headers of every request, the tenant's included."""
        return dict(self.headers) | ({"X-Scope-OrgID": self.tenant} if self.tenant else {})

    def located(self) -> Self:
        """Return these settings with a URL where none was given: the environment's, else the running stack's.

        Raises:
            ConfigError: PERFLOOP_PROMETHEUS_PORT does not hold a port, PERFLOOP_READ_URL or the file no URL, or with
                every problem of the authentication.
        """
        if problems := self._auth_problems():
            raise ConfigError(problems)
        if self.url:
            return self
        if self.url_file:
            return replace(self, url=_read_url(self.url_file))
        return replace(self, url=_find_read_url() or running_url("prometheus"))

    def _auth_problems(self) -> list[str]:
        """Return every rule that the authentication breaks, and every file of it that cannot be used."""
        others = {"--prometheus.username": self.username, "--prometheus.bearer-token-file": self.bearer_token_file}
        files = (self.password_file, self.bearer_token_file, *(path for _, path in self.header_files))
        found = self.auth.problems(others, os.environ)
        for path in filter(None, (*files, *self.auth.secret_files(os.environ))):
            try:
                read_secret(path)
            except ConfigError as error:
                found += error.problems
        return found


@dataclass(frozen=True, slots=True)
class AnalysisConfig:
    """The settings of an analysis: what is queried, how often, and against which limits."""

    source: SourceConfig = section(SourceConfig, "Prometheus")
    thresholds_file: Path | None = flag(
        "--thresholds.file", None, parse=Path, help="limits that replace the catalogue's; read again when it changes"
    )
    slos_file: Path | None = flag(
        "--slos.file", None, parse=Path, help="objectives that replace the catalogue's; read again when it changes"
    )
    scaling_file: Path | None = flag(
        "--scaling.file",
        None,
        parse=Path,
        help="bounds and goals of each service's replicas; read again when it changes",
    )
    prices_file: Path | None = flag(
        "--prices.file",
        None,
        parse=Path,
        help="what resources cost; read again when it changes, and once it is there; without it no money is published",
    )
    catalog_files: tuple[Path, ...] = flag(
        "--catalog.file", (), parse=Path, repeat=True, help="more signals; may be repeated"
    )
    rule_files: tuple[Path, ...] = flag(
        "--rules.file", (), parse=Path, repeat=True, help="more recommendation rules; may be repeated"
    )
    topology_file: Path | None = flag("--topology.file", None, parse=Path, help="the call graph between services")
    interval_seconds: float = flag(
        "--interval", 10.0, parse=parse_positive_duration, help="time from the start of one cycle to the next"
    )
    points: int = flag("--query.points", 240, minimum=16, help="points of each series that one cycle reads")
    step_seconds: float | None = flag(
        "--query.step",
        None,
        auto=True,
        parse=parse_positive_duration,
        help="time between two points; auto is the scrape interval",
    )
    rate_window: str = flag(
        "--query.rate-window", AUTO, parse=_parse_rate_window, help="range of rate(); auto is four scrape intervals"
    )
    history_seconds: float = 604_800.0
    history_step_seconds: float = 600.0
    history_interval_seconds: float = 300.0
    burn_interval_seconds: float = 60.0
    follow_interval_seconds: float = 60.0

    def files(self) -> tuple[Path, ...]:
        """Return every configuration file that is read again when it changes."""
        single = (self.thresholds_file, self.slos_file, self.scaling_file, self.prices_file, self.topology_file)
        return (*(path for path in single if path), *self.catalog_files, *self.rule_files)


@dataclass(frozen=True, slots=True)
class RunConfig(AnalysisConfig):
    """The settings of an analysis, where its results are kept, and what may reword them."""

    store_url: str = flag(
        "--store.url", IN_MEMORY, metavar="URL", help="a SQLAlchemy database URL; sqlite:// is lost at exit"
    )
    store_url_file: Path | None = flag(
        "--store.url-file",
        None,
        parse=Path,
        help="file with the database's URL, for one that contains a password",
    )
    llm_url: str = flag(
        "--llm.url",
        "",
        parse=parse_url,
        metavar="URL",
        help="an OpenAI-compatible API that may reword recommendations, such as http://host/v1",
    )
    llm_model: str = flag("--llm.model", "", help="the model that rewords")
    llm_token_file: Path | None = flag("--llm.token-file", None, parse=Path, help="file with the API's token")
    spread: SpreadConfig = section(SpreadConfig, "many series")

    def database_url(self) -> str:
        """Return the database's URL, from its file where one is given.

        Raises:
            ConfigError: The file cannot be read.
        """
        return database_url(self.store_url, self.store_url_file)

    def is_shared(self) -> bool:
        """Return whether another analyzer can have the same database: one in memory is nobody else's."""
        return self.store_url_file is not None or self.store_url not in MEMORY


@dataclass(frozen=True, slots=True)
class ReplayConfig:
    """Which past is analyzed, and how closely. Moments are in Unix seconds."""

    start: float = flag("--from", parse=parse_moment, metavar="MOMENT", help=f"where to begin: {MOMENTS}")
    end: float = flag("--to", parse=parse_moment, metavar="MOMENT", help=f"where to end: {MOMENTS}")
    step_seconds: float = flag(
        "--step",
        60.0,
        parse=parse_positive_duration,
        help="time from one analysis to the next, rounded up to whole steps of --query.step",
    )


def _links_flag() -> tuple[tuple[str, str], ...]:
    field: tuple[tuple[str, str], ...] = flag(
        "--link",
        (),
        parse=parse_link,
        repeat=True,
        metavar="PROGRAM=URL",
        help="where a browser reaches another program of the stack, for the links of the page and of the boards; "
        f"PROGRAM is {', '.join(PROGRAMS[:-1])} or {PROGRAMS[-1]}; may be repeated",
    )
    return field


@dataclass(frozen=True, slots=True)
class ReportConfig:
    """What a report links to."""

    links: tuple[tuple[str, str], ...] = _links_flag()


@dataclass(frozen=True, slots=True)
class WebConfig:
    """Where the service listens, and who may change recommendations."""

    listen_address: Address | None = flag(
        "--web.listen-address",
        None,
        parse=parse_address,
        metavar="HOST:PORT",
        help="address to listen on (default: 127.0.0.1 and PERFLOOP_ANALYZER_PORT, else 19110)",
    )
    token_file: Path | None = flag(
        "--web.token-file",
        None,
        parse=Path,
        help="file with the bearer token for changes; without it none are allowed",
    )
    command: str = flag(
        "--web.command",
        "perfloop analyzer",
        metavar="COMMAND",
        help="how this analyzer's commands are run where the page is read; the page shows it",
    )
    links: tuple[tuple[str, str], ...] = _links_flag()
    config_file: str = config_file_flag()
    allowed_hosts: tuple[str, ...] = allowed_hosts_flag()

    def address(self) -> Address:
        """Return the address to listen on.

        Raises:
            ConfigError: PERFLOOP_ANALYZER_PORT does not hold a port.
        """
        return self.listen_address or Address("127.0.0.1", local_port("analyzer"))


@dataclass(frozen=True, slots=True)
class TargetConfig:
    """Which analyzer's recommendations a command reads or changes; by default the running stack's."""

    web_url: str = flag(
        "--web.url",
        "",
        parse=parse_url,
        metavar="URL",
        help="the running analyzer (default: the running stack's)",
    )
    token_file: Path | None = flag(
        "--web.token-file",
        None,
        parse=Path,
        help="file with its bearer token (default: PERFLOOP_ANALYZER_TOKEN_FILE, else the running stack's)",
    )
    store_url: str = flag("--store.url", "", metavar="URL", help="its database, when no analyzer runs")
    store_url_file: Path | None = flag("--store.url-file", None, parse=Path, help="file with its database's URL")


@dataclass(frozen=True, slots=True)
class EffortConfig:
    """How much work a person expects of what is accepted or implemented."""

    effort_hours: float | None = flag(
        "--effort-hours",
        None,
        parse=_parse_effort,
        metavar="HOURS",
        help="the hours of work that it takes, for its return; without it those of its category and effort",
    )


def database_url(url: str, path: Path | None) -> str:
    """Return a database's URL, from its file where one is given; what is secret in it is shown nowhere.

    Raises:
        ConfigError: The file cannot be read.
    """
    found = read_secret(path) if path else url
    register_url(found)
    return found


def _find_read_url() -> str:
    """Return the address that the environment names, or nothing; a stack sets it for analyzer and Grafana alike."""
    text = os.environ.get(READ_URL_VARIABLE, "").strip()
    try:
        return parse_url(text) if text else ""
    except ValueError as error:
        raise ConfigError(f"{READ_URL_VARIABLE}: {error}") from error


def _read_url(path: Path) -> str:
    try:
        return parse_url(read_secret(path))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error


def read_secret(path: Path) -> str:
    """Return the one line of a file; from now on it is shown nowhere.

    Raises:
        ConfigError: The file cannot be read or is empty.
    """
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{path}: the secret cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: the secret cannot be read: it is not UTF-8") from error
    if not secret:
        raise ConfigError(f"{path}: the secret is empty")
    if not secret.isprintable():
        raise ConfigError(f"{path}: the secret has more than one line, or characters that do not print")
    register(secret)
    return secret
