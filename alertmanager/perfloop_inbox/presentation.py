"""One message as HTML, in the form of its channel: what a person would see there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from perfloop_inbox.markup import link_addresses, render_mrkdwn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TEXT = Markup('<p class="text">{}</p>')
# Slack's names of colours, as classes of the page; of any other nothing is made.
_COLOURS = {"good": "resolved", "warning": "warning", "danger": "firing"}
_MARKED = ("mrkdwn", None)


def show_message(message: Mapping[str, Any]) -> Markup:
    """Return the body of a message; one without a form of its own, as of another version, is its text."""
    payload = message["payload"]
    show = {"slack": _show_slack, "email": _show_mail, "pagerduty": _show_event}.get(message["channel"])
    found = show(payload) if show and isinstance(payload, dict) else Markup()
    return found or _TEXT.format(link_addresses(message["text"]))


def _show_slack(payload: dict[str, Any]) -> Markup:
    parts = [_marked(payload.get("text")), *_show_blocks(payload)]
    parts += [_show_attachment(one) for one in _dictionaries(payload.get("attachments"))]
    return Markup().join(parts)


def _show_attachment(attachment: dict[str, Any]) -> Markup:
    parts = [_marked(attachment.get("pretext")), _show_title(attachment), _marked(attachment.get("text"))]
    parts += _show_blocks(attachment)
    fields = [
        (one.get("title"), render_mrkdwn(str(one.get("value") or "")))
        for one in _dictionaries(attachment.get("fields"))
    ]
    parts.append(_show_pairs((str(title or ""), value) for title, value in fields if value))
    if not any(parts):
        parts = [_marked(attachment.get("fallback"))]
    colour = _COLOURS.get(str(attachment.get("color")), "")
    return Markup('<div class="attachment {}">{}</div>').format(colour, Markup().join(parts))


def _show_title(attachment: dict[str, Any]) -> Markup:
    title, address = attachment.get("title"), str(attachment.get("title_link") or "")
    if not title:
        return Markup()
    words = escape(str(title))
    if address.startswith(("http://", "https://")):
        words = Markup('<a href="{}" rel="noreferrer">{}</a>').format(address, words)
    return Markup('<p class="title">{}</p>').format(words)


def _show_blocks(holder: dict[str, Any]) -> list[Markup]:
    texts = [block.get("text") for block in _dictionaries(holder.get("blocks"))]
    return [
        _marked(text["text"]) if text.get("type") in _MARKED else _TEXT.format(text["text"])
        for text in texts
        if isinstance(text, dict) and isinstance(text.get("text"), str)
    ]


def _marked(text: Any) -> Markup:
    return _TEXT.format(render_mrkdwn(text)) if isinstance(text, str) and text.strip() else Markup()


def _show_mail(payload: dict[str, Any]) -> Markup:
    if not payload.get("text"):
        return Markup()
    headers = payload.get("headers")
    recipients = ", ".join(map(str, payload.get("recipients") or []))
    sender = headers.get("From", "") if isinstance(headers, dict) else ""
    facts = (("From", sender), ("To", recipients), ("Subject", str(payload.get("subject") or "")))
    pairs = _show_pairs((name, escape(value)) for name, value in facts if value)
    return pairs + _TEXT.format(link_addresses(str(payload["text"])))


def _show_event(event: dict[str, Any]) -> Markup:
    payload = event.get("payload")
    if not isinstance(payload, dict):
        return Markup()
    details = payload.get("custom_details")
    details = details if isinstance(details, dict) else {}
    rows = [(name.capitalize(), payload.get(name)) for name in ("severity", "source", "component", "group", "class")]
    # What the lines above say already is not said twice, nor what is empty.
    known = {str(value) for _, value in rows}
    rows += [(str(name), value) for name, value in details.items() if name != "text" and str(value) not in known]
    pairs = _show_pairs((name, link_addresses(str(value))) for name, value in rows if str(value or "").strip())
    links = [_show_event_link(link) for link in _dictionaries(event.get("links"))]
    return Markup().join(
        (
            Markup('<p class="title">{}</p>').format(str(payload.get("summary") or "")),
            _TEXT.format(link_addresses(str(details["text"]))) if details.get("text") else Markup(),
            pairs,
            _TEXT.format(Markup(" · ").join(filter(None, links))) if any(links) else Markup(),
        )
    )


def _show_event_link(link: dict[str, Any]) -> Markup:
    address = str(link.get("href") or "")
    if not address.startswith(("http://", "https://")):
        return Markup()
    return Markup('<a href="{}" rel="noreferrer">{}</a>').format(address, str(link.get("text") or address))


def _show_pairs(pairs: Iterable[tuple[str, Markup]]) -> Markup:
    rows = Markup().join(Markup("<dt>{}</dt><dd>{}</dd>").format(name, value) for name, value in pairs)
    return Markup("<dl>{}</dl>").format(rows) if rows else Markup()


def _dictionaries(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
