"""alertmanager.yml as people write it: impossible addresses, and channels that have no secret to deliver with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError
from perfloop_base.located import Entry, read_located, show_path, suggest

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = re.compile(r"[^\s@,<>]+@[^\s@,<>]+")
# For each kind of channel: one of these settings must be there, or its secret is missing.
NEEDED = {
    "slack_configs": ("api_url", "api_url_file"),
    "pagerduty_configs": ("routing_key", "routing_key_file", "service_key", "service_key_file"),
    "email_configs": ("to",),
    "webhook_configs": ("url", "url_file"),
}
GLOBAL = {"slack_configs": ("slack_api_url", "slack_api_url_file")}


def check_notifications(path: Path) -> list[str]:
    """Return a sentence for everything that would only come out when a message is to be sent."""
    problems: list[str] = []
    try:
        root = read_located(path, problems)
    except ConfigError as error:
        return list(error.problems)
    everywhere = root.get("global")
    shared = everywhere if isinstance(everywhere, Entry) else Entry(show_path(path), 1, problems)
    _check_address(shared, "smtp_from", "global")
    receivers = root.mappings("receivers")
    for receiver in receivers:
        what = f"receiver {receiver.get('name')}"
        for kind in NEEDED:
            for channel in receiver.mappings(kind):
                _check_channel(channel, kind, shared, what)
    _check_routes(root.get("route"), {str(receiver.get("name")) for receiver in receivers})
    return problems


def _check_channel(channel: Entry, kind: str, shared: Entry, what: str) -> None:
    settings = NEEDED[kind]
    if not any(channel.get(setting) for setting in settings) and not any(
        shared.get(one) for one in GLOBAL.get(kind, ())
    ):
        channel.report(f"{what}: {kind} has none of {', '.join(settings)}: without a secret it cannot deliver.")
    if kind == "email_configs":
        _check_address(channel, "to", what)
        _check_address(channel, "from", what)


def _check_address(entry: Entry, key: str, what: str) -> None:
    value = entry.get(key)
    if value is None or "{{" in str(value):
        return
    addresses = [part.strip(" ") for part in str(value).split(",")]
    for address in addresses:
        if not ADDRESS.fullmatch(address):
            entry.report(f"{what}: {key} has the address {address!r}; it must be an e-mail address on one line.", key)


def _check_routes(route: object, receivers: set[str]) -> None:
    if not isinstance(route, Entry):
        return
    name = route.get("receiver")
    if name is not None and name not in receivers:
        route.report(f"a route has the unknown receiver {name!r}; {suggest(str(name), sorted(receivers))}", "receiver")
    for child in route.mappings("routes"):
        _check_routes(child, receivers)
