"""Alertmanager's API (v2): which alerts it has, who is notified of them and when, and posting alerts to it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import yaml

from perfloop_base.durations import parse_duration
from perfloop_inbox.incidents import AlertmanagerView, ListedAlert, key_of
from perfloop_inbox.messages import CHANNELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from perfloop_inbox.incidents import Post

# The path of the inbox to which each receiver reports what it sent.
REPORTS_PATH = "/notifications"
_HIDDEN = "<secret>"
_GROUP = frozenset({"alertname", "service"})
_TEST = "PerfloopTest"
# Alertmanager's defaults, for routes that say nothing.
_GROUP_WAIT, _GROUP_INTERVAL = "30s", "5m"
# What an answer that is not Alertmanager's makes these functions raise.
BAD_ANSWERS = (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError)


def parse_time(text: str) -> float:
    """Return the Unix seconds of a time in RFC 3339, with up to nine digits of a second."""
    return datetime.fromisoformat(text).timestamp()  # what is below a microsecond is cut off


def format_time(seconds: float) -> str:
    """Return Unix seconds in RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


async def read_view(client: httpx.AsyncClient, urls: Sequence[str]) -> AlertmanagerView | None:
    """Return what the Alertmanagers say, as one; None when none of them answers."""
    views = [view for url in urls if (view := await _read_one(client, url)) is not None]
    if not views:
        return None
    oldest = min(views, key=lambda view: view.run)
    # Where a cluster has just lost a member, the other lists what both know.
    return AlertmanagerView(
        oldest.run,
        {key: alert for view in views for key, alert in view.alerts.items()},
        oldest.reporting,
        oldest.group_wait,
        oldest.group_interval,
        oldest.config,
        oldest.channels,
    )


async def _read_one(client: httpx.AsyncClient, url: str) -> AlertmanagerView | None:
    try:
        status = (await client.get(f"{url}/api/v2/status")).raise_for_status().json()
        listed = (await client.get(f"{url}/api/v2/alerts")).raise_for_status().json()
        alerts = {key_of(alert["labels"]): _parse_alert(alert) for alert in listed}
        config = yaml.safe_load(status["config"]["original"])
        reporting = find_reporting(config)
        waits = [(wait, interval) for name, wait, interval in list_waits(config["route"]) if name in reporting]
        return AlertmanagerView(
            status["uptime"],
            alerts,
            reporting,
            max((wait for wait, _ in waits), default=0.0),
            max((interval for _, interval in waits), default=0.0),
            hashlib.sha256(status["config"]["original"].encode()).hexdigest(),
            find_channels(config, reporting),
        )
    except BAD_ANSWERS:
        return None


def find_reporting(config: dict[str, Any]) -> frozenset[str]:
    """Return the receivers of a configuration that report their notifications to an inbox."""
    return frozenset(
        receiver["name"]
        for receiver in config.get("receivers") or []
        for hook in receiver.get("webhook_configs") or []
        if is_report(hook)
    )


def find_channels(config: dict[str, Any], reporting: frozenset[str]) -> dict[str, str]:
    """Return the receiver of each kind of channel whose messages say which alert and service they are about."""
    found: dict[str, str] = {}
    for channel in CHANNELS:
        holders = [one for one in config.get("receivers") or [] if one.get(f"{channel}_configs")]
        if len(holders) != 1 or holders[0]["name"] not in reporting:
            continue
        name, hooks = holders[0]["name"], holders[0][f"{channel}_configs"]
        groups = [group for receiver, group in _list_groups(config["route"]) if receiver == name]
        if all(hook.get("send_resolved") for hook in hooks) and all(group == _GROUP for group in groups):
            found[channel] = name
    return found


def _list_groups(route: dict[str, Any], receiver: str = "", above: Any = ()) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield receiver and grouping of a route and of all below it, those of the test message left out."""
    if _TEST in str(route.get("matchers")):
        return
    name, group = route.get("receiver") or receiver, route.get("group_by") or above
    yield name, frozenset(group)
    for child in route.get("routes") or []:
        yield from _list_groups(child, name, group)


def is_report(hook: dict[str, Any]) -> bool:
    """Return whether a webhook is that of the reports.

    Alertmanager since 0.26 hides the addresses of webhooks. `perfloop up` gives every receiver of people one, and the
    heartbeat's are the only ones that send no ends.
    """
    url = str(hook.get("url", ""))
    return urlsplit(url).path == REPORTS_PATH or (url == _HIDDEN and bool(hook.get("send_resolved", True)))


def list_waits(
    route: dict[str, Any], above: tuple[str, str, str] = ("", _GROUP_WAIT, _GROUP_INTERVAL)
) -> Iterator[tuple[str, float, float]]:
    """Yield receiver, group wait and group interval (seconds) of a route and of all below it, which inherit them."""
    names = ("receiver", "group_wait", "group_interval")
    own = tuple(str(route.get(name) or inherited) for name, inherited in zip(names, above, strict=True))
    receiver, wait, interval = own
    yield receiver, parse_duration(wait), parse_duration(interval)
    for child in route.get("routes") or []:
        yield from list_waits(child, (receiver, wait, interval))


def _parse_alert(alert: dict[str, Any]) -> ListedAlert:
    state = alert["status"]["state"]
    return ListedAlert(
        active=state == "active",
        suppressed=state == "suppressed",
        receivers=frozenset(receiver["name"] for receiver in alert["receivers"]),
        starts_at=parse_time(alert["startsAt"]),
        ends_at=parse_time(alert["endsAt"]),
        generator_url=str(alert.get("generatorURL", "")),
    )


async def post(client: httpx.AsyncClient, urls: Sequence[str], posts: Iterable[Post]) -> int:
    """Post alerts to every Alertmanager; return how many of these took them."""
    body = [
        {
            "labels": dict(one.labels),
            "annotations": dict(one.annotations),
            "startsAt": format_time(one.starts_at),
            "endsAt": format_time(one.ends_at),
            **({"generatorURL": one.generator_url} if one.generator_url else {}),
        }
        for one in posts
    ]
    taken = 0
    for url in urls:
        try:
            (await client.post(f"{url}/api/v2/alerts", json=body)).raise_for_status()
        except BAD_ANSWERS:
            continue
        taken += 1
    return taken
