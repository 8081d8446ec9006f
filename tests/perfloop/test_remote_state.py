"""What is said when samples do not reach the store: one sentence each, with the reason of Prometheus's log."""

from __future__ import annotations

import pytest

from perfloop.stack.remote_state import QUERY, Fact, describe, find_reason, read_facts
from perfloop_base.promql import parse

WAY = {"instance": "p:9090", "remote_name": "store"}
_SAID = "server returned HTTP status 400 Bad Request"
OLD = (
    "ts=2026-01-01T00:00:00Z caller=dedupe.go:112 component=remote level=error remote_name=store url=http://h "
    f'msg="non-recoverable error" count=9 exemplarCount=0 err="{_SAID}: out of order sample"' + "\n"
)
NEW = (
    'time=2026-01-01T00:00:00Z level=ERROR source=queue_manager.go:1670 msg="non-recoverable error" component=remote '
    f'remote_name=store url=http://h failedSampleCount=9 err="{_SAID}: too old: \\"x\\""' + "\n"
)
RETRY = (
    'level=warn component=remote msg="Failed to send batch, retrying" '
    r'err="Post \"http://h\": dial tcp: connection refused"' + "\n"
)


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("", ""),
        ("level=info msg=ready\n", ""),
        (OLD, "server returned HTTP status 400 Bad Request: out of order sample"),
        (OLD + NEW, 'server returned HTTP status 400 Bad Request: too old: "x"'),
        (RETRY, 'Post "http://h": dial tcp: connection refused'),
        (OLD + RETRY, "server returned HTTP status 400 Bad Request: out of order sample"),
        (OLD.replace("sample", "s" * 500), f"server returned HTTP status 400 Bad Request: out of order {'s' * 142}…"),
        (
            RETRY.replace(
                "Post", r"503: remoteAddr: \"127.0.0.1:1\"; requestURI: /api/v1/write; the storage is read-only"
            ),
            '503: the storage is read-only "http://h": dial tcp: connection refused',
        ),
        (OLD.replace("out of", "a\x1b[2J"), "server returned HTTP status 400 Bad Request: a\\x1b[2J order sample"),
    ],
    ids=["none", "other", "2.42", "3.x", "retry", "refused first", "long", "VictoriaMetrics", "escape sequence"],
)
def test_the_reason_is_the_last_refusal(log: str, reason: str):
    """Of both forms of the log; what was refused for good before what is only tried again."""
    assert find_reason(log) == reason


def test_a_reason_shows_no_secret():
    """A store may repeat the header or the address that it was sent."""
    log = OLD.replace("out of order sample", "Authorization: Bearer abc.def-secret")  # secret-scan: example
    assert "abc.def-secret" not in find_reason(log)


@pytest.mark.parametrize(
    ("fact", "sentence"),
    [
        (Fact("age", WAY, 59), None),
        (Fact("age", WAY, 300), "p:9090 → store: the newest sample is 5 min old"),
        (
            Fact("age", WAY, 9000),
            "p:9090 → store: the newest sample is 2 h old; what is older than two hours is never sent",
        ),
        (Fact("never", WAY, 0), "p:9090 → store: nothing was delivered since the start (why)"),
        (Fact("retried", WAY, 3), "p:9090 → store: samples cannot be delivered, and wait in the write-ahead log (why)"),
        (
            Fact("refused", WAY, 1234.4),
            "p:9090 → store: 1,234 samples refused within an hour (why); Prometheus alone has",
        ),
        (Fact("refused", WAY, 0.2), "p:9090 → store: 1 samples refused within an hour (why)"),
        (
            Fact("dropped", WAY, 5),
            "p:9090 → store: 5 samples dropped before they were sent, within an hour: `perfloop fill`",
        ),
        (
            Fact("ignored", {"instance": "s:8480", "reason": "small_timestamp"}, 7),
            "s:8480: the store left out 7 samples within an hour: small_timestamp",
        ),
        (
            Fact("cut", {"instance": "s:8480"}, 7),
            "s:8480: the store cut labels off 7 samples within an hour: too many labels",
        ),
        (
            Fact("full", {"instance": "s:8482"}, 1),
            "s:8482: the disk of the long-term store is full, so it takes no samples",
        ),
    ],
)
def test_each_trouble_is_one_sentence(fact: Fact, sentence: str | None):
    """From where to where, how much, and the reason or what to do."""
    found = list(describe([fact], lambda: "why"))
    assert len(found) == (sentence is not None)
    assert sentence is None or found[0].startswith(sentence)
    assert "\n" not in "".join(found)


def test_without_a_reason_nothing_is_in_its_place():
    """A log that was rotated, or is not at hand."""
    (sentence,) = describe([Fact("never", WAY, 0)], lambda: "")
    assert sentence == "p:9090 → store: nothing was delivered since the start"


def test_the_question_is_promql():
    """One question for all: whatever is absent is no mistake."""
    assert parse(QUERY)


def test_no_answer_is_no_store(free_port: int):
    """Nothing listens there: no sentence about a store is made up."""
    assert read_facts(f"http://127.0.0.1:{free_port}") is None
