"""Runs that are not in the database yet: the file of a killed run gives back what was measured, to the last count."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfloop_base.processes import identify
from perfloop_loadgen.samples.book import Book, Load
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.samples.tally import Tally
from perfloop_loadgen.store.location import standing_url
from perfloop_loadgen.store.snapshot import assembled, restored, steps
from perfloop_loadgen.store.unsaved import UnsavedRun, bring_in, is_any_there, key_of
from perfloop_loadgen.summary import summarize
from perfloop_loadgen.summary.document import State, to_compact_json
from perfloop_loadgen.summary.verdict import Verdict
from tests.loadgen.stored_runs import build_book, run

if TYPE_CHECKING:
    from perfloop_loadgen.store.runs import RunStore
    from perfloop_loadgen.summary import Summary

NANOSECONDS = st.integers(0, 10**14)
NAMES = st.text(max_size=12)


@st.composite
def books(draw: st.DrawFn) -> Book:
    """A book of up to three endpoints over up to three seconds, with whatever a run may have counted."""
    labels = draw(st.lists(NAMES, unique=True, max_size=3))
    book = Book(Labels(labels))
    for second in range(draw(st.integers(0, 3))):
        windows = [Tally() for _ in labels]
        for tally in windows:
            for value in draw(st.lists(NANOSECONDS, max_size=4)):
                tally.on_time.record(value)
                tally.outcomes[draw(st.sampled_from(["ok", "timeout", "200"]))] += 1
            for value in draw(st.lists(NANOSECONDS, max_size=2)):
                tally.record_behind(0, value // 2, value)
                tally.streams_here().gap.record(value)
            tally.checks[draw(NAMES), draw(st.booleans())] += 1
        book.add(windows, second + 1.0, 1.0, Load(users=2, phase="up"))
    return book


def _summary(book: Book) -> Summary:
    """Return the numbers of a book; in which order checks of all endpoints together came is not kept."""
    summary = summarize("t", book, 3.0)
    return replace(summary, total=replace(summary.total, checks=sorted(summary.total.checks, key=lambda one: one.name)))


@given(books())
@settings(deadline=None)
def test_a_snapshot_gives_every_number_back(book: Book):
    """The summary, the timeline and each histogram, whatever was counted."""
    content = orjson.loads(assembled(list(steps(book)), {"more": 1}))
    again = restored(content["measured"])
    assert content["more"] == 1
    assert _summary(again) == _summary(book)
    assert again.timeline() == book.timeline()
    assert [tally.to_wire() for tally in again.totals] == [tally.to_wire() for tally in book.totals]


@pytest.mark.parametrize(
    "measured",
    [{}, {"known": {"labels": 1}}, {"known": {"labels": [], "points": [], "peak_rate": 0}, "totals": [{}]}, []],
)
def test_what_is_no_snapshot_is_a_value_error(measured: object):
    """Whatever part of it is missing or of another kind."""
    with pytest.raises(ValueError, match="it holds no measurements"):
        restored(measured)  # type: ignore[arg-type] # what a file may hold


def _dead_process() -> str:
    with subprocess.Popen(["sleep", "60"]) as process:
        identity = identify(process.pid)
        process.kill()
    return identity


def _write(number: int, *, process: str, store: str = "") -> UnsavedRun:
    """Write the file of a run under way, as that process would have."""
    unsaved = UnsavedRun(f"{number:012x}", store or key_of(standing_url()))
    base = to_compact_json(replace(run(number), histograms={}, timeline=[], distribution=[]))
    content = orjson.loads(unsaved.of_snapshot(base, list(steps(build_book())), process))
    unsaved.write(orjson.dumps(content))
    return unsaved


def test_a_killed_run_is_brought_in_with_all_that_it_had_measured(store: RunStore):
    """As killed, not judged, and its file is gone."""
    unsaved = _write(7, process=_dead_process())
    [found] = bring_in(store, key_of(standing_url()))
    kept = store.get(unsaved.run_id)
    assert to_compact_json(kept) == to_compact_json(found)
    assert (kept.state, kept.summary.verdict) == (State.KILLED, Verdict.INVALID)
    assert kept.summary.reasons == ["killed: what was measured in its first 2 s is all there is"]
    assert (kept.summary.total_requests, kept.summary.outcomes) == (202, {"ok": 200, "timeout": 2})
    assert kept.histograms == run(7).histograms
    assert not is_any_there()


def test_a_run_under_way_is_left_alone(store: RunStore):
    """Its process is there."""
    _write(7, process=identify())
    assert bring_in(store, key_of(standing_url())) == []
    assert is_any_there()


def test_a_run_of_another_database_is_left_alone(store: RunStore):
    """It waits for a command that opens that one."""
    _write(7, process=_dead_process(), store=key_of("postgresql://elsewhere/runs"))
    assert bring_in(store, key_of(standing_url())) == []
    assert store.runs() == []
    assert is_any_there()


def test_a_run_that_stored_itself_after_all_is_not_taken_for_killed(store: RunStore):
    """Seen from another container its process looks dead."""
    store.save(run(7, p95=0.5))
    _write(7, process=_dead_process())
    bring_in(store, key_of(standing_url()))
    assert store.get(f"{7:012x}").state is State.ENDED
    assert not is_any_there()


def test_an_ended_run_waits_in_its_file_until_the_database_has_it(store: RunStore):
    """Nothing of it is lost."""
    kept = run(8)
    unsaved = UnsavedRun(kept.run_id, key_of(standing_url()))
    unsaved.write(unsaved.of_document(kept))
    bring_in(store, key_of(standing_url()))
    assert to_compact_json(store.get(kept.run_id)) == to_compact_json(kept)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"store": 1}', b'{"store": "KEY", "process": ""}'])
def test_a_file_that_is_no_run_is_moved_aside(store: RunStore, content: bytes, caplog: pytest.LogCaptureFixture):
    """It is said, and hides no other."""
    key = key_of(standing_url())
    broken = UnsavedRun("broken", key)
    broken.write(content.replace(b"KEY", key.encode()))
    _write(7, process=_dead_process())
    found = bring_in(store, key)
    assert [int(one.run_id, 16) for one in found] == [7]
    if b'"store": 1' not in content:
        assert "holds no run" in caplog.text
        assert [one.name.partition("corrupt")[0] for one in broken.path.parent.iterdir()] == ["broken.json."]


def test_what_a_kill_left_half_written_is_removed(store: RunStore):
    """Once it is too old to be of a process that writes."""
    unsaved = _write(7, process=identify())
    old, new = (unsaved.path.with_suffix(f".{number}.partial") for number in (1, 2))
    for path in (old, new):
        path.write_text("{")
    os.utime(old, (1, 1))
    bring_in(store, key_of(standing_url()))
    assert sorted(unsaved.path.parent.iterdir()) == sorted([new, unsaved.path])


def test_a_file_is_whole_or_that_of_before(monkeypatch: pytest.MonkeyPatch):
    """A full disk leaves no half of one."""
    unsaved = _write(7, process=identify())
    before = unsaved.path.read_bytes()
    monkeypatch.setattr("pathlib.Path.write_bytes", _full)
    with pytest.raises(OSError, match="No space left"):
        unsaved.write(b"x")
    assert unsaved.path.read_bytes() == before
    assert [one.name for one in unsaved.path.parent.iterdir()] == [unsaved.path.name]


def _full(path: object, content: bytes) -> int:
    raise OSError(28, os.strerror(28))
