"""A Postman collection (format v2.0 or v2.1) as endpoints: one for each request of any group of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from perfloop_base.redaction import is_secret_name, register
from perfloop_loadgen.config.placeholders import escape
from perfloop_loadgen.imports.bodies import form_body, json_body, part_text, text_body
from perfloop_loadgen.imports.found import Found, ImportProblem
from perfloop_loadgen.imports.har import METHODS, kept_headers
from perfloop_loadgen.imports.marks import has_mark, mark, unmarked, without_first
from perfloop_loadgen.imports.urls import Located, locate, of_one_service

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_URL = "http://localhost:8000"
_VARIABLE = re.compile(r"\{\{\s*([^{}]{1,200}?)\s*\}\}")
_DEEPEST = 30
_LANGUAGES = {
    "json": "application/json",
    "xml": "application/xml",
    "html": "text/html",
    "javascript": "application/javascript",
    "text": "text/plain",
}
# Postman's own variables, a new value for each request; here one value, or the number of the pass.
_DYNAMIC = {
    "$guid": "00000000-0000-4000-8000-000000000000",
    "$randomUUID": "00000000-0000-4000-8000-000000000000",
    "$isoTimestamp": "2026-01-01T00:00:00Z",
    "$randomBoolean": "true",
    "$randomEmail": "someone@example.org",
}
_COUNTED = frozenset({"$timestamp", "$randomInt"})


@dataclass(frozen=True, slots=True)
class _Scope:
    """What a group hands down to its requests."""

    variables: Mapping[str, str]
    auth: Any = None
    group: str = ""


def test_from_postman(document: Any, found: Found) -> dict[str, Any]:
    """Return a test that sends every request equally often; those to other services than the first are left out.

    Raises:
        ImportProblem: it is no collection of these formats, or has no request that could be sent.
    """
    if isinstance(document, dict) and isinstance(document.get("collection"), dict):
        document = document["collection"]  # as Postman's API hands it out
    if not isinstance(document, dict) or not isinstance(document.get("item"), list):
        older = isinstance(document, dict) and "requests" in document
        raise ImportProblem(
            "is a Postman collection of the format v1: export it as v2.1" if older else "is not a Postman collection"
        )
    scope = _Scope(_variables(document, {}, found), document.get("auth"))
    made = [one for one in _requests(document["item"], scope, found, 0) if one is not None]
    if not made:
        raise ImportProblem("holds no request that could be sent")
    base = of_one_service([located for located, _ in made], found)
    if any(isinstance(document.get(key), list) and document[key] for key in ("event", "events")):
        found.note("The scripts of the collection are not here: use checks and extract.")
    return {"base_url": base, "endpoints": [endpoint for located, endpoint in made if located.base == base]}


def _requests(
    items: list[Any], scope: _Scope, found: Found, depth: int
) -> Iterator[tuple[Located, dict[str, Any]] | None]:
    for item in items if depth <= _DEEPEST else ():
        if not isinstance(item, dict):
            continue
        name = str(item.get("name", ""))
        if isinstance(item.get("item"), list):
            inner = _Scope(
                _variables(item, scope.variables, found),
                item.get("auth") or scope.auth,
                f"{scope.group}{name} / ",
            )
            yield from _requests(item["item"], inner, found, depth + 1)
        elif isinstance(item.get("request"), dict | str):
            if isinstance(item.get("event"), list) and item["event"]:
                found.leave_out("a script of a request: use checks and extract")
            yield _request(item["request"], f"{scope.group}{name}", scope, found)


def _request(request: Any, name: str, scope: _Scope, found: Found) -> tuple[Located, dict[str, Any]] | None:
    """Return where a request goes and the endpoint that sends it; None: it cannot be sent, and is counted."""
    rules = request if isinstance(request, dict) else {"url": request}
    method = str(rules.get("method") or "GET").upper()
    if method not in METHODS:
        found.leave_out(f"a request of the method {method}")
        return None
    text = _Text(scope.variables, found)
    try:
        located = locate(_url(rules.get("url"), text), found)
    except ValueError as error:
        found.leave_out(f"a request whose URL {error}")
        return None
    listed = _pairs(rules.get("header"), text)
    kept = kept_headers([pair for pair in listed if not has_mark(pair[1])], found)
    headers = kept | {header: escape(value) for header, value in listed if has_mark(value)}
    endpoint: dict[str, Any] = {"path": located.path, "method": method, "name": escape(name or f"{method} request")}
    # Postman itself sends none with these.
    body = {} if method in {"GET", "HEAD"} else _body(rules.get("body"), _content_type(listed), text)
    endpoint |= {"headers": headers | body.pop("headers", {})} | body
    _add_auth(rules.get("auth") or scope.auth, endpoint, text)
    if not endpoint["headers"]:
        del endpoint["headers"]
    return located, unmarked(endpoint)


class _Text:
    """Puts the values of variables into texts: known ones at once, secrets and unknown ones as marks."""

    def __init__(self, variables: Mapping[str, str], found: Found) -> None:
        self._variables = variables
        self.found = found

    def of(self, value: Any) -> str:
        """Return a value of the collection as text, its variables filled."""
        return fill_variables(str(value) if value is not None else "", self._variables, self.found)


def fill_variables(text: str, variables: Mapping[str, str], found: Found, depth: int = 0) -> str:
    """Return a text with its `{{name}}` filled; a variable's value may name others."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name in _COUNTED:
            return mark("iteration")
        if name.startswith("$"):
            found.note("Postman's own variables ({{$guid}} and others) have one value each here.")
            return _DYNAMIC.get(name, "text")
        known = variables.get(name)
        if not known:
            return mark(found.secret(name, holds=f"the variable {name} of the collection")[2:-1])
        return fill_variables(known, variables, found, depth + 1) if depth < _DEEPEST else known

    return _VARIABLE.sub(value, text)


def _variables(holder: dict[str, Any], outer: Mapping[str, str], found: Found) -> dict[str, str]:
    """Return the variables of a collection or group over those around it; the value of a secret is a mark."""
    listed = holder.get("variable")
    known = dict(outer)
    for one in listed if isinstance(listed, list) else ():
        if not isinstance(one, dict) or one.get("disabled") is True:
            continue
        name, value = str(one.get("key") or one.get("id") or ""), one.get("value")
        text = value if isinstance(value, str) else json.dumps(value) if value is not None else ""
        if text and (is_secret_name(name) or one.get("type") == "secret") and not _VARIABLE.search(text):
            text = mark(found.secret(name, text)[2:-1])
        known[name] = text
    return known


def _url(url: Any, text: _Text) -> str:
    rules = url if isinstance(url, dict) else {"raw": url}
    raw = rules.get("raw")
    address = text.of(raw if isinstance(raw, str) and raw else _assembled(rules))
    path = without_first(address)
    if path is not None:
        text.found.note(f"The service is a variable of the collection: base_url is {DEFAULT_URL}.")
        address = DEFAULT_URL + path
    if "://" not in address:
        address = f"http://{address}"
    values = {str(one.get("key")): one.get("value") for one in _mappings(rules.get("variable"))}

    def value(match: re.Match[str]) -> str:
        return "/" + quote(text.of(values.get(match[1]) or "1"), safe="")

    scheme, _, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    head, question, query = (slash + path).partition("?")
    return f"{scheme}://{host}{re.sub(r'/:([^/]+)', value, head)}{question}{query}"


def _assembled(rules: dict[str, Any]) -> str:
    host, path = (rules.get(key) for key in ("host", "path"))
    port = f":{rules['port']}" if rules.get("port") else ""
    pairs = [f"{one.get('key') or ''}={one.get('value') or ''}" for one in _mappings(rules.get("query"))]
    segments = [
        str(one.get("value", "")) if isinstance(one, dict) else str(one)
        for one in (path if isinstance(path, list) else ())
    ]
    joined = "/".join(segments) if segments else str(path or "").lstrip("/")
    where = ".".join(map(str, host)) if isinstance(host, list) else str(host or "")
    scheme = f"{rules['protocol']}://" if rules.get("protocol") else ""
    return f"{scheme}{where}{port}/{joined}{'?' + '&'.join(pairs) if pairs else ''}"


def _mappings(value: Any) -> list[dict[str, Any]]:
    """Return the mappings of a list that are switched on."""
    listed = value if isinstance(value, list) else ()
    return [one for one in listed if isinstance(one, dict) and one.get("disabled") is not True]


def _pairs(value: Any, text: _Text) -> list[tuple[str, str]]:
    if isinstance(value, str):  # v2.0 allows the headers as they are on the wire
        lines = (line.partition(":") for line in value.splitlines())
        return [(name.strip(), text.of(rest.strip())) for name, sign, rest in lines if sign]
    return [(text.of(one.get("key")), text.of(one.get("value"))) for one in _mappings(value)]


def _content_type(headers: list[tuple[str, str]]) -> str:
    return next((value for name, value in headers if name.lower() == "content-type"), "")


def _body(body: Any, content_type: str, text: _Text) -> dict[str, Any]:
    if not isinstance(body, dict) or body.get("disabled") is True:
        return {}
    mode = body.get("mode")
    content = body.get(str(mode))
    if mode == "raw" and content:
        options = body.get("options")
        raw = options.get("raw") if isinstance(options, dict) else None
        language = raw.get("language") if isinstance(raw, dict) else None
        return text_body(text.of(content), content_type or _LANGUAGES.get(str(language), ""), text.found)
    if mode == "urlencoded":
        return form_body(_pairs(content, text), text.found)
    if mode == "formdata":
        return _parts(_mappings(content), text)
    if mode == "graphql" and isinstance(content, dict):
        return json_body(_graphql(content, text), content_type, text.found)
    if mode == "file":
        source = content.get("src") if isinstance(content, dict) else None
        text.found.note(f"A body is the content of a file ({source or 'none is named'}): put it into data.")
    return {}


def _graphql(content: dict[str, Any], text: _Text) -> dict[str, Any]:
    made: dict[str, Any] = {"query": text.of(content.get("query"))}
    try:
        variables = json.loads(text.of(content.get("variables") or "null"))
    except (ValueError, RecursionError):
        variables = None
    return made | ({"variables": variables} if variables is not None else {})


def _parts(fields: list[dict[str, Any]], text: _Text) -> dict[str, Any]:
    parts: dict[str, list[Any]] = {}
    for one in fields:
        name = text.of(one.get("key"))
        if one.get("type") == "file":
            source = one.get("src")
            first = source[0] if isinstance(source, list) and source else source
            part: Any = {"file": escape(str(first or "file"))}
        else:
            part = part_text(name, text.of(one.get("value")), text.found)
        parts.setdefault(escape(name), []).append(part)
    return {"multipart": {name: many[0] if len(many) == 1 else many for name, many in parts.items()}} if parts else {}


def _add_auth(auth: Any, endpoint: dict[str, Any], text: _Text) -> None:
    """Add the credentials of a request, its group or the collection."""
    kind = auth.get("type") if isinstance(auth, dict) else None
    if kind in {None, "noauth"}:
        return
    given = auth.get(str(kind))
    values = given if isinstance(given, dict) else {str(one.get("key")): one.get("value") for one in _mappings(given)}
    headers = endpoint["headers"]
    if kind in {"bearer", "oauth2"}:
        key = "token" if kind == "bearer" else "accessToken"
        headers["Authorization"] = f"Bearer {_secret('bearer token', values.get(key), text)}"
    elif kind == "basic":
        register(str(values.get("password") or ""))
        headers["Authorization"] = f"Basic {text.found.secret('basic auth', holds='Base64 of user:password')}"
    elif kind == "apikey":
        name, value = text.of(values.get("key") or "api_key"), _secret("api key", values.get("value"), text)
        if values.get("in") == "query":
            endpoint["path"] += f"{'&' if '?' in endpoint['path'] else '?'}{quote(name, safe='')}={value}"
        else:
            headers[name] = value
    else:
        text.found.leave_out(f"credentials of the kind {kind}")


def _secret(name: str, value: Any, text: _Text) -> str:
    """Return the placeholder of a secret: the variable that the collection names, or one of its own."""
    filled = text.of(value)
    return filled if has_mark(filled) else text.found.secret(name, filled)
