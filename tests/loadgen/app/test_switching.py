"""Commands that switch a service: real shells, a real server, bounds for everything."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_loadgen.app.switching import BASE, NEW, Commands, Health, Switch, run_command, wait_until_healthy
from perfloop_loadgen.errors import SwitchError
from tests.loadgen.conftest import HELLO, serving

if TYPE_CHECKING:
    from pathlib import Path

UNAVAILABLE = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
MISSING = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"
NOBODY = "http://127.0.0.1:9"


async def test_a_failure_is_the_code_and_the_last_words():
    """What a command wrote last is where its error is; the command itself may hold a secret."""
    with pytest.raises(
        SwitchError,
        match=r"^the command of B ended with 3: no such image$",
    ):
        await run_command(NEW, "echo one; echo no such image >&2; exit 3", 10)


async def test_a_command_that_hangs_is_ended_with_all_it_started(tmp_path: Path):
    """In time, and no child of it is left to write later."""
    began = time.monotonic()
    with pytest.raises(SwitchError, match=r"did not end within 300 ms$"):
        await run_command(NEW, f"(sleep 2; touch {tmp_path}/late) & sleep 60", 0.3)
    assert time.monotonic() - began < 2
    await asyncio.sleep(2.2)
    assert not (tmp_path / "late").exists()


async def test_what_a_command_leaves_in_the_background_is_not_waited_for():
    """A server that is started keeps its output open for ever, and goes on."""
    began = time.monotonic()
    await run_command(BASE, "sleep 3 &", 10)
    assert time.monotonic() - began < 2


async def test_a_service_is_waited_for():
    """It is asked again until it answers as a healthy one."""
    answers = [UNAVAILABLE, UNAVAILABLE, HELLO]

    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answers.pop(0))

    async with serving(answer) as service:
        await wait_until_healthy(BASE, service.url, Health("/health", 5))
    assert answers == []
    assert service.requests[0].startswith(b"GET /health ")


@pytest.mark.parametrize(
    ("answer", "path", "reason"),
    [
        (UNAVAILABLE, "", r"the answer was 503$"),
        (MISSING, "/health", r"the answer was 404$"),
    ],
)
async def test_a_service_that_does_not_come_up_is_one_sentence(answer: bytes, path: str, reason: str):
    """Within its bound, with the last answer."""
    async with serving(answer) as service:
        with pytest.raises(
            SwitchError, match=r"^B at http://127\.0\.0\.1:\d+/\w* was not healthy within 500 ms: " + reason
        ):
            await wait_until_healthy(NEW, service.url, Health(path, 0.5))


async def test_nobody_there_and_a_server_that_never_answers_are_bounded():
    """A refused connection, and one that is accepted in silence."""
    with pytest.raises(SwitchError, match=r"not healthy within 400 ms: ConnectError"):
        await wait_until_healthy(NEW, NOBODY, Health("", 0.4))

    async def silence(_: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    began = time.monotonic()
    async with serving(silence) as service:
        with pytest.raises(SwitchError, match=r"not healthy within 400 ms: "):
            await wait_until_healthy(NEW, service.url, Health("", 0.4))
    assert time.monotonic() - began < 3


async def test_a_page_that_is_missing_is_alive_where_no_path_is_named():
    """An API without a page at / is up all the same."""
    async with serving(MISSING) as service:
        await wait_until_healthy(BASE, service.url, Health("", 2))


async def test_what_was_applied_is_reverted(hello: Any, tmp_path: Path):
    """After B, whether it worked or not, the command of A runs once more; after A nothing is left to do."""
    log = tmp_path / "log"
    commands = Commands({BASE: f"echo A >> {log}", NEW: f"echo B >> {log}; test ! -e {tmp_path}/broken"}, 5)
    switch = Switch(commands, Health("", 2))
    await switch.to(BASE, hello.url)
    assert await switch.revert(hello.url) == ""
    assert log.read_text().split() == ["A"]
    (tmp_path / "broken").touch()
    with pytest.raises(SwitchError):
        await switch.to(NEW, hello.url)
    assert await switch.revert(hello.url) == ""
    assert log.read_text().split() == ["A", "B", "A"]


async def test_a_revert_that_fails_says_so(hello: Any):
    """It is the one thing that somebody must know."""
    switch = Switch(Commands({BASE: "exit 7", NEW: "true"}, 5), Health("", 2))
    await switch.to(NEW, hello.url)
    assert await switch.revert(hello.url) == "what was applied could not be reverted: the command of A ended with 7"
