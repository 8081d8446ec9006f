"""Two builds in turn: real runs against real servers, the order, the switch, and what is left behind."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_base.errors import ExitCode
from perfloop_loadgen.app.comparing import Options
from perfloop_loadgen.app.interleaving import Plan, ab
from perfloop_loadgen.app.switching import BASE, NEW, Commands, Health
from perfloop_loadgen.config import LoadTestConfig
from perfloop_loadgen.config.model import GeneratorLimits
from perfloop_loadgen.errors import SwitchError
from tests.loadgen.conftest import HELLO, serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfloop_loadgen.summary.verdict import Verdict

OPTIONS = Options(measures=("p50",))


def quick(url: str, seconds: float = 0.3) -> LoadTestConfig:
    """A test of a moment."""
    config = LoadTestConfig(base_url=url, duration_seconds=seconds, concurrent_users=2, endpoints=[{"path": "/"}])
    config.generator_limits = GeneratorLimits(cpu_ratio=99, event_loop_lag_seconds=99)
    return config


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that happens soon."""
    for _ in range(1500):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen within 30 s")


def delayed(seconds: dict[str, float]) -> Any:
    """An answer after a time that may change."""

    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds["now"])
        writer.write(HELLO)

    return answer


async def test_a_slower_build_is_found(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture):
    """Two addresses, many times the delay: worse, with its interval, and the order of the runs."""
    caplog.set_level(logging.INFO)
    async with serving(delayed({"now": 0.03})) as old, serving(delayed({"now": 0.5})) as new:
        code = await ab(quick(old.url), Plan((old.url, new.url), rounds=5, seed=3), OPTIONS)
    page = capsys.readouterr().out
    assert code is ExitCode.FAILED
    assert "### load test: worse: p50 of all +" in page
    order = page.partition("order of the runs: ")[2].split("\n")[0].split()
    assert sorted(map(sorted, order)) == [["A", "B"]] * 5
    assert len({*order}) == 2
    sides = [line.split()[4] for line in caplog.messages if line.startswith("run ")]
    assert "".join(sides) == "".join(order)


def test_the_order_is_random_and_repeatable():
    """Each block has both sides; the same seed gives the same blocks."""
    orders = [Plan(("a", "b"), rounds=20, seed=seed).order() for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert {frozenset(block) for block in orders[0]} == {frozenset({BASE, NEW})}
    assert len(set(orders[0])) == 2


async def test_one_address_is_switched_before_every_run_and_left_as_a(tmp_path: Path):
    """Commands that change what the service does: a real change is found, and the last command is that of A."""
    delay = {"now": 0.03}
    log = tmp_path / "log"

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        delay["now"] = 0.5 if log.read_text().split()[-1] == "B" else 0.03
        await delayed(delay)(request, writer)

    async with serving(answer) as service:
        commands = Commands({BASE: f"echo A >> {log}", NEW: f"echo B >> {log}"}, 10)
        code = await ab(quick(service.url), Plan((service.url,) * 2, rounds=5, seed=3, commands=commands), OPTIONS)
    applied = log.read_text().split()
    assert code is ExitCode.FAILED
    assert (applied.count("B"), applied[-1]) == (5, "A")


@pytest.mark.parametrize(
    ("command", "sentence"),
    [("exit 4", r"the command of B ended with 4"), ("sleep 60", r"did not end within 500 ms")],
)
async def test_a_switch_that_fails_or_hangs_is_reverted(hello: Any, tmp_path: Path, command: str, sentence: str):
    """One sentence, and A is applied again."""
    log = tmp_path / "log"
    commands = Commands({BASE: f"echo A >> {log}", NEW: command}, 0.5)
    with pytest.raises(SwitchError, match=sentence):
        await ab(quick(hello.url), Plan((hello.url,) * 2, seed=3, commands=commands), OPTIONS)
    assert log.read_text().split()[-1] == "A"


async def test_a_build_that_does_not_come_up_is_reverted(tmp_path: Path):
    """B is applied, but never healthy."""
    log = tmp_path / "log"

    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        broken = log.read_text().split()[-1] == "B"
        writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" if broken else HELLO)

    async with serving(answer) as service:
        commands = Commands({BASE: f"echo A >> {log}", NEW: f"echo B >> {log}"}, 5)
        plan = Plan((service.url,) * 2, seed=3, commands=commands, health=Health("", 0.5))
        with pytest.raises(SwitchError, match=r"^B at .* was not healthy within 500 ms: the answer was 500$"):
            await ab(quick(service.url), plan, OPTIONS)
    assert log.read_text().split()[-1] == "A"


@pytest.mark.parametrize("during", ["run", "command"])
async def test_a_signal_ends_it_with_the_service_as_it_was(hello: Any, tmp_path: Path, during: str):
    """SIGTERM while B is applied, or while its command runs: nothing is compared, and A is applied again."""
    log = tmp_path / "log"
    slow = "; sleep 30" if during == "command" else ""
    commands = Commands({BASE: f"echo A >> {log}", NEW: f"echo B >> {log}{slow}"}, 60)
    plan = Plan((hello.url,) * 2, rounds=5, seed=3, commands=commands)
    running = asyncio.ensure_future(ab(quick(hello.url, 5 if during == "run" else 0.2), plan, OPTIONS))
    await until(lambda: log.exists() and "B" in log.read_text())
    await asyncio.sleep(0.3)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, 20) is ExitCode.STOPPED
    assert log.read_text().split()[-1] == "A"


async def test_an_invalid_run_is_made_again(
    hello: Any, first_run_is_invalid: list[Verdict], capsys: pytest.CaptureFixture[str]
):
    """The block is whole all the same, and the result names the run that is left out."""
    assert await ab(quick(hello.url), Plan((hello.url,) * 2, rounds=1), OPTIONS) is ExitCode.UNDECIDED
    assert len(first_run_is_invalid) == 3
    page = capsys.readouterr().out
    assert "(1 against 1 runs)" in page
    assert "is left out: a neighbour kept the core busy" in page


async def test_runs_that_stay_invalid_make_it_invalid(hello: Any):
    """A generator at its limit measured itself."""
    config = quick(hello.url)
    config.generator_limits = GeneratorLimits(cpu_ratio=1e-9)
    assert await ab(config, Plan((hello.url,) * 2, rounds=1), OPTIONS) is ExitCode.INVALID
