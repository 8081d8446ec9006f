"""The page at `/`: what arrived, for a person; it keeps itself up to date."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from demo.inbox.messages import CHANNELS, Query

if TYPE_CHECKING:
    from demo.inbox.inbox import Inbox

_TITLES = {"slack": "Slack", "email": "E-mail", "pagerduty": "PagerDuty"}
_ENVIRONMENT = Environment(
    loader=PackageLoader("demo.inbox", "."),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters["time"] = lambda text: f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}"
_ENVIRONMENT.filters["pretty"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)


def render_page(inbox: Inbox, limit: int) -> str:
    """Return the page with the newest messages."""
    found = [message.to_dict() for message in inbox.mailbox.find(Query(), limit)]
    counts = {channel: sum(message["channel"] == channel for message in found) for channel in CHANNELS}
    return _ENVIRONMENT.get_template("page.html").render(
        messages=found,
        counts=counts,
        titles=_TITLES,
        total=len(inbox.mailbox),
        heartbeat=inbox.heartbeats[-1]["received_at"] if inbox.heartbeats else None,
        faults=inbox.faults.to_dict(),
    )
