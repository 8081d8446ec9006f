"""Secrets taken out of everything that a program shows: log lines, error messages, pages, reports.

Three ways to know one: its value was registered when it was read (`register`); it stands where secrets stand (the user
part of a URL, behind a name such as `api_key`, in an Authorization header); or it looks like the tokens of a well-known
service. In doubt text is hidden: a hidden word costs a question, a shown password costs an incident.

Every pattern looks at a character a bounded number of times (possessive quantifiers behind a lookbehind that lets each
run be tried once), so that a line of a megabyte from outside costs milliseconds.
"""

from __future__ import annotations

import base64
import html
import json
import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote

from perfloop_base.secret_names import is_secret_name, is_secret_parameter

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "REDACTED",
    "is_secret_name",
    "redact",
    "redact_mapping",
    "redact_url",
    "register",
    "register_environment",
    "register_url",
    "split_user",
    "unregister",
]

REDACTED = "<secret>"
_SHORTEST_REGISTERED = 6
# Base64 spells a part of a text in three ways, by where it begins: bytes before it, and characters that depend on them.
_BASE64_CORES = ((0, 0), (1, 2), (2, 3))
_SHORTEST_CORE = 8

_registered: tuple[str, ...] = ()
_lock = threading.Lock()

# --- the user part of URLs -------------------------------------------------------------------------------------------
# What follows `://` (also as JSON or a query spells it) up to white space. A window ends where the next URL begins.
_SCHEME_END = re.compile(r":(?://|\\{1,2}/\\{1,2}/)|%3[aA]%2[fF]%2[fF]")
_WINDOW = re.compile(r"\S*+")
_AUTHORITY = re.compile(r"""[^\s/?#"'`<>\\]*+""")
_ENCODED_AUTHORITY = re.compile(r"""(?:(?!%2[fF]|%3[fF]|%23)[^\s&"'`<>])*+""")
_HOST = re.compile(r"\[[0-9A-Fa-f:.%\w-]{2,80}\](?::\d{0,5})?|[^:\[\]]++(?::\d{1,5})?")
# What an `@` in a path stands before when the host before it was part of a password: `user:12/34@localhost:9090`.
_SECOND_HOST = re.compile(r"@(?:localhost\b|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-fA-F:]{2,40}\]|[\w.-]{1,253}+:\d)")
_ENCODED_AT = re.compile("%40|@")
# `user:password@host` without a scheme, as a person types an address; not an image's `name:tag@sha256:…`, and
# not PromQL's `series:rate5m@1609746000`.
_BARE = re.compile(
    r"""(?<![\w.+%-])(?!(?:to|cc|bcc|from|mail|mailto|e-mail|email)[:@])[\w.+%-]{1,80}+:(?!//)[^\s:/@"'<>]{1,200}+@(?!sha256:|\d{9})(?=[\w\[])""",
    re.IGNORECASE,
)

# What libraries say of `user:pa/ss@host`: "nonnumeric port: 'pa'", "Port could not be cast to integer value as 'pa'".
_NO_PORT = re.compile(
    r"""(\bport(?:: | could not be cast to integer value as )["'])(?!\d{1,5}["'])[^"'\n]++""", re.IGNORECASE
)

# --- names and their values ------------------------------------------------------------------------------------------
_PAIR = re.compile(
    r"""(?<![\w.\-])
    (?P<flag>-{0,2})(?P<name>[A-Za-z][\w.\-]{0,200}+)
    (?:
        (?P<close>\\{0,4}["'`]\]?|[\])>])?\s{0,8}+(?P<sign>=>|:=|[:=>])\s{0,8}+   # name=value, "name": value, <name>
      | (?P<comma>\\{0,4}["'],\s{0,8}+)(?=[(\[]?[bBrR]?\\{0,4}["'])               # ("name", "value")
      | (?P<space>\\{0,4}["']?\s{1,8}+)(?=\S)                                      # --name value
    )
    (?P<open>[\[(]\s{0,8}+)?
    """,
    re.VERBOSE,
)
_QUOTED_FORM = r"""[bBrRuU]?(?:
        \\{1,4}["'](?P<inner>(?:(?!\\{1,4}["'])[^\n])*+)(?:\\{1,4}["'])?
      | "(?P<double>(?:[^"\\\n]|\\.)*+)"?
      | '(?P<single>(?:[^'\\\n]|\\.)*+)'?
      | `(?P<back>[^`\n]*+)`?
    )"""
_QUOTED = re.compile(_QUOTED_FORM, re.VERBOSE)
_FURTHER = re.compile(rf"(?:\s{{0,8}}+,\s{{0,8}}+{re.sub(r'[?]P<[a-z]+>', '?:', _QUOTED_FORM)})++", re.VERBOSE)
_WORD_BEFORE = re.compile(r"(?<![A-Za-z])([A-Za-z]{2,12}) \Z")
_WORD = re.compile(r"""(?:<secret>|[^\s"'`<])(?:<secret>|'(?=\w)|[^\s"'`<])*+""")
_PARAMETER = re.compile(r"""(?:<secret>|[^\s"'`<&#])(?:<secret>|[^\s"'`<&#])*+""")
_REST_OF_LINE = re.compile(r"[^\n]++")
_CONTENT = re.compile(r"[^<\n]++")
_IN_QUOTES = (re.compile(r"[^'\n]++"), re.compile(r'[^"\n]++'))
# Every secret's name and every scheme has one of these in it; most lines have none, and cost little.
_HINTS = (
    *("pass", "pwd", "pw", "secret", "token", "key", "auth", "cookie", "credential", "session", "sid", "sig", "jwt"),
    *("bearer", "basic", "negotiate", "dsn", "webhook", "string", "hmac", "code", "access"),
)
# Headers whose value has several words.
_WHOLE_LINE = re.compile(r"(?:proxy-|x-)?authorization|(?:set-)?cookie2?", re.IGNORECASE)
# Values that say that there is none, and the words with which a sentence about the name goes on.
_NO_VALUE = frozenset({"none", "null", "nil", "true", "false", "yes", "no", "off", "on", "basic", "bearer", "digest"})
_PROSE = re.compile(
    r"(?:a|an|and|are|as|at|be|by|can|cannot|could|does|every|expected|for|from|has|if|in|is|it|may|missing|must|needs?"
    r"|neither|no|nor|not|of|on|one|or|read|required|should|so|that|the|they|this|to|too|two|unknown|was|were|what|when"
    r"|where|which|will|with|without|write|wrong)(?=[\s.,;:]|$)",
    re.IGNORECASE,
)

# --- tokens that are known by their form -----------------------------------------------------------------------------
_SCHEMES = re.compile(
    r"(?<![\w-])(?P<scheme>bearer|basic|apikey|negotiate|token)[ \t]{1,8}+(?P<value>[\w.~+/=\-]{6,}+)", re.IGNORECASE
)
_SCHEME_PROSE = re.compile(r"[a-z]{1,20}(?:[.-]|$)")
_PEM = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL)
_FORMS = re.compile(
    r"""(?<![A-Za-z0-9_-])(?:
        gh[pousr]_[A-Za-z0-9]{20,}+ | github_pat_\w{20,}+ | glpat-[\w-]{16,}+            # GitHub, GitLab
      | xox[a-z]-[\w-]{10,}+ | xapp-[\w-]{10,}+                                           # Slack
      | sk-[\w-]{16,}+ | [srp]k_(?:live|test)_\w{10,}+                                    # model providers, Stripe
      | (?:AKIA|ASIA)[0-9A-Z]{16} | AIza[\w-]{35}                                         # AWS, Google
      | ya29\.[\w-]{16,}+                                                                  # Google's access tokens
      | gl(?:sa|c)_[\w=+/-]{16,}+ | npm_\w{30,}+ | hf_\w{20,}+ | pypi-[\w-]{20,}+         # Grafana, npm, others
      | eyJ[\w-]{8,}+\.[\w-]{4,}+\.[\w-]*+                                                # JSON Web Tokens
    ) | \$2[abxy]?\$\d\d\$[./A-Za-z0-9]{53}                                               # bcrypt's hashes
    | (?<=/services/)T[A-Z0-9]{2,20}/B[A-Z0-9]{2,20}/\w{8,80}                             # a Slack webhook's path""",
    re.VERBOSE,
)


def register(value: str | bytes) -> None:
    """Remember a secret that was read from a file or the environment: it is replaced wherever it appears.

    Also where it appears quoted for a URL, for JSON, HTML or Python, or within Base64. A value of fewer than six
    characters is ignored: too much else would be hidden.
    """
    text = (value.decode(errors="replace") if isinstance(value, bytes) else value).strip()
    global _registered  # noqa: PLW0603 # one process has one set of secrets, and every logger must know it
    if len(text) < _SHORTEST_REGISTERED or text in REDACTED or text in _registered:
        return
    with _lock:
        known = {*_registered, *(form for form in _spellings(text) if len(form) >= _SHORTEST_REGISTERED)}
        # The longest first: a secret that begins with another one is replaced whole.
        _registered = tuple(sorted(known, key=lambda form: (-len(form), form)))


def unregister(value: str) -> None:
    """Forget a secret that holds no more, such as an ended token: every line is searched for what is remembered."""
    global _registered  # noqa: PLW0603 # see register
    gone = set(_spellings(value.strip())) if value.strip() else set()
    with _lock:
        _registered = tuple(form for form in _registered if form not in gone)


def register_url(url: str) -> None:
    """Remember the password of a URL; where it has none its user, for which some services take a token."""
    _, found, rest = url.partition("://")
    at = _end_of_user(rest if found else url)
    if at > 0:
        user, colon, password = (rest if found else url)[:at].partition(":")
        for part in {password or user, unquote(password or user)} if colon or found else ():
            register(part)


def register_environment(environ: Mapping[str, str]) -> None:
    """Remember the value of every variable whose name is a secret's, and the passwords in the URLs of the others."""
    for name, value in environ.items():
        if name == "PWD":  # the shell's working directory, which half of all paths begin with
            continue
        if is_secret_name(name):
            register(value)
        elif "://" in value and "@" in value:
            register_url(value)


def redact(text: str) -> str:
    """Return the text with every secret that can be known replaced by `<secret>`."""
    for secret in _registered:
        if secret in text:
            text = text.replace(secret, REDACTED)
    if "-----BEGIN" in text:
        text = _PEM.sub(REDACTED, text)
    text = _redact_users(text)
    lower = text.lower()
    if "port" in lower:
        text = _NO_PORT.sub(rf"\1{REDACTED}", text)
    if any(hint in lower for hint in _HINTS):
        text = _SCHEMES.sub(_redact_scheme, _redact_pairs(text))
    return _FORMS.sub(REDACTED, text)


def redact_url(url: str) -> str:
    """Return a URL without its user part and without the values of secret query parameters."""
    _, found, rest = url.partition("://")
    if not found:
        at = _end_of_user(url)
        return redact(REDACTED + url[at:] if at > 0 else url)
    return redact(url[: -len(rest)] + _without_user(rest) if rest else url)


def split_user(url: str) -> tuple[str, str | None]:
    """Return a URL without its user part, and the Authorization header that the part stands for (RFC 7617).

    Every program takes its URLs apart here, so that what opens connections never has the password in a URL that it may
    repeat. The password is registered. The header is None where the URL has no user part.
    """
    scheme, found, rest = url.partition("://")
    at = _end_of_user(rest) if found else -1
    if at < 0:
        return url, None
    register_url(url)
    user, _, password = rest[:at].partition(":")
    pair = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    register(pair)
    return f"{scheme}://{rest[at + 1 :]}", f"Basic {pair}" if at else None


def redact_mapping(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of nested mappings and lists: the values of secret names are replaced, all other texts redacted."""
    return {_key(name): _redact_value(value, secret=is_secret_name(str(name))) for name, value in mapping.items()}


def _key(name: Any) -> Any:
    return redact(name) if isinstance(name, str) else name


def _redact_value(value: Any, *, secret: bool) -> Any:
    if isinstance(value, Mapping):
        return {
            _key(name): _redact_value(inner, secret=secret or is_secret_name(str(name)))
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact_value(inner, secret=secret) for inner in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if secret:
        return REDACTED if str(value) else value
    return redact(value) if isinstance(value, str) else value


def _spellings(text: str) -> Iterable[str]:
    yield text
    yield quote(text, safe="", errors="replace")
    yield quote(text, errors="replace")
    yield quote_plus(text, errors="replace")
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield repr(text)[1:-1]
    yield html.escape(text)
    raw = text.encode(errors="replace")
    for before, dropped in _BASE64_CORES:
        spelled = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        # The last character may depend on what follows.
        core = spelled[dropped : len(spelled) - bool((before + len(raw)) % 3)]
        if len(core) >= _SHORTEST_CORE:
            yield core
            yield core.replace("+", "-").replace("/", "_")


def _redact_users(text: str) -> str:
    if "@" not in text and "%40" not in text:
        return text
    parts: list[str] = []
    done = 0
    starts = [found.end() for found in _SCHEME_END.finditer(text)]
    for index, start in enumerate(starts):
        limit = starts[index + 1] if index + 1 < len(starts) else len(text)
        window = _WINDOW.match(text, start, limit)
        end = window.end() if window else start
        parts += (text[done:start], _without_user(text[start:end], encoded=text[start - 1] in "fF"))
        done = end
    return _BARE.sub(f"{REDACTED}@", "".join((*parts, text[done:])))


def _without_user(window: str, *, encoded: bool = False) -> str:
    """Return what follows `://` without the user part; `encoded` is how the query of another URL spells it."""
    if encoded:
        found = _ENCODED_AUTHORITY.match(window)
        signs = list(_ENCODED_AT.finditer(window, 0, found.end() if found else 0))
        return REDACTED + window[signs[-1].start() :] if signs else window
    at = _end_of_user(window)
    return REDACTED + window[at:] if at > 0 else window


def _end_of_user(window: str) -> int:
    """Return where the user part of an address ends: at its last `@` before the host, or nowhere (-1).

    A password may hold characters that should have been quoted. `user:pa/ss@host` reads as a host `user` with the port
    `pa`: what is no port is taken for the beginning of a password.
    """
    found = _AUTHORITY.match(window)
    authority = found[0] if found else ""
    at = authority.rfind("@")
    host = authority[at + 1 :]
    if at < 0 and ":" not in host:
        return -1
    if not _HOST.fullmatch(host):
        return window.rfind("@")
    second = _SECOND_HOST.search(window, len(authority))
    return second.start() if second else at


def _redact_pairs(text: str) -> str:
    parts: list[str] = []
    done = position = 0
    while found := _PAIR.search(text, position):
        position = found.end("name")
        value = _find_value(text, found)
        if value is not None:
            start, end = value
            parts += (text[done:start], REDACTED)
            done = position = end
    return "".join((*parts, text[done:])) if parts else text


def _find_value(text: str, found: re.Match[str]) -> tuple[int, int] | None:
    """Return where the secret behind a name begins and ends."""
    name, before = found["name"], text[found.start() - 1] if found.start() else ""
    in_query = before in {"?", "&", ";"} and found["sign"] == "="
    if not (is_secret_parameter(name) if in_query else is_secret_name(_whole_name(text, found))):
        return None
    if found["space"] is not None and found["flag"] != "--":
        return None
    if found["sign"] == ">":
        return _element_value(text, found, before)
    quoted = _QUOTED.match(text, found.end())
    value = _quoted_value(text, quoted, found) if quoted else _bare_value(text, found, before, in_query=in_query)
    if value is None or value[1] <= value[0]:
        return None
    return None if text[value[0] : value[1]].lower() in _NO_VALUE else value


def _whole_name(text: str, found: re.Match[str]) -> str:
    """Return the name with the word before it: an `API key` is a secret, the `first token` is none."""
    before = _WORD_BEFORE.search(text, max(0, found.start() - 20), found.start())
    return f"{before[1]}_{found['name']}" if before and not found["flag"] else found["name"]


def _element_value(text: str, found: re.Match[str], before: str) -> tuple[int, int] | None:
    """Return where the text of an XML element is; `<secret>` alone is what this module writes."""
    value = _CONTENT.match(text, found.end()) if before == "<" else None
    return value.span() if value and text.startswith("</", value.end()) else None


def _quoted_value(text: str, quoted: re.Match[str], found: re.Match[str]) -> tuple[int, int]:
    if found["open"]:  # ("user", "password"): every one of them
        further = _FURTHER.match(text, quoted.end())
        if further:
            return _inside(quoted)[0], further.end() - (text[further.end() - 1] in "\"'`")
    return _inside(quoted)


def _inside(quoted: re.Match[str]) -> tuple[int, int]:
    return quoted.span(next(name for name in ("inner", "double", "single", "back") if quoted[name] is not None))


def _bare_value(text: str, found: re.Match[str], before: str, *, in_query: bool) -> tuple[int, int] | None:
    start = found.end()
    # What is refused is refused before it is measured: else a long line of such values would be measured for each.
    if text.startswith(("{", "["), start):
        return None
    form = _bare_form(found, before, in_query=in_query)
    if found["sign"] != "=" and form not in _IN_QUOTES and _PROSE.match(text, start):
        return None
    value = form.match(text, start)
    return None if value is None else (start, start + len(value[0].rstrip(",;)]}")))


def _bare_form(found: re.Match[str], before: str, *, in_query: bool) -> re.Pattern[str]:
    if in_query:
        return _PARAMETER
    if found["close"] is None and before in {"'", '"'}:  # 'X-Api-Key: value', as curl's -H has it
        return _IN_QUOTES[before == '"']
    is_line = found["sign"] == ":" and before in {"", "\n"}  # of a YAML file, or of a request's head
    return _REST_OF_LINE if is_line or _WHOLE_LINE.fullmatch(found["name"]) else _WORD


def _redact_scheme(found: re.Match[str]) -> str:
    value = found["value"]
    if found["scheme"].lower() == "basic":
        return f"{found['scheme']} {REDACTED}" if _is_credentials(value) else found[0]
    return found[0] if _SCHEME_PROSE.fullmatch(value) else f"{found['scheme']} {REDACTED}"


def _is_credentials(value: str) -> bool:
    """Return whether a text is the Base64 of `user:password`."""
    try:
        return b":" in base64.b64decode(value + "=" * (-len(value) % 4))
    except ValueError:
        return False
