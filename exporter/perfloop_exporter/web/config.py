"""The web configuration file, in exporter-toolkit's format: read, checked, every problem told at once.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from perfloop_exporter.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

TLS_VERSIONS = ("TLS10", "TLS11", "TLS12", "TLS13")
# None where any value will do.
HEADERS: dict[str, tuple[str, ...] | None] = {
    "Strict-Transport-Security": None,
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": None,
    "Content-Security-Policy": None,
}
CLIENT_AUTH_TYPES = ("NoClientCert", "RequestClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
# Python's ssl module verifies every certificate it takes: these would need one that is not.
UNVERIFIED = ("RequireAnyClientCert", "RequireClientCert")
BCRYPT = re.compile(r"\$2[abxy]?\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """Section tls_server_config; files are relative to the configuration's folder."""

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
        """Whether the section asks for TLS."""
        files = (self.cert_file, self.key_file, self.client_ca_file)
        return any((self.cert, self.key, self.client_ca, *files, self.client_auth_type))


@dataclass(frozen=True, slots=True)
class WebConfig:
    """The whole file."""

    tls: TlsConfig = TlsConfig()
    headers: tuple[tuple[str, str], ...] = ()
    users: dict[str, str] = field(default_factory=dict)
    interval_seconds: float = 0.0
    burst: int = 0


class _Section:
    """A mapping of the file that remembers what is wrong with it."""

    def __init__(self, name: str, values: Any, problems: list[str]) -> None:
        self._name = name
        self._problems = problems
        self.values: dict[str, Any] = {}
        if isinstance(values, dict):
            self.values = {str(key): value for key, value in values.items()}
        elif values is not None:
            problems.append(f"{name} is {values!r}, not a mapping"[:200])

    def complain(self, key: str, rule: str) -> None:
        """Remember that the value of a key breaks a rule."""
        self._problems.append(f"{self._name}.{key}".removeprefix(".") + f" is {self.values.get(key)!r}, {rule}")

    def only(self, known: Iterable[str]) -> None:
        """Every other key is a problem."""
        self._problems.extend(
            f"{self._name}.{key}".removeprefix(".") + " is not a field of this file"
            for key in self.values
            if key not in known
        )

    def text(self, key: str, default: str = "", choices: tuple[str, ...] | None = None) -> str:
        """A text, one of the choices when there are any."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            self.complain(key, "not a text")
            return default
        if choices is not None and value not in choices:
            self.complain(key, f"not one of {', '.join(choices)}")
            return default
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self.values.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.complain(key, "not a list of texts")
            return ()
        return tuple(value)

    def switch(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self.values.get(key)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.complain(key, "neither true nor false")
        return default


def parse_web_config(text: str, file: str) -> WebConfig:
    """The configuration in the text of a file."""
    problems: list[str] = []
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError([f"{file}: not YAML: {' '.join(str(error).split())}"]) from error
    top = _Section("", document, problems)
    top.only(("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"))
    tls = _read_tls(_Section("tls_server_config", top.values.get("tls_server_config"), problems), Path(file).parent)
    headers = _read_http(_Section("http_server_config", top.values.get("http_server_config"), problems), problems)
    users = _read_users(_Section("basic_auth_users", top.values.get("basic_auth_users"), problems))
    interval, burst = _read_limit(_Section("rate_limit", top.values.get("rate_limit"), problems))
    if problems:
        raise UsageError([f"{file}: {problem}" for problem in problems])
    return WebConfig(tls, headers, users, interval, burst)


def _read_tls(section: _Section, folder: Path) -> TlsConfig:
    section.only(TlsConfig.__slots__)
    auth = section.values.get("client_auth_type")
    if auth in UNVERIFIED:
        section.complain("client_auth_type", "which trusts anybody: use RequireAndVerifyClientCert and client_ca_file")
        auth = ""
    else:
        auth = section.text("client_auth_type", choices=(*CLIENT_AUTH_TYPES, ""))

    def placed(key: str) -> str:
        name = section.text(key)
        return str(folder / name) if name else ""

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
        section.complain("cert_file", "but one of cert and cert_file is needed")
    if not (tls.key or tls.key_file):
        section.complain("key_file", "but one of key and key_file is needed")
    if (tls.client_ca or tls.client_ca_file) and tls.client_auth_type in {"", "NoClientCert"}:
        section.complain("client_auth_type", "but there is a client CA: use RequireAndVerifyClientCert")
    if tls.client_auth_type.startswith(("Verify", "RequireAndVerify")) and not (tls.client_ca or tls.client_ca_file):
        section.complain("client_ca_file", "but client certificates are to be verified")
    if TLS_VERSIONS.index(tls.min_version) > TLS_VERSIONS.index(tls.max_version):
        section.complain("min_version", f"above max_version {tls.max_version}")


def _read_http(section: _Section, problems: list[str]) -> tuple[tuple[str, str], ...]:
    section.only(("http2", "headers"))
    section.switch("http2", default=True)  # answered over HTTP/1.1 either way
    headers = _Section("http_server_config.headers", section.values.get("headers"), problems)
    headers.only(HEADERS)
    found = ((name, headers.text(name, choices=choices)) for name, choices in HEADERS.items())
    return tuple((name, value) for name, value in found if value and "\n" not in value)


def _read_users(section: _Section) -> dict[str, str]:
    users = {}
    for user in section.values:
        users[user] = section.text(user)
        if not BCRYPT.fullmatch(users[user]):
            section.values[user] = "…"  # whatever it is, it may be a password
            section.complain(user, "not a bcrypt hash such as `htpasswd -nBC 10 USER` writes")
    return users


def _read_limit(section: _Section) -> tuple[float, int]:
    section.only(("interval", "burst"))
    burst, interval = section.values.get("burst", 0), section.values.get("interval", 0)
    if isinstance(burst, bool) or not isinstance(burst, int) or burst < 0:
        section.complain("burst", "not a whole number, 0 or more")
        burst = 0
    if isinstance(interval, int) and not isinstance(interval, bool):
        return interval * 1e-9, burst
    parts = DURATION.findall(str(interval))
    if not parts or "".join(number + unit for number, unit in parts) != interval:
        section.complain("interval", "not a duration such as 500ms, 1s or 1m30s")
        return 0.0, burst
    return sum(float(number) * UNITS[unit] for number, unit in parts), burst
