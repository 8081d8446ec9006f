"""The engine that a configuration asks for."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from perfloop_loadgen.engines.http1.client import Http1Engine
from perfloop_loadgen.errors import ConfigError

if TYPE_CHECKING:
    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.ports import Clock, Engine
    from perfloop_loadgen.scenario.request import Target


def build_engine(config: LoadTestConfig, target: Target, clock: Clock) -> Engine:
    """Return our own HTTP/1.1, or httpx."""
    tls = _tls(config) if target.scheme == "https" else None
    if config.engine == "httpx":
        from perfloop_loadgen.engines.httpx_engine import HttpxEngine  # heavy, and most runs do without

        return HttpxEngine(target, config.timeout_seconds, clock, tls=tls, http2=config.http2)
    return Http1Engine(target, config.timeout_seconds, clock, tls)


def _tls(config: LoadTestConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.tls.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError([f"tls.ca_file: {config.tls.ca_file}: cannot be used: {error}"]) from error
    if not config.tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
