"""What each component of a running stack uses, asked over its own interface and compared with the files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

from perfloop.stack import alertmanager_config, comparison, docker_init, generation, health, programs, render
from perfloop.stack.alertmanager_version import parse_version
from perfloop.stack.configuration import ETC, find_rule_files, grafana_password_file
from perfloop.stack.errors import DockerError
from perfloop_base.errors import ConfigError
from perfloop_base.thresholds import read_thresholds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from perfloop.stack.docker import DockerStack
    from perfloop.stack.settings import Settings

_ANSWER_SECONDS = 5.0
_MOST_SHOWN = 5
# What an answer that is none, or of another form, or a file that cannot be read ends in.
_UNREADABLE = (
    *(httpx.HTTPError, httpx.InvalidURL, DockerError, ConfigError, OSError),
    *(LookupError, TypeError, ValueError, AttributeError, RecursionError),
)


class Agreement(NamedTuple):
    """One component's answer: the differences found, and what to say when there are none.

    `answered` is False where what it uses cannot be read: then the one problem is the reason, and no difference.
    """

    subject: str
    problems: list[str]
    agreement: str
    answered: bool = True


@dataclass(frozen=True, slots=True)
class _Stack:
    """A running stack: where it is, what its files give now, and its containers if it runs in some."""

    settings: Settings
    generated: Mapping[Path, str]
    docker: DockerStack | None
    urls: Mapping[str, str] | None = None

    def get(self, name: str, path: str, **options: Any) -> httpx.Response:
        url = (self.settings.url(name) if self.urls is None else self.urls[name]) + path
        return httpx.get(url, timeout=_ANSWER_SECONDS, trust_env=False, **options).raise_for_status()


def _exporter(stack: _Stack) -> list[str]:
    return comparison.compare_exporter(stack.get("exporter", "/metrics").text, _read_thresholds(stack))


def _analyzer(stack: _Stack) -> list[str]:
    return comparison.compare_analyzer(stack.get("analyzer", "/api/v1/thresholds").json(), _read_thresholds(stack))


def _read_thresholds(stack: _Stack) -> Any:
    return read_thresholds(stack.settings.configuration / "prometheus" / "thresholds.yml", "prometheus/thresholds.yml")


def _rules(stack: _Stack) -> list[str]:
    groups = stack.get("prometheus", "/api/v1/rules").json()["data"]["groups"]
    files = find_rule_files(stack.settings.configuration / "prometheus", stack.generated)
    return comparison.compare_rules(groups, {str(name): text for name, text in files.items()})


def _alertmanager(stack: _Stack) -> list[str]:
    settings = stack.settings
    committed = (settings.configuration / "alertmanager" / alertmanager_config.CONFIG).read_text(encoding="utf-8")
    if stack.docker is None:
        addresses, seen_as = render.native_addresses(settings.ports), settings.home / ETC / "alertmanager"
    else:
        addresses = docker_init.find_addresses(str(settings.ports["grafana"]))
        seen_as = docker_init.SEEN_AS
    version = parse_version(str(stack.get("alertmanager", "/api/v2/status").json()["versionInfo"]["version"]))
    wanted = alertmanager_config.render(
        committed, settings.secrets, addresses, secrets_seen_as=seen_as.absolute() / "secrets", version=version
    )
    used = health.read_metric(stack.get("alertmanager", "/metrics").text, "alertmanager_config_hash")
    said = comparison.hash_alertmanager_config(wanted)
    if used == said:
        return []
    return [f"Alertmanager uses a configuration with the hash {used or 0:.0f}, the files give {said:.0f}"]


def _dashboards(stack: _Stack) -> Iterator[tuple[str, dict[str, Any]]]:
    directory = generation.GRAFANA / "dashboards"
    root = stack.settings.configuration
    texts = {path.relative_to(root): path.read_text(encoding="utf-8") for path in (root / directory).glob("*.json")}
    for name, text in sorted({**texts, **stack.generated}.items()):
        if name.parent == directory:
            yield name.name, json.loads(text)


def _grafana(stack: _Stack) -> list[str]:
    if stack.docker is None:
        password = grafana_password_file(stack.settings.home).read_text(encoding="utf-8")
    else:
        password = stack.docker.read_grafana_password()
    problems = []
    for _, dashboard in _dashboards(stack):
        try:
            answer = stack.get("grafana", f"/api/dashboards/uid/{dashboard['uid']}", auth=("admin", password))
        except httpx.HTTPStatusError as error:
            problems.append(f"{dashboard['title']}: Grafana answers {error.response.status_code} for this dashboard")
            continue
        problems += comparison.compare_dashboard(answer.json()["dashboard"], dashboard, "Grafana")
    return problems


def _dashboard_files(stack: _Stack) -> list[str]:
    problems = []
    for name, dashboard in _dashboards(stack):
        path = stack.settings.configuration / generation.GRAFANA / "dashboards" / name
        used = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        problems += comparison.compare_dashboard(used, dashboard, f"grafana/dashboards/{name}")
    return problems


def _ask(subject: str, question: Callable[[_Stack], list[str]], stack: _Stack, agreement: str) -> Agreement:
    """Put one question; a component that does not answer is a difference too."""
    try:
        problems = question(stack)
    except _UNREADABLE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        return Agreement(subject, [f"what it uses cannot be read ({reason})"], agreement, answered=False)
    more = len(problems) - _MOST_SHOWN
    shown = [*problems[:_MOST_SHOWN], *([f"and {more} more differences"] if more > 0 else [])]
    return Agreement(subject, shown, agreement)


def find_differences(settings: Settings, docker: DockerStack | None) -> Iterator[Agreement]:
    """Compare what each component uses with the files.

    Args:
        settings: where the stack lives and listens.
        docker: the stack in containers, where that is the one that runs.
    """
    generated = generation.generate(settings.configuration) if settings.is_editable else {}
    stack = _Stack(settings, generated, docker)
    yield _ask("exporter thresholds", _exporter, stack, "as in prometheus/thresholds.yml")
    yield _ask("prometheus rules", _rules, stack, "every rule and alert is loaded as its file says")
    yield _ask("analyzer thresholds", _analyzer, stack, "as in prometheus/thresholds.yml")
    yield _ask("dashboard files", _dashboard_files, stack, "every limit is that of the thresholds")
    if docker.has_grafana() if docker else programs.find_grafana(settings.home) is not None:
        yield _ask("grafana dashboards", _grafana, stack, "every limit is that of the thresholds")
    yield _ask("alertmanager configuration", _alertmanager, stack, "the one that alertmanager.yml and secrets/ give")


def find_differences_at(settings: Settings, urls: Mapping[str, str]) -> Iterator[Agreement]:
    """Compare what programs at other addresses use with the files of this configuration.

    Args:
        settings: where the configuration is.
        urls: the addresses of `prometheus` and `analyzer`; one that is not there is not asked.
    """
    generated = generation.generate(settings.configuration) if settings.is_editable else {}
    stack = _Stack(settings, generated, None, urls)
    if "prometheus" in urls:
        yield _ask("prometheus rules", _rules, stack, "every rule and alert is loaded as its file says")
    if "analyzer" in urls:
        yield _ask("analyzer thresholds", _analyzer, stack, "as in prometheus/thresholds.yml")
