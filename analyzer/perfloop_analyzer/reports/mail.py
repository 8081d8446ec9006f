"""Sends one letter over SMTP, with TLS as the mail account has it."""

from __future__ import annotations

import contextlib
import smtplib
import socket
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate
from typing import TYPE_CHECKING

from perfloop_analyzer.reports.letters import DeliveryError, Letter, short
from perfloop_base.visible import visible

if TYPE_CHECKING:
    import ssl

STEP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class MailAccount:
    """A mail server, who writes and who gets what is written.

    Attributes:
        tls: `starttls`, `implicit` (from the first byte) or `none`.
        context: What certificates are trusted; None without TLS.
        user, password: Of the account; empty for a relay that asks for none.
    """

    host: str
    port: int
    sender: str
    recipients: tuple[str, ...]
    tls: str = "none"
    context: ssl.SSLContext | None = None
    user: str = ""
    password: str = ""

    @property
    def shown(self) -> str:
        """The server, for messages."""
        return f"{self.host}:{self.port}"


class Connection:
    """A connection to a mail server, for one letter."""

    def __init__(self, account: MailAccount) -> None:
        self._account = account
        self._client: smtplib.SMTP | None = None
        self._is_over = False

    def send(self, letter: Letter) -> None:
        """Send a letter; when this returns, the server has taken it for one recipient at least.

        Raises:
            DeliveryError: It has not.
        """
        shown = self._account.shown
        try:
            message = compose(letter, self._account)
        except (ValueError, LookupError, AttributeError, TypeError) as error:  # what the headers' parser raises
            raise DeliveryError("email: smtp_from or email_to in secrets/ holds what is no e-mail address") from error
        try:
            self._send(message)
        except smtplib.SMTPResponseException as error:
            said = (
                error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
            )
            raise DeliveryError(f"email: {shown} answered {error.smtp_code}: {short(said)}") from error
        except smtplib.SMTPRecipientsRefused as error:
            codes = ", ".join(sorted({str(code) for code, _ in error.recipients.values()}))
            raise DeliveryError(f"email: {shown} refused every recipient with {codes}") from error
        except smtplib.SMTPNotSupportedError as error:
            raise DeliveryError(f"email: {shown} cannot do what secrets/ ask of it: {short(error)}") from error
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise DeliveryError(f"email: {shown} cannot be reached: {short(error)}") from error
        finally:
            self._client = None

    def _send(self, message: EmailMessage) -> None:
        account = self._account
        client = self._client = self._open()
        try:
            if account.tls == "starttls":
                client.starttls(context=account.context)
            if account.user and account.password:
                client.login(account.user, account.password)
            if self._is_over:
                raise DeliveryError(f"email: {account.shown} was too slow")
            client.send_message(message, account.sender, account.recipients)
            # It is taken: a farewell that fails must not send it again.
            with contextlib.suppress(smtplib.SMTPException, OSError):
                client.quit()
        finally:
            client.close()

    def hang_up(self) -> None:
        """Close the connection, whatever waits for it."""
        self._is_over = True
        client = self._client
        if client is not None and client.sock is not None:
            with contextlib.suppress(OSError):
                client.sock.shutdown(socket.SHUT_RDWR)

    def _open(self) -> smtplib.SMTP:
        account = self._account
        if account.tls == "implicit":
            return smtplib.SMTP_SSL(account.host, account.port, timeout=STEP_SECONDS, context=account.context)
        return smtplib.SMTP(account.host, account.port, timeout=STEP_SECONDS)


def compose(letter: Letter, account: MailAccount) -> EmailMessage:
    """Return the mail: text, HTML, and the whole report as a file."""
    message = EmailMessage()
    message["From"], message["To"] = account.sender, ", ".join(account.recipients)
    message["Subject"] = visible(letter.subject)
    message["Date"] = formatdate(localtime=False)
    # The same for a retry, so that a mail program shows one that came twice once.
    message["Message-ID"] = f"<{letter.identifier}@{account.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    message.add_alternative(letter.html, subtype="html")
    message.add_attachment(letter.attachment, subtype="html", filename=f"{letter.identifier}.html")
    return message
