"""The inbox's composition root: the only module that imports all the others."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import FastAPI

from perfloop_base import answers, serving
from perfloop_base.addresses import bound_address, listen
from perfloop_inbox import api, channels, silence_pages
from perfloop_inbox.inbox import Inbox
from perfloop_inbox.smtp import serve_mail
from perfloop_inbox.store import FILE, Store
from perfloop_inbox.watch import watching

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop_base.addresses import Address
    from perfloop_base.web.settings import Web

log = logging.getLogger(__name__)


def build_app(inbox: Inbox, alertmanagers: tuple[str, ...] = ()) -> FastAPI:
    """Return the HTTP side of an inbox; `alertmanagers` are those whose alerts and silences its pages show."""
    app = FastAPI(title="Perfloop inbox", docs_url=None, redoc_url=None)
    app.state.inbox = inbox
    app.state.manager = silence_pages.Manager(alertmanagers)
    app.include_router(api.router)
    app.include_router(channels.router)
    app.include_router(silence_pages.router)
    answers.add_error_handlers(app)
    return app


@dataclass(frozen=True, slots=True)
class Watched:
    """Whose alerts must reach the receivers, who sends them, and the seconds between two comparisons."""

    prometheus: str = ""
    alertmanagers: tuple[str, ...] = ()
    interval: float = 2.0


async def run(
    web: Address, mail: Address, protection: Web, *, watched: Watched | None = None, state: Path | None = None
) -> None:
    """Serve HTTP and SMTP until a stop signal.

    Args:
        web: address of the HTTP side.
        mail: address of the SMTP server.
        protection: TLS, users and allowed hosts.
        watched: the alerts to follow; none by default.
        state: directory of what a restart must find; memory alone by default.

    Raises:
        ConfigError: the web configuration file is invalid.
        ListenError: an address is taken.
    """
    watched = watched or Watched()
    with (
        closing(Store(state / FILE if state else None)) as store,
        listen(web, "--web.listen-address") as web_listener,
        listen(mail, "--smtp.listen-address") as mail_listener,
    ):
        inbox = Inbox(store=store)
        log.info("listening for mail", extra={"address": str(bound_address(mail_listener))})
        companions = (
            serve_mail(inbox, mail_listener),
            watching(inbox, watched.prometheus, watched.alertmanagers, watched.interval),
        )
        await serving.serve(build_app(inbox, watched.alertmanagers), web_listener, *companions, web=protection)
