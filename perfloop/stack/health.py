"""Whether the components are healthy, and have read their configuration: asked over HTTP."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from perfloop.stack.records import Watched

_ANSWER_SECONDS = 2.0
_POLL_SECONDS = 0.15
_USERS_JOB = "services"  # of prometheus.yml


def is_healthy(url: str) -> bool:
    """Return whether `url` answers 200 within two seconds."""
    try:
        return httpx.get(url, timeout=_ANSWER_SECONDS, trust_env=False).status_code == httpx.codes.OK
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


def wait_healthy(components: Iterable[Watched], timeout: float, gave_up: Callable[[str], bool]) -> list[str]:
    """Wait until every component is healthy; return the names of those that are not when `timeout` seconds are over.

    `gave_up(name)` ends the wait early: the component will not come.
    """
    waiting = {component.name: component.health_url for component in components}
    deadline = time.monotonic() + timeout
    while waiting:
        waiting = {name: url for name, url in waiting.items() if not is_healthy(url)}
        if time.monotonic() > deadline or any(gave_up(name) for name in waiting):
            break
        if waiting:
            time.sleep(_POLL_SECONDS)
    return sorted(waiting)


def find_targets_down(prometheus_url: str) -> list[str]:
    """Return each scrape target that is not up, as `job address: why`; `["prometheus does not answer"]` if so."""
    try:
        answer = httpx.get(f"{prometheus_url}/api/v1/targets?state=active", timeout=_ANSWER_SECONDS, trust_env=False)
        targets = answer.raise_for_status().json()["data"]["activeTargets"]
    except (httpx.HTTPError, ValueError, KeyError):
        return ["prometheus does not answer"]
    if not targets:
        return ["prometheus has no target yet"]
    return [
        f"{target['labels'].get('job')} {target['labels'].get('instance')}: {target['lastError'] or 'not scraped yet'}"
        for target in targets
        if target["health"] != "up"
    ]


def wait_targets_up(prometheus_url: str, timeout: float) -> list[str]:
    """Wait until the stack's own scrape targets are up; return those that are not when `timeout` seconds are over.

    The services of `prometheus/targets/` are not waited for: one that is down is what the stack is there to notice.
    """
    deadline = time.monotonic() + timeout
    while down := [row for row in find_targets_down(prometheus_url) if not row.startswith(f"{_USERS_JOB} ")]:
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_SECONDS * 2)
    return down


def read_metric(text: str, name: str) -> float | None:
    """Return the value of a series without labels from a page in the exposition format."""
    found = re.search(rf"^{re.escape(name)} (\S+)", text, re.MULTILINE)
    return float(found[1]) if found else None


def read_last_reload(component: Watched) -> float | None:
    """Return the time (Unix seconds) at which Prometheus or an Alertmanager last took its configuration."""
    # `prometheus_config_…` and `alertmanager_config_…`: a second Alertmanager has the name of the first.
    name = f"{component.name.partition('_')[0]}_config_last_reload_success_timestamp_seconds"
    try:
        answer = httpx.get(f"{component.url}/metrics", timeout=_ANSWER_SECONDS, trust_env=False)
    except httpx.HTTPError:
        return None
    return read_metric(answer.text, name)


def wait_reloaded(component: Watched, before: float | None, timeout: float) -> bool:
    """Wait until a component has taken its configuration after `before`; False when `timeout` seconds are over."""
    deadline = time.monotonic() + timeout
    while (last := read_last_reload(component)) is None or last == before:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
