"""Sends a report by e-mail and to Slack: to the services that the files in secrets/ name, else to the local inbox.

The files are those that Alertmanager's channels are switched by, and are read at each delivery. No secret is in a
message, an error or a log.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from perfloop_analyzer.config import read_secret
from perfloop_analyzer.errors import ConfigError
from perfloop_analyzer.reports.letters import DeliveryError, Letter, short
from perfloop_analyzer.reports.mail import Connection, MailAccount
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from pathlib import Path

# The files of secrets/ that reports need; perfloop.stack knows their forms, and a test holds the names together.
SLACK_WEBHOOK, SLACK_APP, SLACK_CHANNEL = "slack_api_url", "slack_app_token", "slack_channel"
MAIL_SERVER, MAIL_FROM, MAIL_TO, MAIL_TLS = "smtp_smarthost", "smtp_from", "email_to", "smtp_tls"
MAIL_USER, MAIL_PASSWORD = "smtp_auth_username", "smtp_auth_password"  # pragma: allowlist secret
AUTHORITIES, PROXY = "ca_certificates", "proxy_url"
SECRET_FILES = (
    *(SLACK_WEBHOOK, SLACK_APP, SLACK_CHANNEL, MAIL_SERVER, MAIL_FROM, MAIL_TO, MAIL_TLS, MAIL_USER, MAIL_PASSWORD),
    *(AUTHORITIES, PROXY),
)
SLACK_POST = "https://slack.com/api/chat.postMessage"
INBOX_WEBHOOK = "/slack/services/T00000000/B00000000/perfloop"
INBOX_FROM, INBOX_TO = "perfloop@localhost", "oncall@localhost"
STEP_SECONDS, WHOLE_SECONDS = 15.0, 60.0
_IMPLICIT_TLS_PORT = 465
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SLACK_LINES = 20


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where reports may go.

    Attributes:
        secrets: The directory that may hold SECRET_FILES; None for none.
        inbox_url: The inbox, for Slack's messages without a secret; empty for none.
        inbox_mail: Its SMTP server as (host, port), for mail without a server; None for none.
    """

    secrets: Path | None = None
    inbox_url: str = ""
    inbox_mail: tuple[str, int] | None = None


class Courier:
    """Sends letters by the channels `email` and `slack`."""

    def __init__(self, destinations: Destinations) -> None:
        self._to = destinations

    async def send(self, channel: str, letter: Letter) -> None:
        """Send a letter; when this returns, the channel has taken it.

        Raises:
            DeliveryError: It has not, or nobody knows.
        """
        try:
            async with asyncio.timeout(WHOLE_SECONDS):
                await (self._mail(letter) if channel == "email" else self._slack(letter))
        except TimeoutError as error:
            raise DeliveryError(f"{channel}: there was no answer within {WHOLE_SECONDS:.0f} s") from error
        except ConfigError as error:
            raise DeliveryError(f"{channel}: {error}") from error

    def _read(self, name: str) -> str:
        """Return what a file of secrets/ holds; empty where it is not there."""
        path = self._to.secrets / name if self._to.secrets else None
        return read_secret(path) if path is not None and path.is_file() else ""

    def _tls(self) -> ssl.SSLContext:
        """Return what certificates are trusted: the public authorities, and those of secrets/."""
        context = ssl.create_default_context()
        path = self._to.secrets / AUTHORITIES if self._to.secrets else None
        if path is not None and path.is_file():
            try:
                context.load_verify_locations(cafile=str(path))
            except (OSError, ssl.SSLError) as error:
                raise ConfigError(f"{path} cannot be used: it must hold certificates in PEM") from error
        return context

    async def _mail(self, letter: Letter) -> None:
        connection = Connection(self._mail_account())
        work = asyncio.create_task(asyncio.to_thread(connection.send, letter))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            # The thread reads from a socket: without it, it ends. Nobody waits for what it says then.
            connection.hang_up()
            work.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise

    def _mail_account(self) -> MailAccount:
        server = self._read(MAIL_SERVER)
        if not server:
            if self._to.inbox_mail is None:
                raise ConfigError("secrets/smtp_smarthost is not there, and there is no inbox")
            host, port = self._to.inbox_mail
            return MailAccount(host, port, INBOX_FROM, (INBOX_TO,))
        host, _, port_text = server.rpartition(":")
        if not host or not port_text.isdecimal():
            raise ConfigError(f"secrets/{MAIL_SERVER} is not host:port of a mail server")
        port = int(port_text)
        tls = self._read(MAIL_TLS) or ("implicit" if port == _IMPLICIT_TLS_PORT else "starttls")
        account = (self._read(MAIL_USER), self._read(MAIL_PASSWORD))
        if tls == "none" and account[1] and host not in _LOOPBACK:
            raise ConfigError(
                f"secrets/{MAIL_TLS} is none, so secrets/{MAIL_PASSWORD} would cross the network readable"
            )
        if not (self._read(MAIL_FROM) and self._read(MAIL_TO)):
            raise ConfigError(f"secrets/{MAIL_FROM} and secrets/{MAIL_TO} must be there with secrets/{MAIL_SERVER}")
        recipients = tuple(one.strip() for one in self._read(MAIL_TO).split(","))
        context = None if tls == "none" else self._tls()
        return MailAccount(host.strip("[]"), port, self._read(MAIL_FROM), recipients, tls, context, *account)

    async def _slack(self, letter: Letter) -> None:
        url, body = self._read(SLACK_WEBHOOK), slack_message(letter)
        headers = {}
        options: dict[str, Any] = {"verify": self._tls(), "proxy": self._read(PROXY) or None}
        if not url and (token := self._read(SLACK_APP)):
            url, headers = SLACK_POST, {"Authorization": f"Bearer {token}"}
            body["channel"] = self._read(SLACK_CHANNEL)
        if not url:
            if not self._to.inbox_url:
                raise ConfigError("secrets/slack_api_url is not there, and there is no inbox")
            url, options = self._to.inbox_url.rstrip("/") + INBOX_WEBHOOK, {}
        try:
            async with httpx.AsyncClient(timeout=STEP_SECONDS, trust_env=False, **options) as client:
                answer = await client.post(url, json=body, headers=headers)
                _check_slack(answer)
        except (httpx.HTTPError, httpx.InvalidURL, ImportError, ValueError) as error:
            # What httpx says may hold the address, which is a secret.
            raise DeliveryError(f"slack: it cannot be reached: {_without(url, error)}") from error


def slack_message(letter: Letter) -> dict[str, Any]:
    """Return the message of a report: its headlines, and where the whole of it is."""
    lines = [f"*{_slack(letter.subject)}*", *(f"• {_slack(one)}" for one in letter.headlines[:_SLACK_LINES])]
    if letter.page:
        lines.append(f"<{letter.page}|Open the report>")
    return {"text": "\n".join(lines)}


def _slack(text: str) -> str:
    """Return a text with Slack's three control characters escaped."""
    return visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _check_slack(answer: httpx.Response) -> None:
    """Refuse an answer that says that the message was not taken; an app gets status 200 for that, too."""
    said = answer.text
    if answer.status_code != httpx.codes.OK:
        raise DeliveryError(f"slack: it answered {answer.status_code}: {short(said)}")
    if said.lstrip().startswith("{"):
        body = answer.json()
        if isinstance(body, dict) and body.get("ok") is False:
            raise DeliveryError(f"slack: it answered {short(body.get('error', 'no reason'))}")


def _without(url: str, error: Exception) -> str:
    words = str(error) or type(error).__name__
    return short(words.replace(url, "its address"))
