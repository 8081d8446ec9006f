"""Credentials that are wrong, expired, revoked, or of a clock that is wrong; and token endpoints that do not answer.

Each is one sentence; nothing says that a watched service is ill; what was scraped stays in the local Prometheus.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from typing import TYPE_CHECKING

import pytest

from perfloop_analyzer.app import open_loop, run_once
from perfloop_analyzer.cli import build_parser
from perfloop_analyzer.config import RunConfig, SourceConfig
from perfloop_analyzer.errors import SourceError
from perfloop_analyzer.ports import Query
from perfloop_analyzer.prometheus_api import PrometheusSource
from perfloop_analyzer.series import Grid
from perfloop_base.flags import read_flags
from tests.managed.conftest import ACCESS_KEY, ACCOUNT, CLIENT, Prometheus, reading, start_prometheus, writing
from tests.managed.test_examples import WRITERS
from tests.support import clouds as names
from tests.support.prometheus_versions import find_newer
from tests.support.sigv4_verifier import Key
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.managed.conftest import Secrets

HOURS = 3600.0
QUESTIONS = [Query(f"up{number}", "up") for number in range(20)]


def _wrong_aws_secret(secrets: Secrets) -> None:
    secrets.write_aws(ACCESS_KEY, "another-secret-than-amazons")


def _expired_aws_session(secrets: Secrets) -> None:
    secrets.clouds.keys["ASIAEXPIRED"] = Key("session-secret-1", "session-token-1", time.time() - 60)
    secrets.write_aws("ASIAEXPIRED", "session-secret-1", "session-token-1")


def _no_aws_keys(secrets: Secrets) -> None:
    secrets.write("aws_credentials", "[default]")


def _another_google_key(secrets: Secrets) -> None:
    secrets.write_google(secrets.workload_key)


def _deleted_google_account(secrets: Secrets) -> None:
    del secrets.clouds.tokens.accounts[ACCOUNT]


def _late_clock(secrets: Secrets) -> None:
    secrets.clouds.ahead = 3 * HOURS


def _expired_workload(secrets: Secrets) -> None:
    secrets.write_workload(secrets.workload_key, iat=time.time() - 2 * HOURS, exp=time.time() - HOURS)


def _workload_of_another(secrets: Secrets) -> None:
    secrets.write_workload(secrets.workload_key, sub="system:serviceaccount:default:default")


def _wrong_entra_secret(secrets: Secrets) -> None:
    secrets.clouds.tokens.secrets[CLIENT] = "rotated-by-somebody"


def _unknown_application(secrets: Secrets) -> None:
    del secrets.clouds.tokens.secrets[CLIENT]


def _wrong_passwords(secrets: Secrets) -> None:
    secrets.write("grafana_cloud_token", "revoked-token-0001")
    secrets.write("mimir_password", "revoked-password-0001")
    secrets.write("new_relic_query_key", "revoked-query-key-0001")


REFUSED: list[tuple[str, Callable[[Secrets], None], str]] = [
    ("amazon", _wrong_aws_secret, "HTTP 403, The request signature we calculated does not match"),
    ("amazon", _expired_aws_session, "HTTP 403, The security token included in the request is expired"),
    ("amazon", _no_aws_keys, "there are no AWS credentials"),
    ("google", _another_google_key, "Google refuses the credential: invalid_grant: Invalid JWT Signature"),
    (
        "google",
        _deleted_google_account,
        "Google refuses the credential: invalid_grant: Invalid grant: account not found",
    ),
    ("google", _late_clock, "must be a short-lived token (60 minutes) and in a reasonable timeframe"),
    ("azure", _expired_workload, "refuses the credential: invalid_client: AADSTS700024"),
    ("azure", _workload_of_another, "refuses the credential: invalid_client: AADSTS70021"),
    ("azure-secret", _wrong_entra_secret, "refuses the credential: invalid_client: AADSTS7000215"),
    ("azure-secret", _unknown_application, "refuses the credential: unauthorized_client: AADSTS700016"),
    ("grafana-cloud", _wrong_passwords, "HTTP 401, unauthorized: authentication error: invalid token"),
    ("mimir", _wrong_passwords, "HTTP 401, unauthorized: authentication error: invalid token"),
    ("new-relic", _wrong_passwords, "HTTP 401, unauthorized: The query key is not valid"),
]


@pytest.mark.parametrize(
    ("name", "spoil", "said"), REFUSED, ids=[f"{name}{spoil.__name__}" for name, spoil, _ in REFUSED]
)
async def test_a_refused_credential_is_one_sentence(
    name: str, spoil: Callable[[Secrets], None], said: str, secrets: Secrets
) -> None:
    """The command fails with the service's own words; it asks a few times, not once for each query of the catalogue."""
    spoil(secrets)
    with pytest.raises(SourceError) as caught:
        await run_once(reading(name, secrets))
    sentence = str(caught.value)
    assert said in sentence
    assert "\n" not in sentence
    shown = [path.name for path in secrets.directory.iterdir() if path.read_text().strip() in sentence]
    assert shown == []
    assert len(secrets.clouds.seen) <= 20


async def test_a_refused_credential_says_nothing_about_a_service(backend: Prometheus, secrets: Secrets) -> None:
    """Revoked in the middle of a run: the last result stays, no service becomes unhealthy; given back, it goes on."""
    wait_for(lambda: backend.query('up{service="shop"}') == 1, "the service behind the double")
    async with open_loop(reading("amazon", secrets)) as (loop, _):
        before = await loop.cycle(time.time())
        assert before is not None
        key = secrets.clouds.keys.pop(ACCESS_KEY)
        assert await loop.cycle(time.time()) is None
        assert "The security token included in the request is invalid" in loop.published.error
        assert loop.published.result is before
        secrets.clouds.keys[ACCESS_KEY] = key
        after = await loop.cycle(time.time())
    assert after is not None
    assert [one.score for one in after.health] == [one.score for one in before.health]


async def test_a_clock_that_is_wrong_is_followed(secrets: Secrets) -> None:
    """Amazon refuses a signature that is three hours old: the next ones are signed by Amazon's clock."""
    secrets.clouds.ahead = 3 * HOURS
    async with PrometheusSource(reading("amazon", secrets).source.located()) as source:
        answers = await source.query(QUESTIONS, Grid(time.time() - 10, 5.0, 3))
        assert source.skew == pytest.approx(3 * HOURS, abs=60)
    assert answers.failures == {}
    assert 200 in secrets.clouds.statuses(names.AMAZON, "read")


async def test_keys_that_were_rotated_in_their_file_are_taken(secrets: Secrets) -> None:
    """The old key is refused, the file has a new one: no query fails."""
    grid = Grid(time.time() - 10, 5.0, 3)
    async with PrometheusSource(reading("amazon", secrets).source.located()) as source:
        assert (await source.query(QUESTIONS, grid)).failures == {}
        del secrets.clouds.keys[ACCESS_KEY]
        secrets.clouds.keys["AKIDROTATED"] = Key("the-new-secret-of-amazon")
        secrets.write_aws("AKIDROTATED", "the-new-secret-of-amazon")
        assert (await source.query(QUESTIONS, grid)).failures == {}


async def test_a_role_is_assumed(secrets: Secrets) -> None:
    """The keys of the file open the role, and the role's own keys sign; the role is had once."""
    role = "--prometheus.sigv4.role-arn=arn:aws:iam::111122223333:role/perfloop-reads"
    async with PrometheusSource(reading("amazon", secrets, role).source.located()) as source:
        assert (await source.query(QUESTIONS, Grid(time.time() - 10, 5.0, 3))).failures == {}
    assert secrets.clouds.statuses(names.AMAZON_TOKENS, "token") == [200]
    assert set(secrets.clouds.statuses(names.AMAZON, "read")) == {200}


@pytest.mark.parametrize("name", ["google", "azure", "azure-secret"])
async def test_a_token_is_renewed_before_its_end(name: str, secrets: Secrets) -> None:
    """With tokens of two seconds no request of five seconds is refused, and one token serves many requests."""
    secrets.clouds.tokens.lifetime = 2.0
    async with PrometheusSource(reading(name, secrets).source.located()) as source:
        end = time.monotonic() + 5
        while time.monotonic() < end:
            assert (await source.query(QUESTIONS, Grid(time.time() - 10, 5.0, 3))).failures == {}
            await asyncio.sleep(0.2)
    reads = [status for _, what, status in secrets.clouds.seen if what == "read"]
    assert set(reads) == {200}
    assert 2 <= secrets.clouds.tokens.asked < len(reads) / 4


@pytest.mark.parametrize("name", ["google", "azure"])
async def test_a_revoked_token_is_exchanged(name: str, secrets: Secrets, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service takes the token back: the next query has another one."""
    monkeypatch.setattr("perfloop_analyzer.prometheus_api.credentials.tokens.FRESH_SECONDS", 0.0)
    grid = Grid(time.time() - 10, 5.0, 3)
    async with PrometheusSource(reading(name, secrets).source.located()) as source:
        assert (await source.query(QUESTIONS, grid)).failures == {}
        secrets.clouds.tokens.issued.clear()
        assert (await source.query(QUESTIONS, grid)).failures == {}
    assert secrets.clouds.tokens.asked == 2


@pytest.mark.parametrize(("name", "host"), [("google", names.GOOGLE_TOKENS), ("azure", names.AZURE_TOKENS)])
async def test_a_token_endpoint_that_is_down(name: str, host: str, secrets: Secrets) -> None:
    """One sentence; nobody hammers it; while a token holds, nothing is noticed."""
    config = reading(name, secrets).source.located()
    grid = Grid(time.time() - 10, 5.0, 3)
    secrets.clouds.down.add(host)
    async with PrometheusSource(config) as source:
        failures = (await source.query(QUESTIONS, grid)).failures
    assert re.search(r"gives no token: .*(503|try later)", failures["up0"])
    assert len(secrets.clouds.statuses(host, "token")) <= 6
    secrets.clouds.down.clear()
    async with PrometheusSource(config) as source:
        assert (await source.query(QUESTIONS, grid)).failures == {}
        secrets.clouds.down.add(host)
        assert (await source.query(QUESTIONS, grid)).failures == {}


async def test_a_bearer_token_of_a_file_may_rotate(secrets: Secrets, tmp_path: Path) -> None:
    """As the kubelet does: the file is written again, and the next query has its content."""
    clouds, path = secrets.clouds, tmp_path / "token"
    form = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": clouds.tokens.secrets[CLIENT]}
    form["scope"] = "https://prometheus.monitor.azure.com/.default"
    path.write_text(clouds.tokens.entra(form, clouds.now())["access_token"])
    url = f"--prometheus.url=https://{names.AZURE_READS}"
    config = _flags(url, f"--prometheus.bearer-token-file={path}")
    grid = Grid(time.time() - 10, 5.0, 3)
    async with PrometheusSource(config) as source:
        assert (await source.query(QUESTIONS, grid)).failures == {}
        clouds.tokens.issued.clear()
        assert "HTTP 401" in (await source.query(QUESTIONS, grid)).failures["up0"]
        path.write_text(clouds.tokens.entra(form, clouds.now())["access_token"])
        assert (await source.query(QUESTIONS, grid)).failures == {}
        path.unlink()
        assert "the secret cannot be read" in (await source.query(QUESTIONS, grid)).failures["up0"]


def _flags(*flags: str) -> SourceConfig:
    return read_flags(RunConfig, build_parser().parse_args(["once", *flags])).source.located()


REFUSED_WRITES: list[tuple[str, str, Callable[[Secrets], None]]] = [
    ("amazon", names.AMAZON, _wrong_aws_secret),
    ("amazon", names.AMAZON, _expired_aws_session),
    ("amazon", names.AMAZON, _late_clock),
    ("azure-secret", names.AZURE_TOKENS, _wrong_entra_secret),
    ("grafana-cloud", names.GRAFANA, _wrong_passwords),
]


@pytest.mark.parametrize("case", REFUSED_WRITES, ids=[f"{name}{spoil.__name__}" for name, _, spoil in REFUSED_WRITES])
def test_what_is_refused_stays_in_the_local_prometheus(
    case: tuple[str, str, Callable[[Secrets], None]], prometheus_binary: str, secrets: Secrets, tmp_path: Path
) -> None:
    """Prometheus goes on scraping while its remote writes are refused, says why, and prints no secret."""
    name, host, spoil = case
    binary = find_newer("prometheus", prometheus_binary, WRITERS[name][1])
    spoil(secrets)
    started = contextlib.contextmanager(start_prometheus)
    with started(binary, writing(name, secrets), tmp_path / "writer", environment=secrets.environment()) as writer:
        wait_for(lambda: any(status >= 400 for where, _, status in secrets.clouds.seen if where == host), "a refusal")
        wait_for(lambda: re.search(r"component=remote.*(HTTP status 40|AADSTS)", writer.log), "a line about it")
        kept = writer.query('count_over_time(up{service="writer"}[1m])')
        wait_for(lambda: writer.query('count_over_time(up{service="writer"}[1m])') > kept, "more samples")
        shown = writer.log
    assert [path.name for path in secrets.directory.iterdir() if path.read_text().strip() in shown] == []
    assert not [status for where, what, status in secrets.clouds.seen if what == "write" and status < 300]


LIMITS = {
    "out of order": (400, "out of order sample"),
    "too old": (400, "err: out of bounds. The sample is older than 1h"),
    "too many labels": (400, "series has too many labels (actual: 71, limit: 70)"),
    "too many series": (429, "per-workspace active series limit of 2000000 exceeded"),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_workspace_that_refuses_a_sample(
    limit: str, prometheus_binary: str, backend: Prometheus, secrets: Secrets, tmp_path: Path
) -> None:
    """What it says is in Prometheus's log and counted; the next samples go on, and the local ones are all there."""
    status, said = LIMITS[limit]
    secrets.clouds.refusing += [names.Reply(status, said.encode(), "text/plain")]
    document = writing("grafana-cloud", secrets)
    document["global"]["external_labels"] = {"via": limit}
    started = contextlib.contextmanager(start_prometheus)
    with started(prometheus_binary, document, tmp_path / "writer") as writer:
        wait_for(lambda: backend.query(f'count_over_time(up{{via="{limit}"}}[1m])') >= 2, "the samples after it")
        assert said.split(" (")[0] in writer.log
        wait_for(lambda: writer.query("sum(prometheus_remote_storage_samples_failed_total)") > 0, "it to be counted")
        assert writer.query('count_over_time(up{service="writer"}[1m])') >= 2
    assert secrets.clouds.statuses(names.GRAFANA, "write")[0] == status


def test_a_token_endpoint_that_is_down_costs_no_sample(
    prometheus_binary: str, backend: Prometheus, secrets: Secrets, tmp_path: Path
) -> None:
    """Remote writes wait for it: every sample that was scraped meanwhile is at the other end afterwards."""
    secrets.clouds.down.add(names.AZURE_TOKENS)
    started = contextlib.contextmanager(start_prometheus)
    document = writing("azure-secret", secrets)
    document["global"]["external_labels"] = {"via": "after-an-outage"}
    with started(prometheus_binary, document, tmp_path / "writer") as writer:
        wait_for(lambda: writer.query('count_over_time(up{service="writer"}[1m])') >= 5, "five samples")
        assert backend.query('count_over_time(up{via="after-an-outage"}[1m])') == 0
        secrets.clouds.down.clear()
        wait_for(
            lambda: backend.query('count_over_time(up{via="after-an-outage"}[2m])') >= 5, "the five at the other end"
        )
        first = "timestamp(up{via='after-an-outage'})"
        theirs = backend.query(f"min_over_time({first}[2m:1s])")
        ours = writer.query('min_over_time(timestamp(up{service="writer"})[2m:1s])')
    assert theirs == pytest.approx(ours, abs=0.01)
