"""Where a running stack is found: its directory, and the addresses of its components on this machine."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from perfloop_base.errors import ConfigError
from perfloop_base.shipped import is_checkout, shipped_root
from perfloop_base.visible import brief

_NAME = ".perfloop"
_LAST_PORT = 65_535
_PRIVATE = 0o700
# What each component listens on unless `PERFLOOP_<NAME>_PORT` moves it.
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
    "prometheus_2": 9091,
    "victoriametrics": 8428,
}


def find_home() -> Path:
    """Return the directory that holds everything which the stack and the programs keep between runs.

    That is `PERFLOOP_HOME`; else `.perfloop` of the current directory if it is there; else that of the checkout, when
    the programs run from one; else `.perfloop` of the current directory, to be made.
    """
    named = os.environ.get("PERFLOOP_HOME")
    if named:
        return Path(named).expanduser()
    if Path(_NAME).is_dir() or not is_checkout():
        return Path(_NAME)
    return shipped_root() / _NAME


def make_private(directory: Path) -> None:
    """Make a directory that its owner alone may enter, whatever the umask; one that is there is tightened.

    What a stack keeps names hosts, routes and users, and some files of it are secrets.

    Raises:
        ConfigError: it is one that all users share, as /tmp is: no part of it can be made private.
        OSError: it cannot be made, or belongs to somebody else.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    mode = stat.S_IMODE(directory.stat().st_mode)
    if mode & stat.S_ISVTX:
        raise ConfigError(f"{directory} is shared by all users: PERFLOOP_HOME is a directory of its own")
    if mode != _PRIVATE:
        directory.chmod(_PRIVATE)


def port_variable(component: str) -> str:
    """Return the variable that moves the port of a component: `inbox_smtp` → `PERFLOOP_INBOX_SMTP_PORT`."""
    return f"PERFLOOP_{component.upper()}_PORT"


def parse_port(variable: str, text: str) -> int:
    """Return the port that a variable holds.

    Raises:
        ConfigError: it holds something else.
    """
    if text.isascii() and text.isdigit() and 1 <= int(text) <= _LAST_PORT:
        return int(text)
    raise ConfigError(f"{variable} is {brief(text)}: a port is a whole number from 1 to {_LAST_PORT}")


def local_port(component: str) -> int:
    """Return the port of a component: `PERFLOOP_<NAME>_PORT`, else its default.

    Raises:
        ConfigError: the variable does not hold a port.
    """
    variable = port_variable(component)
    text = os.environ.get(variable, "").strip()
    return parse_port(variable, text) if text else DEFAULT_PORTS[component]


def local_url(component: str) -> str:
    """Return the address of a component of the stack on this machine."""
    return f"http://127.0.0.1:{local_port(component)}"


def running_url(component: str) -> str:
    """Return the address of a component of the running stack, as a command on this machine reaches it.

    That is `PERFLOOP_<NAME>_PORT` where it is set; else what `perfloop up` recorded in the stack's directory; else the
    default port on this machine.

    Raises:
        ConfigError: the variable does not hold a port.
    """
    if not os.environ.get(port_variable(component), "").strip():
        for entry in _recorded():
            if entry.get("name") == component and str(entry.get("url", "")).startswith("http"):
                return str(entry["url"]).rstrip("/")
    return local_url(component)


def _recorded() -> list[dict[str, Any]]:
    """Return what `perfloop up` recorded of each component; nothing when no stack runs."""
    try:
        found = json.loads((find_home() / "run" / "stack.json").read_text(encoding="utf-8"))
        return [entry for entry in found["components"] if isinstance(entry, dict)]
    except (OSError, ValueError, KeyError, TypeError):
        return []
