"""Writes the effective configuration of every part of a native stack below `etc/`."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import TYPE_CHECKING

from perfloop.stack import alertmanager_config, render
from perfloop.stack.parts import ALERTMANAGERS, Part
from perfloop.stack.supervision import render_supervisord

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop.stack.settings import Settings


def _write_prometheus(settings: Settings, parts: list[Part], addresses: dict[str, str]) -> None:
    source = settings.checkout / "prometheus"
    text = render.render_prometheus(
        (source / "prometheus.yml").read_text(encoding="utf-8"),
        source=source,
        home=settings.home,
        addresses=addresses,
        present={part.name for part in parts},
    )
    (settings.home / "etc" / "prometheus.yml").write_text(text, encoding="utf-8")


def _write_alertmanagers(settings: Settings, parts: list[Part], addresses: dict[str, str]) -> None:
    source = settings.checkout / "alertmanager"
    alertmanager_config.install(
        source, settings.home / "etc" / "alertmanager", settings.checkout / "secrets", addresses
    )
    others = [part for part in parts if part.name in ALERTMANAGERS[1:]]
    second = settings.home / "alertmanagers" / "second.yml"
    if others:
        groups = [{"targets": [f"127.0.0.1:{settings.ports[part.port]}"]} for part in others]
        second.write_text(json.dumps(groups), encoding="utf-8")
    else:
        second.unlink(missing_ok=True)


def _write_provisioning(settings: Settings, addresses: dict[str, str]) -> None:
    grafana = settings.checkout / "grafana"
    for source in (grafana / "provisioning").rglob("*.yml"):
        target = settings.home / "etc" / "grafana" / source.relative_to(grafana / "provisioning")
        target.parent.mkdir(parents=True, exist_ok=True)
        committed = source.read_text(encoding="utf-8")
        text = render.render_provisioning(committed, dashboards=grafana / "dashboards", addresses=addresses)
        target.write_text(text, encoding="utf-8")


def write_configuration(settings: Settings, parts: list[Part]) -> None:
    """Write the effective configuration of every part.

    Raises:
        StackError: when a file or a secret cannot be used, in one sentence each.
    """
    addresses = render.native_addresses(settings.ports)
    _write_prometheus(settings, parts, addresses)
    _write_alertmanagers(settings, parts, addresses)
    _write_provisioning(settings, addresses)
    conf = render_supervisord(parts, home=settings.home, checkout=settings.checkout)
    (settings.home / "etc" / "supervisord.conf").write_text(conf, encoding="utf-8")


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def read_watched_files(home: Path) -> dict[str, str]:
    """Return, for each part that can reload, a hash of what it would read again."""
    alertmanager = _digest(list((home / "etc" / "alertmanager").rglob("*")))
    return {"prometheus": _digest([home / "etc" / "prometheus.yml"]), **dict.fromkeys(ALERTMANAGERS, alertmanager)}


def random_secret_file(path: Path) -> Path:
    """Return `path`, made with a random secret in it that its owner alone may read when there is none yet."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(18), encoding="utf-8")
        fresh.replace(path)
    return path


def grafana_password_file(home: Path) -> Path:
    """Return where the password of Grafana's `admin` is."""
    return random_secret_file(home / "grafana" / "admin-password")


def analyzer_token_file(home: Path) -> Path:
    """Return where the token is that the analyzer asks of whoever accepts or implements a recommendation."""
    return random_secret_file(home / "analyzer" / "token")
