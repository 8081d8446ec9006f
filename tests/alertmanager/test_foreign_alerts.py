"""Alerts that somebody else's rules make: hostile, bare, huge; what each channel then shows."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import unquote_plus

import pytest

from tests.support.alerting_chain import Chain, fetch, quicker, start_alertmanagers, start_inbox

MARKUP = "<!channel> <https://evil.example|click> *bold* `code` ~gone~ & _more_"
ODD = 'a 100% "b" \\ <c> + d|e\nf é #?&=/'
HOSTILE = {
    "labels": {"alertname": MARKUP, "service": MARKUP, "severity": "critical", "owner": MARKUP, "instance": ODD},
    "annotations": {
        "summary": MARKUP,
        "description": MARKUP,
        "cause": MARKUP,
        "routes": MARKUP,
        "recommendation": MARKUP,
        "runbook_url": "https://runbooks.example/a|b>c d",
        "dashboard": "https://grafana.example/d/x?var=<y>",
    },
    "generatorURL": "http://prometheus.example/graph?g0.expr=a|b>1",
}
SLACK_LINK = re.compile(r"<([^<>|\s]+)\|(Panel|Runbook|Query|Silence|every alert)>")


@pytest.fixture
def watched(bare_chain: Chain) -> Chain:
    """An Alertmanager and an inbox that knows it."""
    start_inbox(bare_chain, watching=True)
    start_alertmanagers(bare_chain, rewrite=quicker)
    return bare_chain


def attachment(chain: Chain) -> dict[str, Any]:
    """Return what Slack was sent."""
    return dict(chain.wait_message(channel="slack")["payload"]["attachments"][0])


def silence_links(chain: Chain) -> dict[str, str]:
    """Return the address of each channel's link to a silence."""
    mail = chain.wait_message(channel="email")["payload"]
    page = chain.wait_message(channel="pagerduty")["payload"]
    return {
        "slack": next(url for url, name in SLACK_LINK.findall(attachment(chain)["text"]) if name == "Silence"),
        "html": html.unescape(re.findall(r'href="([^"]*/silences/new[^"]*)"', mail["html"])[-1]),
        "text": re.findall(r"Silence: +(\S+)", mail["text"])[-1],
        "pagerduty": next(link["href"] for link in page["links"] if link["text"] == "Silence"),
    }


def test_foreign_markup_is_shown_not_obeyed(watched: Chain):
    """In Slack nothing calls a channel, no link is somebody's own, and nothing is set in bold or as code."""
    watched.post_alerts(HOSTILE)
    sent = attachment(watched)
    text = sent["text"]
    assert [name for _, name in SLACK_LINK.findall(text)] == ["Panel", "Runbook", "Query", "Silence"]
    shown = [SLACK_LINK.sub("", text), sent["title"], sent["fallback"], *(field["value"] for field in sent["fields"])]
    ours = re.compile(r"^\*.*\*$|_(Worst routes|Likely cause|Recommended):_", re.MULTILINE)
    for one in shown:
        assert not set("<>`~*") & set(ours.sub("", one).replace("&lt;", "").replace("&gt;", "").replace("&amp;", ""))
    assert "&lt;!channel&gt;" in text
    links = {name: url for url, name in SLACK_LINK.findall(text)}
    assert links["Panel"].startswith("https://grafana.example/d/x?var=%3Cy%3E"), "an address of its own stands alone"
    assert links["Runbook"] == "https://runbooks.example/a%7Cb%3Ec%20d"
    assert sent["title_link"] == links["Panel"]


@pytest.mark.parametrize("channel", ["slack", "html", "text", "pagerduty"])
def test_a_silence_link_names_exactly_the_alert(watched: Chain, channel: str):
    """Whatever is in a label: the page finds the alert, and has its labels as they are."""
    watched.post_alerts(HOSTILE)
    link = silence_links(watched)[channel]
    assert "1 alert matches now" in fetch(link)
    matchers = unquote_plus(link.partition("filter=")[2])
    quoted = ODD.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    assert f'instance="{quoted}"' in matchers


def test_an_alert_without_words_says_what_it_is_about(watched: Chain):
    """Neither summary nor description: its name and its labels are all there is."""
    watched.post_alerts({"labels": {"alertname": "Bare", "severity": "critical", "instance": "a:1", "queue": "mail"}})
    mail = watched.wait_message(channel="email")["payload"]
    details = watched.wait_message(channel="pagerduty")["payload"]["payload"]
    texts = [
        attachment(watched)["text"],
        mail["text"],
        re.sub("<[^>]*>", "", mail["html"]),
        details["custom_details"]["text"],
    ]
    for text in texts:
        assert "Bare" in text
        assert re.search(r"instance=a:1,? queue=mail", text), text
    assert "Bare" in details["summary"].partition(": ")[2]


def test_alerts_of_one_message_are_distinguished(watched: Chain):
    """Descriptions that name nothing: the labels that differ stand behind each."""
    labels = {"alertname": "Full", "service": "shop", "severity": "warning"}
    watched.post_alerts(
        *({"labels": labels | {"queue": name}, "annotations": {"description": "Too long."}} for name in ("a", "b"))
    )
    text = attachment(watched)["text"]
    assert "|Query>" not in text, "these have none"
    assert ["queue=a" in line for line in text.splitlines() if line.startswith("•")].count(True) == 1
    assert "(queue=b)" in text
    assert "service=shop" not in SLACK_LINK.sub("", text)


def test_a_huge_message_has_links_and_count_first(watched: Chain):
    """500 alerts, one of 180 kB: what Slack, PagerDuty and mail show begins with what matters, and ends soon."""
    labels = {"alertname": "Huge", "service": "shop", "severity": "critical"}

    def alert(number: int, size: int) -> dict[str, Any]:
        words = {
            name: name[0] * size for name in ("summary", "description", "cause", "recommendation", "routes", "value")
        }
        url = "http://prometheus.example/graph"
        return {"labels": labels | {"queue": f"q{number}" * 40}, "annotations": words, "generatorURL": url}

    watched.post_alerts(alert(0, 180_000), *(alert(number, 1000) for number in range(1, 500)))
    text = attachment(watched)["text"]
    assert len(text) <= 20_000
    before = text.partition("\n•")[0]
    assert [name for _, name in SLACK_LINK.findall(before)] == ["every alert", "Query", "Silence"]
    assert "500 alerts" in before
    page = watched.wait_message(channel="pagerduty")["payload"]["payload"]
    assert len(page["summary"]) <= 1024
    assert len(page["custom_details"]["text"]) <= 25_000
    mail = watched.wait_message(channel="email")["payload"]
    assert len(mail["text"]) <= 25_000
    assert len(mail["html"]) <= 40_000
    assert len(mail["subject"]) <= 300
