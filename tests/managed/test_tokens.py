"""How long a token is used: by a clock of the test's own, with a source that answers as the test says."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfloop_analyzer.errors import CredentialRefused, SourceError, SourceUnavailable
from perfloop_analyzer.prometheus_api.credentials.tokens import (
    EARLY_SECONDS,
    EARLY_SHARE,
    FAILURE_SECONDS,
    FRESH_SECONDS,
    Token,
    TokenAuth,
)


class Issuer:
    """A token source; every token is another one."""

    def __init__(self, lifetime: float = 3600.0) -> None:
        self.lifetime = lifetime
        self.issued = 0
        self.error: SourceError | None = None

    async def fetch(self) -> Token:
        """Return the next token, or fail as the test says."""
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        self.issued += 1
        return Token(f"token-{self.issued:04d}", self.lifetime)


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return its time in seconds."""
        return self.now


async def send(auth: TokenAuth, *statuses: int) -> list[str]:
    """Return what each request of one query was sent with; the server answers with these statuses in turn."""
    answers, sent = iter(statuses or (200,)), []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["Authorization"].removeprefix("Bearer "))
        return httpx.Response(next(answers))

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle), auth=auth) as client:
        await client.post("http://prometheus/api/v1/query_range", data={"query": "up"})
    return sent


@settings(deadline=None)
@given(lifetime=st.floats(2.0, 100_000.0), steps=st.lists(st.floats(0.0, 2_000.0), max_size=30))
def test_no_token_is_sent_after_its_end(lifetime: float, steps: list[float]) -> None:
    """Whatever the lifetime and the pauses: a token that is sent has time left, and none is fetched too early."""

    async def run() -> None:
        issuer, clock = Issuer(lifetime), Clock()
        auth = TokenAuth(issuer, clock)
        since: dict[str, float] = {}
        for step in steps:
            clock.now += step
            (token,) = await send(auth)
            since.setdefault(token, clock.now)
            used = clock.now - since[token]
            assert used <= lifetime - min(EARLY_SECONDS, EARLY_SHARE * lifetime)
        assert issuer.issued == len(since)

    asyncio.run(run())


async def test_concurrent_queries_share_one_token() -> None:
    """The first one fetches, the others wait for it."""
    issuer = Issuer()
    auth = TokenAuth(issuer, Clock())
    sent = await asyncio.gather(*(send(auth) for _ in range(20)))
    assert (issuer.issued, {token for tokens in sent for token in tokens}) == (1, {"token-0001"})


async def test_a_failed_renewal_is_noticed_when_the_token_ends(caplog: pytest.LogCaptureFixture) -> None:
    """Until then the token is used and one warning a while says so; afterwards the failure is the query's."""
    issuer, clock = Issuer(1000.0), Clock()
    auth = TokenAuth(issuer, clock)
    await send(auth)
    issuer.error = SourceUnavailable("the token endpoint is down")
    clock.now += 800
    for _ in range(10):
        assert await send(auth) == ["token-0001"]
    assert [record.message for record in caplog.records] == [
        "the token is not renewed, and holds for 200 s more: the token endpoint is down"
    ]
    clock.now += 201
    with pytest.raises(SourceUnavailable, match="the token endpoint is down"):
        await send(auth)
    issuer.error = None
    clock.now += FAILURE_SECONDS
    assert await send(auth) == ["token-0002"]


async def test_a_failure_is_remembered_for_a_moment() -> None:
    """Two hundred queries do not ask a token endpoint that refused two hundred times."""
    issuer, clock = Issuer(), Clock()
    issuer.error = CredentialRefused("invalid_client")
    auth = TokenAuth(issuer, clock)
    asked = 0
    fetch = issuer.fetch

    async def count() -> Token:
        nonlocal asked
        asked += 1
        return await fetch()

    issuer.fetch = count  # type: ignore[method-assign]
    for _ in range(50):
        with pytest.raises(CredentialRefused, match="invalid_client"):
            await send(auth)
    assert asked == 1
    clock.now += FAILURE_SECONDS
    with pytest.raises(CredentialRefused):
        await send(auth)
    assert asked == 2


async def test_a_refused_token_is_exchanged_once() -> None:
    """A fresh one is not: who refuses it refuses the next one too."""
    issuer, clock = Issuer(), Clock()
    auth = TokenAuth(issuer, clock)
    assert await send(auth, 401) == ["token-0001"]
    clock.now += FRESH_SECONDS
    assert await send(auth, 401, 401) == ["token-0001", "token-0002"]
    assert await send(auth, 403) == ["token-0002"]


@pytest.mark.parametrize("lifetime", [0.0, -5.0, 0.001])
async def test_a_token_that_is_over_at_once_is_not_fetched_for_every_query(lifetime: float) -> None:
    """A server with a wrong clock or a wrong answer is not asked again and again."""
    issuer = Issuer(lifetime)
    auth = TokenAuth(issuer, Clock())
    for _ in range(20):
        await send(auth)
    assert issuer.issued == 1
