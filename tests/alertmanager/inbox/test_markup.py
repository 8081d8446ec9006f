"""Slack's markup as a person sees it there, and nothing that a text could smuggle into the page."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_inbox.markup import render_mrkdwn
from perfloop_inbox.presentation import show_message

LINK = '<a href="http://p/x?a=1&amp;b=2" rel="noreferrer">Panel</a>'
CASES = {
    "*bold* and _italic_ and ~gone~": "<strong>bold</strong> and <em>italic</em> and <s>gone</s>",
    "snake_case_name and 2*3*4": "snake_case_name and 2*3*4",
    "*<http://p/x?a=1&amp;b=2|Panel>*": f"<strong>{LINK}</strong>",
    "see http://p/x.": 'see <a href="http://p/x." rel="noreferrer">http://p/x.</a>',
    "`up == 0 *not bold*`": "<code>up == 0 *not bold*</code>",
    "```a\n  b```": "<pre>a\n  b</pre>",
    "a &lt;b&gt; &amp;amp; c": "a &lt;b&gt; &amp;amp; c",
    ":fire: it burns :unknown_one:": "🔥 it burns :unknown_one:",
    "<!channel> <@U1|ann> <#C1|general>": "<b>@channel</b> <b>@ann</b> <b>#general</b>",
    "<!date^1392734382^{date}|18 Feb>": "18 Feb",
    "<mailto:a@b.c|Ann>": '<a href="mailto:a@b.c" rel="noreferrer">Ann</a>',
    "&gt; &gt; quoted": '<span class="quote">quoted</span>',
    "   _Likely cause:_ database (70 %)": "   <em>Likely cause:</em> database (70 %)",
    "* not a list": "* not a list",
}
HOSTILE = (
    "<javascript:alert(1)|click>",
    '<http://p/"onmouseover=alert(1)|x>',
    "*<script>alert(1)</script>*",
    "&lt;img src=x onerror=alert(1)&gt;",
    "<http://p/|<img src=x>>",
    "`<b>` ```<i>```",
    "<!subteam^<b>|<script>>",
)
ALLOWED = re.compile(
    r'<a href="(https?://|mailto:)[^"<>]*" rel="noreferrer">|</a>|</?(strong|em|s|b|code|pre|dl|dt|dd|div|p|span)>'
    r'|<span class="quote">|<p class="(text|title)">|<div class="attachment (firing|warning|resolved)?">'
)


@pytest.mark.parametrize("text", CASES)
def test_markup_is_shown_as_slack_shows_it(text: str):
    """One form each."""
    assert render_mrkdwn(text) == CASES[text]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_brings_an_element_of_its_own(text: str):
    """What remains, when the elements of the renderer are taken out, has no tag."""
    assert "<" not in ALLOWED.sub("", render_mrkdwn(text))


@given(st.text(alphabet="*_~`<>|&;:!@#\"'/ \nabhtpx.()=", max_size=200))
def test_whatever_the_text_is(text: str):
    """No tag but those of the renderer."""
    assert "<" not in ALLOWED.sub("", render_mrkdwn(text))


def test_marks_do_not_nest_without_end():
    """A text made to nest is rendered, not refused."""
    assert render_mrkdwn("&gt; " * 8000 + "x") == '<span class="quote">x</span>'
    assert len(render_mrkdwn("*_~" * 13_000)) >= 39_000


def test_an_attachment_is_title_text_and_fields():
    """As Alertmanager sends it: the title leads to the panel, the fields stand below."""
    attachment = {
        "title": "[FIRING:1] A · shop", "title_link": "http://g/d/x", "text": "*What*\n• where", "color": "danger",
        "fields": [{"title": "Owner", "value": "api"}, {"title": "Empty", "value": ""}, "odd"], "fallback": "not shown",
    }  # fmt: skip
    html = show_message({"channel": "slack", "text": "", "payload": {"attachments": [attachment]}})
    assert '<a href="http://g/d/x" rel="noreferrer">[FIRING:1] A · shop</a>' in html
    assert '<div class="attachment firing">' in html
    assert "<strong>What</strong>\n• where" in html
    assert html.count("<dt>") == 1
    assert "not shown" not in html


def test_an_event_and_a_mail_have_their_parts():
    """PagerDuty's summary, text and links; a mail's sender, recipients and subject."""
    details = {"text": "what http://p/x", "service": "shop", "firing": "", "num_firing": "1"}
    payload = {"summary": "[FIRING:1] A", "source": "shop", "severity": "critical", "custom_details": details}
    links = [{"href": "http://r/#A", "text": "Runbook"}, {"href": "javascript:x", "text": "No"}]
    html = show_message({"channel": "pagerduty", "text": "", "payload": {"payload": payload, "links": links}})
    assert '<a href="http://p/x"' in html
    assert '<a href="http://r/#A" rel="noreferrer">Runbook</a>' in html
    assert ("javascript" in html, html.count("shop"), "firing</dt>" in html) == (False, 1, True)
    mail = {"headers": {"From": "perfloop@localhost"}, "recipients": ["a@b"], "subject": "<S>", "text": "body"}
    html = show_message({"channel": "email", "text": "", "payload": mail})
    assert "<dd>perfloop@localhost</dd><dt>To</dt><dd>a@b</dd><dt>Subject</dt><dd>&lt;S&gt;</dd>" in html


@pytest.mark.parametrize("channel", ["slack", "email", "pagerduty", "other"])
@pytest.mark.parametrize("payload", [{}, [], None, {"attachments": 3, "payload": [], "headers": 1, "recipients": None}])
def test_a_payload_of_no_known_form_is_shown_as_its_text(channel: str, payload: object):
    """As of another version, or a sender that is not Alertmanager."""
    assert "plain &lt;text&gt;" in show_message({"channel": channel, "text": "plain <text>", "payload": payload})
