"""What the inbox keeps on disk: messages and incidents through restarts, corrupt files, and disks that take nothing."""

from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from perfloop_base.state import SET_ASIDE, WRITABLE
from perfloop_inbox.inbox import Inbox
from perfloop_inbox.messages import Facts, Mailbox, Query
from perfloop_inbox.replies import Accepted
from perfloop_inbox.store import FILE, Store

if TYPE_CHECKING:
    from pathlib import Path

AT = datetime(2026, 11, 29, 10, 0, tzinfo=UTC)
LABELS = {"alertname": "DatabaseQueryTimeHigh", "service": "shop"}


def open_inbox(directory: Path) -> Inbox:
    """An inbox with its state in a directory."""
    return Inbox(clock=lambda: AT, store=Store(directory / FILE))


def deliver(inbox: Inbox, name: str, text: str = "slow") -> None:
    """Deliver one message."""
    inbox.deliver("slack", Accepted(Facts(name, "critical", "firing"), text, {"text": text}, "ok"), len(text))


def names(inbox: Inbox) -> list[str]:
    """The alerts of the messages, newest first."""
    return [message.delivery.facts.alertname for message in inbox.mailbox.find(Query(), 1000)]


def read_metric(inbox: Inbox, name: str) -> float | None:
    """The value of a metric of the state."""
    return inbox.metrics.registry.get_sample_value(name, {"state": "inbox"})


def test_messages_survive_a_kill(tmp_path: Path):
    """Nothing is closed: what `deliver` returned for is there, in its order and under its id."""
    first = open_inbox(tmp_path)
    for name in ("A", "B", "C"):
        deliver(first, name)
    second = open_inbox(tmp_path)
    assert names(second) == ["C", "B", "A"]
    found, delivered = ([one.to_dict() for one in box.mailbox.find(Query(), 9)] for box in (second, first))
    assert found == delivered


def test_ids_are_not_given_twice(tmp_path: Path):
    """After everything was deleted and the inbox restarted, a new message has a new id."""
    first = open_inbox(tmp_path)
    deliver(first, "A")
    first.mailbox.clear()
    second = open_inbox(tmp_path)
    assert names(second) == []
    deliver(second, "B")
    assert [message.id for message in second.mailbox.find(Query(), 10)] == [2]


def test_the_file_is_bounded_like_the_memory(tmp_path: Path):
    """The oldest are dropped in both."""
    store = Store(tmp_path / FILE)
    inbox = Inbox(Mailbox(max_messages=3, store=store), clock=lambda: AT, store=store)
    for number in range(10):
        deliver(inbox, f"A{number}")
    assert names(open_inbox(tmp_path)) == ["A9", "A8", "A7"]
    assert len(store.read("SELECT id FROM messages")) == 3


def test_only_its_owner_reads_it(tmp_path: Path):
    """Messages name hosts and people."""
    open_inbox(tmp_path / "state")
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state" / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", ["text", "empty-page", "truncated", "directory-of-another", "other-schema"])
def test_a_corrupt_file_is_moved_aside(tmp_path: Path, damage: str):
    """Whatever is in its place: it goes on, empty, and says so; the old file stays for a repair."""
    path = tmp_path / FILE
    before = open_inbox(tmp_path)
    deliver(before, "A")
    before.store.close()
    content = path.read_bytes()
    if damage == "other-schema":
        path.unlink()
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE messages (colour TEXT)")
        other.close()
    elif damage == "text":
        path.write_text("no database\n" * 1000)
    elif damage == "empty-page":
        path.write_bytes(content[:100] + bytes(len(content) - 100))
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2 + 100])
    else:
        path.write_bytes(os.urandom(8192))
    inbox = open_inbox(tmp_path)
    deliver(inbox, "B")
    assert names(open_inbox(tmp_path)) == ["B"]
    assert len([one for one in tmp_path.glob(f"{FILE}.corrupt-*") if one.name[-1] == "Z"]) == 1
    assert (read_metric(inbox, SET_ASIDE) or 0) > 0
    assert read_metric(inbox, WRITABLE) == 1


def test_a_file_that_is_removed_while_it_runs_is_written_again(tmp_path: Path):
    """SQLite itself would go on writing to what nobody can open any more."""
    inbox = open_inbox(tmp_path)
    deliver(inbox, "A")
    for path in tmp_path.glob(f"{FILE}*"):
        path.unlink()
    deliver(inbox, "B")
    assert names(open_inbox(tmp_path)) == ["B", "A"]


def test_a_state_that_cannot_be_written_is_kept_in_memory(tmp_path: Path):
    """Messages are taken, the metric and the page say so, and what came meanwhile is written when it works again."""
    path = tmp_path / "place"
    path.write_text("a file where the directory should be")
    inbox = Inbox(clock=lambda: AT, store=Store(path / FILE))
    deliver(inbox, "A")
    assert names(inbox) == ["A"]
    assert read_metric(inbox, WRITABLE) == 0
    path.unlink()
    deliver(inbox, "B")
    assert read_metric(inbox, WRITABLE) == 1
    assert names(open_inbox(path)) == ["B", "A"]


def test_a_full_disk_loses_nothing_that_memory_holds(tmp_path: Path):
    """The database may not grow; then it may again."""
    inbox = open_inbox(tmp_path)
    connection = inbox.store._connection
    assert connection is not None
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    for number in range(20):
        deliver(inbox, f"A{number}", "x" * 4000)
        if read_metric(inbox, WRITABLE) == 0:
            break
    assert read_metric(inbox, WRITABLE) == 0
    assert names(inbox)[-1] == "A0"
    deliver(inbox, "last")  # opened again, without the bound
    assert read_metric(inbox, WRITABLE) == 1
    assert names(open_inbox(tmp_path)) == names(inbox)


def test_incidents_and_what_was_sent_survive_a_kill(tmp_path: Path):
    """A report of Alertmanager is on the disk when it is answered."""
    from perfloop_inbox.incidents import PrometheusAlert, PrometheusView, key_of

    first = open_inbox(tmp_path)
    alert = PrometheusAlert(LABELS, {"summary": "slow"}, firing=True)
    first.reconciliation.step(AT.timestamp(), PrometheusView("p", {key_of(LABELS): alert}), None)
    first.save_incidents(AT.timestamp(), looked=True)
    report = {"receiver": "slack", "alerts": [{"labels": LABELS, "status": "firing"}]}
    assert first.record_notification(report) == 1
    second = open_inbox(tmp_path)
    (incident,) = second.reconciliation.incidents.values()
    assert incident.labels == LABELS
    assert incident.notified["slack"].status == "firing"
    assert second.looked_at == AT.timestamp()


def test_without_a_directory_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As before: in memory alone, and no metric of a state that there is not."""
    monkeypatch.chdir(tmp_path)
    inbox = Inbox(clock=lambda: AT)
    deliver(inbox, "A")
    assert list(tmp_path.iterdir()) == []
    assert read_metric(inbox, WRITABLE) is None
