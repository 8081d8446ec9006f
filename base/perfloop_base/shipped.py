"""Where the configuration that ships with the project is: rules, alerts, dashboards, templates and Compose files."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped_root() -> Path:
    """Return the directory that holds `prometheus/`, `alertmanager/`, `grafana/`, `demo/` and `docker-compose.yml`.

    In an installed wheel that is the package's own data; in a checkout it is the checkout.
    """
    data = _PACKAGE / "data"
    return data if data.is_dir() else _PACKAGE.parents[1]


def is_checkout() -> bool:
    """Return whether the programs run from a checkout, where the shipped configuration may be edited in place."""
    return not (_PACKAGE / "data").is_dir()
