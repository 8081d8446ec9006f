"""Alerts posted to Alertmanager's API, as Prometheus does it."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

_ANSWER_SECONDS = 3.0


def post(alertmanager_url: str, alerts: Iterable[dict[str, Any]]) -> bool:
    """Post alerts and return whether Alertmanager took them."""
    body = json.dumps(list(alerts))
    connection = http.client.HTTPConnection(urlsplit(alertmanager_url).netloc, timeout=_ANSWER_SECONDS)
    try:
        connection.request("POST", "/api/v2/alerts", body, {"Content-Type": "application/json"})
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
