"""The series of a running Prometheus."""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from perfloop_base.errors import ConfigError
from perfloop_base.redaction import redact_url, split_user
from perfloop_base.visible import brief
from perfloop_rules.errors import UnreachableError

TIMEOUT_SECONDS = 10.0
MOST_BYTES = 256 * 1024**2
MINUTES = 10
RECORDED = re.compile(r"\w+:\w+:\w+$|ALERTS")  # what rules make


def read_live(url: str, now: float) -> dict[str, frozenset[str]]:
    """Return the names of the last ten minutes' series, each with the labels it has.

    Args:
        url: the address of a Prometheus.
        now: the present, in seconds of Unix time.

    Raises:
        ConfigError: the address is not one of HTTP.
        UnreachableError: nothing answers there, or not as Prometheus does.
    """
    query = urllib.parse.urlencode({"match[]": '{__name__=~".+"}', "start": now - MINUTES * 60, "end": now})
    known: dict[str, set[str]] = {}
    for series in _get(f"{url.rstrip('/')}/api/v1/series?{query}"):
        name = series.get("__name__")
        if isinstance(name, str) and not RECORDED.match(name):
            known.setdefault(name, set()).update(set(series) - {"__name__"})
    return {name: frozenset(labels) for name, labels in known.items()}


def _get(url: str) -> list[dict[str, Any]]:
    if not url.startswith(("http://", "https://")):
        raise ConfigError(
            f"{brief(redact_url(url))} is not the address of a Prometheus; it must begin with http:// or https://."
        )
    url, authorization = split_user(url)
    request = urllib.request.Request(url, headers={"Authorization": authorization} if authorization else {})  # noqa: S310 # checked above
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  # checked above
            body = answer.read(MOST_BYTES + 1)
        if len(body) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES} bytes")  # noqa: TRY301 # one of the ways not to answer as Prometheus
        return [series for series in json.loads(body)["data"] if isinstance(series, dict)]
    # A broken head is an HTTPException, JSON of another form one of the others.
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        address = redact_url(url.split("/api/v1/", maxsplit=1)[0])
        raise UnreachableError(f"Prometheus at {address} does not answer as one: {error}.") from error
