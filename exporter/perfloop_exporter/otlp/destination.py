"""Where metrics are sent by OTLP, as the variables of OpenTelemetry's SDK say; every problem is one sentence.

The variables are read here before the SDK reads them itself: it logs a header that it cannot parse with its value, and
goes on with a default where a number is wrong.
Source: https://opentelemetry.io/docs/specs/otel/protocol/exporter/ and .../configuration/sdk-environment-variables/
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from perfloop_base.addresses import is_http_url
from perfloop_base.errors import ConfigError
from perfloop_base.redaction import redact_url, register, register_url
from perfloop_base.visible import brief

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
METRICS_ENDPOINT = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
EXPORTERS = "OTEL_METRICS_EXPORTER"
HEADERS = ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
TIMEOUTS = ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"
TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
SERVICE_NAME = "OTEL_SERVICE_NAME"
RESOURCE = "OTEL_RESOURCE_ATTRIBUTES"

HTTP, GRPC = "http/protobuf", "grpc"
_PATH = "/v1/metrics"
_DEFAULT_INTERVAL = "60000"
# The module of each protocol's exporter, and the distribution that installs it.
_MODULES = {
    HTTP: ("opentelemetry.exporter.otlp.proto.http", "perfloop[otel]"),
    GRPC: ("opentelemetry.exporter.otlp.proto.grpc", "opentelemetry-exporter-otlp-proto-grpc"),
}
# A header's name is a token, and its value visible characters, spaces and tabs (RFC 9110, sections 5.1 and 5.5).
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
# A day between two exports is no export any more.
_LONGEST_INTERVAL = 86_400_000


@dataclass(frozen=True, slots=True)
class Destination:
    """One OTLP receiver.

    Attributes:
        url: of the metrics, whole; for gRPC the address of the server.
        protocol: `http/protobuf` or `grpc`.
        headers: of every request; most likely a credential.
        interval_seconds: from one export to the next.
        resource: the attributes that identify who sends, `service.name` among them.
        insecure: whether gRPC speaks clear text.
    """

    url: str
    protocol: str = HTTP
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    interval_seconds: float = 60.0
    resource: dict[str, str] = field(default_factory=dict)
    insecure: bool = True

    @property
    def shown(self) -> str:
        """The address as messages name it, without what is secret in it."""
        return redact_url(self.url)


def is_asked_for(environ: Mapping[str, str]) -> bool:
    """Return whether the variables ask for metrics by OTLP: an endpoint is set, and nothing turns it off."""
    exporters = {name.strip() for name in environ.get(EXPORTERS, "").split(",") if name.strip()}
    is_off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or (exporters and "otlp" not in exporters)
    return not is_off and bool(environ.get(METRICS_ENDPOINT, "").strip() or environ.get(ENDPOINT, "").strip())


def from_variables(environ: Mapping[str, str], resource: Mapping[str, str]) -> Destination | None:
    """Return the destination that the variables ask for; None where they ask for none.

    Raises:
        ConfigError: as of `read_destination`.
    """
    if not is_asked_for(environ):
        return None
    whole = environ.get(METRICS_ENDPOINT, "").strip()
    return read_destination(environ, METRICS_ENDPOINT if whole else ENDPOINT, whole or environ[ENDPOINT], resource)


def read_destination(environ: Mapping[str, str], name: str, endpoint: str, resource: Mapping[str, str]) -> Destination:
    """Return the destination of an endpoint, everything else as the variables say.

    Args:
        environ: the variables.
        name: the flag or the variable that the endpoint stands in; the path of metrics is added to every one but
            OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, unless it is there.
        endpoint: an http or https URL.
        resource: attributes that hold where the variables name no other value.

    Raises:
        ConfigError: one sentence for each problem; the value of a header stands in none.
    """
    problems: list[str] = []

    def read(reader: Callable[[], None]) -> None:
        try:
            reader()
        except ValueError as error:
            problems.append(str(error))

    protocol = _first(environ, PROTOCOLS)[1] or HTTP
    found: dict[str, object] = {}
    read(lambda: found.update(url=_read_endpoint(name, endpoint, protocol)))
    read(lambda: _check_protocol(environ))
    read(lambda: found.update(headers=_read_headers(environ)))
    read(lambda: found.update(interval_seconds=_read_milliseconds(INTERVAL, environ) / 1000))
    read(lambda: _check_timeout(environ))
    read(lambda: _check_temporality(environ))
    read(lambda: found.update(resource={**resource, **_read_resource(environ)}))
    if problems:
        raise ConfigError(problems)
    return Destination(protocol=protocol, insecure=not endpoint.strip().startswith("https"), **found)  # type: ignore[arg-type]  # read above, by name


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str]:
    """Return the first variable that is set, with its value; the last name and no value where none is."""
    return next(((name, environ[name].strip()) for name in names if environ.get(name, "").strip()), (names[-1], ""))


def parse_endpoint(text: str) -> str:
    """Return the URL of an OTLP receiver; what is secret in it is shown nowhere.

    Raises:
        ValueError: One sentence with the value and the rule.
    """
    url = text.strip()
    register_url(url)
    shown = brief(redact_url(url))
    if not is_http_url(url) or not url.isprintable() or " " in url:
        raise ValueError(f"{shown} is not an OTLP endpoint: write http://HOST:PORT or https://HOST:PORT")
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError(f"{shown} has a user or a password: write the credential into {HEADERS[1]}")
    if parts.fragment:
        raise ValueError(f"{shown} has a fragment (#), which is never sent: leave it out")
    return url


def _read_endpoint(name: str, text: str, protocol: str) -> str:
    try:
        url = parse_endpoint(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    parts = urlsplit(url)
    if protocol == GRPC or name == METRICS_ENDPOINT or parts.path.endswith(_PATH):
        return url
    return parts._replace(path=parts.path.rstrip("/") + _PATH).geturl()


def _check_protocol(environ: Mapping[str, str]) -> None:
    name, protocol = _first(environ, PROTOCOLS)
    protocol = protocol or HTTP
    if protocol not in _MODULES:
        raise ValueError(f"{name} is {brief(protocol)}: it must be {HTTP} or {GRPC}")
    module, distribution = _MODULES[protocol]
    try:
        is_there = find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it
        is_there = False
    if not is_there:
        raise ValueError(f"OTLP by {protocol}: {module} is not installed: `pip install '{distribution}'` installs it")


def _read_pairs(name: str, text: str) -> list[tuple[int, str, str]]:
    """Return number, name and value of each NAME=VALUE of a list; the values are percent-decoded."""
    pairs = []
    for number, entry in enumerate(text.split(","), 1):
        if not entry.strip():
            continue
        key, equals, value = entry.partition("=")
        # The entry itself is not repeated: it is most likely a credential that lacks its name.
        if not equals or not key.strip():
            raise ValueError(f"{name}: entry {number} is not NAME=VALUE")
        pairs.append((number, unquote(key).strip(), unquote(value).strip()))
    return pairs


def _read_headers(environ: Mapping[str, str]) -> dict[str, str]:
    name, text = _first(environ, HEADERS)
    headers: dict[str, str] = {}
    for number, header, value in _read_pairs(name, text):
        register(value)
        if not _HEADER_NAME.fullmatch(header):
            raise ValueError(f"{name}: entry {number} has a name that no HTTP header can have")
        if not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"{name}: entry {number}, {header}, has a character that no HTTP header can have")
        headers[header.lower()] = value
    return headers


def _read_milliseconds(name: str, environ: Mapping[str, str]) -> int:
    text = environ.get(name, "").strip() or _DEFAULT_INTERVAL
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[:10]) <= _LONGEST_INTERVAL or len(text) > 10:  # noqa: PLR2004 - digits
        raise ValueError(f"{name} is {brief(text)}: it must be milliseconds, from 1 to {_LONGEST_INTERVAL}")
    return int(text)


def _check_timeout(environ: Mapping[str, str]) -> None:
    name, text = _first(environ, TIMEOUTS)
    try:
        is_good = not text or 0 < float(text) < _LONGEST_INTERVAL
    except ValueError:
        is_good = False
    if not is_good:
        raise ValueError(f"{name} is {brief(text)}: it must be a number above 0")


def _check_temporality(environ: Mapping[str, str]) -> None:
    preference = environ.get(TEMPORALITY, "").strip()
    if preference.lower() not in ("", "cumulative"):
        raise ValueError(
            f"{TEMPORALITY} is {brief(preference)}: Prometheus's counters are cumulative, and are sent so; "
            "a collector in between makes deltas of them (cumulativetodelta)"
        )


def _read_resource(environ: Mapping[str, str]) -> dict[str, str]:
    attributes = {key: value for _, key, value in _read_pairs(RESOURCE, environ.get(RESOURCE, ""))}
    service = environ.get(SERVICE_NAME, "").strip()
    return attributes | ({"service.name": service} if service else {})
