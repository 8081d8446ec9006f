"""Whether the components are healthy, and have read their configuration: asked over HTTP."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from perfloop.stack.records import Watched

_ANSWER_SECONDS = 2.0
_POLL_SECONDS = 0.15
# One interval of prometheus.yml and its time limit: by then a target that does not answer is known to be down.
_FIRST_SCRAPE_SECONDS = 9.0
# The jobs of prometheus.yml that are not named like the component that they scrape.
_JOBS = {"exporter": "node", "alertmanager_2": "alertmanager", "prometheus_2": "prometheus"}
_NO_ANSWER = "prometheus does not answer"
_NO_TARGET = "prometheus has no target yet"


def is_healthy(url: str) -> bool:
    """Return whether `url` answers 200 within two seconds."""
    try:
        return httpx.get(url, timeout=_ANSWER_SECONDS, trust_env=False).status_code == httpx.codes.OK
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


def find_unhealthy(components: Iterable[Watched]) -> list[str]:
    """Return the names of the components that are not healthy; all are asked at the same time."""
    asked = list(components)
    with ThreadPoolExecutor(max_workers=max(1, len(asked))) as pool:
        answers = pool.map(is_healthy, [component.health_url for component in asked])
        return sorted(component.name for component, healthy in zip(asked, answers, strict=True) if not healthy)


def wait_healthy(components: Iterable[Watched], timeout: float, gave_up: Callable[[str], bool]) -> list[str]:
    """Wait until every component is healthy; return the names of those that are not when `timeout` seconds are over.

    `gave_up(name)` ends the wait early: the component will not come.
    """
    by_name = {component.name: component for component in components}
    waiting = sorted(by_name)
    deadline = time.monotonic() + timeout
    while waiting:
        waiting = find_unhealthy(by_name[name] for name in waiting)
        if time.monotonic() > deadline or any(gave_up(name) for name in waiting):
            break
        if waiting:
            time.sleep(_POLL_SECONDS)
    return waiting


class Target(NamedTuple):
    """One active target of Prometheus: its job, its address, `up`, `down` or `unknown`, and why it is not up."""

    job: str
    address: str
    health: str
    reason: str

    def __str__(self) -> str:
        return f"{self.job} {self.address}: {self.reason}"


def read_targets(prometheus_url: str) -> list[Target] | None:
    """Return every active target, or None when Prometheus does not answer."""
    try:
        answer = httpx.get(f"{prometheus_url}/api/v1/targets?state=active", timeout=_ANSWER_SECONDS, trust_env=False)
        return [
            Target(
                str(target["labels"].get("job")),
                str(target["labels"].get("instance")),
                str(target["health"]),
                str(target["lastError"] or "not scraped yet"),
            )
            for target in answer.raise_for_status().json()["data"]["activeTargets"]
        ]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None


def find_targets_down(prometheus_url: str) -> list[str]:
    """Return each scrape target that is not up, as `job address: why`; `["prometheus does not answer"]` if so."""
    targets = read_targets(prometheus_url)
    if targets is None:
        return [_NO_ANSWER]
    return [str(target) for target in targets if target.health != "up"] if targets else [_NO_TARGET]


def _is_own(target: Target, components: Iterable[Watched]) -> bool:
    own = {(_JOBS.get(one.name, one.name), one.url.rpartition("/")[2]) for one in components}
    return (target.job, target.address) in own


def wait_targets_up(prometheus_url: str, components: Iterable[Watched], timeout: float) -> tuple[list[str], list[str]]:
    """Wait until Prometheus scrapes the stack's own components.

    What a person added, a service of `prometheus/targets/`, a job of their own or a load test of theirs, need not be
    up: a target that is down is what the stack is there to notice. Its first scrape alone is waited for, for seconds.

    Returns:
        The components that are still not scraped when `timeout` seconds are over, and the other targets that are down,
        each as `job address: why`.
    """
    own = list(components)
    deadline = time.monotonic() + timeout
    scraped_by = None
    while True:
        targets = read_targets(prometheus_url)
        others = [one for one in targets or () if not _is_own(one, own)]
        down = [str(one) for one in targets or () if one.health != "up" and one not in others]
        if not targets:
            down = [_NO_ANSWER if targets is None else _NO_TARGET]
        now = time.monotonic()
        if not down:
            scraped_by = scraped_by or min(now + _FIRST_SCRAPE_SECONDS, deadline)
        settled = not down and (now >= (scraped_by or now) or all(one.health != "unknown" for one in others))
        if settled or now > deadline:
            return down, [str(one) for one in others if one.health == "down"]
        time.sleep(_POLL_SECONDS * 2)


def read_metric(text: str, name: str) -> float | None:
    """Return the value of a series without labels from a page in the exposition format."""
    found = re.search(rf"^{re.escape(name)} (\S+)", text, re.MULTILINE)
    return float(found[1]) if found else None


def read_last_reload(component: Watched) -> float | None:
    """Return the time (Unix seconds) at which Prometheus or an Alertmanager last took its configuration."""
    # `prometheus_config_…` and `alertmanager_config_…`: a second one has the name of the first.
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
