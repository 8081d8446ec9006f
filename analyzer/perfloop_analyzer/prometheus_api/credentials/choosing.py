"""Which authentication the settings ask for; a library that only one needs is imported with it."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from perfloop_analyzer.errors import ConfigError
from perfloop_analyzer.prometheus_api.credentials.files import BasicAuth, BearerAuth, HeaderFilesAuth, SecretFile
from perfloop_analyzer.prometheus_api.credentials.oauth import ClientCredentials, TokenEndpoint, build_azure
from perfloop_analyzer.prometheus_api.credentials.tokens import TokenAuth

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from perfloop_analyzer.config import SourceConfig

_EXTRAS = {"botocore": "aws", "google": "google"}


def build_auth(config: SourceConfig, now: Callable[[], float], environ: Mapping[str, str]) -> httpx.Auth | None:
    """Return what authenticates the requests to Prometheus; None where nothing does.

    Args:
        config: The settings; their rules were checked before.
        now: The server's time in Unix seconds, for what is signed.
        environ: The variables in which the clouds' own tools look.

    Raises:
        ConfigError: A library is not installed, or what it reads cannot be used.
    """
    try:
        inner = _build(config, now, environ)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in _EXTRAS:
            raise
        raise ConfigError(
            f"--prometheus.auth={config.auth.kind}: {library} is not installed: "
            f"`pip install 'perfloop[{_EXTRAS[library]}]'` installs it"
        ) from error
    if not config.header_files:
        return inner
    return HeaderFilesAuth({name: SecretFile(path) for name, path in config.header_files}, inner)


def _build(config: SourceConfig, now: Callable[[], float], environ: Mapping[str, str]) -> httpx.Auth | None:
    auth = config.auth
    if auth.kind == "sigv4":
        from perfloop_analyzer.prometheus_api.credentials.sigv4 import SigV4

        return SigV4(auth, config.url, config.timeout_seconds, now)
    if auth.kind == "google":
        from perfloop_analyzer.prometheus_api.credentials.google import GoogleTokens

        return TokenAuth(GoogleTokens(auth.google_file, config.timeout_seconds, verify=_trusted(config)))
    if auth.kind == "azure":
        return TokenAuth(build_azure(auth.located(environ), config, verify=_trusted(config)))
    if auth.kind == "oauth2" and auth.client_secret_file is not None:
        endpoint = TokenEndpoint(auth.token_url, config, verify=_trusted(config))
        return TokenAuth(ClientCredentials(auth, endpoint, SecretFile(auth.client_secret_file)))
    return _build_plain(config)


def _build_plain(config: SourceConfig) -> httpx.Auth | None:
    if config.bearer_token_file is not None:
        return BearerAuth(SecretFile(config.bearer_token_file))
    if config.username:
        return BasicAuth(config.username, SecretFile(config.password_file) if config.password_file else None)
    return None


def _trusted(config: SourceConfig) -> ssl.SSLContext:
    """Return how whoever hands tokens out is verified: by this machine's authorities and `--prometheus.ca-file`.

    `--prometheus.insecure` is about Prometheus alone: no secret is sent to a stranger.
    """
    context = ssl.create_default_context()
    if config.ca_file is not None:
        try:
            context.load_verify_locations(config.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"--prometheus.ca-file: {config.ca_file} cannot be used: {error}") from error
    return context
