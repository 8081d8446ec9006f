"""What really arrives: alerts posted to a real Alertmanager, messages read from the inbox."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import unquote_plus

import pytest

from tests.support.alerting_chain import Chain, wait_until

CHANNELS = ("slack", "email", "pagerduty")
ANNOTATIONS = {
    "summary": "Database query time p95 at 512 ms (limit 200 ms)",
    "resolved": "Database query time p95 is back under its limit",
    "description": "shop sqlite: 512 ms, the limit is 200 ms.",
    "value": "512 ms",
    "threshold": "200 ms",
    "cause": "database (70 %)",
    "recommendation": "Find the slow queries",
    "routes": "/search 1.2 s; /list 800 ms",
    "dashboard": "/d/service?var-service=shop&viewPanel=9",
    "runbook_url": "http://127.0.0.1:9090/user/runbook.html#DatabaseQueryTimeHigh",
}


def make_alert(severity: str = "critical", *, over: bool = False, **labels: str) -> dict[str, Any]:
    """Return an alert as Prometheus posts it: it begins now, or has ended now.

    What began before the group wait is notified immediately, with whatever of its group has arrived by then.
    """
    now = datetime.now(UTC)
    named = {"alertname": "DatabaseQueryTimeHigh", "service": "shop", "component": "database", "owner": "database"}
    times = {"startsAt": (now - timedelta(minutes=over)).isoformat()} | ({"endsAt": now.isoformat()} if over else {})
    return {"labels": named | {"severity": severity} | labels, "annotations": ANNOTATIONS, **times}


def test_a_critical_alert_reaches_all_three_channels_with_every_field(chain: Chain):
    """Slack, e-mail and PagerDuty each get what their form has a place for, and the end as well."""
    chain.post_alerts(make_alert())
    slack, mail, page = (chain.wait_message(channel=channel) for channel in CHANNELS)
    facts = {(message["status"], message["severity"], message["alertname"]) for message in (slack, mail, page)}
    assert facts == {("firing", "critical", "DatabaseQueryTimeHigh")}

    attachment = slack["payload"]["attachments"][0]
    assert attachment["color"] == "danger"
    assert attachment["callback_id"] == "DatabaseQueryTimeHigh.shop"
    assert attachment["title"] == "[FIRING:1] DatabaseQueryTimeHigh · shop · critical"
    assert attachment["title_link"].startswith("http://127.0.0.1:3000/d/service?var-service=shop&viewPanel=9&from=")
    facts = ("512 ms", "200 ms", "Since", "database", "Find the slow queries", "/search 1.2 s; /list 800 ms")
    for words in (*facts, "|Panel>", "|Runbook>", "|Silence>"):
        assert words in attachment["text"]

    assert mail["payload"]["subject"] == attachment["title"]
    assert mail["payload"]["recipients"] == ["oncall@localhost"]
    assert mail["payload"]["headers"]["References"] == "<DatabaseQueryTimeHigh.shop@perfloop>"
    for body in (mail["payload"]["text"], mail["payload"]["html"]):
        assert "Find the slow queries" in body
        assert "runbook.html#DatabaseQueryTimeHigh" in body

    event = page["payload"]
    assert (event["event_action"], event["payload"]["severity"]) == ("trigger", "critical")
    assert (event["payload"]["component"], event["payload"]["source"]) == ("database", "shop")
    assert event["payload"]["custom_details"]["alertname"] == "DatabaseQueryTimeHigh"
    assert {link["text"] for link in event["links"]} == {"Runbook", "Silence"}

    chain.post_alerts(make_alert(over=True))
    ended = {channel: chain.wait_message(channel=channel, status="resolved") for channel in CHANNELS}
    assert ended["slack"]["payload"]["attachments"][0]["color"] == "good"
    assert ended["email"]["payload"]["headers"]["References"] == mail["payload"]["headers"]["References"]
    assert ended["email"]["payload"]["subject"] == "[RESOLVED] DatabaseQueryTimeHigh · shop · critical"
    assert ended["pagerduty"]["payload"]["event_action"] == "resolve"
    assert ended["pagerduty"]["payload"]["dedup_key"] == event["dedup_key"]


def test_a_resolved_message_says_what_is_over(chain: Chain):
    """It does not repeat what was wrong as if it still were; the last value and the duration are in it."""
    chain.post_alerts(make_alert())
    fired = chain.wait_message(channel="slack")["payload"]["attachments"][0]["text"]
    assert fired.startswith("*Database query time p95 at 512 ms (limit 200 ms)*")
    chain.post_alerts(make_alert(over=True))
    over = "Database query time p95 is back under its limit (was 512 ms for 1 min)"
    ended = {channel: chain.wait_message(channel=channel, status="resolved")["payload"] for channel in CHANNELS}
    assert ended["slack"]["attachments"][0]["text"].startswith(f"*{over}*")
    assert over in ended["email"]["html"]
    assert ended["email"]["text"].startswith(over)
    for payload in ended.values():  # what was fixed needs no advice
        assert [word for word in ("Likely cause", "Recommended", "Find the slow") if word in json.dumps(payload)] == []


def test_slack_s_fields_say_what_the_title_does_not(chain: Chain):
    """Alert, service, severity and status stand in the title already."""
    chain.post_alerts(make_alert())
    attachment = chain.wait_message(channel="slack")["payload"]["attachments"][0]
    values = [field["value"] for field in attachment["fields"]]
    assert values == ["database"]
    assert not [value for value in values if value.lower() in attachment["title"].lower().split(" · ")]


def test_links_lead_to_that_time_and_to_that_alert_alone(chain: Chain):
    """From half an hour before it fired, in every channel; the silence has every label that identifies it."""
    began = datetime.now(UTC) - timedelta(hours=3)
    alert = make_alert(pool="a & b") | {"startsAt": began.isoformat()}
    chain.post_alerts(alert)
    slack, mail, page = (chain.wait_message(channel=channel)["payload"] for channel in CHANNELS)
    texts = (slack["attachments"][0]["text"], mail["text"], unescape(mail["html"]), page["client_url"])
    for text in texts:
        (start, end) = re.findall(r"viewPanel=9&from=(\d+)&to=(\d+)", text)[0]
        assert (int(start) - began.timestamp() * 1000) / 60_000 == pytest.approx(-30, abs=0.1)
        assert (int(end) - began.timestamp() * 1000) / 60_000 == pytest.approx(15, abs=0.1)
    named = '{alertname="DatabaseQueryTimeHigh", pool="a & b", service="shop"}'
    for text in (*texts[:3], page["links"][1]["href"]):
        (wanted,) = re.findall(r"/silences/new\?filter=([^\s|\"]+)", text)
        assert unquote_plus(wanted) == named


def test_an_event_s_source_is_the_service_or_the_machine(chain: Chain):
    """Not the name of the program that sends it."""
    host = {"service": "host", "instance": "web1:19100"}
    cases = {
        "web1": make_alert(alertname="OnHost", host="web1", **host),
        "web1:19100": make_alert(alertname="OnInstance", **host),
        "shop": make_alert(alertname="OfService", instance="web1:8000"),
        "perfloop": make_alert(alertname="OfNobody", service=""),
    }
    chain.post_alerts(*cases.values())
    for source, alert in cases.items():
        name = alert["labels"]["alertname"]
        message = chain.wait_message(channel="pagerduty", alertname=name)
        assert message["payload"]["payload"]["source"] == source


def test_alerts_of_one_service_come_as_one_message(chain: Chain):
    """Three pools of a service are one message of three lines; another service is another message."""
    pools = [make_alert("warning", pool=name) for name in ("a", "b", "c")]
    chain.post_alerts(*pools, make_alert("warning", service="other"))
    wait_until(lambda: len(chain.messages(channel="slack")) > 1, what="both messages")
    titles = sorted(message["payload"]["attachments"][0]["title"] for message in chain.messages())
    assert titles == [
        "[FIRING:1] DatabaseQueryTimeHigh · other · warning",
        "[FIRING:3] DatabaseQueryTimeHigh · shop · warning",
    ]


def test_warnings_reach_slack_alone_and_information_nobody(chain: Chain):
    """Only what is critical wakes somebody up; information is on the dashboards."""
    chain.post_alerts(make_alert("info", alertname="LoadHigh"), make_alert("warning", alertname="CpuUsageHigh"))
    chain.wait_message(channel="slack", alertname="CpuUsageHigh")
    time.sleep(2)
    assert {(message["channel"], message["alertname"]) for message in chain.messages()} == {("slack", "CpuUsageHigh")}


def test_a_critical_alert_keeps_its_warning_out_of_slack(chain: Chain):
    """Who was paged about the critical alert does not need its warning."""
    chain.post_alerts(make_alert("critical"))
    chain.wait_message(channel="slack", severity="critical")
    chain.post_alerts(make_alert("critical"), make_alert("warning"))
    time.sleep(4)
    assert chain.messages(severity="warning") == []


def test_a_label_cannot_call_the_whole_channel(chain: Chain):
    """The text of a label is shown, not interpreted, by Slack and in HTML."""
    alert = make_alert()
    alert["annotations"] = ANNOTATIONS | {"description": "<!channel> <script>alert(1)</script> & more"}
    chain.post_alerts(alert)
    assert "<!channel>" not in chain.wait_message(channel="slack")["payload"]["attachments"][0]["text"]
    assert "<script>" not in chain.wait_message(channel="email")["payload"]["html"]


def test_receivers_that_answer_500_lose_nothing(chain: Chain):
    """While every channel fails the alert waits; when they heal it arrives once, and its end under the same key."""
    chain.break_channel(slack=500, email=500, pagerduty=500)
    chain.post_alerts(make_alert())
    time.sleep(24)  # two minutes at a fifth, like every wait here: four rounds of retries
    assert chain.messages() == []
    chain.break_channel()
    fired = {channel: chain.wait_message(channel=channel) for channel in CHANNELS}
    chain.post_alerts(make_alert(over=True))
    ended = chain.wait_message(channel="pagerduty", status="resolved")
    assert ended["payload"]["dedup_key"] == fired["pagerduty"]["payload"]["dedup_key"]
    assert [message["channel"] for message in chain.messages(status="firing")].count("pagerduty") == 1


def test_the_heartbeat_comes_again_and_again(chain: Chain):
    """The Watchdog reaches the inbox's heartbeat, not its mailbox, once in every group interval."""
    chain.post_alerts({"labels": {"alertname": "Watchdog", "severity": "none", "service": "prometheus"}})
    beats = chain.wait_heartbeats(2)
    assert beats[0]["payload"]["alerts"][0]["labels"]["alertname"] == "Watchdog"
    assert chain.messages() == []
