from __future__ import annotations

import pytest

from perfloop_inbox.messages import Channel, Delivery, Facts, Mailbox, Query


def _build_delivery(channel: Channel = "slack", size_bytes: int = 10, facts: Facts | None = None) -> Delivery:
    return Delivery(channel, facts or Facts(), "text", {}, size_bytes)


def _list_ids(mailbox: Mailbox, query: Query | None = None, limit: int = 100) -> list[int]:
    return [message.id for message in mailbox.find(query or Query(), limit)]


def _fill(mailbox: Mailbox, *deliveries: Delivery) -> Mailbox:
    for delivery in deliveries:
        mailbox.add(delivery, "2026-01-01T00:00:00+00:00")
    return mailbox


def test_newest_first_within_limit():
    """The newest message leads, and no more come than were asked for."""
    assert _list_ids(_fill(Mailbox(), *[_build_delivery()] * 3), limit=2) == [3, 2]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        (Query(channel="email"), [2]),
        (Query(status="firing"), [2, 1]),
        (Query(status="resolved"), []),
        (Query(alertname="SlowQueries"), [1]),
        (Query(severity="critical", channel="slack"), []),
    ],
)
def test_filters(query: Query, ids: list[int]):
    """A message is found when it matches every filter that is set."""
    first = _build_delivery("slack", facts=Facts("SlowQueries", "warning", "firing"))
    second = _build_delivery("email", facts=Facts("Errors", "critical", "firing"))
    assert ids == _list_ids(_fill(Mailbox(), first, second), query)


def test_number_is_bounded():
    """The oldest leaves when there is one too many."""
    assert _list_ids(_fill(Mailbox(max_messages=2), *[_build_delivery()] * 5)) == [5, 4]


def test_bytes_are_bounded():
    """Old messages leave when together they take too much memory; the newest stays whatever it takes."""
    mailbox = _fill(Mailbox(max_bytes=100), *[_build_delivery(size_bytes=40)] * 3)
    assert (_list_ids(mailbox), mailbox.size_bytes) == ([3, 2], 80)
    _fill(mailbox, _build_delivery(size_bytes=400))
    assert (_list_ids(mailbox), mailbox.size_bytes) == ([4], 400)


def test_clear():
    """Clearing forgets all, says how many, and numbers go on."""
    mailbox = _fill(Mailbox(), _build_delivery(), _build_delivery())
    assert (mailbox.clear(), len(mailbox), mailbox.size_bytes) == (2, 0, 0)
    assert _list_ids(_fill(mailbox, _build_delivery())) == [3]
