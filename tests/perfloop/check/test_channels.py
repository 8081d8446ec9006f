"""A test alert through every channel of a real Alertmanager, to the inbox and outside; secrets that break."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop.check import advice, channels
from perfloop.check.findings import UnansweredError, Verdict
from perfloop.check.place import NATIVE
from perfloop.stack.configuration import ETC
from tests.support.alerting_chain import Chain, quicker, start_alertmanagers, start_inbox
from tests.support.outside import web_service
from tests.support.readiness import answering, looked, make_sources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from perfloop.check.findings import Finding
    from perfloop.check.sources import Sources


@pytest.fixture
def bare_chain(tmp_path: Path, alertmanager_binary: str) -> Iterator[Chain]:
    """An empty chain whose processes end with the test; its secrets are those of the sources."""
    chain = Chain(tmp_path)
    (tmp_path / "secrets").mkdir()
    try:
        yield chain
    finally:
        chain.stop()


def start(chain: Chain, **files: str) -> Sources:
    """Start inbox and Alertmanager with these files in secrets/ and return what asks them."""
    for name, text in files.items():
        (chain.directory / "secrets" / name).write_text(text + "\n")
    start_inbox(chain)
    start_alertmanagers(chain, rewrite=quicker)
    return make_sources(chain.directory, chain.urls, patience=20.0)


def by_channel(sources: Sources) -> dict[str, Finding]:
    """Return the line of each channel."""
    return {one.of: one for one in channels.look_at_channels(sources)}


def test_every_channel_has_a_line(bare_chain: Chain):
    """All end in the inbox, which has them; nobody outside hears of an alert, which is a line of its own."""
    sources = start(bare_chain)
    found = by_channel(sources)
    assert {of: one.verdict for of, one in found.items()} == dict.fromkeys(
        ("slack", "email", "pagerduty", "heartbeat"), Verdict.PASSED
    )
    assert looked(channels.look_for_a_real_channel, sources).verdict is Verdict.UNKNOWN
    own = looked(channels.look_for_a_real_channel, make_sources(bare_chain.directory, mode=NATIVE))
    assert (own.verdict, own.advice) == (Verdict.FAILED, advice.ADD_CHANNEL)


def test_a_service_outside_that_refuses_is_red(bare_chain: Chain):
    """Slack takes it, then its address is no longer good: the line says what came back, and no secret."""
    with web_service() as slack:
        sources = start(bare_chain, slack_api_url=f"{slack.url}/services/T1/B1/s3cretsecret")
        assert by_channel(sources)["slack"].verdict is Verdict.PASSED
        own = make_sources(bare_chain.directory, mode=NATIVE)
        assert looked(channels.look_for_a_real_channel, own).words == "secrets/ connects slack"
        slack.status = 403
        found = by_channel(sources)
    assert found["slack"].verdict is Verdict.FAILED
    assert "refused it or cannot be reached" in found["slack"].words
    assert "s3cretsecret" not in found["slack"].words
    assert found["email"].verdict is Verdict.PASSED


def test_a_secret_that_cannot_be_right_is_red_with_its_rule(bare_chain: Chain):
    """Alertmanager still runs with the one before; the file is wrong all the same, and its value is not shown."""
    sources = start(bare_chain)
    (bare_chain.directory / "secrets" / "pagerduty_routing_key").write_text("not-a-key")
    (bare_chain.directory / "secrets" / "smtp_smarthost").write_text("mail.test:25")
    found = by_channel(sources)
    assert found["pagerduty"].verdict is Verdict.FAILED
    assert found["pagerduty"].words.startswith("secrets/pagerduty_routing_key holds 9 characters that are not the 32")
    assert "secrets/smtp_from is missing" in found["email"].words
    assert "not-a-key" not in found["pagerduty"].words
    assert found["slack"].verdict is Verdict.PASSED


def test_a_secret_that_was_not_applied_is_red(tmp_path: Path):
    """In a native stack the copy that Alertmanager reads is compared with the file."""
    used = tmp_path / "home" / ETC / "alertmanager" / "secrets"
    used.mkdir(parents=True)
    (tmp_path / "secrets").mkdir()
    (used / "slack_api_url").write_text("https://hooks.slack.test/old")
    sources = make_sources(tmp_path, mode=NATIVE)
    for text in ("https://hooks.slack.test/new", "https://hooks.slack.test/old"):
        (tmp_path / "secrets" / "slack_api_url").write_text(f"{text}\n")
        wrong = channels.find_wrong_files(sources, "0.28.0")
        assert ("slack" in wrong) is text.endswith("new")
    (tmp_path / "secrets" / "slack_api_url").unlink()
    assert "is not what Alertmanager uses" in channels.find_wrong_files(sources, "0.28.0")["slack"][0]


def test_a_file_that_every_channel_needs_breaks_those_outside(tmp_path: Path):
    """A wrong proxy is that of all that goes outside, not of the inbox."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "slack_api_url").write_text("https://hooks.slack.test/x")
    (tmp_path / "secrets" / "proxy_url").write_text("no proxy")
    assert set(channels.find_wrong_files(make_sources(tmp_path), "0.28.0")) == {"slack"}


def test_an_alertmanager_that_is_too_old_for_a_channel(tmp_path: Path):
    """The rule names the version."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "discord_webhook_url").write_text("https://discord.test/x")
    wrong = channels.find_wrong_files(make_sources(tmp_path), "0.25.0")
    assert "needs Alertmanager 0.28 or later: this one is 0.25" in wrong["discord"][0]


def test_without_the_inbox_nothing_is_known(bare_chain: Chain):
    """Whether the message came cannot be asked: unknown, not failed and not passed."""
    sources = start(bare_chain)
    bare_chain.processes["inbox"].stop()
    assert {one.verdict for one in by_channel(sources).values()} == {Verdict.UNKNOWN}


def test_no_test_alert_is_unknown(tmp_path: Path):
    """What was not sent did not arrive."""
    found = by_channel(make_sources(tmp_path, test_alert=False))
    assert {one.verdict for one in found.values()} == {Verdict.UNKNOWN}
    assert list(found) == ["slack", "email", "pagerduty", "heartbeat"]


def test_another_program_at_alertmanagers_address_is_unanswered(tmp_path: Path):
    """No alert is sent to it."""
    with answering({}) as stranger:
        urls = {"alertmanager": stranger.url, "inbox": stranger.url}
        with pytest.raises(UnansweredError, match="status 404"):
            by_channel(make_sources(tmp_path, urls))
    assert stranger.asked == ["/api/v2/status"]
