from __future__ import annotations

import os
import socket

import pytest

from perfloop.stack import ports
from perfloop.stack.errors import PortsTakenError
from perfloop_base.errors import ExitCode


def test_free_port_is_free(free_port: int) -> None:
    """A port that nobody listens on can be taken."""
    assert ports.is_free(free_port)


def test_taken_ports_are_named_with_holder_and_variable() -> None:
    """Each taken port is reported with who holds it and which variable moves it, all together."""
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        taken = {"demo": first.getsockname()[1], "grafana": second.getsockname()[1]}
        with pytest.raises(PortsTakenError) as caught:
            ports.require_free(taken, ["demo", "grafana"])
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert f"port {taken['demo']} for demo is taken by" in lines[0]
    assert f"(pid {os.getpid()})" in lines[0]
    assert "PERFLOOP_DEMO_PORT" in lines[0]
    assert "PERFLOOP_GRAFANA_PORT" in lines[1]
    assert caught.value.exit_code == ExitCode.PORT_TAKEN
