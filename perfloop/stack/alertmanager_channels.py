"""Where each channel goes once its file is in `secrets/`: the parts of the effective alertmanager.yml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from perfloop.stack import alertmanager_secrets as files
from perfloop.stack.alertmanager_secrets import AlertmanagerConfigError, Secrets
from perfloop.stack.alertmanager_version import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Config = dict[str, Any]

_SLACK_POST = "https://slack.com/api/chat.postMessage"
_UPDATE_MESSAGE = Version(0, 32)
_PAGERDUTY_PATH = "/v2/enqueue"
_TITLE = '{{ template "perfloop.markdown.title" . }}'
_TEXT = '{{ template "perfloop.markdown.text" . }}'
_OPSGENIE: Config = {
    "send_resolved": True,
    "message": '{{ template "perfloop.title" . }}',
    "description": '{{ template "perfloop.plain" . }}',
    "source": '{{ template "perfloop.source" . }}',
    "entity": "{{ .CommonLabels.service }}",
    "priority": '{{ if eq .CommonLabels.severity "critical" }}P1{{ else }}P3{{ end }}',
    "update_alerts": True,
}


def switch(config: Config, secrets: Secrets, version: Version | None) -> None:
    """Send every channel whose file is there to its real service.

    Args:
        config: the configuration, which is changed.
        secrets: the files.
        version: of the Alertmanager that will read it; None where nobody knows.

    Raises:
        AlertmanagerConfigError: a channel has no receiver beside which it could stand.
    """
    for name, change in _CHANGES.items():
        if name in secrets.values:
            change(config, secrets)
    if files.SLACK_APP in secrets.values:
        _switch_slack_app(config, secrets, version)
    _add_channels(config, secrets)


def list_channels(config: Config, kind: str) -> Iterator[Config]:
    """Yield the channels of one kind, of every receiver."""
    for receiver in config["receivers"]:
        yield from receiver.get(kind) or []


def _http(secrets: Secrets) -> Config:
    """Return how services outside are reached; the inbox, in the same network, never by the proxy."""
    options: Config = {}
    if files.PROXY in secrets.values:
        options["proxy_url"] = secrets.values[files.PROXY]
    if files.AUTHORITIES in secrets.values:
        options["tls_config"] = {"ca_file": secrets.path(files.AUTHORITIES)}
    return {"http_config": options} if options else {}


def _switch_slack(config: Config, secrets: Secrets) -> None:
    for channel in list_channels(config, "slack_configs"):
        channel.pop("api_url", None)
        channel |= {"api_url_file": secrets.path(files.SLACK_WEBHOOK), **_http(secrets)}
        if files.SLACK_CHANNEL in secrets.values:
            channel["channel"] = secrets.values[files.SLACK_CHANNEL]


def _switch_slack_app(config: Config, secrets: Secrets, version: Version | None) -> None:
    """An app, unlike a webhook, can change a message that it sent.

    Its token is that of any HTTP service: before 0.35 `update_message` beside `app_token_file` ends Alertmanager.
    """
    http = _http(secrets).get("http_config", {})
    token = {"authorization": {"type": "Bearer", "credentials_file": secrets.path(files.SLACK_APP)}}
    for channel in list_channels(config, "slack_configs"):
        channel.pop("username", None)  # the app's own: another one needs a right that few apps have
        channel |= {
            "api_url": _SLACK_POST,
            "channel": secrets.values[files.SLACK_CHANNEL],
            "http_config": token | http,
        }
        if version is not None and version >= _UPDATE_MESSAGE:
            channel["update_message"] = True


def _switch_pagerduty(config: Config, secrets: Secrets) -> None:
    for channel in list_channels(config, "pagerduty_configs"):
        channel.pop("routing_key", None)
        channel.pop("url", None)  # the service of the USA is Alertmanager's own default
        channel |= {"routing_key_file": secrets.path(files.PAGERDUTY), **_http(secrets)}
        if files.PAGERDUTY_URL in secrets.values:
            url = secrets.values[files.PAGERDUTY_URL]
            whole = urlsplit(url).path.strip("/")
            channel["url"] = url if whole else url.rstrip("/") + _PAGERDUTY_PATH


def _switch_mail(config: Config, secrets: Secrets) -> None:
    """Mail goes to a server with TLS as it has it, and with a password where there is one."""
    values, tls = secrets.values, secrets.mail_tls
    config["global"] |= {
        "smtp_smarthost": values[files.MAIL_SERVER],
        "smtp_from": values[files.MAIL_FROM],
        # It stands for STARTTLS: before 0.26 a connection that began with TLS was refused for having none.
        "smtp_require_tls": tls == "starttls",
    }
    if files.MAIL_PASSWORD in values:
        config["global"]["smtp_auth_username"] = values[files.MAIL_USER]
        config["global"]["smtp_auth_password_file"] = secrets.path(files.MAIL_PASSWORD)
    for channel in list_channels(config, "email_configs"):
        channel["to"] = values[files.MAIL_TO]
        if tls == "implicit" and not secrets.is_implicit_by_port:
            channel["force_implicit_tls"] = True
        if files.AUTHORITIES in values and tls != "none":
            channel["tls_config"] = {"ca_file": secrets.path(files.AUTHORITIES)}


def _switch_heartbeat(config: Config, secrets: Secrets) -> None:
    """Send the heartbeat outside as well: the inbox dies with the machine that it watches."""
    for receiver in config["receivers"]:
        if receiver["name"] == "heartbeat":
            outside = {"url_file": secrets.path(files.HEARTBEAT), "send_resolved": False, **_http(secrets)}
            receiver["webhook_configs"] = [*receiver["webhook_configs"], outside]


def _add_channels(config: Config, secrets: Secrets) -> None:
    """Put further channels beside those of the same purpose: pagers beside PagerDuty, chats beside Slack."""
    opsgenie = {"api_key_file": secrets.path(files.OPSGENIE), **_OPSGENIE}
    if files.OPSGENIE_URL in secrets.values:
        opsgenie["api_url"] = secrets.values[files.OPSGENIE_URL]
    teams = {"webhook_url_file": secrets.path(files.TEAMS), "title": _TITLE, "text": _TEXT}
    discord = {"webhook_url_file": secrets.path(files.DISCORD), "title": _TITLE, "message": _TEXT}
    channels = (
        (files.OPSGENIE, "pagerduty_configs", "opsgenie_configs", opsgenie),
        (files.TEAMS, "slack_configs", "msteamsv2_configs", teams),
        (files.DISCORD, "slack_configs", "discord_configs", discord),
        (files.WEBHOOK, "slack_configs", "webhook_configs", {"url_file": secrets.path(files.WEBHOOK)}),
    )
    for name, beside, kind, channel in channels:
        if name not in secrets.values:
            continue
        receivers = [one for one in config["receivers"] if one.get(beside)]
        if not receivers:
            raise AlertmanagerConfigError(
                f"secrets/{name} has no receiver: alertmanager.yml has none with {beside}, beside which it would stand."
            )
        for receiver in receivers:
            receiver[kind] = [*(receiver.get(kind) or []), {"send_resolved": True, **channel, **_http(secrets)}]


_CHANGES: dict[str, Callable[[Config, Secrets], None]] = {
    files.SLACK_WEBHOOK: _switch_slack,
    files.PAGERDUTY: _switch_pagerduty,
    files.MAIL_SERVER: _switch_mail,
    files.HEARTBEAT: _switch_heartbeat,
}
