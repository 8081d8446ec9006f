"""Mail, pagers and chats as companies have them: what each file of `secrets/` writes into the configuration."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from perfloop.stack.alertmanager_config import AlertmanagerConfigError, install, render
from perfloop.stack.alertmanager_secrets import FORMS, SWITCHES
from perfloop.stack.alertmanager_version import OLDEST, Version, parse_version, read_version
from tests.support.alerting_chain import binary

NEWEST = Version(0, 35)
KEY = "0123456789abcdef0123456789abcdef"
RELAY = {"smtp_smarthost": "relay.corp:25", "smtp_from": "perfloop@corp", "email_to": "oncall@corp"}
ACCOUNT = RELAY | {"smtp_auth_username": "perfloop", "smtp_auth_password": "pass word"}
CHATS = {
    "msteams_webhook_url": "https://teams.test/workflows/1",
    "discord_webhook_url": "https://discord.test/api/webhooks/1",
    "webhook_url": "https://hooks.test/1",
}


@pytest.fixture
def committed(checkout: Path) -> str:
    """The committed file."""
    return (checkout / "alertmanager" / "alertmanager.yml").read_text()


@pytest.fixture
def rendered(committed: str, tmp_path: Path) -> Any:
    """Render with some secrets for some version."""

    def render_with(files: dict[str, str], version: Version | None = NEWEST) -> Any:
        for name, value in files.items():
            (tmp_path / name).write_text(value + "\n")
        return yaml.safe_load(render(committed, tmp_path, {}, version=version))

    return render_with


def channels(config: Any, kind: str) -> list[dict[str, Any]]:
    """Return the channels of a kind, of every receiver."""
    return [channel for receiver in config["receivers"] for channel in receiver.get(kind) or []]


def test_a_relay_needs_neither_password_nor_tls(rendered: Any):
    """A server of the company's network takes mail from its machines."""
    shared = rendered(RELAY | {"smtp_tls": "none"})["global"]
    assert (shared["smtp_smarthost"], shared["smtp_require_tls"]) == ("relay.corp:25", False)
    assert not [name for name in shared if "auth" in name]


@pytest.mark.parametrize(
    ("files", "required", "forced"),
    [
        ({}, True, None),
        ({"smtp_tls": "starttls"}, True, None),
        ({"smtp_smarthost": "relay.corp:465"}, False, None),
        ({"smtp_smarthost": "relay.corp:8465", "smtp_tls": "implicit"}, False, True),
        ({"smtp_smarthost": "relay.corp:465", "smtp_tls": "starttls"}, True, None),
        ({"smtp_smarthost": "[2001:db8::1]:587"}, True, None),
    ],
)
def test_tls_is_what_the_server_has(rendered: Any, files: dict[str, str], required: object, forced: object):
    """`smtp_require_tls` stands for STARTTLS alone; on port 465 Alertmanager begins with TLS by itself."""
    config = rendered(ACCOUNT | files)
    assert config["global"]["smtp_require_tls"] is required
    assert [channel.get("force_implicit_tls") for channel in channels(config, "email_configs")] == [forced]


def test_another_pagerduty_and_opsgenie_by_their_addresses(rendered: Any):
    """The European services; PagerDuty's path is filled in."""
    config = rendered(
        {
            "pagerduty_routing_key": KEY,
            "pagerduty_url": "https://events.eu.pagerduty.com",
            "opsgenie_api_key": KEY,
            "opsgenie_api_url": "https://api.eu.opsgenie.com/",
        }
    )
    assert channels(config, "pagerduty_configs")[0]["url"] == "https://events.eu.pagerduty.com/v2/enqueue"
    assert channels(config, "opsgenie_configs")[0]["api_url"] == "https://api.eu.opsgenie.com/"


def test_a_channel_is_there_with_its_file_alone(rendered: Any, committed: str):
    """Without the file nothing is; with it, it is beside the channel of its kind, and nothing else changes."""
    kinds = ("opsgenie_configs", "msteamsv2_configs", "discord_configs")
    assert not any(kind in committed for kind in kinds)
    config = rendered({"opsgenie_api_key": KEY} | CHATS)
    by_name = {receiver["name"]: receiver for receiver in config["receivers"]}
    assert [kind for kind in kinds if kind in by_name["pagerduty"]] == ["opsgenie_configs"]
    assert [kind for kind in kinds if kind in by_name["slack"]] == ["msteamsv2_configs", "discord_configs"]
    assert [hook.get("url_file", "")[-11:] for hook in by_name["slack"]["webhook_configs"]] == ["", "webhook_url"]
    assert not any(kind in by_name["email"] for kind in kinds)


def test_the_proxy_is_for_what_is_outside(rendered: Any):
    """The inbox stands in the same network; the proxy could not reach it."""
    outside = {"slack_api_url": "https://hooks.slack.test/1", "heartbeat_url": "https://beats.test/1"} | CHATS
    config = rendered(outside | {"proxy_url": "http://proxy.corp:3128"})
    for channel in itertools.chain.from_iterable(
        channels(config, f"{kind}_configs") for kind in ("slack", "msteamsv2", "discord", "webhook", "pagerduty")
    ):
        inside = any("inbox" in str(channel.get(name)) for name in ("url", "api_url"))
        assert (channel.get("http_config") == {"proxy_url": "http://proxy.corp:3128"}) is not inside, channel


def test_slack_changes_its_message_where_the_version_can(rendered: Any):
    """A message that changes from 0.32 on."""
    files = {"slack_app_token": "xoxb-1-2", "slack_channel": "#ops"}
    (new,) = channels(rendered(files, Version(0, 32)), "slack_configs")
    (old,) = channels(rendered(files, Version(0, 30)), "slack_configs")
    assert (new["update_message"], new["channel"]) == (True, "#ops")
    assert "update_message" not in old
    assert "xoxb" not in str(new)


@pytest.mark.parametrize(
    ("files", "version", "sentence"),
    [
        ({"smtp_smarthost": "relay.corp:25"}, OLDEST, "secrets/smtp_from is missing: with secrets/smtp_smarthost it"),
        (ACCOUNT | {"smtp_tls": "none"}, OLDEST, "would cross the network in clear text"),
        (ACCOUNT | {"smtp_tls": "tls"}, OLDEST, "secrets/smtp_tls holds 3 characters that are not starttls, implicit"),
        (
            RELAY | {"smtp_auth_username": "x"},
            OLDEST,
            "secrets/smtp_auth_password is missing: with secrets/smtp_auth_username it must be there.",
        ),
        (
            RELAY | {"smtp_tls": "implicit"},
            Version(0, 30),
            "this needs Alertmanager 0.31 or later, and this one is 0.30",
        ),
        ({"pagerduty_url": "https://x.test"}, OLDEST, "secrets/pagerduty_routing_key is missing"),
        ({"slack_app_token": "xoxb-1"}, Version(0, 32), "secrets/slack_channel is missing"),
        (
            {"slack_app_token": "xoxb-1", "slack_channel": "a", "slack_api_url": "https://a.test"},
            Version(0, 32),
            "Slack is reached by one of them",
        ),
        ({"proxy_url": "http://me:pw@proxy:3128"}, OLDEST, "not the address of a proxy, without user and password"),
        ({"ca_certificates": "-----BEGIN CERTIFICATE-----\nx"}, OLDEST, "that are not certificates in PEM"),
        *[
            (
                {name: value},
                OLDEST,
                f"secrets/{name} needs Alertmanager {FORMS[name].since} or later: this one is 0.25.",
            )
            for name, value in CHATS.items()
        ],
    ],
)
def test_what_cannot_work_is_one_sentence(rendered: Any, files: dict[str, str], version: Version, sentence: str):
    """The file and the rule, never the value."""
    with pytest.raises(AlertmanagerConfigError) as caught:
        rendered(files, version)
    assert sentence in str(caught.value)
    assert "me:pw" not in str(caught.value)


def test_a_channel_without_a_place_is_one_sentence(committed: str, tmp_path: Path):
    """Where somebody removed Slack, a chat would be in no receiver and be notified nothing."""
    (tmp_path / "webhook_url").write_text("https://hooks.test/1")
    text = committed.replace("slack_configs:", "discord_configs:")
    with pytest.raises(AlertmanagerConfigError, match="secrets/webhook_url has no receiver"):
        render(text, tmp_path, {}, version=NEWEST)


@pytest.mark.parametrize("version", [None, Version(0, 32), Version(0, 33), Version(0, 34), NEWEST])
def test_the_event_recorder_is_used_where_it_is(rendered: Any, version: Version | None):
    """From 0.33 on; its outputs have names from 0.35 on, and are refused for one before."""
    recorder = rendered({}, version).get("event_recorder")
    if version is None or version < (0, 33):
        assert recorder is None
    else:
        (output,) = recorder["webhook_outputs"]
        assert output["url"] == "http://inbox:19130/events"
        assert ("name" in output) is (version >= (0, 35))


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("alertmanager, version 0.25.0 (branch: debian/sid)", (0, 25)),
        ("prom/alertmanager:v0.34.1@sha256:e9733bafb1bd", (0, 34)),
        ("0.28.1", (0, 28)),
        ("registry.corp:5000/prom/alertmanager:latest", None),
        ("", None),
    ],
)
def test_versions_as_they_are_written(text: str, version: tuple[int, int] | None):
    """By the program, by an image's name and by the API."""
    assert parse_version(text) == version


@pytest.mark.parametrize("without", [(), ("slack_api_url",)])
@pytest.mark.usefixtures("amtool")
def test_the_program_takes_all_of_it(checkout: Path, tmp_path: Path, without: tuple[str, ...]):
    """Every file that the installed version can use at once, with Slack as a webhook or as an app."""
    amtool = binary("amtool")
    version = read_version(Path(amtool)) or OLDEST
    certificate = _make_certificate(tmp_path)
    files = ACCOUNT | CHATS | {"opsgenie_api_key": KEY, "pagerduty_routing_key": KEY, "ca_certificates": certificate}
    files |= {"heartbeat_url": "https://a.test", "proxy_url": "http://proxy:3128", "slack_api_url": "https://a.test"}
    files |= {"slack_app_token": "xoxb-1", "slack_channel": "#a"} if without else {}
    (tmp_path / "secrets").mkdir()
    for name, value in files.items():
        if FORMS[name].since <= version and name not in without and not (without and version < (0, 26)):
            (tmp_path / "secrets" / name).write_text(value)
    install(checkout / "alertmanager", tmp_path / "out", tmp_path / "secrets", {}, version=version)
    done = subprocess.run(
        [amtool, "check-config", str(tmp_path / "out" / "alertmanager.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_own_certificates_are_trusted_beside_the_public_ones(checkout: Path, tmp_path: Path):
    """Alertmanager takes a file of certificates instead of the public ones: Slack must not become unreachable."""
    own = _make_certificate(tmp_path)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "ca_certificates").write_text(own)
    install(checkout / "alertmanager", tmp_path / "out", tmp_path / "secrets", {})
    written = (tmp_path / "out" / "secrets" / "ca_certificates").read_text()
    assert written.startswith(own.rstrip())
    assert written.count("BEGIN CERTIFICATE") > 50


def _make_certificate(directory: Path) -> str:
    key, certificate = directory / "key.pem", directory / "cert.pem"
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test")
    command = ["openssl", "req", "-x509", *kind, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate.read_text()


def test_every_channel_has_files_that_have_a_form():
    """A file that switches a channel is one that is read."""
    assert {name for names in SWITCHES.values() for name in names} <= set(FORMS)
