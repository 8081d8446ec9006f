"""How requests to Prometheus are authenticated: one small class for each way, called for each request.

Every class is an `httpx.Auth`. A token is renewed before it ends. A credential that is refused raises
`CredentialRefused`; a service that gives no token raises `SourceUnavailable`: neither says anything about the services
that are watched.
"""

from __future__ import annotations

from perfloop_analyzer.prometheus_api.credentials.choosing import build_auth

__all__ = ["build_auth"]
