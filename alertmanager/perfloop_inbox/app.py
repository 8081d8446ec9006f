"""The inbox's composition root: the only module that imports all the others."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastapi import FastAPI

from perfloop_base import answers, serving
from perfloop_base.addresses import bound_address, listen
from perfloop_inbox import api, channels
from perfloop_inbox.inbox import Inbox
from perfloop_inbox.smtp import serve_mail

if TYPE_CHECKING:
    from perfloop_base.addresses import Address

log = logging.getLogger(__name__)


def build_app(inbox: Inbox) -> FastAPI:
    """Return the HTTP side of an inbox."""
    app = FastAPI(title="Perfloop inbox", docs_url=None, redoc_url=None)
    app.state.inbox = inbox
    app.include_router(api.router)
    app.include_router(channels.router)
    answers.add_error_handlers(app)
    return app


async def run(web: Address, mail: Address) -> None:
    """Serve HTTP and SMTP until a stop signal."""
    inbox = Inbox()
    with (
        listen(web, "--web.listen-address") as web_listener,
        listen(mail, "--smtp.listen-address") as mail_listener,
    ):
        log.info("listening for mail", extra={"address": str(bound_address(mail_listener))})
        await serving.serve(build_app(inbox), web_listener, serve_mail(inbox, mail_listener))
