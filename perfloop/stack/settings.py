"""Where the stack lives and listens: read from the environment over `.env`, all problems reported together.

Written by hand rather than with pydantic-settings: the base install, where `perfloop exporter` must work, has no
pydantic; and every problem names its variable, the nearest known one for a typing error, and both of two that share a
port, for which a model's messages would have to be rewritten.
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from perfloop.stack.errors import SettingsError
from perfloop_base import traces
from perfloop_base.addresses import is_http_url
from perfloop_base.durations import parse_duration
from perfloop_base.errors import ConfigError
from perfloop_base.home import DEFAULT_PORTS, parse_port, port_variable
from perfloop_base.located import is_duration
from perfloop_base.shipped import is_checkout, shipped_root

if TYPE_CHECKING:
    from collections.abc import Mapping

ALERTMANAGERS_VARIABLE = "PERFLOOP_ALERTMANAGERS"
RETENTION_TIME_VARIABLE, RETENTION_SIZE_VARIABLE = "PERFLOOP_RETENTION_TIME", "PERFLOOP_RETENTION_SIZE"
SCALE_VARIABLE, READ_URL_VARIABLE = "PERFLOOP_SCALE", "PERFLOOP_READ_URL"
LONG_RETENTION_VARIABLE = "PERFLOOP_LONG_RETENTION_TIME"
OTLP_VARIABLE = "PERFLOOP_OTLP"
# A trace store's page of a trace, for people; and Tempo's API, for Grafana.
TRACES_VARIABLE, TEMPO_VARIABLE = traces.URL_VARIABLE, "PERFLOOP_TEMPO_URL"
# As in docker-compose.yml. The longest windows of the rules are 30 days, those of the error budgets; what Prometheus
# drops is whole blocks.
DEFAULT_RETENTION_TIME, NO_LIMIT = "32d", "0B"
# As in docker-compose.scale.yml: this season beside the same one of last year.
DEFAULT_LONG_RETENTION = "400d"
_SIZE = re.compile(r"\d+(B|KB|MB|GB|TB|PB|EB)")
# What VictoriaMetrics reads; a number alone would be months there.
_LONG_TIME = re.compile(r"[1-9]\d*[dwy]")
_SWITCH = {"": False, "0": False, "1": True}
# Variables that are not ports; those after the retention's, and `_IMAGE` ones, are read by Compose alone.
_OTHER_VARIABLES = {
    "PERFLOOP_HOME",
    ALERTMANAGERS_VARIABLE,
    RETENTION_TIME_VARIABLE,
    RETENTION_SIZE_VARIABLE,
    SCALE_VARIABLE,
    READ_URL_VARIABLE,
    LONG_RETENTION_VARIABLE,
    OTLP_VARIABLE,
    TRACES_VARIABLE,
    TEMPO_VARIABLE,
    "PERFLOOP_BUILD_CONTEXT",
    "PERFLOOP_DEDUP_INTERVAL",
    "PERFLOOP_OTLP_PORT",
    "PERFLOOP_TEMPO_PORT",
    "PERFLOOP_GRAFANA_SCALE",
    "PERFLOOP_ROOT_PROPAGATION",
    "PERFLOOP_SECRETS_DIR",
}
_PREFIX = "PERFLOOP_"
_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a stack lives and listens.

    Attributes:
        configuration: the directory of `prometheus/`, `alertmanager/`, `grafana/`, `demo/` and docker-compose.yml.
        directory: where `.env` and `secrets/` are; the configuration's own, or the current one for the shipped files.
        home: the directory for everything that a run leaves.
        ports: TCP port on 127.0.0.1 by name (`DEFAULT_PORTS` has the names).
        environment: what `.env` adds to the programs' environment.
        alertmanagers: 1, or 2 for a cluster that loses no notification when one dies.
        retention_time: how long Prometheus keeps data, as it writes durations.
        retention_size: how much it keeps at most, such as 20GB; 0B is no limit.
        scale: whether two Prometheus write to a long-term store, from which analyzer and Grafana read.
        read_from: where analyzer and Grafana read instead; empty for the stack's own place.
        long_retention: how long the long-term store keeps data, such as 400d.
        traces_url: where a browser reaches the traces; empty where none are kept.
        tempo_url: where Grafana reaches Tempo; empty for no such data source.
        otlp: whether Prometheus receives OTLP metrics.
    """

    configuration: Path
    directory: Path
    home: Path
    ports: Mapping[str, int]
    environment: Mapping[str, str]
    alertmanagers: int = 1
    retention_time: str = DEFAULT_RETENTION_TIME
    retention_size: str = NO_LIMIT
    scale: bool = False
    read_from: str = ""
    long_retention: str = DEFAULT_LONG_RETENTION
    traces_url: str = ""
    tempo_url: str = ""
    otlp: bool = False

    @property
    def read_url(self) -> str:
        """Where analyzer and Grafana of a native stack read: what is set, else the store, else Prometheus."""
        return self.read_from or self.url("victoriametrics" if self.scale else "prometheus")

    @property
    def secrets(self) -> Path:
        """The directory of the files that switch a channel to its real service."""
        return self.directory / "secrets"

    @property
    def is_editable(self) -> bool:
        """Whether the configuration is a person's own: what came with an installed wheel is never written."""
        return is_checkout() or self.configuration != shipped_root()

    def url(self, name: str) -> str:
        """Return the address of a component on this machine."""
        return f"http://127.0.0.1:{self.ports[name]}"


def is_configuration(directory: Path) -> bool:
    """Return whether a directory holds a configuration: a checkout, or what `perfloop init` wrote."""
    return (directory / "prometheus" / "prometheus.yml").is_file()


def find_configuration(current: Path) -> tuple[Path, Path]:
    """Return the configuration to use and the directory of `.env`, `secrets/` and `.perfloop`.

    That is the current directory where it holds a configuration, else the shipped one: in a checkout the checkout
    itself, and for an installed wheel its package data, which keeps nothing of a run.
    """
    if is_configuration(current):
        return current, current
    shipped = shipped_root()
    return shipped, shipped if is_checkout() else current


def parse_env_file(text: str, source: str) -> tuple[dict[str, str], list[str]]:
    """Return the assignments of a `.env` file and a sentence for each line that is none."""
    values: dict[str, str] = {}
    problems: list[str] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line)
        if match is None:
            # Not the line itself: it is most likely a secret that lacks its name, or stands behind the wrong sign.
            problems.append(f"{source} line {number} is not KEY=value")
            continue
        value = match[2].strip()
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        values[match[1]] = value[1:-1] if quoted else value
    return values, problems


def _unknown_variables(variables: Mapping[str, str]) -> list[str]:
    known = {port_variable(name) for name in DEFAULT_PORTS} | _OTHER_VARIABLES
    problems = []
    for name in sorted(variables):
        if name in known or name.endswith(("_IMAGE", "_TAG")):
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
        problems.append(f"{name} is not a variable of the stack: {hint}")
    return problems


def _read_port(name: str, variables: Mapping[str, str], problems: list[str]) -> int:
    variable = port_variable(name)
    text = variables.get(variable, "").strip()
    try:
        return parse_port(variable, text) if text else DEFAULT_PORTS[name]
    except ConfigError as error:
        problems += error.problems
        return 0


def _shared_ports(ports: Mapping[str, int]) -> list[str]:
    by_port: dict[int, list[str]] = {}
    for name, port in ports.items():
        by_port.setdefault(port, []).append(port_variable(name))
    return [
        f"port {port} is given to {' and '.join(names)}: each needs its own"
        for port, names in by_port.items()
        if port and len(names) > 1
    ]


def _read_env_file(path: Path) -> tuple[dict[str, str], list[str]]:
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f".env cannot be read: {error}") from error
    return parse_env_file(text, ".env")


def find_home(directory: Path, variables: Mapping[str, str]) -> Path:
    """Return the directory for everything that a run leaves; a relative PERFLOOP_HOME starts from `directory`."""
    return directory / Path(variables.get("PERFLOOP_HOME") or ".perfloop").expanduser()


def read_settings(configuration: Path, environ: Mapping[str, str], directory: Path | None = None) -> Settings:
    """Read `.env` and the environment, which wins.

    Args:
        configuration: the directory of the configuration.
        environ: the environment.
        directory: where `.env` and `secrets/` are; the configuration's own when it is left out.

    Raises:
        SettingsError: with every problem, one a line.
    """
    directory = directory or configuration
    from_file, problems = _read_env_file(directory / ".env")
    merged = {**from_file, **environ}
    problems += _unknown_variables({name: value for name, value in from_file.items() if name.startswith(_PREFIX)})
    problems += _unknown_variables(
        {name: value for name, value in environ.items() if name.startswith(_PREFIX) and name.endswith("_PORT")}
    )
    ports = {name: _read_port(name, merged, problems) for name in DEFAULT_PORTS}
    problems += _shared_ports(ports)
    alertmanagers = merged.get(ALERTMANAGERS_VARIABLE) or "1"
    if alertmanagers not in {"1", "2"}:
        problems.append(f"{ALERTMANAGERS_VARIABLE} is {alertmanagers!r}: it is 1 or 2")
    retention = _read_retention(merged, problems)
    beyond = _read_scale(merged, problems)
    trace_stores = _read_trace_stores(merged, problems)
    otlp = _read_switch(merged, OTLP_VARIABLE, "to receive OTLP metrics", problems)
    if problems:
        raise SettingsError(problems)
    home = find_home(directory, merged)
    settings = Settings(configuration, directory, home, ports, from_file, int(alertmanagers), *retention)
    scale, read_from, kept = beyond
    settings = replace(settings, scale=scale, read_from=read_from, long_retention=kept)
    traces_url, tempo_url = trace_stores
    return replace(settings, traces_url=traces_url, tempo_url=tempo_url, otlp=otlp)


def _read_switch(variables: Mapping[str, str], variable: str, purpose: str, problems: list[str]) -> bool:
    """Return whether something is switched on that is off without the variable."""
    switch = variables.get(variable) or ""
    if switch not in _SWITCH:
        problems.append(f"{variable} is {switch!r}: it is 1 {purpose}, else 0")
    return _SWITCH.get(switch, False)


def _read_scale(variables: Mapping[str, str], problems: list[str]) -> tuple[bool, str, str]:
    """Return whether there is a long-term store, where is read from, and how long the store keeps data."""
    scale = _read_switch(variables, SCALE_VARIABLE, "with a long-term store", problems)
    read_from = (variables.get(READ_URL_VARIABLE) or "").strip()
    kept = variables.get(LONG_RETENTION_VARIABLE) or DEFAULT_LONG_RETENTION
    if problem := _find_read_url_problem(read_from):
        problems.append(f"{READ_URL_VARIABLE} {problem}")
    if not _LONG_TIME.fullmatch(kept):
        problems.append(f"{LONG_RETENTION_VARIABLE} is {kept!r}: it is whole days, weeks or years, such as 400d or 2y")
    return scale, read_from.rstrip("/"), kept


def _read_trace_stores(variables: Mapping[str, str], problems: list[str]) -> tuple[str, str]:
    """Return where people see a trace, and where Grafana asks Tempo for one."""
    pages, tempo = "", (variables.get(TEMPO_VARIABLE) or "").strip()
    try:
        pages = traces.parse_store_url(variables.get(TRACES_VARIABLE) or "")
    except ValueError as error:
        problems.append(f"{TRACES_VARIABLE}: {error}")
    if problem := _find_read_url_problem(tempo):
        problems.append(f"{TEMPO_VARIABLE} {problem}")
    return pages, tempo.rstrip("/")


def _find_read_url_problem(url: str) -> str:
    """Return why an address cannot be read from, or nothing; the value is not repeated where it may hold a secret."""
    if not url:
        return ""
    if not is_http_url(url):
        return "is no address: it begins with http:// or https:// and a host, such as http://127.0.0.1:8428"
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query or parts.fragment:
        return (
            "has a user, a password or parameters in it, which every list of processes would show: "
            "write the address alone"
        )
    return "has a blank or another sign that no address has" if re.search(r"[\s\"'<>$\\]", url) else ""


def _read_retention(variables: Mapping[str, str], problems: list[str]) -> tuple[str, str]:
    time = variables.get(RETENTION_TIME_VARIABLE) or DEFAULT_RETENTION_TIME
    size = variables.get(RETENTION_SIZE_VARIABLE) or NO_LIMIT
    if not is_duration(time) or not parse_duration(time):
        problems.append(f"{RETENTION_TIME_VARIABLE} is {time!r}: it is a time such as 32d or 1y")
    if not _SIZE.fullmatch(size):
        problems.append(f"{RETENTION_SIZE_VARIABLE} is {size!r}: it is a size such as 20GB, or 0B for no limit")
    return time, size


def current_settings() -> Settings:
    """Return the settings of the current directory and environment.

    Raises:
        SettingsError: with every problem, one a line.
    """
    configuration, directory = find_configuration(Path.cwd())
    return read_settings(configuration, os.environ, directory)


def find_program_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return PERFLOOP_HOME and the ports of `.env`, by which a program finds the stack of the current directory.

    A `.env` that cannot be used is left to the stack's own commands: it may be another project's.
    """
    _, directory = find_configuration(Path.cwd())
    try:
        from_file, _ = _read_env_file(directory / ".env")
    except SettingsError:
        from_file = {}
    ports = {name: value for name, value in from_file.items() if name.startswith(_PREFIX) and name.endswith("_PORT")}
    return {**ports, "PERFLOOP_HOME": str(find_home(directory, {**from_file, **environ}))}
