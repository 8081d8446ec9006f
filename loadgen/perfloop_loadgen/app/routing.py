"""From a configuration to the way to a service: addresses, proxy, Unix socket, certificates."""

from __future__ import annotations

import ipaddress
import os
import ssl
from typing import TYPE_CHECKING

from perfloop_base.addresses import parse_address
from perfloop_base.errors import ConfigError
from perfloop_base.redaction import register, register_url
from perfloop_loadgen.config.connection import ANY, ENVIRONMENT, check_proxy, connection_problems, entry_for
from perfloop_loadgen.engines.addresses import Name, is_ip
from perfloop_loadgen.engines.dialing import Route
from perfloop_loadgen.engines.proxy import Proxy
from perfloop_loadgen.scenario.request import Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from perfloop_loadgen.config import LoadTestConfig


def build_route(config: LoadTestConfig, target: Target, first: int = 0) -> Route:
    """Return the way to the service under test, or to another origin that a redirect of it leads to.

    Args:
        config: the test.
        target: where requests go.
        first: which of several addresses the first connection uses.

    Raises:
        ConfigError: a key of the configuration cannot be used with this target.
    """
    own = Target.from_url(config.base_url)
    is_own = (target.scheme, target.host, target.port) == (own.scheme, own.host, own.port)
    if is_own:
        _check(config, own)
    proxy = build_proxy(config, target)
    name = _name_of(config, target, proxy, is_own=is_own)
    fixed = entry_for(config.resolve, name.host, name.port)
    return Route(
        name=name._replace(fixed=tuple(fixed or ())),
        authority=_authority(target, always_port=target.scheme == "https"),
        proxy=proxy,
        tunnels=proxy is not None and target.scheme == "https",
        unix_socket=config.unix_socket if is_own else None,
        resolve_interval_seconds=config.resolve_interval_seconds,
        first=first,
    )


def _name_of(config: LoadTestConfig, target: Target, proxy: Proxy | None, *, is_own: bool) -> Name:
    if proxy is not None:
        return Name(proxy.host, proxy.port, "proxy")
    place = entry_for(config.connect_to, target.host, target.port) or (config.connect_to.get(ANY) if is_own else None)
    if place is None:
        return Name(target.host, target.port)
    address = parse_address(place)
    return Name(address.host or target.host, address.port, "connect_to")


def _authority(target: Target, *, always_port: bool) -> str:
    if not always_port:
        return target.authority
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{host}:{target.port}"


def _check(config: LoadTestConfig, target: Target) -> None:
    """Check that every key is of use: a misspelt host would have the load go to what the name server says."""
    problems = connection_problems(config, config.base_url)
    if problems:
        raise ConfigError(problems)
    if config.redirects == "follow":
        return  # to hosts that are not known yet
    proxy = build_proxy(config, target)
    name = _name_of(config, target, proxy, is_own=True)
    for key, named, (host, port) in (
        ("resolve", config.resolve, (name.host, name.port)),
        (
            "connect_to",
            {place: one for place, one in config.connect_to.items() if place != ANY},
            (target.host, target.port),
        ),
    ):
        if named and entry_for(named, host, port) is None:
            raise ConfigError(f"{key}: {', '.join(named)}: is not the host that is connected to, {host}:{port}")


def build_proxy(config: LoadTestConfig, target: Target) -> Proxy | None:
    """Return the proxy that a target is reached by, if there is one.

    Raises:
        ConfigError: a variable of the environment does not name an HTTP proxy.
    """
    url, excluded = config.proxy, list(config.no_proxy)
    if url == ENVIRONMENT:
        variable, url = _proxy_variable(os.environ, target.scheme)
        excluded += (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").replace(",", " ").split()
        if url is not None:
            register_url(url)
            try:
                check_proxy(url)
            except ValueError as error:
                raise ConfigError(f"proxy: environment: {variable} {error}") from error
    if not url or is_excluded(target.host, target.port, excluded):
        return None
    return Proxy.from_url(url)


def _proxy_variable(environ: Mapping[str, str], scheme: str) -> tuple[str, str | None]:
    """Return the variable that names the proxy for a scheme, and its value, as curl reads them.

    HTTP_PROXY in capitals is left alone where a web server may have set it from a request's header `Proxy`.
    """
    names = [f"{scheme}_proxy", "all_proxy", "ALL_PROXY"]
    if scheme != "http" or "REQUEST_METHOD" not in environ:
        names.insert(1, f"{scheme.upper()}_PROXY")
    for name in names:
        if value := environ.get(name):
            return name, value if "://" in value else f"http://{value}"
    return names[0], None


def is_excluded(host: str, port: int, excluded: Iterable[str]) -> bool:
    """Return whether NO_PROXY lists a host: as `*`, host, domain, address or network, each with a port or without."""
    return any(_is_meant(host.lower().rstrip("."), port, one.lower()) for one in excluded)


def _is_meant(host: str, port: int, one: str) -> bool:
    if one == "*":
        return True
    name, found, number = one.rpartition(":")
    if found and number.isdecimal() and (":" not in name or name.startswith("[")):
        if int(number) != port:
            return False
        one = name
    one = one.removeprefix("[").removesuffix("]")
    if is_ip(host):
        try:
            return ipaddress.ip_address(host) in ipaddress.ip_network(one, strict=False)
        except ValueError:
            return False
    domain = one.removeprefix("*").strip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def build_tls(config: LoadTestConfig) -> ssl.SSLContext:
    """Return the certificates to trust and to show.

    Raises:
        ConfigError: a file cannot be used.
    """
    tls = config.tls
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"tls.ca_file: {tls.ca_file}: cannot be used: {error}") from error
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_file is not None:
        _show(context, tls.cert_file, tls.key_file, tls.key_password_file)
    return context


def _show(context: ssl.SSLContext, certificate: Path, key: Path | None, password_file: Path | None) -> None:
    needed = False

    def password() -> str:
        # Without this function the system's own asks at the terminal.
        nonlocal needed
        needed = True
        found = "" if password_file is None else password_file.read_text().rstrip("\r\n")
        register(found)
        return found

    files = f"tls.cert_file: {certificate}" if key is None else f"tls.cert_file, tls.key_file: {certificate}, {key}"
    try:
        context.load_cert_chain(certificate, key, password)
    except (OSError, ValueError, ssl.SSLError) as error:
        if needed and password_file is None:
            raise ConfigError(f"{files}: the key is encrypted: tls.key_password_file must hold its password") from error
        raise ConfigError(f"{files}: cannot be used: {error}") from error
