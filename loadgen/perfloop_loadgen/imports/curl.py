"""Commands of curl as endpoints: what browsers, API pages and people hand on as "the request"."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from perfloop_base.errors import ConfigError
from perfloop_loadgen.config.addresses import is_http
from perfloop_loadgen.config.placeholders import escape, names_in
from perfloop_loadgen.config.texts import read_text
from perfloop_loadgen.imports.bodies import FORM, part_text, text_body
from perfloop_loadgen.imports.curl_options import Option, read_options
from perfloop_loadgen.imports.found import Found, ImportProblem
from perfloop_loadgen.imports.har import METHODS, kept_headers
from perfloop_loadgen.imports.marks import has_mark, unmarked, without_first
from perfloop_loadgen.imports.shell_words import ShellError, split_commands
from perfloop_loadgen.imports.urls import Located, locate, of_one_service

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DEFAULT_URL = "http://localhost:8000"
_DATA = frozenset({"data", "data-ascii", "data-raw", "data-binary", "data-urlencode", "json"})
# Options that say one thing, by what they say.
_SET = {
    **dict.fromkeys(("location", "location-trusted"), "redirects"),
    "get": "in_query",
    "head": "is_head",
    "insecure": "insecure",
    "upload-file": "upload",
}
# curl itself sends these, unless `-H` says otherwise.
_OWN_HEADERS = {"user-agent": "User-Agent", "referer": "Referer"}
_KEPT = frozenset({"user-agent"})
_PROGRAMS = frozenset({"curl", "curl.exe"})


@dataclass(slots=True)
class _Command:
    """What the options of one command add up to."""

    urls: list[str] = field(default_factory=list)
    method: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    query: list[str] = field(default_factory=list)
    parts: list[tuple[str, Any]] = field(default_factory=list)
    upload: str = ""
    in_query: bool = False
    is_head: bool = False
    is_json: bool = False
    insecure: bool = False
    redirects: bool = False


def is_command(text: str) -> bool:
    """Return whether a text is a command of curl rather than the name of a file."""
    first = text.lstrip().partition(" ")[0].rpartition("/")[2].lower()
    return first in _PROGRAMS and " " in text.strip()


def test_from_curl(text: str, found: Found) -> dict[str, Any]:
    """Return a test that sends the request of every command equally often; those to other services are left out.

    Args:
        text: one or more commands, as a shell takes them.
        found: takes notes and secrets.

    Raises:
        ImportProblem: there is no such command, or one that cannot be read.
    """
    made: list[tuple[Located, dict[str, Any], _Command]] = []
    for command in _commands(text, found):
        for url in command.urls:
            located = _locate(_with_query(command, url), found)
            made.append((located, _endpoint(command, located, found), command))
    if not made:
        raise ImportProblem("names no URL")
    base = of_one_service([located for located, _, _ in made], found)
    kept = [(endpoint, command) for located, endpoint, command in made if located.base == base]
    endpoints = unmarked(_distinct([endpoint for endpoint, _ in kept]))
    for _, name in names_in(endpoints):
        found.variables.setdefault(name, "")
    test: dict[str, Any] = {"base_url": base, "endpoints": endpoints}
    if any(command.insecure for _, command in kept) and base.startswith("https:"):
        test["tls"] = {"verify": False}
    if any(command.redirects for _, command in kept):
        test["redirects"] = "follow"
    return test


def _commands(text: str, found: Found) -> list[_Command]:
    try:
        commands = split_commands(text)
    except ShellError as error:
        raise ImportProblem(f"is no command of curl that can be read: {error}") from error
    made = [_read(run, found) for words in commands for run in _runs(words)]
    if not made:
        raise ImportProblem("holds no command of curl")
    return made


def _runs(words: Sequence[str]) -> Iterator[list[Option]]:
    """Yield the options of each request of a command: `--next` begins another one."""
    names = [word.rpartition("/")[2].lower() for word in words]
    begin = next((index for index, name in enumerate(names) if name in _PROGRAMS), None)
    if begin is None:
        return  # another program of the script, or what a pipe leads to
    options: list[Option] = []
    for option in read_options(words[begin + 1 :]):
        if option.name == "next":
            yield options
            options = []
        else:
            options.append(option)
    yield options


def _read(options: Sequence[Option], found: Found) -> _Command:
    command = _Command()
    for option in options:
        _take(command, option, found)
    return command


def _take(command: _Command, option: Option, found: Found) -> None:
    name, value = option
    if name in _SET:
        setattr(command, _SET[name], value if name == "upload-file" else True)
    elif name in _DATA:
        command.is_json = command.is_json or name == "json"
        command.data.append(_data(name, value))
    elif name == "url":
        command.urls.append(value)
    elif name == "request":
        command.method = value.upper()
    elif name in {"form", "form-string"}:
        command.parts.append(_part(value, found, is_plain=name == "form-string"))
    elif name == "url-query":
        command.query.append(value[1:] if value.startswith("+") else _encoded(value))
    elif name == "header":
        _add_header(command, value, found)
    else:
        _take_header(command, name, value, found)


def _take_header(command: _Command, name: str, value: str, found: Found) -> None:
    """Take an option that curl turns into a header, or one that a test has no use for."""
    if name in _OWN_HEADERS:
        command.headers.append((_OWN_HEADERS[name], value))
    elif name == "range":
        command.headers.append(("Range", f"bytes={value}"))
    elif name == "oauth2-bearer":
        command.headers.append(("Authorization", f"Bearer {value}"))
    elif name == "user":
        # Not encoded from the value: the secret of a test is what is behind `Basic`.
        found.secret("Authorization", value.partition(":")[2])
        command.headers.append(("Authorization", "Basic given-by-u"))
    elif name == "cookie":
        if "=" in value:
            command.headers.append(("Cookie", value))
        else:
            found.note("-b with a file: the cookies of the file are not here.")
    elif name in {"proxy", "cert", "config", "unix-socket", "digest", "ntlm", "negotiate", "aws-sigv4"}:
        found.note(f"--{name} of the command is not here.")


def _add_header(command: _Command, value: str, found: Found) -> None:
    if value.startswith("@"):
        for line in _file(value[1:]).splitlines():
            if line.strip():
                _add_header(command, line, found)
        return
    name, sign, text = value.partition(":")
    if sign and text.strip():
        command.headers.append((name.strip(), text.strip()))
    elif not sign and value.endswith(";"):
        command.headers.append((value[:-1].strip(), ""))
    # `Name:` without a value keeps curl from sending its own header of the name.


def _data(name: str, value: str) -> str:
    """Return what an option adds to the body."""
    if name == "data-urlencode":
        return _encoded(value)
    if value.startswith("@") and name != "data-raw":
        text = _file(value[1:])
        # Only these two send a file as it is.
        return text if name in {"data-binary", "json"} else text.replace("\r", "").replace("\n", "")
    return value


def _encoded(value: str) -> str:
    """Return `content`, `=content`, `name=content`, `@file` or `name@file`, the content encoded."""
    at, equals = value.find("@"), value.find("=")
    if equals >= 0 and (at < 0 or equals < at):
        name, content = value[:equals], value[equals + 1 :]
    elif at >= 0:
        name, content = value[:at], _file(value[at + 1 :])
    else:
        name, content = "", value
    encoded = quote_plus(content)
    return f"{name}={encoded}" if name else encoded


def _part(value: str, found: Found, *, is_plain: bool) -> tuple[str, Any]:
    """Return a field of `-F name=content`: a text, or a file by `@`, with `;type=` and `;filename=` behind it."""
    name, _, content = value.partition("=")
    if is_plain or not content.startswith(("@", "<")):
        text, options = (content, {}) if is_plain else _part_options(content)
        plain = part_text(name, text.strip('"') if text.startswith('"') else text, found)
        return name, {"text": plain, "content_type": options["type"]} if "type" in options else plain
    path, options = _part_options(content[1:])
    if content.startswith("<"):
        return name, part_text(name, _file(path), found)
    part = {"file": escape(path.strip('"'))}
    if "filename" in options:
        part["filename"] = escape(options["filename"])
    if "type" in options:
        part["content_type"] = options["type"]
    return name, part


def _part_options(content: str) -> tuple[str, dict[str, str]]:
    first, *more = content.split(";")
    options: dict[str, str] = {}
    for one in more:
        key, sign, value = one.partition("=")
        if key.strip() not in {"type", "filename", "headers", "encoder"} or not sign:
            first += f";{one}"
        else:
            options[key.strip()] = value.strip().strip('"')
    return first, options


def _file(path: str) -> str:
    if path == "-":
        raise ImportProblem("reads from its standard input, which is not here")
    try:
        return read_text(Path(path), path)
    except ConfigError as error:
        raise ImportProblem(f"takes a body or headers from a file: {error}") from error


def _locate(url: str, found: Found) -> Located:
    path = without_first(url)
    if path is not None:
        found.note(f"The service is a variable of the shell: base_url is {DEFAULT_URL}.")
        url = DEFAULT_URL + path
    address = url if "://" in url else f"http://{url}"  # as curl guesses
    if not is_http(address):
        raise ImportProblem(f"names a URL of {address.partition(':')[0]}, not of HTTP")
    try:
        return locate(address, found)
    except ValueError as error:
        raise ImportProblem(f"names a URL that cannot be used: it {error}") from error


def _with_query(command: _Command, url: str) -> str:
    more = [*command.query, *(command.data if command.in_query else ())]
    if not more:
        return url
    head, sign, fragment = url.partition("#")
    return f"{head}{'&' if '?' in head else '?'}{'&'.join(more)}{sign}{fragment}"


def _endpoint(command: _Command, located: Located, found: Found) -> dict[str, Any]:
    sends = bool(command.data and not command.in_query)
    method = command.method or _method(command, sends=sends)
    if method not in METHODS:
        raise ImportProblem(f"sends the method {method!r}, not one of {', '.join(sorted(METHODS))}")
    endpoint: dict[str, Any] = {"path": located.path, "method": method}
    body = _body(command, found) if sends or command.parts or command.upload else {}
    pairs = list(command.headers)
    if command.is_json and not any(name.lower() == "accept" for name, _ in pairs):
        pairs.append(("Accept", "application/json"))
    if located.user and not any(name.lower() == "authorization" for name, _ in pairs):
        pairs.append(("Authorization", "Basic given-by-url"))
    # A variable of the shell is a secret's placeholder already.
    headers = kept_headers([pair for pair in pairs if not has_mark(pair[1])], found, keep=_KEPT)
    headers |= {name: escape(value) for name, value in pairs if has_mark(value)} | body.pop("headers", {})
    kind = _content_type(command) or (FORM if sends else "")
    if not body and kind:
        headers["Content-Type"] = escape(kind)
    endpoint |= body
    if headers:
        endpoint["headers"] = headers
    return endpoint


def _method(command: _Command, *, sends: bool) -> str:
    if command.is_head:
        return "HEAD"
    if command.upload:
        return "PUT"
    return "POST" if sends or command.parts else "GET"


def _content_type(command: _Command) -> str:
    return next((value for name, value in reversed(command.headers) if name.lower() == "content-type"), "")


def _body(command: _Command, found: Found) -> dict[str, Any]:
    if command.parts:
        parts: dict[str, list[Any]] = {}
        for name, part in command.parts:
            parts.setdefault(escape(name), []).append(part)
        return {"multipart": {name: many[0] if len(many) == 1 else many for name, many in parts.items()}}
    if command.upload:
        return text_body(_file(command.upload), _content_type(command) or "application/octet-stream", found)
    # Several options `-d` are one form; those of --json are one text.
    joint = "" if command.is_json else "&"
    default = "application/json" if command.is_json else FORM
    return text_body(joint.join(command.data), _content_type(command) or default, found)


def _distinct(endpoints: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the endpoints with a name for each that would share the row of an earlier one."""
    seen: dict[str, int] = {}
    for endpoint in endpoints:
        label = f"{endpoint['method']} {endpoint['path'].partition('?')[0]}"
        seen[label] = seen.get(label, 0) + 1
        if seen[label] > 1:
            endpoint["name"] = f"{label} ({seen[label]})"
    return endpoints
