"""E-mail: read a message as a mail server does, and reject what RFC 5322 does not allow."""

from __future__ import annotations

import re
from email.parser import BytesParser
from email.policy import default
from html import unescape
from typing import TYPE_CHECKING

from perfloop_inbox.facts import first_known, parse_pairs, parse_prose
from perfloop_inbox.replies import Accepted, Refusal

if TYPE_CHECKING:
    from email.message import EmailMessage

MAX_BODY_BYTES = 1024 * 1024

# What Python's parser of structured headers is known to raise on malformed ones.
_PARSER_FAILURES = (LookupError, ValueError, TypeError, AttributeError)
# Bounds of what one message can take in memory and on the page.
_MAX_HEADERS = 100
_MAX_TEXT = 100_000
# Elements whose text a mail program does not show.
_INVISIBLE = re.compile(r"<(style|script|head)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_BLOCK_END = re.compile(r"</(p|div|tr|td|h\d|li)\s*>|<br\s*/?>", re.IGNORECASE)
# The bound keeps the search linear in texts with many `<` and no `>`.
_TAG = re.compile(r"<[^>]{0,10000}>")
_FACT_HEADER = re.compile(r"x-(?:perfloop-)?(alertname|severity|status|service)", re.IGNORECASE)


def receive(content: bytes, recipients: list[str]) -> Accepted | Refusal:
    """Check the content of one SMTP DATA command."""
    try:
        return _check(content, recipients)
    except _PARSER_FAILURES as error:
        return Refusal(550, f"5.6.0 Message headers cannot be read ({type(error).__name__})")


def _check(content: bytes, recipients: list[str]) -> Accepted | Refusal:
    message = BytesParser(policy=default).parsebytes(content)
    missing = [name for name in ("From", "Date") if not message.get_all(name)]
    if missing:
        return Refusal(550, f"5.6.0 Message has no {missing[0]} header (RFC 5322, section 3.6)")
    if len(message.get_all("From", [])) > 1:
        return Refusal(550, "5.6.0 Message has more than one From header (RFC 5322, section 3.6)")
    headers = {name: str(value) for name, value in message.items()[:_MAX_HEADERS]}
    subject, body, markup = headers.get("Subject", ""), _read_part(message, "plain"), _read_part(message, "html")
    text = body or strip_markup(markup)
    named = {found[1]: value for name, value in headers.items() if (found := _FACT_HEADER.fullmatch(name))}
    facts = first_known(parse_pairs(named), parse_prose(subject), parse_prose(text))
    payload = {"headers": headers, "recipients": recipients, "subject": subject, "text": text, "html": markup}
    return Accepted(facts, f"{subject}\n{text}".strip(), payload, "Message accepted for delivery")


def _read_part(message: EmailMessage, subtype: str) -> str:
    part = message.get_body(preferencelist=(subtype,))
    if part is None:
        return ""
    try:
        content = part.get_content()
    except (LookupError, ValueError):  # an unknown charset, or bytes that are not in the one it names
        raw = part.get_payload(decode=True)
        content = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else ""
    return str(content)[:_MAX_TEXT].strip()


def strip_markup(markup: str) -> str:
    """Return the words of an HTML page, one line for each block."""
    visible = _TAG.sub(" ", _BLOCK_END.sub("\n", _INVISIBLE.sub("", markup)))
    lines = (" ".join(line.split()) for line in unescape(visible).splitlines())
    return "\n".join(line for line in lines if line)
