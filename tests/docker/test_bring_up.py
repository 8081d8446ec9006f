"""How `perfloop up --docker` waits: what is worth another try, what ends a start, and what is only a warning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from perfloop.stack import docker
from perfloop.stack.docker import COMPONENTS, OPTIONAL, SECOND, DockerStack
from perfloop.stack.errors import DockerError, UnhealthyError
from perfloop.stack.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WANTED = [name for name in COMPONENTS if name != SECOND]
OWN = [name for name in WANTED if name not in OPTIONAL]


class ScriptedEngine:
    """An engine whose containers become healthy once Compose has started them, but for those that `ill` names."""

    def __init__(
        self, ill: dict[str, dict[str, Any]], refuse: Callable[[int, tuple[str, ...]], str] | None = None
    ) -> None:
        self.ill, self.refuse = ill, refuse or (lambda *_: "")
        self.started: set[str] = set()
        self.ran: list[tuple[str, ...]] = []
        self.calls = 0

    def compose(self, *words: str, timeout: float | None = None) -> str:
        """Start what is named, or refuse."""
        self.calls += 1
        refusal = self.refuse(self.calls, words)
        if refusal:
            raise DockerError(f"Compose could not up: {refusal}")
        self.started |= {*words} & {*WANTED}
        return ""

    def containers(self) -> list[dict[str, Any]]:
        """What was started."""
        healthy = {"State": {"Status": "running", "Health": {"Status": "healthy"}}, "RestartCount": 0}
        return [
            {
                **healthy,
                **self.ill.get(name, {}),
                "Id": name,
                "Config": {"Labels": {"com.docker.compose.service": name}},
            }
            for name in sorted(self.started)
        ]

    def run(self, *command: str, timeout: float | None = None) -> Any:
        """Remember what else was asked of the engine."""
        self.ran.append(command)
        return type("Done", (), {"stderr": "", "stdout": "its last words"})


@pytest.fixture
def start(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[ScriptedEngine, float], list[str]]:
    """Start everything on a scripted engine, and return what was said."""
    monkeypatch.setattr(docker, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(docker, "_OPTIONAL_SECONDS", 0.2)
    monkeypatch.setattr(docker.health, "wait_targets_up", lambda *_: ([], ["services shop:1: refused"]))

    def run(engine: ScriptedEngine, timeout: float = 5.0) -> list[str]:
        said: list[str] = []
        stack = DockerStack(read_settings(checkout, {}), {"PATH": ""}, said.append)
        stack._engine = engine  # type: ignore[assignment]
        stack._start(WANTED, timeout)
        return said

    return run


SICK = {"State": {"Status": "running", "Health": {"Status": "starting"}}}


def test_a_target_that_is_down_is_a_warning(start: Callable[..., list[str]]):
    """Everything is up, and the dead target of a person's own is reported."""
    assert start(ScriptedEngine({})) == [
        "warning: a target is down, and the stack runs without it: services shop:1: refused"
    ]


@pytest.mark.parametrize("name", OPTIONAL)
def test_an_optional_part_that_never_comes_is_a_warning(name: str, start: Callable[..., list[str]]):
    """The demo's parts and Grafana are not worth the rest."""
    said = start(ScriptedEngine({name: SICK}))
    assert said[0].startswith("warning: not healthy within")
    assert name in said[0]
    assert "The rest runs; `perfloop up` tries again" in said[0]


@pytest.mark.parametrize("name", OWN)
def test_a_part_of_the_stack_that_never_comes_ends_the_start(name: str, start: Callable[..., list[str]]):
    """Each of the stack's own parts is needed, and named."""
    with pytest.raises(UnhealthyError, match=name):
        start(ScriptedEngine({name: SICK}), 0.2)


def test_a_part_that_ends_again_and_again_ends_the_start_early(start: Callable[..., list[str]]):
    """Restarts of this start count, with the end of the log; those of last month do not."""
    engine = ScriptedEngine({"inbox": {"State": {"Status": "restarting", "Health": {}}, "RestartCount": 9}})
    with pytest.raises(UnhealthyError, match="inbox did not become healthy; its log ends: its last words"):
        start(engine, 30)
    recovered = ScriptedEngine({"inbox": {"RestartCount": 9}})
    recovered.started = set(OWN)
    start(recovered)


def test_a_part_that_is_unhealthy_at_this_moment_is_waited_for(start: Callable[..., list[str]]):
    """Compose starts nothing behind it: once it has recovered, Compose is asked again."""
    engine = ScriptedEngine(
        {}, lambda call, _: 'ERROR: for alertmanager Container "x" is unhealthy' if call == 1 else ""
    )
    engine.started = set(OWN)
    start(engine)
    assert engine.calls == 3, "refused, repeated, and the optional parts"


def test_another_refusal_is_not_repeated(start: Callable[..., list[str]]):
    """What time does not change ends the start with Compose's own words."""
    engine = ScriptedEngine({}, lambda *_: "port is already allocated")
    with pytest.raises(DockerError, match="port is already allocated"):
        start(engine)
    assert engine.calls == 1


def test_a_paused_container_goes_on(start: Callable[..., list[str]]):
    """`up` ends a pause."""
    engine = ScriptedEngine(
        {"inbox": {"State": {"Status": "running", "Paused": True, "Health": {"Status": "healthy"}}}}
    )
    engine.started = set(OWN)
    start(engine)
    assert ("docker", "unpause", "inbox") in engine.ran
