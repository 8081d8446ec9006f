"""The user that a Python scenario acts for.

async def buy(user):
    page = await user.get("/items")
    await user.think(1.5)
    await user.post("/cart", data={"id": page.json()[0]["id"]})
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfloop_loadgen.config.scenario import EndpointConfig
from perfloop_loadgen.errors import ConfigError
from perfloop_loadgen.scenario.journey import Answer, Pause

if TYPE_CHECKING:
    from perfloop_loadgen.scenario.request import Request

Scenario = Callable[["User"], Coroutine[Any, Any, None]]


class _Move:
    """Something to wait for that the lane itself carries out: it sees the move, and sends the answer in."""

    __slots__ = ("_move",)

    def __init__(self, move: Request | Pause) -> None:
        self._move = move

    def __await__(self) -> Generator[Request | Pause, Answer, Answer]:
        return (yield self._move)


class User:
    """Asks and thinks; `values` holds the row of data that this pass was given."""

    def __init__(self, values: dict[str, Any], build: Callable[[EndpointConfig], Request]) -> None:
        self.values = values
        self._build = build

    def request(self, method: str, path: str, **details: Any) -> Awaitable[Answer]:
        """Ask; `details` are the keys of an endpoint: data, headers, name, expected_status, checks."""
        endpoint = EndpointConfig.model_validate({"method": method, "path": path, **details})
        return _Move(self._build(endpoint))

    def get(self, path: str, **details: Any) -> Awaitable[Answer]:
        """Ask with GET."""
        return self.request("GET", path, **details)

    def post(self, path: str, **details: Any) -> Awaitable[Answer]:
        """Ask with POST."""
        return self.request("POST", path, **details)

    def put(self, path: str, **details: Any) -> Awaitable[Answer]:
        """Ask with PUT."""
        return self.request("PUT", path, **details)

    def delete(self, path: str, **details: Any) -> Awaitable[Answer]:
        """Ask with DELETE."""
        return self.request("DELETE", path, **details)

    def think(self, seconds: float) -> Awaitable[Answer]:
        """Do nothing for a while, timed by the run's own clock."""
        return _Move(Pause(seconds))


def load_scenario(place: str) -> Scenario:
    """Return the async function that `FILE.py:FUNCTION` names."""
    file, _, name = place.rpartition(":")
    path = Path(file)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigError([f"python: {place!r}: there is no Python file {file}"])
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError([f"python: {file}: cannot be loaded: {type(error).__name__}: {error}"]) from error
    function = getattr(module, name, None)
    if not inspect.iscoroutinefunction(function):
        raise ConfigError([f"python: {place!r}: {name} must be an async function that takes the user"])
    return function
