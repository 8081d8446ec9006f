"""A browser's recording (HAR 1.2) as a scenario: its requests in order, with the pauses between them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from perfloop_loadgen.config.addresses import is_http
from perfloop_loadgen.config.placeholders import escape
from perfloop_loadgen.config.scenario import Method
from perfloop_loadgen.imports.bodies import FORM, base_type, form_body, part_text, text_body
from perfloop_loadgen.imports.found import Found, ImportProblem
from perfloop_loadgen.imports.media import MULTIPART
from perfloop_loadgen.imports.urls import Located, locate, of_one_service

if TYPE_CHECKING:
    from collections.abc import Sequence

# Headers that the engine writes itself, that a body's own keys say, or that belong to the recorded connection alone.
NOT_KEPT = frozenset(
    {"host", "content-length", "connection", "accept-encoding", "user-agent", "content-type", "transfer-encoding"}
    | {"keep-alive", "upgrade", "te", "trailer", "proxy-connection", "http2-settings", "expect"}
)
METHODS = frozenset(get_args(Method))
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LINE_END = re.compile(r"[\r\n\0]")
# Longer ones are a recording that was left open over lunch, or a wrong clock.
_LONGEST_PAUSE_SECONDS = 3600.0
_NOT_MODIFIED = 304
_SWITCHING = 101


class _Entry(NamedTuple):
    entry: dict[str, Any]
    request: dict[str, Any]
    located: Located


def test_from_har(document: Any, found: Found) -> dict[str, Any]:
    """Return a test of one scenario; requests to other services than the first are left out.

    Raises:
        ImportProblem: it is no recording, or holds no request that could be sent.
    """
    log = document.get("log") if isinstance(document, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(entries, list):
        raise ImportProblem("is not a HAR recording: it has no log.entries")
    usable = [one for entry in entries if (one := _usable(entry, found)) is not None]
    if not usable:
        raise ImportProblem(f"holds no request over HTTP that could be sent ({len(entries)} entries)")
    base = of_one_service([one.located for one in usable], found)
    kept = [one for one in usable if one.located.base == base]
    if any(_sets_cookies(one.entry) for one in kept):
        found.note("The service set cookies: with `cookies: true` each user keeps them, as a browser does.")
    following: Sequence[_Entry | None] = [*kept[1:], None]
    steps = [_step(one, later, found) for one, later in zip(kept, following, strict=True)]
    return {"base_url": base, "scenarios": [{"name": "recording", "steps": steps}]}


def _sets_cookies(entry: dict[str, Any]) -> bool:
    response = entry.get("response")
    headers = response.get("headers") if isinstance(response, dict) else None
    return any(
        isinstance(header, dict) and str(header.get("name")).lower() == "set-cookie"
        for header in (headers if isinstance(headers, list) else ())
    )


def _usable(entry: Any, found: Found) -> _Entry | None:
    """Return an entry that is a request over HTTP; count any other."""
    request = entry.get("request") if isinstance(entry, dict) else None
    if not isinstance(request, dict) or not isinstance(request.get("url"), str):
        found.leave_out("an entry without a request")
        return None
    url = request["url"]
    if not is_http(url):
        found.leave_out(
            f"an entry of the scheme {url.partition(':')[0][:20].lower() or 'none'}:, which no server answers"
        )
        return None
    method = str(request.get("method", "GET")).upper()
    if method not in METHODS or _status(entry) == _SWITCHING:
        found.leave_out(f"a request of the method {method}" if method not in METHODS else "a WebSocket")
        return None
    try:
        return _Entry(entry, request, locate(url, found))
    except ValueError as error:
        found.leave_out(f"an entry whose URL {error}")
        return None


def _step(one: _Entry, later: _Entry | None, found: Found) -> dict[str, Any]:
    step: dict[str, Any] = {"path": one.located.path, "method": str(one.request.get("method", "GET")).upper()}
    listed = one.request.get("headers")
    pairs = [
        (str(header.get("name", "")), str(header.get("value", "")))
        for header in (listed if isinstance(listed, list) else ())
        if isinstance(header, dict)
    ]
    headers = kept_headers(pairs, found)
    if one.located.user:
        headers["Authorization"] = f"Basic {found.secret('Authorization', holds='Base64 of user:password')}"
    body = _body(one.request.get("postData"), pairs, found)
    headers |= body.pop("headers", {})
    step |= body
    if headers:
        step["headers"] = headers
    status = _status(one.entry)
    if status:
        # Whether the server still knows the recorded version of a page is its own affair.
        step["expected_status"] = [200, _NOT_MODIFIED] if status == _NOT_MODIFIED else status
    pause = _pause(one.entry, later.entry) if later is not None else 0.0
    if pause:
        step["think_time_seconds"] = pause
    return step


def kept_headers(pairs: Sequence[tuple[str, str]], found: Found, keep: frozenset[str] = frozenset()) -> dict[str, str]:
    """Return the headers that a test sends, secrets as placeholders; those of one name are joined (RFC 9110, 5.3).

    Args:
        pairs: names and values in order.
        found: takes the secrets.
        keep: names in lower case that are kept although the engine has a header of its own for them.
    """
    joined: dict[str, tuple[str, str]] = {}
    for name, value in pairs:
        if name.lower() in NOT_KEPT - keep or not HEADER_NAME.fullmatch(name):
            continue  # HTTP/2's own `:path` among them
        before = joined.get(name.lower())
        sign = "; " if name.lower() == "cookie" else ", "
        joined[name.lower()] = (name, value) if before is None else (before[0], f"{before[1]}{sign}{value}")
    return {name: found.header(name, _LINE_END.sub(" ", value)) for name, value in joined.values()}


def _body(data: Any, headers: Sequence[tuple[str, str]], found: Found) -> dict[str, Any]:
    if not isinstance(data, dict):
        return {}
    of_header = next((value for name, value in headers if name.lower() == "content-type"), "")
    kind = _LINE_END.sub(" ", str(data.get("mimeType") or of_header))
    text, params = data.get("text"), data.get("params")
    if isinstance(text, str) and text:
        return text_body(text, kind, found)
    if not isinstance(params, list) or not params:
        return {}
    fields = [one for one in params if isinstance(one, dict)]
    if base_type(kind) == MULTIPART:
        return {"multipart": _parts(fields, found)}
    pairs = [(str(one.get("name", "")), str(one.get("value", ""))) for one in fields]
    return form_body(pairs, found, content_type=kind if base_type(kind) == FORM else FORM)


def _parts(fields: Sequence[dict[str, Any]], found: Found) -> dict[str, Any]:
    parts: dict[str, list[Any]] = {}
    for one in fields:
        name, value = str(one.get("name", "")), str(one.get("value", ""))
        if one.get("fileName"):
            found.note("A recording has no content of files that were uploaded: put `file:` into the parts.")
            part: Any = {"text": escape(value or "text"), "filename": escape(str(one["fileName"]))}
            if one.get("contentType"):
                part["content_type"] = str(one["contentType"])
        else:
            part = part_text(name, value, found)
        parts.setdefault(escape(name), []).append(part)
    return {name: many[0] if len(many) == 1 else many for name, many in parts.items()}


def _status(entry: dict[str, Any]) -> int:
    response = entry.get("response")
    status = response.get("status") if isinstance(response, dict) else None
    return status if isinstance(status, int) and 100 <= status < 600 else 0  # noqa: PLR2004 - RFC 9110's range


def _pause(entry: dict[str, Any], later: dict[str, Any]) -> float:
    """Return the seconds from the end of an answer to the next request; 0 where the recording does not say."""
    try:
        began, next_began = (datetime.fromisoformat(str(one.get("startedDateTime"))) for one in (entry, later))
        took = float(entry.get("time") or 0) / 1000
        pause = round((next_began - began).total_seconds() - took, 3)
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return pause if 0 < pause < _LONGEST_PAUSE_SECONDS else 0.0
