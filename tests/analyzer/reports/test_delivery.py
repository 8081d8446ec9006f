"""Reports by real mail servers and web services: TLS and accounts as secrets/ say, refusals in one sentence."""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from perfloop.stack.alertmanager_secrets import FORMS, REPORTS
from perfloop_analyzer.reports import delivery, mail
from perfloop_analyzer.reports.delivery import SECRET_FILES, Courier, Destinations, slack_message
from perfloop_analyzer.reports.letters import DeliveryError, Letter
from tests.support.free_ports import find_free_ports
from tests.support.outside import mail_server, make_authority, web_service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path

    from tests.support.outside import Authority, Mails

PASSWORD = "a-password-nobody-may-see"
TOKEN = "T0/B0/SecretTokenOfTheWebhook"
LETTER = Letter(
    "weekly_review-20261130T070000Z",
    "Perfloop: Weekly review, 23 to 29 November 2026 (UTC)",
    ["2 alerts fired & <b>nobody</b> acted."],
    "# Weekly review\n",
    "<!doctype html><p>Weekly review</p>",
    "<!doctype html><p>the whole report</p>",
    "http://analyzer:19110/reports/weekly_review-20261130T070000Z",
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA, and a certificate for this machine."""
    return make_authority(tmp_path_factory.mktemp("ca"))


def secrets(directory: Path, mails: Mails | None = None, **files: str) -> Destinations:
    """A directory with the files of secrets/ that are given, and those of a mail server."""
    if mails is not None:
        files = {"smtp_smarthost": f"127.0.0.1:{mails.port}", "smtp_from": "perfloop@example.com"} | files
        files = {"email_to": "oncall@example.com, team@example.com"} | files
    for name, text in files.items():
        (directory / name).write_text(f"{text}\n")
    return Destinations(directory)


def send(channel: str, to: Destinations, letter: Letter = LETTER) -> None:
    """Send a letter."""
    asyncio.run(Courier(to).send(channel, letter))


def refusal(channel: str, to: Destinations) -> str:
    """The sentence with which a letter is refused."""
    with pytest.raises(DeliveryError) as refused:
        send(channel, to)
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert PASSWORD not in sentence
    assert TOKEN not in sentence
    return sentence


def read(mails: Mails) -> EmailMessage:
    """The one mail that came."""
    (envelope,) = mails.taken
    content = envelope.content
    assert isinstance(content, bytes)
    return email.message_from_bytes(content, policy=email.policy.default)  # type: ignore[return-value]


def test_the_files_are_those_of_the_stack() -> None:
    """One list here and one there: the programs import no code of each other."""
    assert set(SECRET_FILES) == set(REPORTS) <= FORMS.keys()


def test_a_mail_has_text_html_and_the_report(tmp_path: Path) -> None:
    """To every recipient, with the same Message-ID at every attempt."""
    with mail_server() as mails:
        send("email", secrets(tmp_path, mails, smtp_tls="none"))
        message = read(mails)
        assert mails.taken[0].rcpt_tos == ["oncall@example.com", "team@example.com"]
    assert message["Subject"] == LETTER.subject
    assert message["Message-ID"] == "<weekly_review-20261130T070000Z@example.com>"
    assert message["Date"] is not None
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert "# Weekly review" in plain.get_content()
    assert "Weekly review" in html.get_content()
    (attachment,) = message.iter_attachments()
    assert attachment.get_filename() == "weekly_review-20261130T070000Z.html"
    assert "the whole report" in attachment.get_content()  # type: ignore[attr-defined]


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_mail_goes_by_tls_with_the_account(tmp_path: Path, authority: Authority, tls: str) -> None:
    """The certificates of secrets/ are trusted besides the public ones."""
    (tmp_path / "ca_certificates").write_bytes(authority.certificate.read_bytes())
    options: dict[str, Any] = {tls: authority.server, "account": ("me", PASSWORD)}
    with mail_server(**options) as mails:
        account = {"smtp_auth_username": "me", "smtp_auth_password": PASSWORD, "smtp_tls": tls}
        send("email", secrets(tmp_path, mails, **account))
    assert mails.sessions == [(True, True)]


def test_refusals_of_mail_are_one_sentence_each(tmp_path: Path, authority: Authority) -> None:
    """Who, what, and no secret: a wrong password, no TLS, a certificate of a stranger, nobody there."""
    account = {"smtp_auth_username": "me", "smtp_auth_password": PASSWORD}
    with mail_server(starttls=authority.server, account=("me", "another")) as mails:
        stranger = refusal("email", secrets(tmp_path, mails, **account))
        assert "cannot be reached: " in stranger
        assert "certificate verify failed" in stranger
        (tmp_path / "ca_certificates").write_bytes(authority.certificate.read_bytes())
        assert f"email: 127.0.0.1:{mails.port} answered 535" in refusal("email", secrets(tmp_path, mails, **account))
    with mail_server() as mails:
        assert "cannot do what secrets/ ask of it" in refusal("email", secrets(tmp_path, mails, smtp_tls="starttls"))
        assert mails.taken == []
    (port,) = find_free_ports(1)
    gone = refusal("email", secrets(tmp_path, smtp_smarthost=f"127.0.0.1:{port}"))
    assert gone == f"email: 127.0.0.1:{port} cannot be reached: [Errno 111] Connection refused"


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"smtp_smarthost": "mail.example.com"}, "email: secrets/smtp_smarthost is not host:port of a mail server"),
        ({"smtp_smarthost": "m:25", "smtp_from": "a@b"}, "email: secrets/smtp_from and secrets/email_to must be there"),
        (
            {
                "smtp_smarthost": "mail.example.com:25",
                "smtp_tls": "none",
                "smtp_auth_password": PASSWORD,
                "smtp_auth_username": "me",
            },
            "would cross the network readable",
        ),
        (
            {"smtp_smarthost": "m:25", "smtp_from": "a@b", "email_to": "c@d", "ca_certificates": "no PEM"},
            "must hold certificates in PEM",
        ),
        ({"smtp_smarthost": ""}, "the secret is empty"),
        (
            {"smtp_smarthost": "127.0.0.1:1", "smtp_tls": "none", "smtp_from": "a@b", "email_to": '@@,"<'},
            "email: ",
        ),
        ({}, "email: secrets/smtp_smarthost is not there, and there is no inbox"),
    ],
)
def test_secrets_that_cannot_be_right_are_named(tmp_path: Path, files: dict[str, str], sentence: str) -> None:
    """By their file, without their value."""
    assert sentence in refusal("email", secrets(tmp_path, **files))


@contextmanager
def silent_server() -> Iterator[int]:
    """Accept connections and say nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    held.append(listener.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.close()
        for one in held:
            one.close()


@pytest.mark.parametrize("channel", ["email", "slack"])
def test_a_server_that_says_nothing_holds_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channel: str) -> None:
    """The whole delivery has a time limit."""
    monkeypatch.setattr(delivery, "WHOLE_SECONDS", 0.3)
    monkeypatch.setattr(mail, "STEP_SECONDS", 1.0)
    with silent_server() as port:
        to = secrets(
            tmp_path,
            smtp_smarthost=f"127.0.0.1:{port}",
            smtp_from="a@b.c",
            email_to="a@b.c",
            slack_api_url=f"http://127.0.0.1:{port}/{TOKEN}",
        )
        assert refusal(channel, to) == f"{channel}: there was no answer within 0 s"


def test_slack_gets_the_headlines_and_a_link(tmp_path: Path) -> None:
    """With its three control characters escaped; a webhook takes no file."""
    with web_service() as slack:
        send("slack", secrets(tmp_path, slack_api_url=f"{slack.url}/services/{TOKEN}"))
        (body,) = slack.bodies(f"/services/{TOKEN}")
    assert body == slack_message(LETTER)
    assert body["text"].split("\n") == [
        "*Perfloop: Weekly review, 23 to 29 November 2026 (UTC)*",
        "• 2 alerts fired &amp; &lt;b&gt;nobody&lt;/b&gt; acted.",
        f"<{LETTER.page}|Open the report>",
    ]


@pytest.mark.parametrize("status", [400, 403, 404, 410, 429, 500, 503])
def test_what_slack_refuses_is_one_sentence_without_its_address(tmp_path: Path, status: int) -> None:
    """4xx and 5xx alike: it is tried again."""
    with web_service(answer="no_service") as slack:
        slack.status = status
        sentence = refusal("slack", secrets(tmp_path, slack_api_url=f"{slack.url}/services/{TOKEN}"))
    assert sentence == f'slack: it answered {status}: "no_service"'


def test_slack_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    """Its address is a secret."""
    (port,) = find_free_ports(1)
    sentence = refusal("slack", secrets(tmp_path, slack_api_url=f"http://127.0.0.1:{port}/services/{TOKEN}"))
    assert sentence == "slack: it cannot be reached: All connection attempts failed"
    assert refusal("slack", Destinations(None)) == "slack: secrets/slack_api_url is not there, and there is no inbox"


def test_an_app_that_is_refused_with_status_200_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack's API says so in the body."""
    with web_service(answer={"ok": False, "error": "channel_not_found"}) as slack:
        monkeypatch.setattr(delivery, "SLACK_POST", f"{slack.url}/api/chat.postMessage")
        sentence = refusal("slack", secrets(tmp_path, slack_app_token=f"xoxb-{PASSWORD}", slack_channel="#alerts"))
        ((_, headers, body),) = slack.taken
    assert sentence == "slack: it answered channel_not_found"
    assert (headers["Authorization"], body["channel"]) == (f"Bearer xoxb-{PASSWORD}", "#alerts")
