"""A browser's recording (HAR 1.2) as a scenario: its requests in order, with the pauses between them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from perfloop_base.redaction import is_secret_name, redact, redact_mapping
from perfloop_loadgen.config.secrets import HIDDEN

# Headers that the engine writes itself, or that belong to the recorded connection alone.
_NOT_KEPT = frozenset({"host", "content-length", "connection", "accept-encoding", "user-agent", "content-type"})


# Longer ones are a recording that was left open over lunch, or a wrong clock.
_LONGEST_PAUSE_SECONDS = 3600.0


def test_from_har(document: dict[str, Any]) -> dict[str, Any]:
    """Return a test of one scenario; requests to other hosts than the first are left out."""
    entries = document["log"]["entries"]
    first = urlsplit(entries[0]["request"]["url"])
    # Advertisements, fonts and analytics are other people's services: they must not be put under load.
    kept = [entry for entry in entries if urlsplit(entry["request"]["url"]).netloc == first.netloc]
    following = [*kept[1:], None]
    steps = [_step(entry, later) for entry, later in zip(kept, following, strict=True)]
    return {"base_url": f"{first.scheme}://{first.netloc}", "scenarios": [{"name": "recording", "steps": steps}]}


def _step(entry: dict[str, Any], later: dict[str, Any] | None) -> dict[str, Any]:
    request = entry["request"]
    url = urlsplit(request["url"])
    step: dict[str, Any] = {
        "path": redact((url.path or "/") + (f"?{url.query}" if url.query else "")),
        "method": request["method"],
    }
    headers = {
        header["name"]: HIDDEN if is_secret_name(header["name"]) else header["value"]
        for header in request.get("headers", ())
        if header["name"].lower() not in _NOT_KEPT and not header["name"].startswith(":")
    }
    body = request.get("postData", {}).get("text")
    if body:
        step["data"] = _data(body)
    if headers:
        step["headers"] = headers
    status = entry.get("response", {}).get("status")
    if status:
        step["expected_status"] = status
    pause = _pause(entry, later)
    if pause:
        step["think_time_seconds"] = pause
    return step


def _data(body: str) -> Any:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return redact(body)
    return redact_mapping({"data": data})["data"]


def _pause(entry: dict[str, Any], later: dict[str, Any] | None) -> float:
    """Return the time from the end of an answer to the next request."""
    if later is None:
        return 0.0
    began, next_began = (datetime.fromisoformat(one["startedDateTime"]) for one in (entry, later))
    took = float(entry.get("time", 0)) / 1000
    pause = round((next_began - began).total_seconds() - took, 3)
    return pause if 0 < pause < _LONGEST_PAUSE_SECONDS else 0.0
