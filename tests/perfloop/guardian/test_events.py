"""supervisord's protocol, over real pipes."""

from __future__ import annotations

import os

import pytest

from perfloop.stack.guardian.events import Event, Listener, SupervisorGoneError

_EVENT = b"ver:3.0 server:supervisor serial:1 pool:guardian poolserial:1 eventname:PROCESS_STATE_EXITED len:%d\n%s"
_PAYLOAD = b"processname:demo groupname:demo from_state:RUNNING expected:0 pid:12"


def test_an_event_in_pieces() -> None:
    """It is taken once it is whole, and answered; then the next one may come."""
    from_supervisord, supervisord_out = os.pipe()
    supervisord_in, to_supervisord = os.pipe()
    listener = Listener(from_supervisord, to_supervisord)
    listener.begin()
    message = _EVENT % (len(_PAYLOAD), _PAYLOAD)
    assert listener.wait(0) is None
    os.write(supervisord_out, message[:90])
    assert listener.wait(1) is None
    os.write(supervisord_out, message[90:])
    event = listener.wait(1)
    assert isinstance(event, Event)
    assert (event.name, event.payload["processname"], event.payload["pid"]) == ("PROCESS_STATE_EXITED", "demo", "12")
    listener.done()
    assert os.read(supervisord_in, 100) == b"READY\nRESULT 2\nOKREADY\n"
    os.close(supervisord_out)
    with pytest.raises(SupervisorGoneError):
        listener.wait(1)
    os.close(supervisord_in)
    with pytest.raises(SupervisorGoneError):
        listener.done()
    os.close(from_supervisord)
    os.close(to_supervisord)
