from __future__ import annotations

import json
import smtplib
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.alertmanager.inbox.conftest import ANY_PORT
from tests.alertmanager.inbox.test_mail import build_mail
from tests.support.programs import run_program
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.alertmanager.inbox.conftest import RunningInbox


def _send(port: int, content: bytes, recipient: str = "team@example.org") -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as session:
        session.sendmail("alerts@example.org", [recipient], content)


def test_mail_arrives(running_inbox: RunningInbox):
    """A mail sent by SMTP is listed with its facts."""
    _send(running_inbox.smtp_port, build_mail(X_Severity="critical"))
    (message,) = running_inbox.client.get("/api/messages", params={"channel": "email"}).json()
    assert (message["alertname"], message["severity"], message["status"]) == ("SlowQueries", "critical", "firing")
    assert message["payload"]["recipients"] == ["team@example.org"]


def test_mail_refusals(running_inbox: RunningInbox):
    """Bad recipients, bad mails, too long mails and faults are answered with SMTP's own codes."""
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        _send(running_inbox.smtp_port, build_mail(), "nobody")
    for content, code in ((b"no headers", 550), (build_mail(text="x" * 2**20), 552)):
        with pytest.raises(smtplib.SMTPResponseException) as caught:
            _send(running_inbox.smtp_port, content)
        assert caught.value.smtp_code == code
    running_inbox.client.put("/faults", json={"email": 451})
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        _send(running_inbox.smtp_port, build_mail())
    assert {code for code, _ in refused.value.recipients.values()} == {451}
    assert running_inbox.client.get("/api/messages").json() == []


def test_many_concurrent_senders(running_inbox: RunningInbox):
    """Fifty mails from ten concurrent senders all arrive."""
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda number: _send(running_inbox.smtp_port, build_mail(f"[FIRING:1] A{number}")), range(50)))
    names = {message["alertname"] for message in running_inbox.client.get("/api/messages").json()}
    assert names == {f"A{number}" for number in range(50)}


def test_a_session_that_breaks_off(running_inbox: RunningInbox):
    """A client that disconnects in the middle of a mail does not disturb the next one."""
    with socket.create_connection(("127.0.0.1", running_inbox.smtp_port)) as connection:
        connection.sendall(b"EHLO there\r\nMAIL FROM:<a@b.org>\r\nRCPT TO:<c@d.org>\r\nDATA\r\nFrom: a")
    _send(running_inbox.smtp_port, build_mail())
    assert len(running_inbox.client.get("/api/messages").json()) == 1


def test_logs_as_json(tmp_path: Path):
    """With --log.format=json each line is one object, with the channel and status of a notification as fields."""
    flags = [f"--web.listen-address={ANY_PORT}", f"--smtp.listen-address={ANY_PORT}", "--log.format=json"]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "perfloop_inbox", *flags], stderr=output)
    try:
        ready = wait_for(
            lambda: [line for line in log.read_text().splitlines() if '"msg": "listening"' in line], "logs"
        )
        address = json.loads(ready[0])["address"]
        httpx.post(f"http://{address}/v2/enqueue", json={}, timeout=10)
    finally:
        process.terminate()
        process.wait(20)
    events = [json.loads(line) for line in log.read_text().splitlines()]
    (rejected,) = (event for event in events if event["msg"] == "rejected a notification")
    assert (rejected["level"], rejected["channel"], rejected["status"]) == ("warn", "pagerduty", 400)


@pytest.mark.parametrize("minimum", ["warn", "error"])
def test_minimum_log_level(minimum: str, free_port: int, tmp_path: Path):
    """Below the minimum level nothing is logged: a start and a stop are at level info."""
    url = f"http://127.0.0.1:{free_port}"
    flags = [f"--web.listen-address=127.0.0.1:{free_port}", f"--smtp.listen-address={ANY_PORT}"]
    log = tmp_path / "log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "perfloop_inbox", *flags, f"--log.level={minimum}"]
        process = subprocess.Popen(command, stderr=output)
    try:
        wait_for(lambda: _is_healthy(url), "the inbox to answer")
    finally:
        process.terminate()
        code = process.wait(20)
    assert (code, log.read_text()) == (0, "")


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/healthy", timeout=10).is_success
    except httpx.TransportError:
        return False


def test_all_wrong_flags_are_reported_together():
    """Each wrong value has its own line, and the program ends with the code of a usage error."""
    command = [
        sys.executable,
        "-m",
        "perfloop_inbox",
        "--web.listen-address=x",
        "--smtp.listen-address=y",
        "--log.level=z",
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["--web.listen-address", "--smtp.listen-address", "--log.level"]


def test_clean_stop(tmp_path: Path):
    """SIGTERM ends the program with exit code 0."""
    flags = [f"--web.listen-address={ANY_PORT}", f"--smtp.listen-address={ANY_PORT}"]
    with run_program("perfloop_inbox", flags, tmp_path) as program:
        assert program.stop() == 0


@pytest.mark.parametrize(
    ("flag", "code", "words"),
    [
        ("--web.listen-address=here", 2, "write HOST:PORT"),
        ("--smtp.listen-address=127.0.0.1:99999", 2, "a port from 0 to 65535"),
        ("--web.listen-address=192.0.2.1:0", 2, "cannot listen on 192.0.2.1:0"),
        ("--colour=blue", 2, "unknown flag: '--colour"),
    ],
)
def test_bad_flag(flag: str, code: int, words: str):
    """A wrong flag is one sentence and the exit code of a usage error."""
    done = subprocess.run(
        [sys.executable, "-m", "perfloop_inbox", flag], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, words in done.stderr, "Traceback" in done.stderr) == (code, True, False)


def test_taken_port():
    """A taken port is named, with an exit code of its own."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        command = [sys.executable, "-m", "perfloop_inbox", f"--web.listen-address=127.0.0.1:{port}"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert f"--web.listen-address: port {port} of 127.0.0.1:{port} is taken by another program" in done.stderr
