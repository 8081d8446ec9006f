"""Extract the alert's name, severity and status from text that is written for people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfloop_inbox.messages import Facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_inbox.messages import Status

# The form of Alertmanager's own default titles: `[FIRING:2] AlertName …`, `[RESOLVED] AlertName …`; ours go on with
# service and severity: `[FIRING:1] AlertName · shop · critical`.
_TITLE = re.compile(
    r"\[(?P<status>FIRING|RESOLVED)(?::\d+)?\]\W*(?P<alertname>\w+)?"
    r"(?:[^\n]*· (?P<severity>critical|error|warning|info)\b)?",
    re.IGNORECASE,
)
# Between name and value there may be markup: `*Severity:* critical`, `severity=warning`.
_SEVERITY = re.compile(r"\bseverity\W{1,6}(?P<severity>critical|error|warning|info)\b", re.IGNORECASE)
# Markup around a word, which is not part of it.
_DECORATION = " \t\r\n*_`~"
_ALERTNAME_KEYS = ("alertname", "alert")
_STATUSES: Mapping[str, Status] = {"firing": "firing", "resolved": "resolved", "acknowledged": "acknowledged"}


def parse_prose(text: str) -> Facts:
    """Extract the facts of a title or a body."""
    title, named = _TITLE.search(text), _SEVERITY.search(text)
    severity = (named["severity"] if named else "") or (title["severity"] if title else "") or ""
    return Facts(
        alertname=(title["alertname"] or "") if title else "",
        severity=severity.lower(),
        status=_STATUSES[title["status"].lower()] if title else "unknown",
    )


def parse_pairs(pairs: Mapping[str, str]) -> Facts:
    """Extract the facts of named values: the fields of an attachment, custom details, headers."""
    plain = {key.strip(_DECORATION + ":").lower(): value.strip(_DECORATION) for key, value in pairs.items()}
    alertname = next((plain[key] for key in _ALERTNAME_KEYS if plain.get(key)), "")
    status = plain.get("status", "").split(":")[0].lower()
    return Facts(
        alertname, plain.get("severity", "").lower(), _STATUSES.get(status, "unknown"), plain.get("service", "")
    )


def first_known(*sources: Facts) -> Facts:
    """Return each fact from the first source that has it."""
    return Facts(
        alertname=next((source.alertname for source in sources if source.alertname), ""),
        severity=next((source.severity for source in sources if source.severity), ""),
        status=next((source.status for source in sources if source.status != "unknown"), "unknown"),
        service=next((source.service for source in sources if source.service), ""),
    )
