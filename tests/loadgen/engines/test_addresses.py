"""Names with several addresses: a connection is made wherever one accepts it, and all have their part of the load."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from perfloop_base.errors import ConfigError
from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.engines.addresses import Addresses, Name, rebalance
from perfloop_loadgen.engines.dialing import attempt_delay
from tests.loadgen.engines.test_hostile_answers import run
from tests.support.connections import OK, Listener, greet, listening, requests_on
from tests.support.free_ports import find_free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from perfloop_loadgen.summary import Summary

ENGINES = pytest.mark.parametrize("engine", ["http1", "httpx"])
NAME = "shop.example"


class Resolver:
    """The system's resolver with one name more; `later` are its addresses from the second look-up on."""

    def __init__(self, *addresses: str) -> None:
        self.addresses: Sequence[str] = addresses
        self.later: Sequence[str] | None = None
        self.later_delay_seconds = 0.0
        self.asked = 0
        self._real = socket.getaddrinfo

    def ask(self, host: str, port: int, *args: Any, **options: Any) -> Any:
        """Answer as `socket.getaddrinfo` does."""
        if host != NAME:
            return self._real(host, port, *args, **options)
        self.asked += 1
        addresses = self.addresses
        if self.asked > 1:
            time.sleep(self.later_delay_seconds)
            addresses = self.addresses if self.later is None else self.later
        if not addresses:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [one for address in addresses for one in self._real(address, port, *args, **options)]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    """A resolver that knows `shop.example`."""
    found = Resolver("::1", "127.0.0.1")
    monkeypatch.setattr(socket, "getaddrinfo", found.ask)
    return found


def _addresses(summary: Summary) -> Counter[str]:
    counts: Counter[str] = Counter()
    for one in summary.total.connections:
        counts[one.address] += one.count
    return counts


def _answer_once(connection: socket.socket, listener: Listener) -> None:
    """Close behind each answer: every request takes a connection of its own."""
    next(requests_on(connection, listener))
    connection.sendall(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))


@contextmanager
def _everywhere(
    hosts: Sequence[str], serve: Callable[[socket.socket, Listener], None] = _answer_once
) -> Iterator[tuple[int, dict[str, Listener]]]:
    """Listen on one port of several addresses."""
    port = find_free_ports(1)[0]
    with ExitStack() as stack:
        yield port, {host: stack.enter_context(listening(serve, host, port)) for host in hosts}


@ENGINES
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_name_of_both_families_against_a_server_of_one(resolver: Resolver, engine: str, host: str):
    """Whichever the system names first: every request is answered, and the name is looked up once."""
    with listening(_answer_once, host) as server:
        summary, _ = run(f"http://{NAME}:{server.port}", engine=engine)
    assert summary.outcomes == {"ok": summary.total_requests}
    assert _addresses(summary) == {host: summary.total_requests}
    assert resolver.asked == 1


@ENGINES
def test_every_address_has_its_part_of_the_load(resolver: Resolver, engine: str):
    """New connections go to one address after the other."""
    hosts = ["127.0.0.1", "::1", "127.0.0.2"]
    resolver.addresses = hosts
    with _everywhere(hosts) as (port, servers):
        summary, _ = run(f"http://{NAME}:{port}", engine=engine, concurrent_users=6)
    assert summary.outcomes == {"ok": summary.total_requests}
    shares = [len(server.requests) for server in servers.values()]
    assert max(shares) - min(shares) <= 1


def test_workers_begin_at_different_addresses():
    """Two workers of one user each use two addresses."""
    hosts = ["127.0.0.1", "127.0.0.2"]
    with _everywhere(hosts, greet) as (port, servers):
        config = {"base_url": f"http://{NAME}:{port}", "resolve": {NAME: hosts}, "workers": 2, "concurrent_users": 2}
        config |= {"duration_seconds": 0.5, "think_time_seconds": 0.1, "endpoints": [{"path": "/"}]}
        summary = uvloop.run(LoadTester(LoadTestConfig.model_validate(config)).run_load_test())
    assert summary.outcomes == {"ok": summary.total_requests}
    assert [server.connections for server in servers.values()] == [1, 1]
    assert _addresses(summary) == {"127.0.0.1": 1, "127.0.0.2": 1}


def test_no_address_that_accepts(resolver: Resolver):
    """The outcome is what says most: refused, though the other address is not even of this machine's families."""
    del resolver
    port = find_free_ports(1)[0]
    assert set(run(f"http://{NAME}:{port}")[0].outcomes) == {"connection_refused"}


@contextmanager
def _silent(host: str, port: int) -> Iterator[None]:
    """Listen without a place for connections: the kernel leaves those that come without an answer."""
    with socket.socket() as door, ExitStack() as waiting:
        door.bind((host, port))
        door.listen(0)
        for _ in range(4):
            filler = waiting.enter_context(socket.socket())
            filler.setblocking(False)  # noqa: FBT003 - the name of the parameter says no more
            filler.connect_ex((host, port))
        yield


@ENGINES
def test_a_silent_address_is_overtaken_and_then_left_alone(resolver: Resolver, engine: str):
    """RFC 8305: the next address is tried after a quarter of a second; later connections do not wait again."""
    resolver.addresses = ["127.0.0.2", "127.0.0.1"]
    with listening(_answer_once) as server, _silent("127.0.0.2", server.port):
        summary, _ = run(f"http://{NAME}:{server.port}", engine=engine, concurrent_users=1, duration_seconds=1.5)
    assert summary.outcomes == {"ok": summary.total_requests}
    assert _addresses(summary) == {"127.0.0.1": summary.total_requests}
    assert summary.max_response_time_ms >= 250
    assert summary.p50_response_time_ms < 200


def test_the_second_address_is_tried_while_there_is_time_for_it():
    """A quarter of a second, or of a time limit that is shorter than one."""
    assert attempt_delay(30) == 0.25
    assert attempt_delay(0.2) == 0.05


@ENGINES
def test_a_name_is_looked_up_again_on_an_interval(resolver: Resolver, engine: str):
    """Users keep their connections: those of an address that has gone move, and a new address gets its share."""
    resolver.addresses = ["127.0.0.1", "127.0.0.2"]
    resolver.later = ["127.0.0.1", "127.0.0.3"]
    with _everywhere(["127.0.0.1", "127.0.0.2", "127.0.0.3"], greet) as (port, servers):
        summary, _ = run(
            f"http://{NAME}:{port}",
            engine=engine,
            concurrent_users=4,
            duration_seconds=2,
            resolve_interval_seconds=0.3,
        )
    assert summary.outcomes == {"ok": summary.total_requests}
    assert servers["127.0.0.2"].connections == 2
    assert servers["127.0.0.3"].connections >= 2
    assert len(servers["127.0.0.3"].requests) > 10
    # Never for a request: at the start, and six or seven times after it.
    assert 3 <= resolver.asked <= 8


def test_a_name_server_that_fails_later_leaves_the_addresses_of_before(resolver: Resolver):
    """A run is not about the name server."""
    resolver.later = []
    with listening(_answer_once) as server:
        summary, _ = run(f"http://{NAME}:{server.port}", duration_seconds=1, resolve_interval_seconds=0.2)
    assert resolver.asked > 2
    assert summary.outcomes == {"ok": summary.total_requests}


def test_no_look_up_keeps_a_run_from_ending(resolver: Resolver):
    """A name server that is silent for long, asked while the run goes on."""
    resolver.later_delay_seconds = 20.0
    with listening(_answer_once) as server:
        _, took = run(f"http://{NAME}:{server.port}", duration_seconds=1, resolve_interval_seconds=0.3)
    assert took < 8


@ENGINES
@pytest.mark.parametrize("key", [NAME, f"{NAME}:PORT", NAME.upper()])
def test_resolve_takes_the_place_of_the_name_server(engine: str, key: str):
    """The name is in the Host header, and nobody is asked for its addresses."""
    with _everywhere(["127.0.0.1", "127.0.0.2"]) as (port, servers):
        changes = {"resolve": {key.replace("PORT", str(port)): ["127.0.0.1", "127.0.0.2"]}}
        summary, _ = run(f"http://{NAME}:{port}", engine=engine, **changes)
    assert summary.outcomes == {"ok": summary.total_requests}
    assert set(_addresses(summary)) == {"127.0.0.1", "127.0.0.2"}
    for server in servers.values():
        assert f"\r\nhost: {NAME}:{port}\r\n".encode() in server.requests[0].lower()


@ENGINES
def test_connect_to_leaves_the_name_as_it_is(engine: str):
    """The load goes to another port of another host; the service reads the name of base_url."""
    with listening(_answer_once) as server:
        summary, _ = run(f"http://{NAME}", engine=engine, connect_to=f"127.0.0.1:{server.port}")
    assert summary.outcomes == {"ok": summary.total_requests}
    assert f"\r\nhost: {NAME}\r\n".encode() in server.requests[0].lower()


@pytest.mark.parametrize(
    "changes", [{"resolve": {"shp.example": "127.0.0.1"}}, {"connect_to": {"shp.example:80": "127.0.0.1:1"}}]
)
def test_an_override_of_another_host_is_refused(changes: dict[str, Any]):
    """Misspelt, it would send the load to what the name server says."""
    config = LoadTestConfig.model_validate({"base_url": f"http://{NAME}", **changes})
    with pytest.raises(ConfigError, match=r"shp\.example\S*: is not the host that is connected to, shop\.example:80"):
        LoadTester(config)


async def test_families_come_in_turn(resolver: Resolver):
    """RFC 8305, section 4: beginning with the one that the system prefers."""
    resolver.addresses = ["::1", "::2", "::3", "127.0.0.1"]
    addresses = Addresses(Name(NAME, 80))
    await addresses.resolve(5)
    assert [peer.text for peer in addresses.in_turn()] == ["::1", "127.0.0.1", "::2", "::3"]
    assert [peer.text for peer in addresses.in_turn()] == ["127.0.0.1", "::2", "::3", "::1"]
    addresses.note_failed(addresses.in_turn()[0], "connection_refused")
    assert {addresses.in_turn()[0].text for _ in range(6)} == {"::1", "127.0.0.1", "::3"}
    assert addresses.in_turn()[-1].text == "::2"


async def test_an_address_that_is_busy_keeps_its_turn(resolver: Resolver):
    """Its backlog is full for a moment, after it has accepted connections: the load must not leave it."""
    resolver.addresses = ["127.0.0.1", "127.0.0.2"]
    addresses = Addresses(Name(NAME, 80))
    await addresses.resolve(5)
    busy, other = addresses.in_turn()
    addresses.note_accepted(busy)
    addresses.note_silent(busy, 0.25)
    assert {addresses.in_turn()[0] for _ in range(4)} == {busy, other}
    addresses.note_silent(other, 0.25)
    assert {addresses.in_turn()[0] for _ in range(4)} == {busy}


class _User:
    def __init__(self, peer: str) -> None:
        self.peer = peer


@given(st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=40), st.sets(st.sampled_from("abcd"), min_size=1))
def test_each_address_gets_its_part_of_the_users(peers: list[str], addresses: set[str]):
    """Whatever has gone and has come: none has more than its part, rounded up."""
    users = [_User(peer) for peer in peers]
    moved, taken = rebalance(users, sorted(addresses))
    assert len(moved) == len(taken)
    after = Counter(user.peer for user in users if user.peer and user not in moved) + Counter(taken)
    assert set(after) <= addresses
    assert sum(after.values()) == sum(map(bool, peers))
    counts = [after[address] for address in addresses]
    assert max(counts) <= -(-sum(counts) // len(counts))


def test_users_stay_where_they_are_if_they_can():
    """Of twelve users on two addresses a third address takes four, two from each."""
    users = [_User("ab"[number % 2]) for number in range(12)]
    moved, taken = rebalance(users, ["a", "b", "c"])
    assert Counter(user.peer for user in moved) == {"a": 2, "b": 2}
    assert taken == ["c"] * 4
    assert rebalance(users, ["a", "b"]) == ([], [])


_IN_A_NAMESPACE = """
import json, sys, uvloop
from perfloop_loadgen import LoadTestConfig, LoadTester
from tests.support.connections import listening
found = {}
with listening(host=sys.argv[1], port=8000):
    for engine in ("http1", "httpx"):
        test = {"base_url": "http://localhost:8000", "engine": engine, "duration_seconds": 0.3, "concurrent_users": 2}
        test |= {"think_time_seconds": 0.05, "endpoints": [{"path": "/"}]}
        summary = uvloop.run(LoadTester(LoadTestConfig.model_validate(test)).run_load_test())
        found[engine] = [summary.outcomes, [one.address for one in summary.total.connections]]
print(json.dumps(found))
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_localhost_of_both_families_as_the_system_resolves_it(tmp_path: Path, host: str):
    """In a network of its own with its own hosts file: the example of the documentation works."""
    (tmp_path / "hosts").write_text("::1 localhost ip6-localhost\n127.0.0.1 localhost\n")
    script = f'ip link set lo up && mount --bind {tmp_path}/hosts /etc/hosts && exec "$@"'
    inside = ["unshare", "--map-root-user", "--net", "--mount", "sh", "-c", script, "sh"]
    if subprocess.run([*inside, "true"], check=False, capture_output=True).returncode:
        pytest.skip("namespaces are not allowed here (unshare of util-linux, ip of iproute2)")
    command = [*inside, sys.executable, "-c", _IN_A_NAMESPACE, host]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)
    for outcomes, addresses in found.values():
        assert set(outcomes) == {"ok"}
        assert addresses == [host]
