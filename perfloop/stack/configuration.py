"""The effective configuration of a native stack: prepared beside the one in use, checked, then put in its place.

What the programs read is below `etc/` of the stack's home: Prometheus's file with a copy of the rules, Alertmanager's
with its secrets, Grafana's provisioning, supervisord's, and the thresholds that exporter and analyzer read. So a file
that is half written in the configuration is not read by a program that happens to restart, and a configuration that is
refused changes nothing.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfloop.stack import alertmanager_config, otlp, programs, render
from perfloop.stack.alertmanager_version import read_version
from perfloop.stack.components import ALERTMANAGERS, PROMETHEUS_PAIR, Component, prometheus_names
from perfloop.stack.files import list_files, move_changed, replace_files
from perfloop.stack.remote_write import REMOTE_WRITE_FILE, extend, for_single, read_remote_write
from perfloop.stack.supervision import render_supervisord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop.stack.alertmanager_version import Version
    from perfloop.stack.settings import Settings

ETC = "etc"
_PREPARED = "etc.new"


def _rule_files(source: Path, patterns: Sequence[str], generated: Mapping[Path, str]) -> dict[Path, str]:
    """Return the rule files of a configuration, those that are about to be generated in their new form."""
    names = {path.relative_to(source) for pattern in patterns for path in source.glob(pattern)}
    fresh = {name.relative_to("prometheus"): text for name, text in generated.items() if name.parts[0] == "prometheus"}
    names |= {name for name in fresh if any(fnmatch.fnmatch(str(name), pattern) for pattern in patterns)}
    return {
        name: fresh[name] if name in fresh else (source / name).read_text(encoding="utf-8") for name in sorted(names)
    }


def find_rule_files(source: Path, generated: Mapping[Path, str]) -> dict[Path, str]:
    """Return the text of every rule file that the configuration names, those to be generated in their new form.

    Args:
        source: the directory of prometheus.yml.
        generated: the generated files, by their path in the configuration.
    """
    patterns = render.find_rule_patterns((source / "prometheus.yml").read_text(encoding="utf-8"))
    return _rule_files(source, patterns, generated)


def _prepare_prometheus(
    settings: Settings, components: list[Component], generated: Mapping[Path, str], target: Path
) -> None:
    source = settings.configuration / "prometheus"
    committed = (source / "prometheus.yml").read_text(encoding="utf-8")
    addition = for_single(read_remote_write(settings.configuration / REMOTE_WRITE_FILE)) if settings.scale else None
    texts = {Path("thresholds.yml"): (source / "thresholds.yml").read_text(encoding="utf-8")}
    for name in prometheus_names(settings):
        texts[Path(f"{name}.yml")] = render.render_prometheus(
            _extend(settings, committed, addition, name),
            source=source,
            home=settings.home,
            addresses=render.native_addresses(settings.ports),
            present={component.name for component in components},
        )
    replace_files(target, texts | find_rule_files(source, generated))


def _extend(settings: Settings, committed: str, addition: Mapping[str, Any] | None, name: str) -> str:
    """Return the committed file with what this stack's settings add for one Prometheus."""
    text = committed if addition is None else extend(committed, addition, name)
    return otlp.extend(text) if settings.otlp and name == PROMETHEUS_PAIR[0] else text


def _prepare_provisioning(settings: Settings, target: Path) -> None:
    grafana = settings.configuration / "grafana"
    addresses = render.native_addresses(settings.ports)
    texts = {}
    for name in list_files(grafana / "provisioning"):
        if name.suffix == ".yml":
            committed = (grafana / "provisioning" / name).read_text(encoding="utf-8")
            texts[name] = render.render_provisioning(committed, dashboards=grafana / "dashboards", addresses=addresses)
    if settings.tempo_url:
        texts[Path("datasources") / "tempo.yml"] = render.render_tempo(settings.tempo_url)
    replace_files(target, texts)


def prepare(settings: Settings, components: list[Component], generated: Mapping[Path, str]) -> Path:
    """Write the effective configuration of every component into a directory of its own and return that.

    Args:
        settings: where the stack lives and listens.
        components: the programs of the stack.
        generated: files of the configuration that will be written before this one takes effect.

    Raises:
        ConfigError: a file or a secret cannot be used; one sentence each.
    """
    prepared = settings.home / _PREPARED
    shutil.rmtree(prepared, ignore_errors=True)
    _prepare_prometheus(settings, components, generated, prepared / "prometheus")
    alertmanager_config.install(
        settings.configuration / "alertmanager",
        prepared / "alertmanager",
        settings.secrets,
        render.native_addresses(settings.ports),
        seen_as=(settings.home / ETC / "alertmanager").resolve(),
        version=find_alertmanager_version(settings),
        traces_url=settings.traces_url,
    )
    _prepare_provisioning(settings, prepared / "grafana")
    replace_files(prepared, _supervisord(settings, components))
    return prepared


def find_alertmanager_version(settings: Settings) -> Version | None:
    """Return the version of the Alertmanager that a native start runs; None where it is yet to be downloaded."""
    program = programs.find("alertmanager", settings.home)
    return read_version(program) if program else None


def _supervisord(settings: Settings, components: list[Component]) -> dict[Path, str]:
    text = render_supervisord(components, home=settings.home, directory=settings.directory)
    return {Path("supervisord.conf"): text}


def write_supervisord(settings: Settings, components: list[Component]) -> None:
    """Write supervisord's own configuration again: no file that people write is part of it."""
    replace_files(settings.home / ETC, _supervisord(settings, components))


def apply(settings: Settings, components: list[Component]) -> None:
    """Put what `prepare` wrote in the place of the configuration in use."""
    move_changed(settings.home / _PREPARED, settings.home / ETC)
    second = settings.home / "alertmanagers" / "second.yml"
    others = [component for component in components if component.name in ALERTMANAGERS[1:]]
    if others:
        groups = [{"targets": [f"127.0.0.1:{settings.ports[component.port]}"]} for component in others]
        replace_files(second.parent, {Path(second.name): json.dumps(groups)})
    else:
        second.unlink(missing_ok=True)


def drop_prepared(home: Path) -> None:
    """Remove what `prepare` wrote, where it was refused."""
    shutil.rmtree(home / _PREPARED, ignore_errors=True)


def _digest(directory: Path) -> str:
    digest = hashlib.sha256()
    for name in list_files(directory):
        content = (directory / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def digest_loaded_files(home: Path) -> dict[str, str]:
    """Return, for each component that reads its configuration again on SIGHUP, a hash of all that it reads."""
    alertmanager, prometheus = (_digest(home / ETC / name) for name in ("alertmanager", "prometheus"))
    return {**dict.fromkeys(PROMETHEUS_PAIR, prometheus), **dict.fromkeys(ALERTMANAGERS, alertmanager)}


def random_secret_file(path: Path) -> Path:
    """Return `path`, made with a random secret in it that its owner alone may read when there is none yet."""
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(18))
    return path


def write_secret(path: Path, value: str) -> None:
    """Write a secret into a file that its owner alone may read, not even for a moment anybody else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(value, encoding="utf-8")
    fresh.replace(path)


def grafana_password_file(home: Path) -> Path:
    """Return where the password of Grafana's `admin` is."""
    return random_secret_file(home / "grafana" / "admin-password")


def analyzer_token_file(home: Path) -> Path:
    """Return where the token is that the analyzer wants from whoever accepts or implements a recommendation."""
    return random_secret_file(home / "analyzer" / "token")
