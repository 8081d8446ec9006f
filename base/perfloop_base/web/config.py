"""The web configuration file, in exporter-toolkit's format; all problems are reported together.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md

Not pydantic: the base install, which runs the exporter, does not have it, and a parsed document has lost the lines that
a problem must name. The file is parsed by perfloop_base.located, as thresholds.yml is; what is checked here are the
values that this format alone has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfloop_base.durations import parse_duration
from perfloop_base.errors import ConfigError
from perfloop_base.located import Entry, parse_located

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TLS_VERSIONS = ("TLS10", "TLS11", "TLS12", "TLS13")
# None where any value is allowed.
HEADERS: dict[str, tuple[str, ...] | None] = {
    "Strict-Transport-Security": None,
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": None,
    "Content-Security-Policy": None,
}
CLIENT_AUTH_TYPES = ("NoClientCert", "RequestClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
# Python's ssl module verifies every certificate that it accepts; these types accept unverified ones.
UNVERIFIED = ("RequireAnyClientCert", "RequireClientCert")
# bcrypt's format: version, cost from 4 to 31, 22 characters of salt and 31 of hash.
BCRYPT = re.compile(r"\$2[abxy]?\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """Section tls_server_config; file names are relative to the configuration's directory."""

    cert: str = ""
    key: str = ""
    client_ca: str = ""
    cert_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""
    client_auth_type: str = ""
    client_allowed_sans: tuple[str, ...] = ()
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    curve_preferences: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True

    @property
    def enabled(self) -> bool:
        """Whether the section enables TLS."""
        files = (self.cert_file, self.key_file, self.client_ca_file)
        return any((self.cert, self.key, self.client_ca, *files, self.client_auth_type))


@dataclass(frozen=True, slots=True)
class WebConfig:
    """The whole file; the rate limit is one request per interval (in seconds) and a burst on top."""

    tls: TlsConfig = TlsConfig()
    headers: tuple[tuple[str, str], ...] = ()
    users: dict[str, str] = field(default_factory=dict)
    interval_seconds: float = 0.0
    burst: int = 0


class _Section:
    """A mapping of the file; problems go to the list that all sections share."""

    def __init__(self, name: str, values: Any, problems: list[str], file: str, line: int = 1) -> None:
        self._name = name
        self._problems = problems
        self._file = file
        self.values: Mapping[str, Any] = {}
        self._line = line
        if isinstance(values, Entry):
            self.values = values
            self._line = values.line
        elif values is not None:
            self._add(line, f"{name} is {values!r}, not a mapping"[:200])

    def section(self, key: str) -> _Section:
        """Return the section under a key, empty where there is none."""
        name = f"{self._name}.{key}".removeprefix(".")
        return _Section(name, self.values.get(key), self._problems, self._file, self.line_of(key))

    def line_of(self, key: str) -> int:
        """Return the line of a key, or of the section where it is missing."""
        return self.values.lines.get(key, self._line) if isinstance(self.values, Entry) else self._line

    def report(self, key: str, rule: str, *, secret: bool = False) -> None:
        """Add the problem that the value of a key breaks a rule; a secret value is not shown."""
        shown = "…" if secret else repr(self.values.get(key))
        self._add(self.line_of(key), f"{self._name}.{key}".removeprefix(".") + f" is {shown}, {rule}")

    def _add(self, line: int, sentence: str) -> None:
        self._problems.append(f"{self._file}:{line}: {sentence}")

    def allow(self, known: Iterable[str]) -> None:
        """Report every other key."""
        for key in self.values:
            if key not in known:
                self._add(self.line_of(key), "unknown field " + f"{self._name}.{key}".removeprefix("."))

    def text(self, key: str, default: str = "", choices: tuple[str, ...] | None = None) -> str:
        """Return a text, one of the choices where they are given."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            self.report(key, "not a text")
            return default
        if choices is not None and value not in choices:
            self.report(key, f"not one of {', '.join(choices)}")
            return default
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self.values.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.report(key, "not a list of texts")
            return ()
        return tuple(value)

    def switch(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self.values.get(key)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.report(key, "neither true nor false")
        return default


def parse_web_config(text: str, file: str) -> WebConfig:
    """Parse the text of a web configuration file; an empty file is a valid one.

    Args:
        text: The content.
        file: The path, for problems, and as the base of relative file names.

    Raises:
        ConfigError: It is not YAML, has unknown fields or invalid values: one sentence with file and line each.
    """
    problems: list[str] = []
    # A file of comments alone is valid; parse_located would report that it is not a mapping.
    is_empty = all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines())
    top = _Section("", None if is_empty else parse_located(text, file, problems), problems, file)
    top.allow(("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"))
    tls = _read_tls(top.section("tls_server_config"), Path(file).parent)
    headers = _read_http(top.section("http_server_config"))
    users = _read_users(top.section("basic_auth_users"))
    interval, burst = _read_limit(top.section("rate_limit"))
    if problems:
        raise ConfigError(problems)
    return WebConfig(tls, headers, users, interval, burst)


def _read_tls(section: _Section, directory: Path) -> TlsConfig:
    section.allow(TlsConfig.__slots__)
    auth = section.values.get("client_auth_type")
    if auth in UNVERIFIED:
        section.report(
            "client_auth_type", "which accepts any certificate: use RequireAndVerifyClientCert and client_ca_file"
        )
        auth = ""
    else:
        auth = section.text("client_auth_type", choices=(*CLIENT_AUTH_TYPES, ""))

    def placed(key: str) -> str:
        name = section.text(key)
        return str(directory / name) if name else ""

    tls = TlsConfig(
        cert=section.text("cert"),
        key=section.text("key"),
        client_ca=section.text("client_ca"),
        cert_file=placed("cert_file"),
        key_file=placed("key_file"),
        client_ca_file=placed("client_ca_file"),
        client_auth_type=auth,
        client_allowed_sans=section.texts("client_allowed_sans"),
        min_version=section.text("min_version", "TLS12", TLS_VERSIONS),
        max_version=section.text("max_version", "TLS13", TLS_VERSIONS),
        cipher_suites=section.texts("cipher_suites"),
        curve_preferences=section.texts("curve_preferences"),
        prefer_server_cipher_suites=section.switch("prefer_server_cipher_suites", default=True),
    )
    if tls.enabled:
        _check_tls(tls, section)
    return tls


def _check_tls(tls: TlsConfig, section: _Section) -> None:
    if not (tls.cert or tls.cert_file):
        section.report("cert_file", "but one of cert and cert_file is required")
    if not (tls.key or tls.key_file):
        section.report("key_file", "but one of key and key_file is required")
    if (tls.client_ca or tls.client_ca_file) and tls.client_auth_type in {"", "NoClientCert"}:
        section.report("client_auth_type", "but there is a client CA: use RequireAndVerifyClientCert")
    if tls.client_auth_type.startswith(("Verify", "RequireAndVerify")) and not (tls.client_ca or tls.client_ca_file):
        section.report("client_ca_file", "but client_auth_type requires it to verify certificates")
    if TLS_VERSIONS.index(tls.min_version) > TLS_VERSIONS.index(tls.max_version):
        section.report("min_version", f"above max_version {tls.max_version}")


def _read_http(section: _Section) -> tuple[tuple[str, str], ...]:
    section.allow(("http2", "headers"))
    section.switch("http2", default=True)  # checked only: the server always uses HTTP/1.1
    headers = section.section("headers")
    headers.allow(HEADERS)
    found = ((name, headers.text(name, choices=choices)) for name, choices in HEADERS.items())
    return tuple((name, value) for name, value in found if value and "\n" not in value)


def _read_users(section: _Section) -> dict[str, str]:
    users = {}
    for user in section.values:
        users[user] = section.text(user)
        if not BCRYPT.fullmatch(users[user]):
            # The value may be a password in plain text.
            section.report(user, "not a bcrypt hash such as `htpasswd -nBC 10 USER` writes", secret=True)
    return users


def _read_limit(section: _Section) -> tuple[float, int]:
    section.allow(("interval", "burst"))
    burst, interval = section.values.get("burst", 0), section.values.get("interval", 0)
    if isinstance(burst, bool) or not isinstance(burst, int) or burst < 0:
        section.report("burst", "not a whole number, 0 or more")
        burst = 0
    if isinstance(interval, int) and not isinstance(interval, bool):
        return interval * 1e-9, burst  # Go reads a number without a unit as nanoseconds
    try:
        return parse_duration(str(interval)), burst
    except ValueError:
        section.report("interval", "not a duration such as 500ms, 1s or 1m30s")
        return 0.0, burst
