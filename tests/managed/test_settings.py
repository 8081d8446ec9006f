"""The flags of each authentication: what they read, and every rule that they can break, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfloop_analyzer.cli import build_parser
from perfloop_analyzer.config import RunConfig, SourceConfig
from perfloop_analyzer.errors import ConfigError
from perfloop_analyzer.prometheus_api import PrometheusSource
from perfloop_analyzer.source_auth import AuthConfig, region_of
from perfloop_base.flags import read_flags

AZURE = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST")
URL = "--prometheus.url=http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _no_clouds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*AZURE, "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))


def read(*flags: str) -> SourceConfig:
    """The settings of a command line."""
    return read_flags(RunConfig, build_parser().parse_args(["once", URL, *flags])).source


def refuse(*flags: str) -> tuple[str, ...]:
    """What is wrong with a command line, found before anybody is asked for anything."""
    with pytest.raises(ConfigError) as caught:
        PrometheusSource(read(*flags).located())
    return caught.value.problems


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--prometheus.auth=kerberos", "'kerberos' is not one of none, sigv4, google, azure, oauth2"),
        ("--prometheus.sigv4.region=Frankfurt", "'Frankfurt' is not a region: write one such as eu-central-1"),
        ("--prometheus.sigv4.role-arn=reader", "'reader' is not a role: write arn:aws:iam::ACCOUNT:role/NAME"),
        ("--prometheus.azure.tenant-id=a/b", "'a/b' is not an ID"),
        ("--prometheus.oauth2.token-url=idp", "'idp' is not a URL"),
        ("--prometheus.header-file=X-Query-Key", "'X-Query-Key' is not a header: write NAME: FILE"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_rule(flag: str, said: str) -> None:
    """Each flag checks its value by itself."""
    (problem,) = refuse(flag)
    assert problem.startswith(flag.partition("=")[0])
    assert said in problem


def test_every_problem_is_said_at_once(tmp_path: Path) -> None:
    """Rivals, strangers, what is missing and a file that is not there, in one go."""
    problems = refuse(
        "--prometheus.auth=oauth2",
        "--prometheus.username=reader",
        "--prometheus.sigv4.region=eu-central-1",
        f"--prometheus.oauth2.client-secret-file={tmp_path / 'absent'}",
    )
    assert problems == (
        "--prometheus.sigv4.region is given, but --prometheus.auth is oauth2: it needs --prometheus.auth=sigv4",
        "--prometheus.username and --prometheus.auth=oauth2 exclude each other: a request is authenticated in one way",
        "--prometheus.oauth2.token-url is required by --prometheus.auth=oauth2",
        "--prometheus.oauth2.client-id is required by --prometheus.auth=oauth2",
        f"{tmp_path / 'absent'}: the secret cannot be read: No such file or directory",
    )


@pytest.mark.parametrize("kind", ["password-file", "bearer-token-file", "header-file"])
@pytest.mark.parametrize("content", ["", "two\nlines", None])
def test_a_secret_file_that_cannot_be_used(kind: str, content: str | None, tmp_path: Path) -> None:
    """Empty, two lines, absent: one sentence that names the file and never its content."""
    path = tmp_path / "secret"
    if content is not None:
        path.write_text(content)
    value = f"X-Key: {path}" if kind == "header-file" else str(path)
    more = ["--prometheus.username=u"] if kind == "password-file" else []
    (problem,) = refuse(f"--prometheus.{kind}={value}", *more)
    assert problem.startswith(f"{path}: the secret ")
    assert "two" not in problem


def test_azure_needs_to_know_who_asks(tmp_path: Path) -> None:
    """A secret needs a directory and a client; both kinds of credential are one too many; the machine needs nothing."""
    secret, token = tmp_path / "secret", tmp_path / "token"
    secret.write_text("s3cret-value")
    token.write_text("workload-token")
    assert refuse("--prometheus.auth=azure", f"--prometheus.azure.client-secret-file={secret}") == (
        "--prometheus.azure.tenant-id, or AZURE_TENANT_ID, is required by a client secret",
        "--prometheus.azure.client-id, or AZURE_CLIENT_ID, is required by a client secret",
    )
    both = (f"--prometheus.azure.client-secret-file={secret}", f"--prometheus.azure.federated-token-file={token}")
    (problem,) = refuse("--prometheus.auth=azure", *both)
    assert "exclude each other" in problem
    PrometheusSource(read("--prometheus.auth=azure").located())


def test_azures_variables_are_read_as_its_own_tools_read_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What AKS's webhook sets is enough; a flag is stronger; the cloud of another country has another authority."""
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant-1")
    monkeypatch.setenv("AZURE_CLIENT_ID", "client-1")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://login.chinacloudapi.cn/")
    environ = {name: __import__("os").environ[name] for name in AZURE}
    found = AuthConfig(kind="azure", azure_client="client-2").located(environ)
    assert (found.authority, found.tenant, found.client) == ("https://login.chinacloudapi.cn", "tenant-1", "client-2")
    assert (found.token_file, found.secret_file) == (tmp_path / "token", None)
    assert AuthConfig(kind="azure", azure_secret_file=Path("s")).located(environ).token_file is None


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-1", "eu-central-1"),
        ("https://aps-workspaces.us-gov-west-1.amazonaws.com:443/workspaces/ws-1", "us-gov-west-1"),
        ("https://aps-workspaces.cn-north-1.amazonaws.com.cn/workspaces/ws-1", "cn-north-1"),
        ("https://aps-workspaces.eu-central-1.amazonaws.com.evil.example/workspaces/ws-1", ""),
        ("https://prometheus.example.com/eu-central-1.amazonaws.com", ""),
        ("http://127.0.0.1:9090", ""),
    ],
)
def test_the_region_is_the_urls(url: str, region: str) -> None:
    """Amazon's host names contain it; no other address does."""
    assert region_of(url) == region


def test_amazon_needs_a_region_and_files_that_are_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without one anywhere it is asked for; AWS's variable is enough."""
    pytest.importorskip("botocore", reason="pip install 'perfloop[aws]'")
    (problem,) = refuse("--prometheus.auth=sigv4")
    assert problem.startswith("--prometheus.sigv4.region is required")
    absent = f"--prometheus.sigv4.credentials-file={tmp_path / 'absent'}"
    (problem,) = refuse("--prometheus.auth=sigv4", "--prometheus.sigv4.region=eu-central-1", absent)
    assert problem == f"{tmp_path / 'absent'}: AWS's credentials cannot be read: there is no such file"
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    PrometheusSource(read("--prometheus.auth=sigv4").located())


@pytest.mark.parametrize(
    "content", ["", "{}", "[1]", '{"type": "service_account", "private_key": "-----BEGIN"}', "\x00"]
)
def test_googles_key_must_be_one(content: str, tmp_path: Path) -> None:
    """Another file is one sentence that shows nothing of it."""
    pytest.importorskip("google.auth", reason="pip install 'perfloop[google]'")
    path = tmp_path / "key.json"
    path.write_text(content)
    (problem,) = refuse("--prometheus.auth=google", f"--prometheus.google.credentials-file={path}")
    assert problem == f"{path} is not the key of a service account: write the JSON file that Google made for it"


@pytest.mark.parametrize(("kind", "library", "extra"), [("sigv4", "botocore", "aws"), ("google", "google", "google")])
def test_a_library_that_is_not_installed_is_named_with_its_extra(
    kind: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base installation has neither: one sentence says what to install."""
    import sys

    for name in [*sys.modules]:
        if name == library or name.startswith((f"{library}.", f"perfloop_analyzer.prometheus_api.credentials.{kind}")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("sys.meta_path", [_Missing(library), *sys.meta_path])
    (problem,) = refuse(f"--prometheus.auth={kind}")
    assert problem == (
        f"--prometheus.auth={kind}: {library} is not installed: `pip install 'perfloop[{extra}]'` installs it"
    )


class _Missing:
    """An import system in which one library is absent."""

    def __init__(self, library: str) -> None:
        self._library = library

    def find_spec(self, name: str, *_: object) -> None:
        """Say that it is absent."""
        if name.partition(".")[0] == self._library:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
