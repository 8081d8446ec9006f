"""What may lie in `secrets/`: the form of each file, which need each other, and which Alertmanager each one needs."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop.stack.alertmanager_version import OLDEST, Version
from perfloop.stack.errors import StackError
from perfloop_base.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SLACK_WEBHOOK = "slack_api_url"
SLACK_APP = "slack_app_token"
SLACK_CHANNEL = "slack_channel"
PAGERDUTY = "pagerduty_routing_key"
PAGERDUTY_URL = "pagerduty_url"
OPSGENIE = "opsgenie_api_key"
OPSGENIE_URL = "opsgenie_api_url"
TEAMS = "msteams_webhook_url"
DISCORD = "discord_webhook_url"
WEBHOOK = "webhook_url"
HEARTBEAT = "heartbeat_url"
MAIL_SERVER = "smtp_smarthost"
MAIL_PASSWORD = "smtp_auth_password"  # noqa: S105 - the name of a file
MAIL_USER = "smtp_auth_username"
MAIL_TLS = "smtp_tls"
MAIL_FROM = "smtp_from"
MAIL_TO = "email_to"
AUTHORITIES = "ca_certificates"
PROXY = "proxy_url"

_IMPLICIT_TLS_PORT = "465"
IMPLICIT_TLS_ON_ANY_PORT = Version(0, 31)
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_ADDRESS = r"https?://[^\s/]\S*"


class AlertmanagerConfigError(StackError, ConfigError):
    """The committed file or a file in `secrets/` cannot be used; one sentence for each problem."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class Form:
    """What a file must hold.

    Attributes:
        pattern: a regular expression of the whole content.
        rule: the same in words.
        since: the first Alertmanager that has what the file switches on.
    """

    pattern: str
    rule: str
    since: Version = OLDEST


FORMS: dict[str, Form] = {
    SLACK_WEBHOOK: Form(_ADDRESS, "the https:// address of a Slack incoming webhook"),
    # Before 0.26 Alertmanager took an error for a success: Slack answers an app with status 200 whatever happened.
    SLACK_APP: Form(r"xox[a-z]-\S+", "the token of a Slack app, which begins with xoxb-", Version(0, 26)),
    SLACK_CHANNEL: Form(r"#?[^\s#,]+", "one channel: #alerts, or its ID"),
    PAGERDUTY: Form(r"[A-Za-z0-9]{32}", "the 32 letters and digits of a PagerDuty Events v2 integration key"),
    PAGERDUTY_URL: Form(_ADDRESS, "an address such as https://events.eu.pagerduty.com/v2/enqueue"),
    OPSGENIE: Form(r"\S+", "the key of an Opsgenie API integration"),
    OPSGENIE_URL: Form(_ADDRESS, "an address such as https://api.eu.opsgenie.com/"),
    TEAMS: Form(_ADDRESS, "the https:// address of a Teams workflow that takes webhooks", Version(0, 28)),
    DISCORD: Form(_ADDRESS, "the https:// address of a Discord webhook", Version(0, 28)),
    WEBHOOK: Form(_ADDRESS, "an https:// address", Version(0, 26)),
    HEARTBEAT: Form(_ADDRESS, "the https:// address that an outside watch of heartbeats gave", Version(0, 26)),
    MAIL_PASSWORD: Form(r"[^\r\n]+", "one line: the password of the mail account"),
    MAIL_USER: Form(r"[^\r\n]+", "one line: the name of the mail account"),
    MAIL_SERVER: Form(r"(\[[0-9a-fA-F:]+\]|[^\s:]+):\d+", "host:port of the mail server"),
    MAIL_FROM: Form(r"[^\s@,]+@[^\s@,]+", "one e-mail address"),
    MAIL_TO: Form(r"[^\s@,]+@[^\s@,]+(, ?[^\s@,]+@[^\s@,]+)*", "e-mail addresses with commas between, on one line"),
    MAIL_TLS: Form(r"starttls|implicit|none", "starttls, implicit or none"),
    AUTHORITIES: Form(r"(?s).*-----BEGIN CERTIFICATE-----.*", "certificates in PEM"),
    # Alertmanager reads no part of a proxy's address from a file, and a password never stands in a configuration.
    PROXY: Form(r"(https?|socks5)://[^\s/@]+/?", "the address of a proxy, without user and password"),
}
# What the analyzer needs to send its reports where Slack and mail go (perfloop_analyzer/reports/delivery.py).
REPORTS = (
    *(SLACK_WEBHOOK, SLACK_APP, SLACK_CHANNEL, MAIL_SERVER, MAIL_FROM, MAIL_TO, MAIL_TLS, MAIL_USER, MAIL_PASSWORD),
    *(AUTHORITIES, PROXY),
)
_MAIL = (MAIL_PASSWORD, MAIL_USER, MAIL_SERVER, MAIL_FROM, MAIL_TO, MAIL_TLS)
# What must lie beside a file.
_NEEDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_MAIL, (MAIL_SERVER, MAIL_FROM, MAIL_TO)),
    MAIL_PASSWORD: (MAIL_SERVER, MAIL_USER, MAIL_FROM, MAIL_TO),
    MAIL_USER: (MAIL_SERVER, MAIL_PASSWORD, MAIL_FROM, MAIL_TO),
    SLACK_APP: (SLACK_CHANNEL,),
    PAGERDUTY_URL: (PAGERDUTY,),
    OPSGENIE_URL: (OPSGENIE,),
}
# The files any of which sends a channel to its real service.
SWITCHES: dict[str, tuple[str, ...]] = {
    "slack": (SLACK_WEBHOOK, SLACK_APP),
    "email": (MAIL_SERVER,),
    "pagerduty": (PAGERDUTY,),
    "heartbeat": (HEARTBEAT,),
    "opsgenie": (OPSGENIE,),
    "teams": (TEAMS,),
    "discord": (DISCORD,),
    "webhook": (WEBHOOK,),
}


@dataclass(frozen=True, slots=True)
class Secrets:
    """What lies in `secrets/`: the values that were checked, and where Alertmanager will read them."""

    values: Mapping[str, str]
    directory: Path

    def path(self, name: str) -> str:
        """Return the path that goes into a `*_file` option."""
        return str(self.directory / name)

    @property
    def mail_tls(self) -> str:
        """How the mail server is reached: `starttls`, `implicit` or `none`."""
        usual = "implicit" if self._mail_port == _IMPLICIT_TLS_PORT else "starttls"
        return self.values.get(MAIL_TLS, usual)

    @property
    def is_implicit_by_port(self) -> bool:
        """Whether Alertmanager begins with TLS by itself."""
        return self._mail_port == _IMPLICIT_TLS_PORT

    @property
    def is_mail_local(self) -> bool:
        """Whether the mail server is on this machine: Go sends a password without TLS to none but that."""
        return self.values.get(MAIL_SERVER, "").rpartition(":")[0] in _LOOPBACK

    @property
    def _mail_port(self) -> str:
        return self.values.get(MAIL_SERVER, "").rpartition(":")[2]


def is_outside(channel: str, directory: Path) -> bool:
    """Return whether a channel goes to its real service."""
    return any((directory / name).is_file() for name in SWITCHES[channel])


def read_secrets(directory: Path, *, seen_as: Path | None = None, version: Version | None = None) -> Secrets:
    """Read and check every secret present.

    Args:
        directory: `secrets/`.
        seen_as: the directory's path where Alertmanager runs, if it is another.
        version: of the Alertmanager that will read them; None where nobody knows.

    Raises:
        AlertmanagerConfigError: with a sentence for each file whose content cannot be right.
    """
    values: dict[str, str] = {}
    problems: list[str] = []
    for name, form in FORMS.items():
        path = directory / name
        if not path.is_file():
            continue
        values[name] = path.read_text(encoding="utf-8", errors="replace").strip()
        if not re.fullmatch(form.pattern, values[name]) or not _has_certificates(name, values[name]):
            # The value is a secret: the message says its length, never itself.
            problems.append(f"secrets/{name} holds {len(values[name])} characters that are not {form.rule}.")
    secrets = Secrets(values, seen_as or directory.resolve())
    problems += [*_find_missing(values), *_find_conflicts(secrets)]
    if version is not None:
        problems += _find_too_new(secrets, version)
    if problems:
        raise AlertmanagerConfigError(problems)
    return secrets


def _has_certificates(name: str, value: str) -> bool:
    if name != AUTHORITIES:
        return True
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=value)
    except (ssl.SSLError, ValueError):
        return False
    return "PRIVATE KEY-----" not in value


def _find_missing(values: Mapping[str, str]) -> Iterator[str]:
    named: set[str] = set()
    for name, needed in _NEEDS.items():
        for other in needed if name in values else ():
            if other not in values and other not in named:
                named.add(other)
                yield f"secrets/{other} is missing: with secrets/{name} it must be there."


def _find_conflicts(secrets: Secrets) -> Iterator[str]:
    if SLACK_WEBHOOK in secrets.values and SLACK_APP in secrets.values:
        yield f"secrets/{SLACK_WEBHOOK} and secrets/{SLACK_APP} are both there: Slack is reached by one of them."
    if secrets.mail_tls == "none" and MAIL_PASSWORD in secrets.values and not secrets.is_mail_local:
        yield f"secrets/{MAIL_TLS} is none, so secrets/{MAIL_PASSWORD} would cross the network in clear text."


def _find_too_new(secrets: Secrets, version: Version) -> Iterator[str]:
    for name in secrets.values:
        if version < FORMS[name].since:
            yield f"secrets/{name} needs Alertmanager {FORMS[name].since} or later: this one is {version}."
    implicit = secrets.mail_tls == "implicit" and not secrets.is_implicit_by_port
    if implicit and version < IMPLICIT_TLS_ON_ANY_PORT:
        yield (
            f"secrets/{MAIL_TLS} is implicit: on another port than {_IMPLICIT_TLS_PORT} this needs Alertmanager "
            f"{IMPLICIT_TLS_ON_ANY_PORT} or later, and this one is {version}."
        )
