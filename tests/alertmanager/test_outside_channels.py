"""The real Alertmanager sends to servers as companies have them: mail, pagers, chats, a proxy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from perfloop.stack.alertmanager_version import Version, read_version
from perfloop.stack.send_test import send_test
from tests.support.alerting_chain import Chain, binary, quicker, start_alertmanagers, start_inbox, wait_until
from tests.support.outside import Authority, mail_server, make_authority, web_service

CRITICAL = {
    "labels": {"alertname": "ApiErrorsHigh", "service": "api", "severity": "critical"},
    "annotations": {"summary": "Failed requests at 16 % <@here> [x](http://evil.test)", "dashboard": "/d/a?var=(1)"},
}
RELAY = {"smtp_from": "perfloop@corp.test", "email_to": "oncall@corp.test"}
ACCOUNT = RELAY | {"smtp_auth_username": "perfloop", "smtp_auth_password": "pass word"}


def require(version: Version) -> None:
    """Skip where the Alertmanager at hand is older."""
    mine = read_version(Path(binary("alertmanager")))
    if mine is None or mine < version:
        pytest.skip(f"NEEDS ALERTMANAGER {version}: THIS IS {mine}; PERFLOOP_TEST_BIN names another")


def start(chain: Chain, files: dict[str, str], *, first: bool = True) -> Path:
    """Start inbox and Alertmanager with these files in `secrets/`, and return their directory."""
    secrets = chain.directory / "secrets"
    secrets.mkdir(exist_ok=True)
    for name, value in files.items():
        (secrets / name).write_text(value + "\n")
    if first:
        start_inbox(chain)
    start_alertmanagers(chain, rewrite=quicker)
    return secrets


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A CA of our own, whom no program trusts by itself."""
    (tmp_path / "ca").mkdir()
    return make_authority(tmp_path / "ca", "slack.com")


def test_a_relay_without_tls_and_password(bare_chain: Chain):
    """As an internal relay on port 25 takes it."""
    with mail_server() as mails:
        start(bare_chain, RELAY | {"smtp_smarthost": f"127.0.0.1:{mails.port}", "smtp_tls": "none"})
        bare_chain.post_alerts(CRITICAL)
        wait_until(lambda: mails.taken, what="a mail")
    assert mails.taken[0].rcpt_tos == ["oncall@corp.test"]
    assert mails.sessions[0] == (False, False)


def test_starttls_with_an_account_and_an_own_ca(bare_chain: Chain, authority: Authority):
    """The server's certificate is of a CA that no program trusts by itself."""
    with mail_server(starttls=authority.server, account=("perfloop", "pass word")) as mails:
        own = {"ca_certificates": authority.certificate.read_text()}
        start(bare_chain, ACCOUNT | own | {"smtp_smarthost": f"127.0.0.1:{mails.port}"})
        bare_chain.post_alerts(CRITICAL)
        wait_until(lambda: mails.taken, what="a mail")
    assert mails.sessions[0] == (True, True)


def test_without_the_own_ca_no_mail_is_sent_and_the_test_says_so(bare_chain: Chain, authority: Authority):
    """A certificate that nobody vouches for is refused: TLS is not given up silently."""
    with mail_server(starttls=authority.server, account=("perfloop", "pass word")) as mails:
        secrets = start(bare_chain, ACCOUNT | {"smtp_smarthost": f"127.0.0.1:{mails.port}"})
        urls = {f"{name}_url": bare_chain.urls[name] for name in ("alertmanager", "inbox")}
        answers = {answer.channel: answer for answer in send_test(**urls, secrets_dir=secrets, patience_seconds=20)}
    assert not mails.taken
    assert not answers["email"].delivered
    assert "refused it or cannot be reached" in answers["email"].finding


def test_implicit_tls_on_any_port(bare_chain: Chain, authority: Authority):
    """A connection that begins with TLS, as on port 465."""
    require(Version(0, 31))
    with mail_server(implicit=authority.server, account=("perfloop", "pass word")) as mails:
        own = {"ca_certificates": authority.certificate.read_text(), "smtp_tls": "implicit"}
        start(bare_chain, ACCOUNT | own | {"smtp_smarthost": f"127.0.0.1:{mails.port}"})
        bare_chain.post_alerts(CRITICAL)
        wait_until(lambda: mails.taken, what="a mail")
    assert mails.sessions[0] == (True, True)


def test_pagerduty_and_opsgenie_by_their_own_addresses(bare_chain: Chain):
    """As their European services are; a warning goes to neither."""
    key = "0123456789abcdef0123456789abcdef"
    with web_service() as pagerduty, web_service() as opsgenie:
        files = {"pagerduty_routing_key": key, "pagerduty_url": pagerduty.url}
        start(bare_chain, files | {"opsgenie_api_key": "genie", "opsgenie_api_url": f"{opsgenie.url}/"})
        bare_chain.post_alerts(CRITICAL)
        (event,) = wait_until(lambda: pagerduty.bodies("/v2/enqueue"), what="an event")
        alert = wait_until(lambda: opsgenie.bodies("/v2/alerts"), what="an Opsgenie alert")[0]
    assert (event["routing_key"], event["event_action"]) == (key, "trigger")
    assert opsgenie.taken[0][1]["Authorization"] == "GenieKey genie"
    assert (alert["message"], alert["priority"]) == ("[FIRING:1] ApiErrorsHigh · api · critical", "P1")
    assert "Failed requests at 16 %" in alert["description"]


def test_teams_discord_and_a_webhook(bare_chain: Chain):
    """Each gets the alert by its one file, beside Slack, and obeys nothing of its texts; the test reports each."""
    require(Version(0, 28))
    with web_service() as service:
        paths = {
            "msteams_webhook_url": "teams",
            "discord_webhook_url": "discord",
            "webhook_url": "hook",
            "heartbeat_url": "beat",
        }
        secrets = start(bare_chain, {name: f"{service.url}/{path}" for name, path in paths.items()})
        bare_chain.post_alerts(CRITICAL)
        card = wait_until(lambda: service.bodies("/teams"), what="a card")[0]["attachments"][0]["content"]["body"]
        embed = wait_until(lambda: service.bodies("/discord"), what="a Discord message")[0]["embeds"][0]
        hook = wait_until(lambda: service.bodies("/hook"), what="a webhook")[0]
        urls = {f"{name}_url": bare_chain.urls[name] for name in ("alertmanager", "inbox")}
        answers = {answer.channel: answer for answer in send_test(**urls, secrets_dir=secrets, patience_seconds=20)}
    assert hook["commonLabels"]["alertname"] == "ApiErrorsHigh"
    for title, text in ((card[0]["text"], card[1]["text"]), (embed["title"], embed["description"])):
        assert title == "[FIRING:1] ApiErrorsHigh · api · critical"
        assert re.search(r"\*\*Failed requests at 16 % \S+here\S+ .x.\(http", text)
        assert not re.search(r"@|<|\[x\]", text)
        assert "/d/a?var=%281%29&from=" in text
        assert "[Silence](http://" in text
    assert {name: answer.delivered for name, answer in answers.items()} == dict.fromkeys(
        ("slack", "email", "pagerduty", "heartbeat", "teams", "discord", "webhook"), True
    )


def test_one_slack_message_changes(bare_chain: Chain, authority: Authority):
    """By an app, through the company's proxy, whose certificates are of its own CA."""
    require(Version(0, 32))
    said = {"ok": True, "channel": "C1", "ts": "1700000000.000100"}
    with web_service(answer=said, tunnel=authority.server) as slack:
        files = {"slack_app_token": "xoxb-1-2", "slack_channel": "#ops", "proxy_url": slack.url}
        start(bare_chain, files | {"ca_certificates": authority.certificate.read_text()})
        bare_chain.post_alerts(CRITICAL)
        (first,) = wait_until(lambda: slack.bodies("https://slack.com/api/chat.postMessage"), what="a message")
        bare_chain.post_alerts(CRITICAL | {"endsAt": "2020-01-01T00:00:00Z"})
        (changed,) = wait_until(lambda: slack.bodies("https://slack.com/api/chat.update"), what="its change")
    assert first["channel"] == "#ops"
    assert slack.taken[0][1]["Authorization"] == "Bearer xoxb-1-2"
    assert (changed["channel"], changed["ts"]) == ("C1", "1700000000.000100")
    assert changed["attachments"][0]["title"].startswith("[RESOLVED] ApiErrorsHigh")
    assert len(slack.bodies("https://slack.com/api/chat.postMessage")) == 1


def test_the_inbox_is_reached_without_the_proxy(bare_chain: Chain):
    """A proxy that is down stops what goes outside, not the inbox."""
    files: dict[str, Any] = {"proxy_url": "http://127.0.0.1:9"}
    start(bare_chain, files)
    bare_chain.post_alerts(CRITICAL)
    assert bare_chain.wait_message(channel="slack")["alertname"] == "ApiErrorsHigh"
