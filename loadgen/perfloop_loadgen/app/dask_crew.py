"""A crew on the workers of a Dask cluster: of one that runs somewhere, or of one of this process's own.

Dask finds the workers, carries what is said, and encrypts it where the address is tls://. Everything else is as with
processes of one machine: the same shares, the same moment to begin at, the same book.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import platform
import re
import time
import uuid
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import dask
import distributed
from distributed.security import Security

from perfloop_base.clusters import LOCAL, LOCAL_PORTS, NO_PAGES, PACKAGE, find_workers, read_certificates
from perfloop_base.errors import ConfigError
from perfloop_loadgen.app.baggage import pack
from perfloop_loadgen.app.dask_host import LEASE_SECONDS, LoadHost, Place, Sealed, boot_id
from perfloop_loadgen.app.worker import LOST, Job
from perfloop_loadgen.config.secrets import without_secrets
from perfloop_loadgen.errors import TargetError
from perfloop_loadgen.samples.histogram import SECOND
from perfloop_loadgen.shares import parts_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import TypeVar

    from perfloop_loadgen.app.crew import Line, Load, Receive
    from perfloop_loadgen.run_flags import WorkerFlags

    T = TypeVar("T")

log = logging.getLogger(__name__)

_CONNECT_SECONDS = 10.0
# A worker whose threads are all busy makes no actor until one is free.
_ACTOR_SECONDS = 15.0
_ANSWER_SECONDS = 5.0
_DISMISS_SECONDS = 3.0
_CLOCK_LOOKS = 9
_OBJECT = re.compile(r"^in <[^>]*>: ")
# Of Dask's message about an actor whose worker has ended.
_ACTOR_LOST = "Worker holding Actor was lost"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Which workers are meant.

    Attributes:
        address: of the scheduler; `local`: workers of this process's own.
        security: the certificates of a scheduler at tls://; empty for none.
    """

    address: str
    security: Mapping[str, str]

    @classmethod
    def of(cls, flags: WorkerFlags) -> Cluster:
        """Return what the command line asks for."""
        return cls(flags.address, read_certificates(flags.ca_file, flags.cert_file, flags.key_file))


class DaskCrew:
    """Workers of a Dask cluster, for one run."""

    # The moment reaches them by way of the scheduler.
    lead_nanoseconds = SECOND
    # And a little: the clocks of two machines do not count seconds of exactly one length.
    lease_nanoseconds = round((LEASE_SECONDS + 0.5) * SECOND)

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._client: distributed.Client | None = None
        self._own: distributed.LocalCluster | None = None
        self._lines: list[_HostLine] = []
        self._hosts: list[Any] = []

    async def hire(self, load: Load, receive: Receive, faults: list[str]) -> list[Line]:
        """Connect to the cluster, and have every worker start the process of its share."""
        del faults  # a cluster is asked before anything has begun: whatever is wrong, nothing is half done
        config, baggage = pack(load.test, load.config)
        asked = load.test.workers if "workers" in load.test.model_fields_set else None
        client = await self._connect(asked)
        _warn_of_clear_text(self._cluster.address, load.test.model_dump(mode="json"), baggage.environment)
        versions: Any = await _answer(client.get_versions(packages=[PACKAGE]))
        addresses = find_workers(self._cluster.address, versions, "loadgen")
        self._hosts = await _each(_host(client, address) for address in addresses)
        places: list[Place] = await _each(_answer(host.describe()) for host in self._hosts)
        chosen = _choose(addresses, places, load.test.name, asked, self._cluster.address)
        for number, (at, share) in enumerate(zip(chosen, parts_of(load.share, len(chosen)), strict=True)):
            host, place = self._hosts[at], places[at]
            clock = (0, None) if _is_same_clock(place) else await measure_clock(partial(_clock_of, host))
            self._lines.append(_HostLine(host, addresses[at], place.host, clock))
            job = Job(config, share, baggage.environment, checks_service=True)
            self._lines[-1].begin(number, Sealed(job, baggage.files), load.test.name, receive)
        refused = await _each(line.prepared for line in self._lines)
        problems = [
            f"worker {number} of {len(refused)} ({line.name}): {why}"
            for number, (line, why) in enumerate(zip(self._lines, refused, strict=True), 1)
            if why
        ]
        if problems:
            raise ConfigError(problems)
        return list(self._lines)

    async def dismiss(self) -> None:
        """End every worker's part, and leave the cluster; nobody is waited for longer than a few seconds."""
        for line in self._lines:
            line.hush()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DISMISS_SECONDS):
                await _each(_close(host) for host in self._hosts)
        for one in (self._client, self._own):
            if one is not None:
                with contextlib.suppress(TimeoutError, OSError):
                    async with asyncio.timeout(_DISMISS_SECONDS):
                        await one.close()

    async def _connect(self, asked: int | None) -> distributed.Client:
        """Return a client of the cluster.

        Raises:
            TargetError: there is no scheduler at the address, or it is not one that can be spoken to.
        """
        # What it has to say is said here, in a sentence, once.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        address: Any = self._cluster.address
        security = Security(require_encryption=True, **self._cluster.security) if self._cluster.security else None
        try:
            if address == LOCAL:
                address = await self._start_own(asked)
            # Not by a direct connection: a worker need not be reachable from here, its scheduler is.
            self._client = distributed.Client(
                address, asynchronous=True, security=security, timeout=_CONNECT_SECONDS, direct_to_workers=False
            )
            # Dask's own limit ends with the handshake: what listens there may be silent after it.
            async with asyncio.timeout(2 * _CONNECT_SECONDS):
                return await self._client
        except (OSError, TimeoutError, ValueError, TypeError, RuntimeError) as error:
            raise TargetError(f"--dask {self._cluster.address}: {_why(error)}") from error

    async def _start_own(self, asked: int | None) -> distributed.LocalCluster:
        count = asked or len(os.sched_getaffinity(0))
        # In this process, so that nobody else can reach it: the load has processes of its own.
        with dask.config.set(NO_PAGES):
            self._own = distributed.LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                processes=False,
                asynchronous=True,
                **LOCAL_PORTS,
            )
            return await self._own


class _HostLine:
    """The line to the host of a share, on a worker of the cluster."""

    def __init__(self, host: Any, name: str, machine: str, clock: tuple[int, int | None]) -> None:
        self.name = name
        self.host = machine
        self.clock_ahead, self.clock_error = clock
        self.prepared: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._actor = host
        self._orders: list[tuple[str, Any]] = []
        self._talk: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[Any] | None = None

    def begin(self, number: int, sealed: Sealed, test: str, receive: Receive) -> None:
        """Have the host start its process, and go on asking what it says."""
        self._talk = asyncio.get_running_loop().create_task(self._converse(number, sealed, test, receive))

    def send(self, kind: str, content: Any) -> None:
        """Say something with the next exchange, a quarter of a second later at most."""
        self._orders.append((kind, content))

    def end(self) -> None:
        """End the process; a worker that does not hear this ends it by itself, once its lease is over."""
        self.hush()
        self._ending = asyncio.get_running_loop().create_task(_close(self._actor))

    def hush(self) -> None:
        """Ask nothing more."""
        if self._talk is not None:
            self._talk.cancel()

    async def _converse(self, number: int, sealed: Sealed, test: str, receive: Receive) -> None:
        try:
            why = await _answer(self._actor.prepare(test, sealed), _ACTOR_SECONDS)
            if not self.prepared.done():
                self.prepared.set_result(why)
            while not why:
                orders, self._orders = self._orders, []
                said = await _answer(self._actor.exchange(orders))
                for kind, content in pickle.loads(said):  # noqa: S301 - from a worker, which runs our code
                    receive(number, kind, content)
                    if kind == LOST:
                        return
        except Exception as error:  # noqa: BLE001 - Dask raises whatever the worker's end came to
            if self.prepared.done():
                receive(number, LOST, f"was not reached any more: {_why(error)}")
            else:
                self.prepared.set_result(f"it cannot be prepared: {_why(error)}")


async def _close(host: Any) -> None:
    """End what a host has; one that is lost gives no answer, and does so by itself."""
    with contextlib.suppress(Exception):  # Dask raises whatever the worker's end came to
        await _answer(host.close())


async def _clock_of(host: Any) -> int:
    """Return the clock of a host's machine, in nanoseconds."""
    clock: int = await _answer(host.clock())
    return clock


async def _each(asked: Any) -> list[Any]:
    return list(await asyncio.gather(*asked))


async def _answer(asked: Awaitable[T], seconds: float = _ANSWER_SECONDS) -> T:
    """Return the answer of an actor.

    Raises:
        TargetError: there is none in time.
    """
    try:
        async with asyncio.timeout(seconds):
            return await asked
    except TimeoutError as error:
        raise TargetError(f"there was no answer within {seconds:g} s") from error


async def _host(client: distributed.Client, address: str) -> Any:
    """Return an actor on a worker.

    Raises:
        TargetError: the worker has none to spare.
    """
    # The key is all that the dashboard shows: it says neither the test nor anything of it.
    future = client.submit(
        LoadHost, actor=True, workers=[address], allow_other_workers=False, pure=False, key=f"load-{uuid.uuid4().hex}"
    )
    try:
        async with asyncio.timeout(_ACTOR_SECONDS):
            return await future
    except TimeoutError as error:
        raise TargetError(f"the worker {address} is busy with other tasks: none of its threads became free") from error
    except Exception as error:
        raise TargetError(f"the worker {address} cannot take part: {_why(error)}") from error


def _choose(addresses: Sequence[str], places: Sequence[Place], test: str, asked: int | None, cluster: str) -> list[int]:
    """Return the numbers of the workers that get a share.

    Raises:
        ConfigError: the cluster runs a test of this name, or has too few workers that are free.
    """
    running = [address for address, place in zip(addresses, places, strict=True) if place.test == test]
    if running:
        raise ConfigError(
            f"--dask {cluster}: a test of the name {test!r} is running there already, on {running[0]}: "
            "two of one name would be counted as one"
        )
    free = [at for at, place in enumerate(places) if not place.test]
    if asked is not None and len(free) < asked:
        busy = f", {len(places) - len(free)} of them with the load of another test" if len(free) < len(places) else ""
        raise ConfigError(
            f"--dask {cluster}: the test asks for {asked} workers, and the cluster has {len(places)}{busy}"
        )
    if not free:
        raise ConfigError(f"--dask {cluster}: all {len(places)} workers send the load of another test")
    return free[:asked]


def _is_same_clock(place: Place) -> bool:
    """Return whether a worker is on this very start of this machine: then it has the same monotonic clock."""
    ours = boot_id()
    return place.host == platform.node() if not ours else place.boot == ours


async def measure_clock(ask: Callable[[], Awaitable[int]]) -> tuple[int, int]:
    """Return how far another machine's clock is ahead of this one's, and how far that may be off; in nanoseconds.

    The answer with the shortest round trip counts, as in NTP (RFC 5905, section 8): the other clock was read somewhere
    within it, so half of it is the largest error.

    Args:
        ask: asks for the other clock.
    """
    best: tuple[int, int] | None = None
    for _ in range(_CLOCK_LOOKS):
        asked = time.monotonic_ns()
        theirs = await ask()
        answered = time.monotonic_ns()
        half = (answered - asked) // 2
        if best is None or half < best[1]:
            best = (theirs - asked - half, half)
    assert best is not None  # noqa: S101 - it was asked
    return best


def _warn_of_clear_text(address: str, config: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    has_secrets = bool(environment) or without_secrets(config) != dict(config)
    if address.startswith("tcp://") and has_secrets and not address.startswith(("tcp://127.", "tcp://localhost")):
        log.warning("the secrets of the test travel to the workers unencrypted: a scheduler at tls:// encrypts them")


def _why(error: BaseException) -> str:
    """Return the reason of an error of Dask in one line."""
    if isinstance(error, TargetError):
        return str(error)
    if _ACTOR_LOST in str(error):
        return "its Dask worker has ended"
    cause = error.__cause__ or error.__context__
    if isinstance(error, OSError | TimeoutError) and ("Timed out" in str(error) or not str(error)):
        return "no scheduler answers there" + (f": {_line(cause)}" if isinstance(cause, OSError) and str(cause) else "")
    return _line(error)


def _line(error: BaseException) -> str:
    """Return the first line of an error of Dask, without the object that it begins with."""
    lines = _OBJECT.sub("", str(error).strip()).splitlines()
    return lines[0] if lines else type(error).__name__
