"""Whatever an app does, server and app get the same messages and exceptions with and without instrumentation."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from perfloop_exporter.instrument import instrument
from perfloop_exporter.metrics.registry import MetricRegistry

JUNK = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.binary(max_size=5))
MESSAGES = st.one_of(
    st.fixed_dictionaries({"type": st.just("http.response.start"), "status": JUNK, "headers": JUNK}),
    st.fixed_dictionaries({"type": st.just("http.response.body")}, optional={"body": JUNK, "more_body": JUNK}),
    st.fixed_dictionaries({"type": st.text(max_size=20)}, optional={"body": JUNK}),
    st.fixed_dictionaries({}, optional={"type": JUNK, "body": JUNK}),
    JUNK,
)
ERRORS = st.sampled_from([RuntimeError, OSError, asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit])
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), MESSAGES),
        st.tuples(st.just("receive"), MESSAGES),
        st.tuples(st.just("raise"), ERRORS),
    ),
    max_size=12,
)
SCOPES = st.fixed_dictionaries(
    {"type": st.sampled_from(["http", "websocket", "lifespan"]), "path": st.text(max_size=10), "method": JUNK},
    optional={
        "root_path": JUNK,
        "route": JUNK,
        "endpoint": JUNK,
        "headers": JUNK,
        "path_params": JUNK,
        "fastapi": JUNK,
    },
)

REGISTRY = MetricRegistry()


class Sides:
    """The server's and the app's side of one call, and what either has received."""

    def __init__(self, actions: list[Any], server_error: type[BaseException] | None) -> None:
        self.actions = actions
        self.server_error = server_error
        self.seen: list[Any] = []
        self.inbox: list[Any] = []

    async def app(self, _scope: Any, receive: Any, send: Any) -> None:
        """Perform the actions."""
        for kind, what in self.actions:
            if kind == "send":
                await send(what)
            elif kind == "receive":
                self.inbox.append(what)
                self.seen.append(("received", await receive()))
            else:
                raise what("from the app")

    async def receive(self) -> Any:
        """Return the server's next message."""
        return self.inbox.pop()

    async def send(self, message: Any) -> None:
        """Record the app's message, or raise."""
        self.seen.append(("sent", repr(message)))
        if self.server_error is not None and len(self.seen) > 2:
            raise self.server_error("from the server")


def run(sides: Sides, scope: dict[str, Any], *, measured: bool) -> list[Any]:
    """Return everything that the two sides see of one call, including its end."""
    app: Any = instrument(sides.app, registry=REGISTRY, metrics_path=None) if measured else sides.app
    try:
        app(dict(scope), sides.receive, sides.send).send(None)
    except StopIteration:
        sides.seen.append("returned")
    except BaseException as error:  # noqa: BLE001 - every kind is compared
        sides.seen.append(repr(error))
    return sides.seen


@settings(max_examples=400, deadline=None)
@given(ACTIONS, SCOPES, st.one_of(st.none(), ERRORS))
def test_the_instrumented_app_behaves_like_the_app(
    actions: list[Any], scope: dict[str, Any], server_error: type[BaseException] | None
):
    """Messages, including invalid ones, and exceptions of every kind pass through unchanged in both directions."""
    bare = run(Sides(actions, server_error), scope, measured=False)
    assert run(Sides(actions, server_error), scope, measured=True) == bare
    assert REGISTRY.gauge("http_server_active_requests", "HTTP requests being served now.").labels().value == 0
