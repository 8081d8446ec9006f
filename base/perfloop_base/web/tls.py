"""The TLS section of the web configuration, as the ssl module's context."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError

if TYPE_CHECKING:
    from perfloop_base.web.config import TlsConfig

VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
# The suites of TLS 1.2: IANA's names, which Go uses, and OpenSSL's. Those of TLS 1.3 cannot be chosen in OpenSSL.
CIPHERS = {
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
KNOWN_CIPHERS = frozenset(
    (*CIPHERS, "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
)
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
POLICIES = {
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


def build_context(tls: TlsConfig) -> ssl.SSLContext:
    """Build the server context.

    Raises:
        ConfigError: A cipher suite or curve is unknown, or a certificate, key or CA file cannot be loaded.
    """
    problems = [
        *(f"cipher_suites: '{name}' is unknown" for name in tls.cipher_suites if name not in KNOWN_CIPHERS),
        *(f"curve_preferences: '{name}' is unknown" for name in tls.curve_preferences if name not in CURVES),
    ]
    if problems:
        raise ConfigError([f"tls_server_config.{problem}" for problem in problems])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = VERSIONS[tls.min_version], VERSIONS[tls.max_version]
    context.set_alpn_protocols(["http/1.1"])
    if tls.prefer_server_cipher_suites:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    chosen = [CIPHERS[name] for name in tls.cipher_suites if name in CIPHERS]
    if chosen:
        context.set_ciphers(":".join(chosen))
    if len(tls.curve_preferences) == 1:  # Python can set only one; with several, OpenSSL's own order decides
        context.set_ecdh_curve(CURVES[tls.curve_preferences[0]])
    _load_own(context, tls)
    _load_clients(context, tls)
    return context


def _load_own(context: ssl.SSLContext, tls: TlsConfig) -> None:
    # The ssl module loads certificates from files only, so inline ones are written to a private directory.
    with tempfile.TemporaryDirectory(prefix="perfloop-web-") as directory:
        cert, key = tls.cert_file, tls.key_file
        if not cert:
            cert = _write(f"{directory}/cert.pem", tls.cert)
        if not key:
            key = _write(f"{directory}/key.pem", tls.key)
        try:
            context.load_cert_chain(cert, key)
        except OSError as error:
            where = f"cert_file '{tls.cert_file}', key_file '{tls.key_file}'"
            raise ConfigError(f"tls_server_config: {where}: {_reason(error)}") from error


def _load_clients(context: ssl.SSLContext, tls: TlsConfig) -> None:
    policy = POLICIES.get(tls.client_auth_type)
    if policy is None:
        return
    context.verify_mode = policy
    try:
        context.load_verify_locations(
            cafile=tls.client_ca_file or None, cadata=None if tls.client_ca_file else tls.client_ca
        )
    except (OSError, ValueError) as error:
        raise ConfigError(f"tls_server_config: client_ca_file '{tls.client_ca_file}': {_reason(error)}") from error


def _write(path: str, text: str) -> str:
    Path(path).write_text(text, encoding="ascii")
    return path


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def has_allowed_name(connection: ssl.SSLSocket | ssl.SSLObject, allowed: tuple[str, ...]) -> bool:
    """Return whether the client's certificate has one of the allowed names (client_allowed_sans).

    True where no names are configured, and without a certificate, which client_auth_type has then allowed.
    """
    certificate = connection.getpeercert()
    if not allowed or not certificate:
        return True
    names = certificate.get("subjectAltName", ())
    return any(str(pair[1]) in allowed for pair in names if isinstance(pair, tuple))
