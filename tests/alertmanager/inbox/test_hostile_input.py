"""What nobody should send: any bytes to every endpoint and to the mail server, escape sequences, and secrets."""

from __future__ import annotations

import json
import smtplib
import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfloop_inbox import mail
from perfloop_inbox.app import build_app
from perfloop_inbox.inbox import Inbox
from perfloop_inbox.replies import Accepted

if TYPE_CHECKING:
    from tests.alertmanager.inbox.conftest import RunningInbox

SLACK = "/slack/services/T00000000/B00000000/perfloop"
POSTED = (SLACK, "/v2/enqueue", "/heartbeat", "/notifications")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)
REPORTS = st.fixed_dictionaries(
    {},
    optional={
        "receiver": JSON,
        "alerts": JSON | st.lists(st.fixed_dictionaries({}, optional={"labels": JSON, "status": JSON}), max_size=3),
    },
)
BOUNDED = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _client(inbox: Inbox) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(build_app(inbox)), base_url="http://inbox")


async def _assert_readable(client: httpx.AsyncClient) -> None:
    for path in ("/", "/api/messages", "/api/heartbeats", "/metrics"):
        assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize("path", POSTED)
@BOUNDED
@given(body=st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
async def test_any_body_is_answered(path: str, body: bytes):
    """Never a 500, and everything can be read afterwards."""
    async with _client(Inbox()) as client:
        answer = await client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code < 500
        await _assert_readable(client)


@BOUNDED
@given(report=REPORTS)
async def test_any_report_is_answered(report: Any):
    """A report of the form of Alertmanager's, with anything in it."""
    async with _client(Inbox()) as client:
        answer = await client.post("/notifications", json=report)
        assert answer.status_code in (200, 422)
        await _assert_readable(client)


@BOUNDED
@given(query=st.dictionaries(st.text(max_size=10), st.text(max_size=20), max_size=3))
async def test_any_query_is_answered(query: dict[str, str]):
    """Filters that do not exist are a sentence."""
    async with _client(Inbox()) as client:
        assert (await client.get("/api/messages", params=query)).status_code in (200, 422)


@BOUNDED
@given(content=st.binary(max_size=400), named=st.text(max_size=30))
async def test_any_mail_can_be_shown(content: bytes, named: str):
    """Bytes that are in no character set, and headers of them, are stored as something that can be returned."""
    inbox = Inbox()
    head = b"From: a@b.org\r\nDate: Sun, 29 Nov 2026 10:00:00 +0000\r\nSubject: " + named.encode("utf-8", "replace")
    for body in (content, head + b"\r\nX-Alertname: \xff\xfe\r\n\r\n" + content):
        inbox.deliver("email", mail.receive(body, ["c@d.org"]), len(body))
    async with _client(inbox) as client:
        await _assert_readable(client)


def test_garbage_on_the_mail_port(running_inbox: RunningInbox):
    """Whatever is sent there, the next mail arrives, and no line of the log is a traceback."""
    for garbage in (
        b"\x00" * 5000,
        b"GET / HTTP/1.1\r\n\r\n",
        b"EHLO \xff\xfe\r\nMAIL FROM:<\xff>\r\n",
        b"DATA\r\n" * 50,
    ):
        with socket.create_connection(("127.0.0.1", running_inbox.smtp_port), timeout=10) as connection:
            connection.sendall(garbage)
    with smtplib.SMTP("127.0.0.1", running_inbox.smtp_port, timeout=10) as session:
        text = "From: a@b.org\r\nDate: Sun, 29 Nov 2026 10:00:00 +0000\r\nX-Alertname: A\r\n\r\nslow"
        session.sendmail("a@b.org", ["c@d.org"], text)
    assert [one["alertname"] for one in running_inbox.client.get("/api/messages").json()] == ["A"]
    assert "Traceback" not in running_inbox.program.log


def test_a_log_line_stays_one_line(running_inbox: RunningInbox):
    """Escape sequences, new lines and marks of direction in an alert's name are visible, not obeyed."""
    name = "A\x1b[2J\nlevel=error\u202e\u2028msg=forged"
    fields = [{"title": "Alert", "value": name}]
    payload = {"text": "x", "attachments": [{"color": "danger", "fields": fields}]}
    assert running_inbox.client.post(SLACK, json=payload).status_code == 200
    log = running_inbox.program.log
    assert "msg=forged" in log
    assert not {"\x1b", "\u202e", "\u2028"} & {*log}
    assert all(line.startswith("time=") for line in log.splitlines())


@pytest.mark.parametrize(
    "secret",
    [
        "https://hooks.slack.com/services/T12345678/B12345678/{}",
        "http://admin:{}@db.internal:5432/x",
        "Authorization: Bearer {}",
        "api_key={}",
    ],
)
async def test_a_secret_in_a_message_is_not_shown(secret: str):
    """A webhook's address, a password in a URL or a token in an alert's text is on no page and in no answer."""
    marked = "Zq7Zq7Zq7Zq7Zq7Zq7Zq7Zq7"
    inbox = Inbox()
    async with _client(inbox) as client:
        text = f"slow {secret.format(marked)} since noon"
        assert (await client.post(SLACK, json={"text": text})).status_code == 200
        event = {"routing_key": marked + "12345678", "event_action": "trigger"}
        event["payload"] = {"summary": text, "source": "s", "severity": "critical"}  # type: ignore[assignment]
        assert (await client.post("/v2/enqueue", json=event)).status_code == 202
        content = f"From: a@b.org\r\nDate: now\r\nSubject: {text}\r\n\r\n{text}".encode()
        reply = mail.receive(content, ["c@d.org"])
        assert isinstance(reply, Accepted)
        inbox.deliver("email", reply, len(content))
        for path in ("/", "/api/messages", "/metrics"):
            assert marked not in (await client.get(path)).text
        assert len((await client.get("/api/messages")).json()) == 3
