"""From the committed alertmanager.yml and the secrets present to the effective one."""

from __future__ import annotations

import stat
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from perfloop.stack.alertmanager_config import AlertmanagerConfigError, install, render

if TYPE_CHECKING:
    from pathlib import Path

SLACK = "https://hooks.slack.com/services/T0/B0/secretsecret"
KEY = "0123456789abcdef0123456789abcdef"
MAIL = {
    "smtp_auth_password": "pass word",
    "smtp_auth_username": "perfloop",
    "smtp_smarthost": "mail.example.com:587",
    "smtp_from": "perfloop@example.com",
    "email_to": "a@example.com, b@example.com",
}
ADDRESSES = {"inbox:19130": "127.0.0.1:29130", "inbox:19125": "127.0.0.1:29125", "grafana:3000": "127.0.0.1:23000"}


def put(directory: Path, secrets: dict[str, str], end: str = "\n") -> Path:
    """Write secrets as people do, with a newline at the end."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, value in secrets.items():
        (directory / name).write_text(value + end)
    return directory


def channel(text: str, receiver: str, kind: str) -> dict:
    """Return one channel of an effective configuration."""
    receivers = {one["name"]: one for one in yaml.safe_load(text)["receivers"]}
    return dict(receivers[receiver][kind][0])


@pytest.fixture
def committed(checkout: Path) -> str:
    """The committed file."""
    return (checkout / "alertmanager" / "alertmanager.yml").read_text()


def test_without_secrets_every_channel_goes_to_this_stacks_inbox(committed: str, tmp_path: Path):
    """Only the addresses change."""
    text = render(committed, tmp_path, ADDRESSES)
    assert channel(text, "slack", "slack_configs")["api_url"].startswith("http://127.0.0.1:29130/slack/services/")
    assert channel(text, "pagerduty", "pagerduty_configs")["url"] == "http://127.0.0.1:29130/v2/enqueue"
    assert yaml.safe_load(text)["global"]["smtp_smarthost"] == "127.0.0.1:29125"


def test_without_addresses_and_secrets_it_says_what_was_committed(committed: str, tmp_path: Path):
    """Compose's host names stay."""
    assert yaml.safe_load(render(committed, tmp_path, {})) == yaml.safe_load(committed)


def test_each_secret_switches_its_own_channel_alone(committed: str, tmp_path: Path):
    """Slack's file sends Slack to the real service; PagerDuty stays with the inbox."""
    text = render(committed, put(tmp_path, {"slack_api_url": SLACK}), ADDRESSES)
    slack = channel(text, "slack", "slack_configs")
    assert slack["api_url_file"] == str(tmp_path / "slack_api_url")
    assert "api_url" not in slack
    assert channel(text, "pagerduty", "pagerduty_configs")["url"] == "http://127.0.0.1:29130/v2/enqueue"


def test_the_pagers_key_sends_to_the_real_service(committed: str, tmp_path: Path):
    """No address of the inbox is left in the channel."""
    pager = channel(
        render(committed, put(tmp_path, {"pagerduty_routing_key": KEY}), {}), "pagerduty", "pagerduty_configs"
    )
    assert pager["routing_key_file"] == str(tmp_path / "pagerduty_routing_key")
    assert not {"url", "routing_key"} & set(pager)


def test_mail_goes_to_the_real_server_with_tls(committed: str, tmp_path: Path):
    """What is no secret stands in the file, the password does not."""
    text = render(committed, put(tmp_path, MAIL), ADDRESSES)
    shared = yaml.safe_load(text)["global"]
    assert shared["smtp_smarthost"] == "mail.example.com:587"
    assert shared["smtp_auth_password_file"] == str(tmp_path / "smtp_auth_password")
    assert shared["smtp_require_tls"] is True
    assert channel(text, "email", "email_configs")["to"] == "a@example.com, b@example.com"
    assert "pass word" not in text


def test_the_heartbeat_goes_outside_as_well(committed: str, tmp_path: Path):
    """The inbox, whose silence raises an alert, still receives it."""
    text = render(committed, put(tmp_path, {"heartbeat_url": "https://hc-ping.com/1234"}), {})
    (receiver,) = (one for one in yaml.safe_load(text)["receivers"] if one["name"] == "heartbeat")
    inside, outside = receiver["webhook_configs"]
    assert inside["url"] == "http://inbox:19130/heartbeat"
    assert outside == {"url_file": str(tmp_path / "heartbeat_url"), "send_resolved": False}
    assert "1234" not in text


def test_no_value_of_a_secret_is_ever_written_into_the_configuration(committed: str, tmp_path: Path):
    """Only names of files are."""
    secrets = {"slack_api_url": SLACK, "pagerduty_routing_key": KEY} | MAIL
    text = render(committed, put(tmp_path, secrets), ADDRESSES)
    assert not any(secrets[name] in text for name in ("slack_api_url", "pagerduty_routing_key", "smtp_auth_password"))


@pytest.mark.parametrize(
    ("secrets", "sentence"),
    [
        ({"slack_api_url": ""}, "secrets/slack_api_url holds 0 characters that are not the https:// address"),
        ({"slack_api_url": "token"}, "secrets/slack_api_url holds 5 characters that are not the https:// address"),
        ({"pagerduty_routing_key": "short"}, "secrets/pagerduty_routing_key holds 5 characters that are not the 32"),
        ({"heartbeat_url": "1234"}, "secrets/heartbeat_url holds 4 characters that are not the https:// address"),
        (MAIL | {"email_to": "a@example.com\nbcc: b@example.com"}, "secrets/email_to holds 32 characters that are not"),
        (MAIL | {"smtp_smarthost": "mail"}, "secrets/smtp_smarthost holds 4 characters that are not host:port"),
        ({"smtp_auth_password": "x"}, "secrets/email_to is missing: with secrets/smtp_auth_password it must be there."),
    ],
)
def test_a_secret_that_cannot_be_right_is_named_without_being_shown(
    committed: str, tmp_path: Path, secrets: dict[str, str], sentence: str
):
    """The file and the rule, never the value."""
    with pytest.raises(AlertmanagerConfigError) as caught:
        render(committed, put(tmp_path, secrets), {})
    assert sentence in str(caught.value)
    assert "token" not in str(caught.value)


@pytest.mark.parametrize("text", ["a: [", "just words", "route: {}"])
def test_a_file_that_is_no_configuration_is_one_sentence(tmp_path: Path, text: str):
    """The file's name stands in it."""
    with pytest.raises(AlertmanagerConfigError, match=r"alertmanager/alertmanager.yml "):
        render(text, tmp_path, {})


def test_addresses_are_replaced_whole(tmp_path: Path):
    """Neither a longer port nor a longer name is touched."""
    text = "global: {a: 'inbox:191301', b: 'myinbox:19130', c: 'http://inbox:19130/x'}\nreceivers: []\n"
    assert yaml.safe_load(render(text, tmp_path, ADDRESSES))["global"] == {
        "a": "inbox:191301",
        "b": "myinbox:19130",
        "c": "http://127.0.0.1:29130/x",
    }


def test_the_effective_directory_holds_templates_links_and_stripped_secrets(checkout: Path, tmp_path: Path):
    """What Alertmanager needs lies together; the newline an editor added is gone, and only the owner may read."""
    secrets = put(tmp_path / "secrets", {"slack_api_url": SLACK})
    install(checkout / "alertmanager", tmp_path / "out", secrets, ADDRESSES)
    assert "http://127.0.0.1:23000" in (tmp_path / "out" / "templates" / "links.tmpl").read_text()
    copied = tmp_path / "out" / "secrets" / "slack_api_url"
    assert copied.read_text() == SLACK
    assert stat.S_IMODE(copied.stat().st_mode) == 0o400
    assert str(copied) in (tmp_path / "out" / "alertmanager.yml").read_text()


def test_a_secret_that_is_taken_away_sends_the_channel_back_to_the_inbox(checkout: Path, tmp_path: Path):
    """No copy of it stays behind."""
    secrets = put(tmp_path / "secrets", {"slack_api_url": SLACK})
    install(checkout / "alertmanager", tmp_path / "out", secrets, ADDRESSES)
    (secrets / "slack_api_url").unlink()
    install(checkout / "alertmanager", tmp_path / "out", secrets, ADDRESSES)
    assert not (tmp_path / "out" / "secrets" / "slack_api_url").exists()
    assert "api_url_file" not in (tmp_path / "out" / "alertmanager.yml").read_text()


@pytest.mark.parametrize("secrets", [{}, {"slack_api_url": SLACK, "pagerduty_routing_key": KEY} | MAIL])
def test_alertmanager_takes_the_effective_configuration(
    checkout: Path, tmp_path: Path, amtool: str, secrets: dict[str, str]
):
    """With no secret and with all of them, `amtool check-config` is content."""
    install(checkout / "alertmanager", tmp_path / "out", put(tmp_path / "secrets", secrets), ADDRESSES)
    done = subprocess.run(
        [amtool, "check-config", str(tmp_path / "out" / "alertmanager.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
