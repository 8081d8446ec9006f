from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

import pytest

from perfloop_inbox import mail
from perfloop_inbox.messages import Facts
from perfloop_inbox.replies import Accepted, Refusal


def build_mail(subject: str = "[FIRING:1] SlowQueries demo", text: str = "", html: str = "", **headers: str) -> bytes:
    """Return a well-formed mail."""
    message = EmailMessage()
    message["From"] = "alerts@example.org"
    message["To"] = "team@example.org"
    message["Date"] = format_datetime(datetime(2026, 1, 1, tzinfo=UTC))
    message["Subject"] = subject
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    return bytes(message)


def _receive(content: bytes) -> Accepted:
    reply = mail.receive(content, ["team@example.org"])
    assert isinstance(reply, Accepted)
    return reply


@pytest.mark.parametrize(
    ("content", "facts"),
    [
        (build_mail(), Facts("SlowQueries", "", "firing")),
        (build_mail("[RESOLVED] SlowQueries"), Facts("SlowQueries", "", "resolved")),
        (
            build_mail("hello", X_Alertname="SlowQueries", X_Severity="Critical", X_Status="firing:2"),
            Facts("SlowQueries", "critical", "firing"),
        ),
        (build_mail("hello", X_Perfloop_Alertname="SlowQueries"), Facts("SlowQueries", "", "unknown")),
        (build_mail("hello", text="severity = warning"), Facts("", "warning", "unknown")),
    ],
)
def test_facts(content: bytes, facts: Facts):
    """Headers made for machines win, then the subject, then the body."""
    assert facts == _receive(content).facts


def test_html_alone_becomes_text():
    """A mail without a plain part is read without its markup, styles and scripts."""
    html = "<head><style>p{color:red}</style></head><p>Query &gt; 0.1&nbsp;s</p><script>x()</script><p>on demo</p>"
    assert _receive(build_mail("Subject", html=html)).text == "Subject\nQuery > 0.1 s\non demo"


@pytest.mark.parametrize("header", ["From", "Date"])
def test_missing_header(header: str):
    """A mail without an origin or a date is refused as RFC 5322 demands both."""
    lines = build_mail().splitlines(keepends=True)
    reply = mail.receive(b"".join(line for line in lines if not line.startswith(header.encode())), [])
    assert isinstance(reply, Refusal)
    assert (reply.status, header in str(reply.body)) == (550, True)


def test_two_origins():
    """A mail cannot come from two places."""
    reply = mail.receive(b"From: second@example.org\r\n" + build_mail(), [])
    assert isinstance(reply, Refusal)


@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe", b"From\r\n\r\n", b"no headers at all"])
def test_garbage_is_refused(content: bytes):
    """Bytes that are no mail are refused and break nothing."""
    assert isinstance(mail.receive(content, []), Refusal)


@pytest.mark.parametrize(
    "header",
    [
        b"From: =?x?q?=?=",
        b"To: <<<>>>,,;",
        b"Message-Id: <<",
        b"Content-Type: ;;;=",
        b"Content-Disposition: attachment; filename*=x'y'%ff",
        b"Subject: caf\xe9 =?utf-8?b?/////w==?=",
    ],
)
def test_malformed_headers(header: bytes):
    """Headers that break Python's own parser are refused or read as well as can be."""
    mail.receive(header + b"\r\nFrom: a@b.org\r\nDate: today\r\n\r\ntext", [])
    mail.receive(b"From: a@b.org\r\nDate: today\r\n" + header + b"\r\n\r\ntext", [])


def test_unknown_charset():
    """A body in a charset nobody knows is still read as well as can be."""
    content = build_mail(text="slow").replace(b'charset="utf-8"', b'charset="klingon"')
    assert _receive(content).text.endswith("slow")
