"""An OpenAPI 3 or Swagger 2.0 document as endpoints: one for each operation, with values from examples or schemas."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from perfloop_base.redaction import is_secret_name
from perfloop_loadgen.config.addresses import is_http, parse_service_url
from perfloop_loadgen.config.placeholders import escape
from perfloop_loadgen.imports import swagger
from perfloop_loadgen.imports.examples import Examples
from perfloop_loadgen.imports.found import Found, ImportProblem
from perfloop_loadgen.imports.media import request_body
from perfloop_loadgen.imports.parameters import Parameter, plain_text
from perfloop_loadgen.imports.references import Part, References
from perfloop_loadgen.imports.schemas import Schemas
from perfloop_loadgen.imports.security import add_credentials

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEFAULT_URL = "http://localhost:8000"
_METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
_NOT_SENT = ("trace", "query")
# The header of one endpoint a line: people can still look through it, and the program counts 100 rows of their own.
MOST_ENDPOINTS = 1500
_GOOD_STATUS = range(200, 400)
# What the operation's own rules say, not a parameter (OpenAPI 3, Parameter Object).
_NOT_PARAMETERS = frozenset({"accept", "content-type", "authorization", "host", "content-length"})
_PLACE = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_KEPT_IN_PATH = "/%?:@!$&'()*+,;=~[]"


@dataclass(slots=True)
class _Document:
    """The document and what is known of all of it."""

    root: Part
    references: References
    schemas: Schemas
    found: Found
    # How many operations, or paths, name servers of their own.
    own_servers: int = 0

    @property
    def is_swagger(self) -> bool:
        return "swagger" in self.root.mapping()


def test_from_openapi(document: Any, found: Found, path: Path | None) -> dict[str, Any]:
    """Return a test that requests every operation equally often.

    Args:
        document: the document's value.
        found: takes notes and secrets.
        path: the document's file, beside which the other files that it refers to are looked for.

    Raises:
        ImportProblem: it is no such document, or other files of it are missing.
    """
    _check_version(document)
    found.hides_fields = False
    references = References(document, path)
    whole = _Document(references.root, references, Schemas(references), found)
    endpoints = [endpoint for endpoint, _ in zip(_endpoints(whole), range(MOST_ENDPOINTS), strict=False)]
    references.check()
    if not endpoints:
        hooks = "; its webhooks are requests that the service sends" if document.get("webhooks") else ""
        raise ImportProblem(f"describes no request that could be sent: it has no operations under paths{hooks}")
    if whole.schemas.texts.misfits:
        found.note(f"{whole.schemas.texts.misfits} texts do not fit their pattern: put real values there.")
    if whole.own_servers:
        found.note(f"{whole.own_servers} operations have servers of their own: all are sent to base_url.")
    if references.dangling:
        shown = ", ".join(references.dangling[:5])
        found.note(f"Nothing is at {shown}: what the document refers to there is empty.")
    if len(endpoints) == MOST_ENDPOINTS:
        found.note(f"Only the first {MOST_ENDPOINTS} operations of the document are here.")
    return {"base_url": _base_url(whole), "endpoints": endpoints}


def _check_version(document: Any) -> None:
    if not isinstance(document, dict):
        raise ImportProblem("is not an OpenAPI document: it is no mapping")
    for key, what in (("swaggerVersion", "Swagger 1"), ("asyncapi", "AsyncAPI"), ("arazzo", "Arazzo"), ("log", "HAR")):
        if key in document and "paths" not in document:
            raise ImportProblem(f"is not an OpenAPI document, but of the form {what}")
    for key, major in (("openapi", "3"), ("swagger", "2")):
        version = str(document.get(key, major))
        if version.partition(".")[0] != major:
            raise ImportProblem(f"{key}: {version!r}: only OpenAPI 3 and Swagger 2.0 are known")
    if not document.keys() & {"openapi", "swagger", "paths"}:
        raise ImportProblem("is not an OpenAPI document: it has neither openapi nor swagger nor paths")


def _endpoints(whole: _Document) -> Iterator[dict[str, Any]]:
    for path, item in whole.references.follow(whole.root.get("paths")).items():
        if path.startswith("x-"):
            continue
        operations = whole.references.follow(item)
        whole.own_servers += _has_servers(operations) and bool(whole.root.get("servers").parts())
        for method in _METHODS:
            # The standard does not allow a reference here; documents of many files have it all the same.
            operation = whole.references.follow(operations.get(method))
            if isinstance(operation.value, dict):
                whole.own_servers += _has_servers(operation)
                yield _endpoint(whole, f"{method.upper()} {path}", operation, operations)
        for method in _NOT_SENT:
            if method in operations.mapping():
                whole.found.leave_out(f"an operation of the method {method.upper()}")


def _has_servers(part: Part) -> bool:
    return bool(part.get("servers").parts())


def _endpoint(whole: _Document, name: str, operation: Part, item: Part) -> dict[str, Any]:
    method, _, path = name.partition(" ")
    examples = Examples(whole.schemas)
    declared = _parameters(whole, operation, item)
    filled = {key: _parameter(whole, examples, part) for key, part in declared.items() if key[0] in _PLACES}
    # The template, not the filled path, names the row: a thousand items are one endpoint.
    endpoint: dict[str, Any] = {"path": _path(whole.found, path, filled), "method": method, "name": escape(name)}
    headers = _headers(whole.found, filled)
    body = (
        swagger.request_body(whole.root, operation, list(declared.values()), examples, whole.found)
        if whole.is_swagger
        else request_body(whole.references.follow(operation.get("requestBody")), examples, whole.found)
    )
    endpoint["headers"] = headers | body.pop("headers", {})
    endpoint |= body
    add_credentials(whole.root, operation, whole.references, endpoint, whole.found)
    if not endpoint["headers"]:
        del endpoint["headers"]
    good = sorted({code for code in map(_status, operation.get("responses").mapping()) if code in _GOOD_STATUS})
    if good:
        endpoint["expected_status"] = good
    return endpoint


_PLACES = frozenset({"path", "query", "header", "cookie"})


def _parameters(whole: _Document, operation: Part, item: Part) -> dict[tuple[str, str], Part]:
    """Return the parameters by place and name; those of the operation replace the path's own."""
    listed = (*item.get("parameters").parts(), *operation.get("parameters").parts())
    found = (whole.references.follow(one) for one in listed)
    return {(str(one.mapping().get("in")), str(one.mapping().get("name"))): one for one in found if one.mapping()}


def _parameter(whole: _Document, examples: Examples, part: Part) -> Parameter | None:
    """Return a parameter with its value; None: it is optional, and left out."""
    rules = part.mapping()
    name, place = str(rules.get("name", "")), rules.get("in")
    if place != "path" and rules.get("required") is not True:
        return None
    if whole.is_swagger:
        value = examples.of_schema(part)
        style = str(rules.get("collectionFormat", "csv"))
        return Parameter(name, value, style, explode=style == "multi")
    content = part.get("content").items()
    value = plain_text(examples.of_holder(content[0][1])) if content else examples.of_holder(part)
    explode = rules.get("explode")
    return Parameter(
        name,
        # A path without the value would be another path.
        "1" if value in (None, "", [], {}) and place == "path" else value,
        str(rules.get("style", "")),
        explode if isinstance(explode, bool) else None,
        rules.get("allowReserved") is True,
    )


def _path(found: Found, path: str, filled: dict[tuple[str, str], Parameter | None]) -> str:
    path, _, _ = path.partition("#")  # in some documents operations of one path differ by a fragment

    def place(match: re.Match[str]) -> str:
        # `{key+}` and `{id:[0-9]+}` are other tools' notations.
        for name in (match[1], re.split(r"[:*+]", match[1])[0]):
            parameter = filled.get(("path", name))
            if parameter is not None:
                return parameter.in_path()
        found.leave_out("a parameter in a path that the document does not describe; 1 takes its place")
        return "1"

    path = _PLACE.sub(place, path)
    path = escape(quote(path if path.startswith("/") else f"/{path}", safe=_KEPT_IN_PATH, errors="replace"))
    query: list[str] = []
    for (where, name), parameter in filled.items():
        if where == "query" and parameter is not None:
            if is_secret_name(name):
                query.append(f"{quote(name, safe='')}={found.secret(name)}")
            else:
                query += map(escape, parameter.in_query())
    return path + (("&" if "?" in path else "?") + "&".join(query) if query else "")


def _headers(found: Found, filled: dict[tuple[str, str], Parameter | None]) -> dict[str, str]:
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for (where, name), parameter in filled.items():
        if parameter is None or where not in {"header", "cookie"} or not _NAME.fullmatch(name):
            continue
        value = _CONTROLS.sub(" ", parameter.in_header())
        value = found.secret(name) if is_secret_name(name) else escape(value)
        if where == "cookie":
            cookies.append(f"{name}={value}")
        elif name.lower() not in _NOT_PARAMETERS:
            headers[name] = value
    if cookies:
        headers["Cookie"] = "; ".join(cookies)
    return headers


def _status(code: object) -> int:
    text = str(code)
    return int(text) if len(text) == 3 and text.isascii() and text.isdigit() else 0  # noqa: PLR2004 - as in HTTP


def _base_url(whole: _Document) -> str:
    """Return the first server that is a URL of HTTP; a path alone is one of the service's own machine."""
    servers = swagger.servers(whole.root) if whole.is_swagger else _servers(whole.root)
    of_paths = (one for _, item in whole.root.get("paths").items() for one in _servers(whole.references.follow(item)))
    for url in (*servers, *of_paths):
        address = url.partition("?")[0].partition("#")[0].strip()
        if address.startswith("//"):
            address = f"https:{address}"
        if not is_http(address) and "://" not in address:
            address = f"{DEFAULT_URL}/{address.lstrip('/')}"
        try:
            parse_service_url(address)
        except ValueError:
            continue
        if urlsplit(address).username is None:
            return address.rstrip("/")
    whole.found.note(f"The document names no server that could be used: base_url is {DEFAULT_URL}.")
    return DEFAULT_URL


def _servers(root: Part) -> Iterator[str]:
    for server in root.get("servers").parts():
        variables = server.get("variables")

        def value(match: re.Match[str], variables: Part = variables) -> str:
            rules = variables.get(match[1]).mapping()
            listed = rules.get("enum")
            return str(rules.get("default", listed[0] if isinstance(listed, list) and listed else match[1]))

        yield _PLACE.sub(value, str(server.mapping().get("url", "")))
