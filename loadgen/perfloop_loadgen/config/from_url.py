"""A test made of one URL, as other load generators take it on their command line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from perfloop_base.errors import ConfigError
from perfloop_base.redaction import redact, redact_url
from perfloop_loadgen.config.model import LoadTestConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMES = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class OneRequest:
    """What is sent to the URL besides its path: the method, `NAME: VALUE` headers, and a body."""

    method: str = "GET"
    headers: tuple[str, ...] = ()
    body: str | None = None


def is_url(text: str) -> bool:
    """Return whether a text is an address rather than the name of a file."""
    return text.lower().startswith(SCHEMES)


def config_of_url(url: str, request: OneRequest) -> LoadTestConfig:
    """Return a test that sends one request again and again: ten users for a minute, unless flags say otherwise.

    Raises:
        ConfigError: with every rule that the address, a header or the method breaks.
    """
    shown = redact_url(url)
    try:
        parts = urlsplit(url)
        place = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
    except ValueError as error:
        raise ConfigError(f"{shown}: is not a URL: {error}") from error
    headers = _headers(request.headers)
    if request.body is not None and _is_json(request.body) and "content-type" not in map(str.lower, headers):
        headers["Content-Type"] = "application/json"
    endpoint: dict[str, Any] = {
        "path": (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        "method": request.method,
        "headers": headers,
        "data": request.body,
    }
    try:
        return LoadTestConfig.model_validate(
            {"name": place, "base_url": f"{parts.scheme}://{parts.netloc}", "endpoints": [endpoint]}
        )
    except ValidationError as error:
        problems = [
            f"{shown}: {'.'.join(map(str, problem['loc'][2:] or problem['loc']))}: "
            f"{redact(problem['msg'].removeprefix('Value error, '))}"
            for problem in error.errors(include_url=False)
        ]
        raise ConfigError(problems) from error


def _headers(lines: Sequence[str]) -> dict[str, str]:
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise ConfigError(f"--header: {redact(line)!r}: must read like 'Accept: text/html'")
        headers[name.strip()] = value.strip()
    return headers


def _is_json(body: str) -> bool:
    """Return whether a body is a JSON object or list; a bare word or number may be any text."""
    try:
        return isinstance(json.loads(body), dict | list)
    except (ValueError, RecursionError):
        return False
