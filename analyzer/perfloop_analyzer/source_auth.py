"""How the analyzer authenticates to a managed Prometheus: settings and their rules, known without asking anybody."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop_base.flags import flag
from perfloop_base.redaction import is_secret_name, redact, redact_url, register, register_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NONE = "none"
KINDS = (NONE, "sigv4", "google", "azure", "oauth2")
AMAZON_SERVICE = "aps"  # the signing name of Amazon Managed Service for Prometheus
AZURE_AUTHORITY = "https://login.microsoftonline.com"
AZURE_AUDIENCE = "https://prometheus.monitor.azure.com"  # of the query endpoint; writing has another one
_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-\d")
_REGION_IN_HOST = re.compile(
    rf"(?:^|\.)({_REGION.pattern})\.(?:api\.)?(?:amazonaws\.com(?:\.cn)?|aws|on\.aws)(?=[:/]|$)"
)
_ROLE = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/\S+")
_WORD = re.compile(r"[\w.~-]+")


def _parse_region(text: str) -> str:
    if not _REGION.fullmatch(text):
        raise ValueError(f"{text!r} is not a region: write one such as eu-central-1")
    return text


def _parse_role(text: str) -> str:
    if not _ROLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a role: write arn:aws:iam::ACCOUNT:role/NAME, the account in 12 digits")
    return text


def _parse_id(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise ValueError(f"{text!r} is not an ID: write letters, digits, dots and hyphens")
    return text


def _parse_token_url(text: str) -> str:
    register_url(text)
    if not re.fullmatch(r"https?://[^\s/?#]+\S*", text):
        raise ValueError(f"{redact_url(text)!r} is not a URL: it must begin with http:// or https:// and name a host")
    return text


def parse_header(text: str) -> tuple[str, str]:
    """Return the name and the value of a header; a value whose name says that it is a secret is shown nowhere.

    Raises:
        ValueError: One sentence with the value and the rule.
    """
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ValueError(f"{redact(text)!r} is not a header: write NAME: VALUE")
    if is_secret_name(name.strip()):
        register(value.strip())
    return name.strip(), value.strip()


def parse_header_file(text: str) -> tuple[str, Path]:
    """Return the name of a header, and the file with its value.

    Raises:
        ValueError: One sentence with the value and the rule.
    """
    name, colon, path = text.partition(":")
    if not colon or not name.strip() or not path.strip():
        raise ValueError(f"{redact(text)!r} is not a header: write NAME: FILE, the file with its value")
    return name.strip(), Path(path.strip())


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """Which authentication a managed Prometheus expects, and its settings; secrets are in files."""

    kind: str = flag(
        "--prometheus.auth",
        NONE,
        choices=KINDS,
        help="how each request is authenticated: sigv4 (Amazon), google, azure, or oauth2 (client credentials)",
    )
    region: str = flag(
        "--prometheus.sigv4.region",
        "",
        parse=_parse_region,
        metavar="REGION",
        help="the region that is signed for (default: the one in the URL, else AWS_REGION, else the profile's)",
    )
    service: str = flag(
        "--prometheus.sigv4.service", AMAZON_SERVICE, parse=_parse_id, metavar="NAME", help="the service signed for"
    )
    profile: str = flag("--prometheus.sigv4.profile", "", metavar="NAME", help="profile of AWS's own files")
    role: str = flag(
        "--prometheus.sigv4.role-arn", "", parse=_parse_role, metavar="ARN", help="role to assume for the requests"
    )
    aws_file: Path | None = flag(
        "--prometheus.sigv4.credentials-file",
        None,
        parse=Path,
        help="credentials file in AWS's format (default: what AWS's tools find: variables, files, the machine's role)",
    )
    google_file: Path | None = flag(
        "--prometheus.google.credentials-file",
        None,
        parse=Path,
        help="key of a service account, JSON (default: what Google's tools find: variables, files, the machine's own)",
    )
    azure_tenant: str = flag(
        "--prometheus.azure.tenant-id", "", parse=_parse_id, metavar="ID", help="directory (default: AZURE_TENANT_ID)"
    )
    azure_client: str = flag(
        "--prometheus.azure.client-id",
        "",
        parse=_parse_id,
        metavar="ID",
        help="application or managed identity (default: AZURE_CLIENT_ID)",
    )
    azure_secret_file: Path | None = flag(
        "--prometheus.azure.client-secret-file", None, parse=Path, help="file with the application's secret"
    )
    azure_token_file: Path | None = flag(
        "--prometheus.azure.federated-token-file",
        None,
        parse=Path,
        help="file with the workload's token (default: AZURE_FEDERATED_TOKEN_FILE; "
        "with neither this nor a secret the machine's managed identity is used)",
    )
    azure_audience: str = flag(
        "--prometheus.azure.audience",
        AZURE_AUDIENCE,
        parse=_parse_token_url,
        metavar="URL",
        help="whom the token is for",
    )
    token_url: str = flag(
        "--prometheus.oauth2.token-url", "", parse=_parse_token_url, metavar="URL", help="where tokens are had"
    )
    client_id: str = flag("--prometheus.oauth2.client-id", "", metavar="ID", help="the client's name there")
    client_secret_file: Path | None = flag(
        "--prometheus.oauth2.client-secret-file", None, parse=Path, help="file with the client's secret"
    )
    scopes: tuple[str, ...] = flag(
        "--prometheus.oauth2.scope", (), repeat=True, help="a scope of the token; may be repeated"
    )

    def problems(self, others: Mapping[str, object], environ: Mapping[str, str]) -> list[str]:
        """Return every rule that these settings break; `others` has the flags that authenticate in another way."""
        return [*self._strangers(), *self._rivals(others), *self._missing(environ)]

    def secret_files(self, environ: Mapping[str, str]) -> list[Path]:
        """Return the files that hold one secret each."""
        if self.kind == "oauth2":
            files = [self.client_secret_file]
        elif self.kind == "azure":
            identity = self.located(environ)
            files = [identity.secret_file, identity.token_file]
        else:
            files = []
        return [path for path in files if path is not None]

    def located(self, environ: Mapping[str, str]) -> AzureIdentity:
        """Return Azure's settings, those that are not given from the variables that Azure's own tools read."""
        token_file = self.azure_token_file
        if token_file is None and self.azure_secret_file is None and environ.get("AZURE_FEDERATED_TOKEN_FILE"):
            token_file = Path(environ["AZURE_FEDERATED_TOKEN_FILE"])
        return AzureIdentity(
            (environ.get("AZURE_AUTHORITY_HOST") or AZURE_AUTHORITY).rstrip("/"),
            self.azure_tenant or environ.get("AZURE_TENANT_ID", ""),
            self.azure_client or environ.get("AZURE_CLIENT_ID", ""),
            self.azure_secret_file,
            token_file,
            self.azure_audience,
        )

    def _strangers(self) -> Iterator[str]:
        for item in fields(self):
            one = item.metadata["flag"]
            owner = one.name.split(".")[1]
            if owner in KINDS and owner != self.kind and getattr(self, item.name) != one.default:
                yield f"{one.name} is given, but --prometheus.auth is {self.kind}: it needs --prometheus.auth={owner}"

    def _rivals(self, others: Mapping[str, object]) -> Iterator[str]:
        given = [name for name, value in others.items() if value]
        if self.kind != NONE:
            given.append(f"--prometheus.auth={self.kind}")
        if len(given) > 1:
            yield f"{' and '.join(given)} exclude each other: a request is authenticated in one way"

    def _missing(self, environ: Mapping[str, str]) -> Iterator[str]:
        if self.kind == "oauth2":
            if not self.token_url:
                yield "--prometheus.oauth2.token-url is required by --prometheus.auth=oauth2"
            if not self.client_id:
                yield "--prometheus.oauth2.client-id is required by --prometheus.auth=oauth2"
            if self.client_secret_file is None:
                yield "--prometheus.oauth2.client-secret-file is required by --prometheus.auth=oauth2"
        if self.kind == "azure":
            yield from self.located(environ).problems()


@dataclass(frozen=True, slots=True)
class AzureIdentity:
    """Who asks Microsoft Entra ID for a token: an application with a secret, a workload, or the machine itself."""

    authority: str
    tenant: str
    client: str
    secret_file: Path | None
    token_file: Path | None
    audience: str

    def problems(self) -> Iterator[str]:
        """Yield every rule that they break."""
        if self.secret_file is not None and self.token_file is not None:
            yield (
                "--prometheus.azure.client-secret-file and --prometheus.azure.federated-token-file exclude each other"
            )
        elif self.secret_file is not None or self.token_file is not None:
            what = "a client secret" if self.secret_file is not None else "a federated token"
            if not self.tenant:
                yield f"--prometheus.azure.tenant-id, or AZURE_TENANT_ID, is required by {what}"
            if not self.client:
                yield f"--prometheus.azure.client-id, or AZURE_CLIENT_ID, is required by {what}"


def region_of(url: str) -> str:
    """Return the region that a URL of Amazon names; nothing where it names none."""
    found = _REGION_IN_HOST.search(url.partition("://")[2].partition("/")[0])
    return found[1] if found else ""
