"""From the committed alertmanager.yml to the effective one: addresses of this stack, channels by the secrets present.

A channel goes to the inbox until its secret is a file in `secrets/`; then it goes to the real service. Which files
those are stands in `SECRETS`. A secret's value is never written into the configuration: Alertmanager
reads the file itself, through its `*_file` options.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from perfloop.stack.errors import StackError
from perfloop.stack.render import rewrite_addresses
from perfloop_base.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

CONFIG = "alertmanager.yml"
LINKS = "links.tmpl"
GRAFANA = "grafana:3000"
INBOX = "inbox:19130"
# The inbox's own path (perfloop_inbox/alertmanager.py); programs meet on addresses only.
REPORTS_PATH = "/notifications"
# The heartbeat is a report already.
_NOT_REPORTED = ("heartbeat",)
# In the links of messages, which people open: outside of any container.
GRAFANA_AS_COMMITTED = "127.0.0.1:3000"
INBOX_AS_COMMITTED = "127.0.0.1:19130"
HEADER = f"# The effective configuration, written from alertmanager/{CONFIG} and the files in secrets/.\n"

# Each secret's file and the form that its content must have.
SECRETS: dict[str, tuple[str, str]] = {
    "slack_api_url": (r"https?://\S+", "the https:// address of a Slack incoming webhook"),
    "pagerduty_routing_key": (r"[A-Za-z0-9]{32}", "the 32 letters and digits of a PagerDuty Events v2 integration key"),
    "heartbeat_url": (r"https?://\S+", "the https:// address that an outside watch of heartbeats gave"),
    "smtp_auth_password": (r"[^\r\n]+", "one line: the password of the mail account"),
    "smtp_auth_username": (r"[^\r\n]+", "one line: the name of the mail account"),
    "smtp_smarthost": (r"[^\s:]+:\d+", "host:port of the mail server"),
    "smtp_from": (r"[^\s@,]+@[^\s@,]+", "one e-mail address"),
    "email_to": (r"[^\s@,]+@[^\s@,]+(, ?[^\s@,]+@[^\s@,]+)*", "e-mail addresses with commas between, on one line"),
}
# Alertmanager has no file option for these: they are no secrets, and stand in the effective file.
MAIL_SWITCH = "smtp_auth_password"
HEARTBEAT = "heartbeat_url"
MAIL_NEEDS = ("smtp_smarthost", "smtp_auth_username", "smtp_from", "email_to")


class AlertmanagerConfigError(StackError, ConfigError):
    """The committed file or a file in `secrets/` cannot be used; one sentence for each problem."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class Secrets:
    """What lies in `secrets/`: the values that were checked, and where Alertmanager will read them."""

    values: Mapping[str, str]
    directory: Path

    def path(self, name: str) -> str:
        """Return the path that goes into a `*_file` option."""
        return str(self.directory / name)


def read_secrets(directory: Path, *, seen_as: Path | None = None) -> Secrets:
    """Read and check every secret present; `seen_as` is the directory's path where Alertmanager runs.

    Raises:
        AlertmanagerConfigError: with a sentence for each file whose content cannot be right.
    """
    values: dict[str, str] = {}
    problems: list[str] = []
    for name, (form, rule) in SECRETS.items():
        path = directory / name
        if not path.is_file():
            continue
        values[name] = path.read_text(encoding="utf-8", errors="replace").strip()
        if not re.fullmatch(form, values[name]):
            # The value is a secret: the message says its length, never itself.
            problems.append(f"secrets/{name} holds {len(values[name])} characters that are not {rule}.")
    if MAIL_SWITCH in values:
        missing = [name for name in MAIL_NEEDS if name not in values]
        problems += [f"secrets/{name} is missing: with secrets/{MAIL_SWITCH} it must be there." for name in missing]
    if problems:
        raise AlertmanagerConfigError(problems)
    return Secrets(values, seen_as or directory.resolve())


def render(
    committed: str, secrets_dir: Path, addresses: Mapping[str, str], *, secrets_seen_as: Path | None = None
) -> str:
    """Return the effective configuration.

    Args:
        committed: the text of the committed alertmanager.yml.
        secrets_dir: the directory that may hold the files of `SECRETS`.
        addresses: what to write for each `host:port` of the committed file; empty leaves them.
        secrets_seen_as: the path of that directory where Alertmanager runs, if it is another.

    Raises:
        AlertmanagerConfigError: when the text is no configuration or a secret cannot be right.
    """
    secrets = read_secrets(secrets_dir, seen_as=secrets_seen_as)
    try:
        config = yaml.safe_load(committed)
    except yaml.YAMLError as error:
        raise AlertmanagerConfigError(
            f"alertmanager/{CONFIG} is not valid YAML: {' '.join(str(error).split())}."
        ) from error
    if not isinstance(config, dict) or not isinstance(config.get("receivers"), list):
        raise AlertmanagerConfigError(f"alertmanager/{CONFIG} has no list of receivers.")
    config = _readdress(config, addresses)
    for needed, switch in _SWITCHES.items():
        if needed in secrets.values:
            switch(config, secrets)
    _report_notifications(config, addresses)
    return HEADER + yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=118)


def _readdress(value: Any, addresses: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _readdress(item, addresses) for key, item in value.items()}
    if isinstance(value, list):
        return [_readdress(item, addresses) for item in value]
    return rewrite_addresses(value, addresses) if isinstance(value, str) and addresses else value


def _each(config: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [channel for receiver in config["receivers"] for channel in receiver.get(kind) or []]


def _switch_slack(config: dict[str, Any], secrets: Secrets) -> None:
    for channel in _each(config, "slack_configs"):
        channel.pop("api_url", None)
        channel["api_url_file"] = secrets.path("slack_api_url")


def _switch_pagerduty(config: dict[str, Any], secrets: Secrets) -> None:
    for channel in _each(config, "pagerduty_configs"):
        channel.pop("routing_key", None)
        channel.pop("url", None)  # the real service is Alertmanager's own default
        channel["routing_key_file"] = secrets.path("pagerduty_routing_key")


def _switch_mail(config: dict[str, Any], secrets: Secrets) -> None:
    config["global"] |= {
        "smtp_smarthost": secrets.values["smtp_smarthost"],
        "smtp_from": secrets.values["smtp_from"],
        "smtp_auth_username": secrets.values["smtp_auth_username"],
        "smtp_auth_password_file": secrets.path(MAIL_SWITCH),
        "smtp_require_tls": True,
    }
    for channel in _each(config, "email_configs"):
        channel["to"] = secrets.values["email_to"]


def _switch_heartbeat(config: dict[str, Any], secrets: Secrets) -> None:
    """Send the heartbeat outside as well: the inbox dies with the machine that it watches."""
    for receiver in config["receivers"]:
        if receiver["name"] == "heartbeat":
            outside = {"url_file": secrets.path(HEARTBEAT), "send_resolved": False}
            receiver["webhook_configs"] = [*receiver["webhook_configs"], outside]


def _report_notifications(config: dict[str, Any], addresses: Mapping[str, str]) -> None:
    """Let every receiver report to the inbox what it sent, one that a person added too.

    As one more channel of the same receiver it has the same groups, waits, inhibitions and silences.
    """
    report = {"url": f"http://{addresses.get(INBOX, INBOX)}{REPORTS_PATH}", "send_resolved": True}
    for receiver in config["receivers"]:
        hooks = receiver.get("webhook_configs") or []
        has_channels = any(kind.endswith("_configs") for kind in receiver)
        if has_channels and receiver["name"] not in _NOT_REPORTED and report not in hooks:
            receiver["webhook_configs"] = [*hooks, report]


_SWITCHES: dict[str, Callable[[dict[str, Any], Secrets], None]] = {
    "slack_api_url": _switch_slack,
    "pagerduty_routing_key": _switch_pagerduty,
    MAIL_SWITCH: _switch_mail,
    HEARTBEAT: _switch_heartbeat,
}


def install(
    source: Path, target: Path, secrets_dir: Path, addresses: Mapping[str, str], *, seen_as: Path | None = None
) -> None:
    """Write the effective directory: configuration, templates, and the secrets without the newline an editor adds.

    Alertmanager before 0.27 sends the newline at the end of a password file as part of the password.

    Args:
        source: the committed `alertmanager/`.
        target: the directory to write; made when it is missing.
        secrets_dir: the directory that may hold the files of `SECRETS`.
        addresses: what to write for each `host:port` of the committed files; that of Grafana, and the inbox's as it
            stands in links.tmpl, are for people.
        seen_as: the path of `target` where Alertmanager runs, if it is another.

    Raises:
        AlertmanagerConfigError: when the result could not work.
    """
    committed = (source / CONFIG).read_text(encoding="utf-8")
    effective = render(committed, secrets_dir, addresses, secrets_seen_as=(seen_as or target.resolve()) / "secrets")
    _write_secrets(target / "secrets", read_secrets(secrets_dir).values)
    (target / "templates").mkdir(parents=True, exist_ok=True)
    for template in sorted((source / "templates").glob("*.tmpl")):
        text = template.read_text(encoding="utf-8")
        if template.name == LINKS:
            text = text.replace(GRAFANA_AS_COMMITTED, addresses.get(GRAFANA, GRAFANA_AS_COMMITTED))
            own = addresses.get(INBOX, INBOX_AS_COMMITTED)
            text = text.replace(INBOX_AS_COMMITTED, addresses.get(INBOX_AS_COMMITTED, own))
        (target / "templates" / template.name).write_text(text, encoding="utf-8")
    (target / CONFIG).write_text(effective, encoding="utf-8")


def _write_secrets(directory: Path, values: Mapping[str, str]) -> None:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in SECRETS:
        (directory / name).unlink(missing_ok=True)
    for name, value in values.items():
        path = directory / name
        path.touch(mode=0o400)
        path.chmod(0o600)
        path.write_text(value, encoding="utf-8")
        path.chmod(0o400)
