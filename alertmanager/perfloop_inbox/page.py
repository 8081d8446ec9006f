"""The page at `/`: the newest messages; it refreshes itself."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop_base.templating import load_templates
from perfloop_base.web.headers import page_policy
from perfloop_inbox.markup import link_addresses
from perfloop_inbox.messages import CHANNELS, Query
from perfloop_inbox.presentation import show_message

if TYPE_CHECKING:
    from perfloop_inbox.inbox import Inbox

__all__ = ["PAGE_POLICY", "link_addresses", "render_page"]

_TITLES = {"slack": "Slack", "email": "E-mail", "pagerduty": "PagerDuty"}
_ENVIRONMENT = load_templates(Path(__file__).parent)
_ENVIRONMENT.filters["time"] = lambda text: f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}"
_ENVIRONMENT.filters["body"] = show_message
_ENVIRONMENT.filters["pretty"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
# Of the template, not of a rendered page: what could ever be injected into one is not allowed to run.
PAGE_POLICY = page_policy(Path(__file__).with_name("page.html").read_text(encoding="utf-8"), "connect-src 'self'")


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
        silent=[name.capitalize() for name, answers in inbox.upstreams.items() if not answers],
        unconfirmed=inbox.reconciliation.count_unconfirmed(),
        writable=inbox.store.writable,
    )
