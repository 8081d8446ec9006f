"""How connections are made: to other addresses than the name's, by a proxy, to a Unix socket; and what they speak."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from perfloop_base.addresses import parse_address
from perfloop_base.visible import brief
from perfloop_loadgen.config.addresses import ascii_host
from perfloop_loadgen.config.strict import Strict

if TYPE_CHECKING:
    from collections.abc import Mapping

ENVIRONMENT = "environment"
# unix(7): 108 bytes, the NUL at their end included.
_LONGEST_SOCKET_PATH = 107
PRIOR_KNOWLEDGE = "prior_knowledge"
# The key of `connect_to` that means the host and port of base_url.
ANY = "*"
_HTTP2_NEEDS_TLS = (
    "http2: true needs an https:// base_url, since over clear text no server can agree to it: "
    "set http2: prior_knowledge for a server that speaks HTTP/2 there"
)


class TlsConfig(Strict):
    """Which certificates to trust (the system's authorities, one file of them, or for tests any), and which to show."""

    verify: bool = True
    ca_file: Path | None = None
    cert_file: Path | None = Field(
        default=None, description="The client's certificate, in PEM, with those between it and the authority behind it."
    )
    key_file: Path | None = Field(default=None, description="Its private key; left out: it is in cert_file.")
    key_password_file: Path | None = Field(default=None, description="Holds the password of an encrypted key.")

    @model_validator(mode="after")
    def _has_a_certificate(self) -> TlsConfig:
        for name in ("key_file", "key_password_file"):
            if getattr(self, name) is not None and self.cert_file is None:
                raise ValueError(f"{name} needs cert_file")
        return self


class ConnectionConfig(Strict):
    """The keys of a test that say how the service is reached."""

    engine: Literal["http1", "httpx"] = Field(default="http1", description="The program's own HTTP/1.1, or httpx.")
    http2: bool | Literal["prior_knowledge"] = Field(
        default=False,
        description="Needs engine: httpx. true: agreed upon with TLS, or the run is refused; prior_knowledge: over "
        "clear text.",
    )
    tls: TlsConfig = Field(default_factory=TlsConfig)
    resolve: dict[str, list[str]] = Field(
        default_factory=dict,
        description="HOST or HOST:PORT and the addresses to use for it instead of the name server's.",
    )
    resolve_interval_seconds: float = Field(
        default=30, ge=0, description="How often the host's name is looked up again; 0: only at the start."
    )
    connect_to: dict[str, str] = Field(
        default_factory=dict,
        description="HOST:PORT to connect to instead of base_url's, whose name stays in Host and TLS; or HOST:PORT and "
        "the one to connect to instead.",
    )
    proxy: str | None = Field(
        default=None,
        description="http://[USER:PASSWORD@]HOST:PORT, or environment: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY.",
    )
    no_proxy: list[str] = Field(
        default_factory=list, description="Hosts, domains, addresses and networks that are reached without the proxy."
    )
    unix_socket: Path | None = Field(default=None, description="Connect to this path; base_url's host is only named.")

    @field_validator("resolve", mode="before", json_schema_input_type=dict[str, str | list[str]] | list[str])
    @classmethod
    def _to_lists(cls, given: Any) -> Any:
        if isinstance(given, list) and all(isinstance(one, str) for one in given):
            return _by_host(given)
        if isinstance(given, dict):
            return {name: [one] if isinstance(one, str) else one for name, one in given.items()}
        return given

    @field_validator("resolve")
    @classmethod
    def _are_addresses(cls, resolve: dict[str, list[str]]) -> dict[str, list[str]]:
        return {
            _in_ascii(name): [_address(one) for one in _at_least_one(name, found)] for name, found in resolve.items()
        }

    @field_validator("connect_to", mode="before", json_schema_input_type=str | dict[str, str])
    @classmethod
    def _to_mapping(cls, given: Any) -> Any:
        return {ANY: given} if isinstance(given, str) else given

    @field_validator("connect_to")
    @classmethod
    def _are_places(cls, connect_to: dict[str, str]) -> dict[str, str]:
        for place in connect_to.values():
            if parse_address(place).port == 0:
                raise ValueError(f"{brief(place)} has no port that can be connected to")
        return {_in_ascii(name): _in_ascii(place) for name, place in connect_to.items()}

    @field_validator("proxy")
    @classmethod
    def _is_http_proxy(cls, proxy: str | None) -> str | None:
        if proxy is not None and proxy != ENVIRONMENT:
            check_proxy(proxy)
        return proxy

    @field_validator("unix_socket")
    @classmethod
    def _fits_an_address(cls, path: Path | None) -> Path | None:
        if path is not None and len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
            raise ValueError(f"is longer than the {_LONGEST_SOCKET_PATH} bytes that the path of a socket may have")
        return path

    @field_validator("no_proxy", mode="before", json_schema_input_type=str | list[str])
    @classmethod
    def _to_names(cls, given: Any) -> Any:
        return given.replace(",", " ").split() if isinstance(given, str) else given


def connection_problems(config: ConnectionConfig, base_url: str | None) -> list[str]:
    """Return a sentence for each rule that the keys break together; without a base URL, of those that need none."""
    problems = []
    ways = [name for name in ("unix_socket", "proxy", "connect_to") if getattr(config, name)]
    if len(ways) > 1:
        problems.append(f"{ways[0]} and {ways[1]} exclude each other")
    if config.unix_socket is not None and config.resolve:
        problems.append("unix_socket and resolve exclude each other")
    if config.http2 and config.engine != "httpx":
        problems.append("http2 needs engine: httpx")
    if config.http2 == PRIOR_KNOWLEDGE and config.proxy is not None:
        problems.append("http2: prior_knowledge and proxy exclude each other")
    return problems if base_url is None else problems + _scheme_problems(config, is_tls=base_url.startswith("https://"))


def _scheme_problems(config: ConnectionConfig, *, is_tls: bool) -> list[str]:
    problems = []
    if config.http2 is True and not is_tls:
        problems.append(_HTTP2_NEEDS_TLS)
    if config.http2 == PRIOR_KNOWLEDGE and is_tls:
        problems.append("http2: prior_knowledge is for an http:// base_url: with TLS, http2: true is agreed upon")
    if config.tls.cert_file is not None and not is_tls:
        problems.append("tls.cert_file needs an https:// base_url")
    return problems


def check_proxy(url: str) -> None:
    """Check the address of a proxy.

    Raises:
        ValueError: one sentence with the rule; never the value, which may hold a password.
    """
    if not _is_proxy(url):
        raise ValueError("must be http://HOST:PORT, with USER:PASSWORD@ before the host if the proxy needs them")


def _is_proxy(url: str) -> bool:
    try:
        parts = urlsplit(url)
        ascii_host(parts.hostname or "")
        return parts.scheme == "http" and parts.port != 0 and not parts.path.strip("/") and not parts.query
    except ValueError:
        return False


def _by_host(given: list[str]) -> dict[str, list[str]]:
    """Read what curl's --resolve takes: `HOST:PORT:ADDRESS[,ADDRESS]`."""
    found: dict[str, list[str]] = {}
    for one in given:
        host, first, rest = one.partition(":")
        port, second, addresses = rest.partition(":")
        if not first or not second:
            raise ValueError(f"{brief(one)} is not HOST:PORT:ADDRESS")
        found.setdefault(f"{host}:{port}", []).extend(addresses.split(","))
    return found


def _at_least_one(name: str, addresses: list[str]) -> list[str]:
    if not addresses:
        raise ValueError(f"{brief(name)} has no address")
    return addresses


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError as error:
        raise ValueError(f"{brief(text)} is not an IPv4 or IPv6 address") from error


def _in_ascii(place: str) -> str:
    """Return HOST or HOST:PORT with the host as name servers take it."""
    if place.isascii():
        return place.lower()
    host, colon, port = place.partition(":")
    return ascii_host(host).lower() + colon + port


def entry_for(named: Mapping[str, Any], host: str, port: int) -> Any:
    """Return the entry of `resolve` or `connect_to` for a host and a port; None without one."""
    bracketed = f"[{host}]" if ":" in host else host
    for key in (f"{bracketed}:{port}", bracketed, host):
        if key in named:
            return named[key]
    return None
