"""Answers that are no result: what they say, in the server's own words, and when it may be queried again."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import orjson

from perfloop_base.redaction import redact, redact_url
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from perfloop_analyzer.transport import Answer

LONGEST_SENTENCE = 300
_LOOK = 65_536  # bytes of a page in which its title stands
_PAGE = re.compile(rb"\s*(?:<!doctype\s+html|<html|<head|<body)", re.IGNORECASE)
_TITLE = re.compile(rb"<title[^<>]{0,200}>([^<]{0,500})", re.IGNORECASE)
_SIGN_IN = re.compile(r"log[\s_-]?in|sign[\s_-]?in|sso|oauth|saml|auth", re.IGNORECASE)
_FIRST_REDIRECT, _PAST_REDIRECTS = 300, 400
_TO_SIGN_IN = "users sign in there: give the API's own address, or a token, a header or a user"


def explain_refusal(answer: Answer, asked: str) -> str:
    """Return why a server refused, in its own words; `asked` is the URL, to which a redirect may be relative."""
    target = answer.headers.get("location", "")
    if _FIRST_REDIRECT <= answer.status < _PAST_REDIRECTS and target:
        return f"HTTP {answer.status}, {_explain_redirect(asked, target)}"
    sentence = error_sentence(answer.content, answer.status)
    later = answer.headers.get("retry-after", "")
    return f"{sentence}; it asks to be queried again later: Retry-After: {cut(later)}" if later else sentence


def _explain_redirect(asked: str, target: str) -> str:
    where = urljoin(asked, target)
    shown = cut(redact_url(where))
    try:
        before, after = urlsplit(asked), urlsplit(where)
        is_sign_in = bool(_SIGN_IN.search(after.path)) and not _SIGN_IN.search(before.path)
    except ValueError:
        is_sign_in = False
    return f"it redirects to {shown}: {_TO_SIGN_IN if is_sign_in else 'give the address that it leads to'}"


def error_sentence(body: bytes, status: int) -> str:
    """Return the error that Prometheus or what is before it reported, cut to LONGEST_SENTENCE characters."""
    words = _reported(body) or describe_page(body) or body[:120].decode("utf-8", "replace") or "no text"
    return f"HTTP {status}, {cut(words)}"


def _reported(body: bytes) -> str:
    """Return the error of a JSON answer: Prometheus's form, that of Google and Azure, or that of Amazon."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(answer, dict):
        return ""
    error = answer.get("error")
    if isinstance(error, dict):
        kind, words = error.get("status") or error.get("code"), error.get("message")
    elif "errorType" in answer:
        kind, words = answer["errorType"], error
    else:
        kind, words = None, answer.get("message") or answer.get("Message")
    return f"{kind}: {words}" if kind and words else str(words or "")


def describe_page(body: bytes) -> str:
    """Return what a web page in an API's place is called; nothing for what is no page."""
    if not _PAGE.match(body):
        return ""
    title = _TITLE.search(body, 0, _LOOK)
    words = " ".join(title[1].decode("utf-8", "replace").split()) if title else ""
    name = f"a web page titled '{words}'" if words else "a web page without a title"
    return cut(f"{name}; {_TO_SIGN_IN}" if _SIGN_IN.search(words) else name)


def retry_after(answer: Answer, now: float) -> float | None:
    """Return for how many seconds a server asks not to be queried (RFC 9110 §10.2.3); None where it does not.

    Args:
        answer: Its header has seconds or a date.
        now: The server's time in Unix seconds.
    """
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:10])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def cut(text: object) -> str:
    """Return another program's words as a message may show them: no secret, nothing invisible, not too long."""
    return visible(redact(str(text)[:LONGEST_SENTENCE]))
