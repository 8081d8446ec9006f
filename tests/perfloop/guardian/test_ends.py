from __future__ import annotations

from perfloop.stack.guardian.ends import find_reason
from perfloop.stack.guardian.events import parse_tokens


def test_event_header_is_parsed() -> None:
    """The words of a header are `key:value`."""
    header = "ver:3.0 server:supervisor serial:21 pool:listener len:54 eventname:PROCESS_STATE_EXITED"
    assert parse_tokens(header)["eventname"] == "PROCESS_STATE_EXITED"
    assert parse_tokens(header)["len"] == "54"


def test_last_reason_of_the_right_component_is_found() -> None:
    """The reason is the newest of that component, and none where there is none."""
    log = (
        "INFO exited: demo (exit status 1; not expected)\n"
        "INFO exited: inbox (terminated by SIGTERM; not expected)\n"
        "WARN exited: demo (terminated by SIGKILL; not expected)\n"
    )
    assert find_reason(log, "demo") == "terminated by SIGKILL; not expected"
    assert find_reason(log, "prometheus") is None
