"""Real Prometheus servers and the analyzer, with the shipped examples, before the doubles of managed services."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from perfloop_analyzer.cli import build_parser
from perfloop_analyzer.config import RunConfig
from perfloop_base.flags import read_flags
from tests.support.clouds import TENANT, Clouds, run_clouds
from tests.support.free_ports import find_free_ports
from tests.support.sigv4_verifier import Key
from tests.support.tokens import EXCHANGE_AUDIENCE, make_key, pem, sign_jwt
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

MANAGED = Path(__file__).parents[2] / "examples" / "managed"
ACCESS_KEY = "AKIDEXAMPLE"
ACCOUNT = "perfloop@shop-production.iam.gserviceaccount.com"
CLIENT = "11111111-2222-4333-8444-555555555555"
ISSUER, SUBJECT = "https://cluster.example/", "system:serviceaccount:perfloop:analyzer"
ITSELF = "itself:80"  # in a configuration: the address of the Prometheus that reads it
_CLOUDS_OWN = ("AWS_", "GOOGLE_", "AZURE_", "CLOUDSDK_", "IDENTITY_", "MSI_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@dataclass
class Prometheus:
    """A running Prometheus: its URL and what it logs."""

    url: str
    log_path: Path

    @property
    def log(self) -> str:
        """Everything that it has written so far."""
        return self.log_path.read_text(errors="replace")

    def query(self, expression: str) -> float:
        """The value of an expression with one series; 0 where it has none."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=30, trust_env=False)
        found = answer.raise_for_status().json()["data"]["result"]
        return float(found[0]["value"][1]) if found else 0.0


def start_prometheus(
    binary: str, document: Mapping[str, Any], directory: Path, *flags: str, environment: Mapping[str, str] | None = None
) -> Iterator[Prometheus]:
    """Run a Prometheus with this configuration; a generator for a fixture or a context manager."""
    directory.mkdir(parents=True, exist_ok=True)
    (port,) = find_free_ports(1)
    config, log_path = directory / "prometheus.yml", directory / "log"
    config.write_text(yaml.safe_dump(document).replace(ITSELF, f"127.0.0.1:{port}"))
    command = [binary, f"--config.file={config}", f"--storage.tsdb.path={directory / 'tsdb'}", *flags]
    command.append(f"--web.listen-address=127.0.0.1:{port}")
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(environment or {})})
    started = Prometheus(f"http://127.0.0.1:{port}", log_path)

    def is_ready() -> bool:
        assert process.poll() is None, started.log
        try:
            return httpx.get(f"{started.url}/-/ready", timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False

    try:
        wait_for(is_ready, "Prometheus to be ready", 90)
        yield started
    finally:
        # It would wait a minute for a service that refuses what is left to send.
        process.kill()
        process.wait(30)


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory, prometheus_binary: str) -> Iterator[Prometheus]:
    """The Prometheus behind every managed service: it takes remote writes, and watches itself as the service shop."""
    own = {"job_name": "shop", "static_configs": [{"targets": [ITSELF], "labels": {"service": "shop"}}]}
    document = {"global": {"scrape_interval": "1s"}, "scrape_configs": [own]}
    directory = tmp_path_factory.mktemp("backend")
    yield from start_prometheus(prometheus_binary, document, directory, "--web.enable-remote-write-receiver")


@pytest.fixture
def clouds(backend: Prometheus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clouds]:
    """The services, and an environment in which this process and what it starts reach them by their real addresses."""
    for name in [*os.environ]:
        if name.startswith(_CLOUDS_OWN) or name.lower() in _PROXIES:
            monkeypatch.delenv(name)
    directory = tmp_path / "clouds"
    directory.mkdir()
    for running in run_clouds(backend.url, directory):
        certificate = str(directory / "clouds.pem")
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{running.port}")
        for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
            monkeypatch.setenv(name, certificate)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("HOME", str(tmp_path))
        yield running


@dataclass
class Secrets:
    """The files that the examples name, and what they must hold to be right.

    Attributes:
        clouds: The services that know them.
        directory: Where they are.
    """

    clouds: Clouds
    directory: Path
    google_key: RSAPrivateKey
    workload_key: RSAPrivateKey

    def environment(self) -> dict[str, str]:
        """The variables by which Prometheus finds what its configuration cannot name in a file."""
        return {
            "AWS_SHARED_CREDENTIALS_FILE": str(self.directory / "aws_credentials"),
            "AWS_REGION": "eu-central-1",
            "AZURE_TENANT_ID": TENANT,
        }

    def write(self, name: str, content: str, end: str = "\n") -> Path:
        """Write one file."""
        path = self.directory / name
        path.write_text(f"{content}{end}")
        path.chmod(0o600)
        return path

    def write_aws(self, access_key: str, secret: str, token: str = "") -> None:
        """Write the credentials file of Amazon's tools."""
        lines = ["[default]", f"aws_access_key_id = {access_key}", f"aws_secret_access_key = {secret}"]
        self.write("aws_credentials", "\n".join([*lines, *([f"aws_session_token = {token}"] if token else [])]))

    def write_google(self, key: RSAPrivateKey, account: str = ACCOUNT) -> None:
        """Write the key of a service account as Google makes it."""
        document = {
            "type": "service_account",
            "project_id": "shop-production",
            "private_key_id": "0123456789abcdef",
            "private_key": pem(key),
            "client_email": account,
            "client_id": "100",
            "token_uri": "https://oauth2.googleapis.com/token",
        }
        self.write("google_key.json", json.dumps(document))

    def write_workload(self, key: RSAPrivateKey, **changes: object) -> None:
        """Write the token with which a cluster vouches for its workload; any claim changed."""
        claims = {
            "iss": ISSUER,
            "sub": SUBJECT,
            "aud": EXCHANGE_AUDIENCE,
            "iat": time.time(),
            "exp": time.time() + 3600,
        }
        # Without a line's end, as the kubelet writes it: Azure's SDK sends the file as it is.
        self.write("azure_federated_token", sign_jwt(key, claims | changes), end="")


@pytest.fixture(scope="session")
def rsa_keys() -> tuple[RSAPrivateKey, RSAPrivateKey]:
    """Two keys: making one takes a moment."""
    return make_key(), make_key()


@pytest.fixture
def secrets(clouds: Clouds, tmp_path: Path, rsa_keys: tuple[RSAPrivateKey, RSAPrivateKey]) -> Secrets:
    """Every credential, right: known to the services, and in the files that the examples name."""
    (tmp_path / "secrets").mkdir()
    made = Secrets(clouds, tmp_path / "secrets", *rsa_keys)
    clouds.keys[ACCESS_KEY] = Key("wJalrXUtnFEMI/bPxRfiCYEXAMPLE")
    made.write_aws(ACCESS_KEY, clouds.keys[ACCESS_KEY].secret)
    clouds.tokens.accounts[ACCOUNT] = made.google_key.public_key()
    made.write_google(made.google_key)
    clouds.tokens.workloads[CLIENT] = (made.workload_key.public_key(), ISSUER, SUBJECT)
    made.write_workload(made.workload_key)
    clouds.tokens.secrets[CLIENT] = "entra~client.secret/+"
    made.write("azure_client_secret", clouds.tokens.secrets[CLIENT])
    clouds.passwords |= {"1234567": "grafana-cloud-token-1", "shop": "mimir-password-1"}
    made.write("grafana_cloud_token", clouds.passwords["1234567"])
    made.write("mimir_password", clouds.passwords["shop"])
    clouds.license_key, clouds.query_key = "license-key-0001", "query-key-0001"
    made.write("new_relic_license_key", clouds.license_key)
    made.write("new_relic_query_key", clouds.query_key)
    return made


def read_example(name: str, secrets: Path) -> str:
    """The text of an example with the directory of its secrets in place of /run/secrets."""
    return (MANAGED / name).read_text().replace("/run/secrets", str(secrets))


def reading(name: str, secrets: Secrets, *more: str) -> RunConfig:
    """The analyzer's settings by the flags of an example, as its command line reads them."""
    path = secrets.directory / f"{name}.flags"
    path.write_text(read_example(f"{name}.flags", secrets.directory))
    arguments = build_parser().parse_args(["once", f"@{path}", "--query.timeout=30s", *more])
    return read_flags(RunConfig, arguments)


def writing(name: str, secrets: Secrets) -> dict[str, Any]:
    """A whole prometheus.yml around an example: it scrapes itself, and reaches the services through the proxy."""
    document: dict[str, Any] = yaml.safe_load(read_example(f"{name}.yml", secrets.directory))
    proxy = f"http://127.0.0.1:{secrets.clouds.port}"
    for remote in document["remote_write"]:
        remote["proxy_url"] = proxy
        # So that a test need not wait for five seconds of samples.
        remote["queue_config"] = {**remote.get("queue_config", {}), "batch_send_deadline": "500ms", "max_shards": 1}
        if "oauth2" in remote:
            remote["oauth2"]["proxy_url"] = proxy
    own = {"job_name": "writer", "static_configs": [{"targets": [ITSELF], "labels": {"service": "writer"}}]}
    labels = {"via": name}
    return document | {"global": {"scrape_interval": "1s", "external_labels": labels}, "scrape_configs": [own]}
