"""The SMTP server: aiosmtpd in the same event loop as the HTTP server."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiosmtpd.smtp import SMTP

from perfloop_inbox import mail
from perfloop_inbox.replies import Accepted, Refusal

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

    from aiosmtpd.smtp import Envelope, Session

    from perfloop_inbox.inbox import Inbox

# RFC 5321, 4.5.3.1.8: a server has to accept at least so many.
_MAX_RECIPIENTS = 100


class MailHandler:
    """The handlers that aiosmtpd calls at each command of a session."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name and signature
        self, server: SMTP, session: Session, envelope: Envelope, address: str, rcpt_options: list[str]
    ) -> str:
        """Accept a recipient that has a domain.

        A fault rejects here, not after the message: Alertmanager 0.25 ignores the reply to the end of a message, so a
        mail that is rejected there counts as delivered and is never sent again.
        """
        del server, session
        fault = self._inbox.faults.get("email")
        if fault:
            refusal = Refusal(fault, f"{fault // 100}.3.0 Mail system fault")
            self._inbox.deliver("email", refusal, 0)
            return f"{refusal.status} {refusal.body}"
        local, _, domain = address.rpartition("@")
        if not local or not domain:
            return "553 5.1.3 Recipient address must be local@domain"
        if len(envelope.rcpt_tos) >= _MAX_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(rcpt_options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Receive a message."""
        del server, session
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        reply: Accepted | Refusal = mail.receive(content, list(envelope.rcpt_tos))
        self._inbox.deliver("email", reply, len(content))
        return f"{reply.status} {reply.body}" if isinstance(reply, Refusal) else f"250 2.0.0 {reply.body}"


@asynccontextmanager
async def serve_mail(inbox: Inbox, listener: socket.socket) -> AsyncIterator[None]:
    """Accept mail for as long as the context lasts."""
    loop = asyncio.get_running_loop()

    def build_session() -> SMTP:
        """Return the session of one client."""
        return SMTP(
            MailHandler(inbox), hostname="inbox", ident="Perfloop inbox", data_size_limit=mail.MAX_BODY_BYTES, loop=loop
        )

    server = await loop.create_server(build_session, sock=listener)
    try:
        yield
    finally:
        server.close()
