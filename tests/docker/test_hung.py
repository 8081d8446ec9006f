"""A part that hangs: noticed from inside its own container, ended, restarted and counted; nothing else is ended."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.docker.running import Running

needs_engine = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("docker")]
# Seconds without an answer after which a part is ended, as docs/docker.md says; the checks come on top.
PATIENCE = 30
OWN = ("exporter", "inbox", "alertmanager", "prometheus", "analyzer")
CHECK_SECONDS = 30  # the longest time from a hang to its restart, less the patience
TO_PROGRAM = "kill -{signal} $(cat /proc/1/task/1/children)"


def _signal(stack: Running, name: str, signal: str, to: str = TO_PROGRAM) -> None:
    """Send a signal to the one child of a container's PID 1, which is Docker's init."""
    stack.compose("exec", "-T", name, "sh", "-c", to.format(signal=signal))


def _restarts(stack: Running) -> dict[str, int]:
    return {row.name: row.restarts for row in stack.docker.status()}


@pytest.mark.parametrize("name", ["docker-compose.yml", "docker-compose.ha.yml"])
def test_every_service_is_watched_by_the_one_script(checkout: Path, name: str):
    """Each service that stays has Docker's init and the same script; the user's services get five minutes."""
    main = yaml.safe_load((checkout / "docker-compose.yml").read_text(encoding="utf-8"))
    document = yaml.safe_load((checkout / name).read_text(encoding="utf-8"))
    staying = {
        key: one
        for key, one in document["services"].items()
        if "image" in one and one["restart"] != "no" and "profiles" not in one
    }
    assert staying
    for key, service in staying.items():
        command = service["healthcheck"]["test"]
        assert command[:5] == ["CMD", "sh", "-c", main["x-watch"], "watch"], key
        assert command[5] == ("300" if key in {"demo", "loadgen", "postgres", "redis"} else str(PATIENCE)), key
        assert len(command) == 8, "whether it is ready, and whether it answers at all"
        assert (service["init"], service["restart"]) == (True, "always"), key
        assert "stop_signal" in service, f"{key}: after `docker kill -s HUP` the engine would not restart it"
        check = {rule: service["healthcheck"][rule] for rule in main["x-check"]}
        assert check == main["x-check"], key


class TestOnTheEngine:
    """With the real engine."""

    pytestmark = needs_engine

    @pytest.mark.timeout(400)
    def test_parts_that_hang_come_back(self, stack: Running):
        """Each of our own parts is stopped: `status` counts a restart of each within the bound, of no other.

        The inbox has not a byte left in /tmp; of the exporter PID 1 is stopped from outside, and the program runs on.
        """
        stack.wait_healthy()
        before = _restarts(stack)
        stack.compose("exec", "-T", "inbox", "sh", "-c", "cat /dev/zero >/tmp/full 2>/dev/null; true")
        stack.engine.run("docker", "kill", "--signal=STOP", stack.container("exporter")["Id"])
        for name in set(OWN) - {"exporter"}:
            _signal(stack, name, "STOP")
        wait_for(
            lambda: all(count > before[name] for name, count in _restarts(stack).items() if name in OWN),
            f"a restart of {', '.join(OWN)}",
            PATIENCE + CHECK_SECONDS,
        )
        stack.wait_healthy()
        others = {name: count for name, count in _restarts(stack).items() if name not in OWN}
        assert others == {name: before[name] for name in others}, "only what hangs is ended"

    def test_another_signal_from_outside_does_not_end_the_restarts(self, stack: Running):
        """After `docker kill -s HUP` a container whose program dies is restarted as before."""
        stack.wait_healthy()
        before = _restarts(stack)
        stack.engine.run("docker", "kill", "--signal=HUP", stack.container("prometheus")["Id"])
        _signal(stack, "prometheus", "KILL")
        wait_for(lambda: _restarts(stack)["prometheus"] > before["prometheus"], "the restart of prometheus", 10)
        stack.wait_healthy()

    @pytest.mark.skipif(
        not os.environ.get("PERFLOOP_LONG_TESTS"), reason="takes six minutes: set PERFLOOP_LONG_TESTS=1 to run it"
    )
    @pytest.mark.timeout(700)
    def test_the_users_services_have_five_minutes(self, stack: Running):
        """The demo and its load are ended after five minutes without an answer, and not before four."""
        stack.wait_healthy()
        before, begun = _restarts(stack), time.monotonic()
        for name in ("demo", "loadgen", "postgres", "redis"):
            _signal(stack, name, "STOP")
        wait_for(lambda: _restarts(stack) != before, "the first restart", 400)
        assert time.monotonic() - begun > 240
        wait_for(
            lambda: all(_restarts(stack)[name] > before[name] for name in ("demo", "loadgen")), "both restarts", 120
        )
        stack.wait_healthy()
