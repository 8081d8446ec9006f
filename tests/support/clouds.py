"""Managed Prometheus services of clouds on this machine: one server that answers for all of their host names.

It is an HTTPS proxy: programs are started with HTTPS_PROXY, and with SSL_CERT_FILE for its certificate, so that they
use the real addresses. Each request's signature or token is verified as the real service does; what is right goes on to
a real Prometheus, which takes remote writes. No request leaves the machine.
"""

from __future__ import annotations

import base64
import gzip
import hmac
import json
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from tests.support.sigv4_verifier import Key, Received, RefusedError, verify
from tests.support.tokens import OAuthError, TokenServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REGION = "eu-central-1"
AMAZON = f"aps-workspaces.{REGION}.amazonaws.com"
AMAZON_TOKENS = f"sts.{REGION}.amazonaws.com"
AMAZON_MACHINES = f"ec2.{REGION}.amazonaws.com"
GOOGLE, GOOGLE_TOKENS = "monitoring.googleapis.com", "oauth2.googleapis.com"
GOOGLE_MACHINES = "compute.googleapis.com"
GOOGLE_READS = "https://www.googleapis.com/auth/monitoring.read"
GOOGLE_WRITES = "https://www.googleapis.com/auth/monitoring.write"
GOOGLE_SEES = "https://www.googleapis.com/auth/compute.readonly"
AZURE_TOKENS = "login.microsoftonline.com"
AZURE_WRITES = "shop-a1b2.westeurope-1.metrics.ingest.monitor.azure.com"
AZURE_READS = "shop-c3d4.westeurope.prometheus.monitor.azure.com"
GRAFANA = "prometheus-prod-24-prod-eu-west-2.grafana.net"
NEW_RELIC_WRITES, NEW_RELIC_READS = "metric-api.newrelic.com", "prometheus-api.newrelic.com"
MIMIR = "mimir.example.com"
HOSTS = (
    *(AMAZON, AMAZON_TOKENS, GOOGLE, GOOGLE_TOKENS, AZURE_TOKENS, AZURE_WRITES, AZURE_READS),
    *(GRAFANA, NEW_RELIC_WRITES, NEW_RELIC_READS, MIMIR, AMAZON_MACHINES, GOOGLE_MACHINES),
)
TENANT = "72f988bf-0000-4000-8000-2d7cd011db47"
# One machine each, as the services describe it.
EC2_MACHINES = """<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet><item>
<ownerId>111122223333</ownerId><instancesSet><item><instanceId>i-0123456789abcdef0</instanceId>
<imageId>ami-1</imageId><architecture>x86_64</architecture><privateDnsName>ip-10-3-0-7.internal</privateDnsName>
<instanceState><code>16</code><name>running</name></instanceState><instanceType>m6i.large</instanceType>
<placement><availabilityZone>eu-central-1a</availabilityZone></placement><privateIpAddress>10.3.0.7</privateIpAddress>
<vpcId>vpc-1</vpcId><subnetId>subnet-1</subnetId><tagSet>
<item><key>perfloop</key><value>scrape</value></item><item><key>service</key><value>search</value></item>
<item><key>port</key><value>9100</value></item></tagSet></item></instancesSet></item></reservationSet>
</DescribeInstancesResponse>"""
EC2_ZONES = """<DescribeAvailabilityZonesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><availabilityZoneInfo>
<item><zoneName>eu-central-1a</zoneName><zoneId>euc1-az2</zoneId></item></availabilityZoneInfo>
</DescribeAvailabilityZonesResponse>"""
GCE_MACHINES = [
    {
        "id": "42",
        "name": "orders-1",
        "status": "RUNNING",
        "zone": "https://compute.googleapis.com/compute/v1/projects/shop-production/zones/europe-west3-a",
        "machineType": "e2-small",
        "labels": {"perfloop": "scrape", "service": "orders"},
        "networkInterfaces": [{"name": "nic0", "network": "n", "subnetwork": "s", "networkIP": "10.4.0.9"}],
    }
]
_FORWARDED = ("Content-Type", "Content-Encoding", "X-Prometheus-Remote-Write-Version", "Accept-Encoding")


@dataclass(frozen=True)
class Reply:
    """What a service answers."""

    status: int
    body: bytes = b""
    kind: str = "application/json"


def _json(status: int, document: Any) -> Reply:
    return Reply(status, json.dumps(document).encode())


@dataclass
class Clouds:
    """The services and what they know.

    Attributes:
        backend: The URL of the Prometheus that takes what is right.
        keys: Amazon's access keys.
        tokens: Google's and Microsoft's token endpoints.
        passwords: Of Grafana Cloud and Mimir, by user.
        license_key: With which New Relic takes writes.
        query_key: With which New Relic answers.
        ahead: How far the services' clock is before this machine's, in seconds.
        down: Hosts that answer 503.
        refusing: What writes get instead of being taken, in turn: limits of a workspace.
        seen: Each request: its host, "write" or "read" or "token", and the status that it got.
    """

    backend: str
    keys: dict[str, Key] = field(default_factory=dict)
    tokens: TokenServer = field(default_factory=TokenServer)
    passwords: dict[str, str] = field(default_factory=dict)
    license_key: str = ""
    query_key: str = ""
    ahead: float = 0.0
    down: set[str] = field(default_factory=set)
    refusing: list[Reply] = field(default_factory=list)
    seen: list[tuple[str, str, int]] = field(default_factory=list)
    port: int = 0

    def now(self) -> float:
        """The services' clock in Unix seconds."""
        return time.time() + self.ahead

    def statuses(self, host: str, what: str) -> list[int]:
        """The statuses that one kind of requests to a host got."""
        return [status for where, kind, status in self.seen if (where, kind) == (host, what)]

    def answer(self, host: str, request: Received) -> Reply:
        """Answer one request as the service of that name does."""
        what = "token" if host.startswith(("sts.", "oauth2.", "login.")) else _kind_of(request.path)
        reply = Reply(503, b"try later", "text/plain") if host in self.down else self._answer(host, request)
        self.seen.append((host, what, reply.status))
        return reply

    def _answer(self, host: str, request: Received) -> Reply:
        services: dict[str, Callable[[Received], Reply]] = {
            AMAZON: self._amazon,
            AMAZON_TOKENS: self._assume_role,
            AMAZON_MACHINES: self._ec2,
            GOOGLE_MACHINES: self._gce,
            GOOGLE: self._google,
            GOOGLE_TOKENS: self._google_token,
            AZURE_TOKENS: self._entra,
            AZURE_WRITES: lambda one: self._azure(one, "https://monitor.azure.com/"),
            AZURE_READS: lambda one: self._azure(one, "https://prometheus.monitor.azure.com"),
            GRAFANA: self._basic,
            MIMIR: self._mimir,
            NEW_RELIC_WRITES: self._new_relic_writes,
            NEW_RELIC_READS: self._new_relic_reads,
        }
        return services[host](request) if host in services else Reply(404)

    def _amazon(self, request: Received) -> Reply:
        try:
            verify(request, self.keys, REGION, "aps", self.now())
        except RefusedError as error:
            return _json(403, {"message": str(error)})
        return self._forward(request)

    def _assume_role(self, request: Received) -> Reply:
        """Hand a role's temporary key out: to whom the signature names."""
        try:
            verify(request, self.keys, REGION, "sts", self.now())
        except RefusedError as error:
            text = f"<ErrorResponse><Error><Code>{error.kind}</Code><Message>{error}</Message></Error></ErrorResponse>"
            return Reply(403, text.encode(), "text/xml")
        name, key = f"ASIA{len(self.keys):016d}", Key(f"role-secret-{len(self.keys)}", "role-token", self.now() + 3600)
        self.keys[name] = key
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(key.ends_at))
        role = dict(parse_qsl(request.body.decode()))["RoleArn"]
        text = (
            "<AssumeRoleResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><AssumeRoleResult><Credentials>"
            f"<AccessKeyId>{name}</AccessKeyId><SecretAccessKey>{key.secret}</SecretAccessKey>"
            f"<SessionToken>{key.token}</SessionToken><Expiration>{end}</Expiration></Credentials>"
            f"<AssumedRoleUser><Arn>{role}</Arn><AssumedRoleId>AROA:x</AssumedRoleId></AssumedRoleUser>"
            "</AssumeRoleResult></AssumeRoleResponse>"
        )
        return Reply(200, text.encode(), "text/xml")

    def _google(self, request: Received) -> Reply:
        scope = GOOGLE_WRITES if _kind_of(request.path) == "write" else GOOGLE_READS
        if self.tokens.holds(_bearer(request), scope, self.now()):
            return self._forward(request)
        said = "Request had invalid authentication credentials. Expected OAuth 2 access token."
        return _json(401, {"error": {"code": 401, "message": said, "status": "UNAUTHENTICATED"}})

    def _ec2(self, request: Received) -> Reply:
        """Machines, of which Amazon has left out those that the filter does not name."""
        try:
            verify(request, self.keys, REGION, "ec2", self.now())
        except RefusedError as error:
            said = f"<Code>{error.kind}</Code><Message>{error}</Message>"
            return Reply(403, f"<Response><Errors><Error>{said}</Error></Errors></Response>".encode(), "text/xml")
        action = dict(parse_qsl(request.body.decode()))["Action"]
        text = EC2_MACHINES if action == "DescribeInstances" else EC2_ZONES
        return Reply(200, text.encode(), "text/xml")

    def _gce(self, request: Received) -> Reply:
        if not self.tokens.holds(_bearer(request), GOOGLE_SEES, self.now()):
            return _json(401, {"error": {"code": 401, "message": "Invalid credentials", "status": "UNAUTHENTICATED"}})
        return _json(200, {"items": GCE_MACHINES if "/zones/europe-west3-a/" in request.path else []})

    def _google_token(self, request: Received) -> Reply:
        return self._token(lambda form: self.tokens.google(form, f"https://{GOOGLE_TOKENS}/token", self.now()), request)

    def _entra(self, request: Received) -> Reply:
        if request.path == "/common/discovery/instance":
            alias = {"preferred_network": AZURE_TOKENS, "preferred_cache": AZURE_TOKENS, "aliases": [AZURE_TOKENS]}
            issuer = f"https://{AZURE_TOKENS}/{TENANT}/v2.0/.well-known/openid-configuration"
            return _json(200, {"tenant_discovery_endpoint": issuer, "metadata": [alias]})
        if request.path.endswith("openid-configuration"):
            base = f"https://{AZURE_TOKENS}/{TENANT}"
            found = {"issuer": f"{base}/v2.0", "token_endpoint": f"{base}/oauth2/v2.0/token"}
            return _json(200, found | {"authorization_endpoint": f"{base}/oauth2/v2.0/authorize"})
        return self._token(lambda form: self.tokens.entra(form, self.now()), request)

    def _token(self, grant: Callable[[dict[str, str]], dict[str, Any]], request: Received) -> Reply:
        try:
            return _json(200, grant(dict(parse_qsl(request.body.decode()))))
        except OAuthError as error:
            status = 401 if error.error == "invalid_client" else 400
            return _json(status, {"error": error.error, "error_description": str(error)})

    def _azure(self, request: Received, audience: str) -> Reply:
        if self.tokens.holds(_bearer(request), audience, self.now()):
            return self._forward(request)
        return _json(401, {"error": {"code": "InvalidAuthenticationToken", "message": "The access token is invalid."}})

    def _basic(self, request: Received) -> Reply:
        pair = base64.b64decode(request.header("authorization").removeprefix("Basic ")).decode()
        user, _, password = pair.partition(":")
        if user in self.passwords and hmac.compare_digest(self.passwords[user], password):
            return self._forward(request)
        said = "authentication error: invalid token"
        return _json(401, {"status": "error", "errorType": "unauthorized", "error": said})

    def _mimir(self, request: Received) -> Reply:
        return self._basic(request) if request.header("x-scope-orgid") else Reply(401, b"no org id", "text/plain")

    def _new_relic_writes(self, request: Received) -> Reply:
        given = request.header("x-license-key") or _bearer(request)
        if self.license_key and hmac.compare_digest(given, self.license_key):
            return self._forward(request)
        return _json(403, {"message": "Missing or invalid license key."})

    def _new_relic_reads(self, request: Received) -> Reply:
        if self.query_key and hmac.compare_digest(request.header("x-query-key"), self.query_key):
            return self._forward(request)
        return _json(401, {"status": "error", "errorType": "unauthorized", "error": "The query key is not valid."})

    def _forward(self, request: Received) -> Reply:
        """Hand the request to Prometheus, whose API begins at /api/v1 whatever the service has before it."""
        if self.refusing and _kind_of(request.path) == "write":
            return self.refusing.pop(0)
        path = "/api/v1/write" if _kind_of(request.path) == "write" else request.path[request.path.index("/api/v1/") :]
        headers = {name: request.header(name.lower()) for name in _FORWARDED if request.header(name.lower())}
        url = f"{self.backend}{path}" + (f"?{request.query}" if path != "/api/v1/write" and request.query else "")
        got = httpx.request(
            request.method,
            url,
            content=request.body,
            headers=headers,
            timeout=30,
            trust_env=False,
            follow_redirects=False,
        )
        return Reply(got.status_code, got.content, got.headers.get("content-type", "text/plain"))


def _kind_of(path: str) -> str:
    return "write" if path.endswith(("/write", "/remote_write", "/push")) else "read"


def _bearer(request: Received) -> str:
    return request.header("authorization").removeprefix("Bearer ")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, clouds: Clouds, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.clouds, self.context = clouds, context

    def handle_error(self, *_: object) -> None:
        """A program that was ended leaves its connections."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    host = ""

    def do_CONNECT(self) -> None:
        """Open the tunnel, and be the other end of it."""
        self.host = self.path.partition(":")[0]
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        except (ssl.SSLError, OSError):
            self.close_connection = True
            return
        self.rfile = self.connection.makefile("rb")  # type: ignore[assignment]
        self.wfile = self.connection.makefile("wb", buffering=0)  # type: ignore[assignment]
        self.close_connection = False

    def do_POST(self) -> None:
        """Answer for the host that the tunnel leads to."""
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Received(self.command, parts.path, parts.query, self.headers.items(), body)
        reply = self.server.clouds.answer(self.host, request)
        content = reply.body
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        self.send_response_only(reply.status)
        self.send_header("Date", formatdate(self.server.clouds.now(), usegmt=True))
        self.send_header("Content-Type", reply.kind)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if reply.status != 204:
            self.wfile.write(content)

    do_GET = do_POST  # noqa: N815  # the name that http.server looks for

    def finish(self) -> None:
        """Close the tunnel's own socket too, which replaced the server's."""
        super().finish()
        self.connection.close()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for every host, and its key; the certificate is its own authority."""
    certificate, key = directory / "clouds.pem", directory / "clouds.key"
    names = ",".join(f"DNS:{host}" for host in HOSTS)
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=clouds", "-addext", f"subjectAltName={names}", "-days", "2"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def run_clouds(backend: str, directory: Path) -> Iterator[Clouds]:
    """Run the services while a test lasts; a generator for a fixture."""
    certificate, key = make_certificate(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    clouds = Clouds(backend)
    server = _Server(clouds, context)
    clouds.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield clouds
    server.shutdown()
    server.server_close()
    thread.join()
