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

from perfloop_base.errors import ConfigError
from perfloop_loadgen.config.scenario import EndpointConfig
from perfloop_loadgen.scenario.journey import Answer, Pause

if TYPE_CHECKING:
    from perfloop_loadgen.scenario.request import Request

Scenario = Callable[["User"], Coroutine[Any, Any, None]]


class _Move:
    """An awaitable that the lane itself carries out: it receives the move and sends the answer in."""

    __slots__ = ("_move",)

    def __init__(self, move: Request | Pause) -> None:
        self._move = move

    def __await__(self) -> Generator[Request | Pause, Answer, Answer]:
        return (yield self._move)


class User:
    """Sends requests and pauses; `values` holds the row of data of this pass."""

    def __init__(self, values: dict[str, Any], build: Callable[[EndpointConfig], Request]) -> None:
        self.values = values
        self._build = build

    def request(self, method: str, path: str, **details: Any) -> Awaitable[Answer]:
        """Send a request; `details` are the keys of an endpoint: data, form, headers, name, checks and so on."""
        endpoint = EndpointConfig.model_validate({"method": method, "path": path, **details})
        return _Move(self._build(endpoint))

    def get(self, path: str, **details: Any) -> Awaitable[Answer]:
        """Send a GET request."""
        return self.request("GET", path, **details)

    def post(self, path: str, **details: Any) -> Awaitable[Answer]:
        """Send a POST request."""
        return self.request("POST", path, **details)

    def put(self, path: str, **details: Any) -> Awaitable[Answer]:
        """Send a PUT request."""
        return self.request("PUT", path, **details)

    def delete(self, path: str, **details: Any) -> Awaitable[Answer]:
        """Send a DELETE request."""
        return self.request("DELETE", path, **details)

    def think(self, seconds: float) -> Awaitable[Answer]:
        """Pause, timed by the run's own clock."""
        return _Move(Pause(seconds))


def load_scenario(reference: str) -> Scenario:
    """Return the async function that `FILE.py:FUNCTION` names.

    Raises:
        ConfigError: there is no such file or async function, or the file raised.
    """
    file, _, name = reference.rpartition(":")
    path = Path(file)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigError([f"python: {reference!r}: there is no Python file {file}"])
    # By path, without sys.modules: two scenarios may be in files of the same name.
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError([f"python: {file}: cannot be loaded: {type(error).__name__}: {error}"]) from error
    function = getattr(module, name, None)
    if not inspect.iscoroutinefunction(function):
        raise ConfigError([f"python: {reference!r}: {name} must be an async function that takes the user"])
    return function
