from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_base.addresses import Address, bound_address, is_http_url, listen, parse_address
from perfloop_base.errors import ConfigError, ExitCode, ListenError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8000", Address("127.0.0.1", 8000)),
        ("localhost:0", Address("localhost", 0)),
        (":9100", Address("", 9100)),
        ("[::1]:9100", Address("::1", 9100)),
        ("[::]:65535", Address("::", 65535)),
    ],
)
def test_addresses_are_read_and_written(text: str, address: Address):
    """Addresses are read as node_exporter reads them, and written back the same."""
    assert address == parse_address(text)
    assert text == str(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8000",
        "host",
        "host:",
        "host:port",
        "host:-1",
        "host:65536",
        "host:1.5",
        "::1:9100",
        "[::1:1",
        "h:٣",
        "h:1\n",
    ],
)
def test_what_is_no_address_is_named(text: str):
    """A sentence has the value and the rule."""
    with pytest.raises(ValueError, match="write HOST:PORT with a port from 0 to 65535") as caught:
        parse_address(text)
    assert str(caught.value).startswith(f"{text!r} is not an address")


@given(st.ip_addresses(), st.integers(0, 65535))
def test_every_address_survives(host: object, port: int):
    """IPv4 or IPv6, what is written is read."""
    address = Address(str(host), port)
    assert address == parse_address(str(address))


def test_a_taken_port_is_named():
    """A taken port has an error and an exit code of its own."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(ListenError) as caught:
            listen(Address("127.0.0.1", port), "--web.listen-address")
    assert caught.value.exit_code is ExitCode.PORT_TAKEN
    assert str(caught.value).startswith(f"--web.listen-address: port {port} of 127.0.0.1:{port} is taken")


def test_another_machines_address_is_named():
    """An address of another machine is a mistake in the configuration."""
    with pytest.raises(ConfigError) as caught:
        listen(Address("192.0.2.1", 0), "--web.listen-address")
    assert str(caught.value).startswith("--web.listen-address: cannot listen on 192.0.2.1:0: ")


@pytest.mark.parametrize("host", ["", "127.0.0.1"])
def test_port_zero_becomes_a_number(host: str):
    """An empty host answers on IPv4 too, and the bound port is known."""
    with listen(Address(host, 0), "--flag") as listener:
        port = bound_address(listener).port
        assert port > 0
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("http://127.0.0.1:9090", True),
        ("https://user:word@prometheus.example/select/0?x=1#y", True),  # secret-scan: fake
        ("http://[::1]:9090/", True),
        ("HTTP://host", True),
        ("", False),
        ("host:9090", False),
        ("ftp://host", False),
        ("http://", False),
        ("http://:9090", False),
        ("http://host:0", False),
        ("http://host:99999", False),
        ("http://host:port", False),
        ("http://[::1", False),
    ],
)
def test_what_is_the_url_of_an_http_server(text: str, *, is_one: bool):
    """Every flag, variable and setting that takes one asks the same."""
    assert is_http_url(text) is is_one
