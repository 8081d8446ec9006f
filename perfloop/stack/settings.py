"""Where the stack lives and listens: read from the environment over `.env`, all problems told at once."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop.stack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORTS = {
    "exporter": 19100,
    "analyzer": 19110,
    "loadgen": 19120,
    "inbox": 19130,
    "inbox_smtp": 19125,
    "demo": 8000,
    "prometheus": 9090,
    "alertmanager": 9093,
    "grafana": 3000,
    "alertmanager_cluster": 9094,
    "alertmanager_2": 9095,
    "alertmanager_2_cluster": 9096,
}
ALERTMANAGERS_VARIABLE = "PERFLOOP_ALERTMANAGERS"
# Variables that are not ports; the last two, and `_IMAGE` ones, are read by Compose alone.
_OTHER_VARIABLES = {
    "PERFLOOP_HOME",
    ALERTMANAGERS_VARIABLE,
    "PERFLOOP_GRAFANA_SCALE",
    "PERFLOOP_ROOT_PROPAGATION",
}
_PREFIX = "PERFLOOP_"
_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)")
_LAST_PORT = 65535


def port_variable(name: str) -> str:
    """Return the variable that moves the port of `name`: `inbox_smtp` → `PERFLOOP_INBOX_SMTP_PORT`."""
    return f"{_PREFIX}{name.upper()}_PORT"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a stack lives and listens.

    Attributes:
        checkout: the folder with the configuration that is committed.
        home: the folder for everything that a run leaves.
        ports: TCP port on 127.0.0.1 by name (`DEFAULT_PORTS` has the names).
        environment: what `.env` adds to the programs' environment.
        alertmanagers: 1, or 2 for a cluster that loses no notification when one dies.
    """

    checkout: Path
    home: Path
    ports: Mapping[str, int]
    environment: Mapping[str, str]
    alertmanagers: int = 1


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
            problems.append(f"{source} line {number}: {line!r} is not KEY=value")
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


def _parse_port(variable: str, value: str, problems: list[str]) -> int:
    if value.isascii() and value.isdigit() and 1 <= int(value) <= _LAST_PORT:
        return int(value)
    problems.append(f"{variable} is {value!r}: a port is a whole number from 1 to {_LAST_PORT}")
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


def read_settings(checkout: Path, environ: Mapping[str, str]) -> Settings:
    """Read `.env` of the checkout and the environment, which wins.

    Raises:
        SettingsError: with every problem, one a line.
    """
    env_file = checkout / ".env"
    try:
        text = env_file.read_text(encoding="utf-8") if env_file.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        message = f".env cannot be read: {error}"
        raise SettingsError(message) from error
    from_file, problems = parse_env_file(text, ".env")
    merged = {**from_file, **environ}
    problems += _unknown_variables({name: value for name, value in from_file.items() if name.startswith(_PREFIX)})
    problems += _unknown_variables(
        {name: value for name, value in environ.items() if name.startswith(_PREFIX) and name.endswith("_PORT")}
    )
    ports = {
        name: _parse_port(port_variable(name), merged[port_variable(name)].strip(), problems)
        if merged.get(port_variable(name), "").strip()
        else default
        for name, default in DEFAULT_PORTS.items()
    }
    problems += _shared_ports(ports)
    alertmanagers = merged.get(ALERTMANAGERS_VARIABLE) or "1"
    if alertmanagers not in {"1", "2"}:
        problems.append(f"{ALERTMANAGERS_VARIABLE} is {alertmanagers!r}: it is 1 or 2")
    if problems:
        raise SettingsError("\n".join(problems))
    home = Path(merged.get("PERFLOOP_HOME") or checkout / ".perfloop").expanduser()
    home = home if home.is_absolute() else checkout / home
    return Settings(checkout, home, ports, from_file, int(alertmanagers))
