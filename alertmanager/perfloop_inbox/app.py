"""The inbox's composition root: the one module that knows all the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI

from perfloop_base import answers, serving
from perfloop_inbox import api, channels
from perfloop_inbox.inbox import Inbox
from perfloop_inbox.smtp import serve_mail

if TYPE_CHECKING:
    from perfloop_base.serving import Address


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
        serving.bind("--web.listen-address", web) as web_listener,
        serving.bind("--smtp.listen-address", mail) as mail_listener,
    ):
        serving.log.info("taking mail on %s", serving.bound_address(mail_listener))
        await serving.serve(build_app(inbox), web_listener, serve_mail(inbox, mail_listener))
