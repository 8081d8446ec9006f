"""An inbox in this process, and one as a program of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest

from perfloop_inbox.app import build_app
from perfloop_inbox.inbox import Inbox
from tests.support.programs import Program, run_program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

ANY_PORT = "127.0.0.1:0"


@dataclass
class RunningInbox:
    """The program and where its mail server listens."""

    program: Program
    smtp_port: int

    @property
    def client(self) -> httpx.Client:
        """A client of the program's HTTP side."""
        return self.program.client


@pytest.fixture
def inbox() -> Inbox:
    """An empty inbox."""
    return Inbox()


@pytest.fixture
async def client(inbox: Inbox) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the empty inbox, without a network."""
    transport = httpx.ASGITransport(build_app(inbox))
    async with httpx.AsyncClient(transport=transport, base_url="http://inbox") as client:
        yield client


@pytest.fixture(scope="session")
def _running_inbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningInbox]:
    flags = [f"--web.listen-address={ANY_PORT}", f"--smtp.listen-address={ANY_PORT}"]
    with run_program("perfloop_inbox", flags, tmp_path_factory.mktemp("inbox")) as program:
        found = re.search(r'msg="listening for mail" address=127\.0\.0\.1:(\d+)', program.log)
        assert found
        yield RunningInbox(program, int(found[1]))


@pytest.fixture
def running_inbox(_running_inbox: RunningInbox) -> RunningInbox:
    """The real program, without messages and faults."""
    _running_inbox.client.delete("/api/messages").raise_for_status()
    _running_inbox.client.delete("/faults").raise_for_status()
    return _running_inbox
