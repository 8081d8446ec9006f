"""What other programs read of the stored runs: one JSON file in the home directory, rewritten with every change.

The facts of a test are whether its newest run passed, and which baselines it has: what a check before a deployment asks
for. The load generators of the stack publish them, and the newest runs, as series; the SQL view `load_test_facts` says
the same to whoever reads the database.
"""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perfloop_base.errors import ConfigError
from perfloop_loadgen.store.changes import changes_by_run
from perfloop_loadgen.store.location import directory, make_directory, standing_url
from perfloop_loadgen.store.stored import Baseline, StoredRun

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from perfloop_loadgen.store.runs import RunStore

log = logging.getLogger(__name__)

FORMAT = 1
# Of each test, and of all tests together: each run is a row of the board and some ten series.
NEWEST_OF_TEST = 20
NEWEST = 100


@dataclass(frozen=True, slots=True)
class History:
    """The newest stored runs, the newest first, every baseline, and what changed with which run."""

    runs: tuple[StoredRun, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    # By run: what changed with it, in words.
    changes: dict[str, str] = field(default_factory=dict)

    def newest(self) -> dict[str, StoredRun]:
        """Return the newest run of each test."""
        return {run.test: run for run in reversed(self.runs)}


@dataclass(slots=True)
class HistoryFile:
    """The file of facts, read again only when it has changed."""

    path: Path = field(default_factory=lambda: directory() / "history.json")
    _read_at: tuple[int, int] = (0, 0)
    _history: History = field(default_factory=History)

    def read(self) -> History:
        """Return what the file says; nothing where there is none, or no usable one."""
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp != self._read_at:
                self._history = _parse(json.loads(self.path.read_bytes()))
                self._read_at = stamp
        except (OSError, ValueError, LookupError, TypeError):
            self._read_at, self._history = (0, 0), History()
        return self._history


def publish(store: RunStore) -> None:
    """Rewrite the file of facts; those of a database that only a flag names are not published.

    A file that cannot be written is said and is no error: the runs themselves are stored.
    """
    if store.url != standing_url():
        return
    runs = store.runs(limit=20 * NEWEST)
    history = History(tuple(_newest(runs)), tuple(store.baselines()), changes_by_run(runs))
    try:
        path = make_directory() / "history.json"
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            partial.write_text(json.dumps(_as_dict(history), indent=1), encoding="utf-8")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except (OSError, ConfigError) as error:
        log.warning("the facts of stored runs are not published: %s", error)


def _newest(runs: Iterable[StoredRun]) -> list[StoredRun]:
    """Return the newest runs of each test, in all no more than NEWEST; `runs` has the newest first."""
    counts: dict[str, int] = {}
    found = []
    for run in runs:
        counts[run.test] = counts.get(run.test, 0) + 1
        if counts[run.test] <= NEWEST_OF_TEST:
            found.append(run)
    return found[:NEWEST]


def _as_dict(history: History) -> dict[str, Any]:
    names: dict[str, list[str]] = {}
    for baseline in history.baselines:
        names.setdefault(baseline.test, []).append(baseline.name)
    tests = {
        test: {"passed": run.passed, "newest": run.run_id, "baselines": names.get(test, [])}
        for test, run in sorted(history.newest().items())
    }
    return {
        "format": FORMAT,
        "written_unix": time.time(),
        "tests": tests,
        "runs": [run.as_dict() for run in history.runs],
        "baselines": [baseline.as_dict() for baseline in history.baselines],
        "changes": {run.run_id: history.changes[run.run_id] for run in history.runs if run.run_id in history.changes},
    }


def _parse(content: Any) -> History:
    """Return the history of a file's content.

    Raises:
        ValueError, LookupError, TypeError: it is of no known form.
    """
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']!r} is not known")
    runs = tuple(
        StoredRun(**{key: value for key, value in run.items() if key != "started_at"}) for run in content["runs"]
    )
    baselines = tuple(
        Baseline(one["name"], one["test"], tuple(one["run_ids"]), one["set_unix"]) for one in content["baselines"]
    )
    return History(runs, baselines, {str(run_id): str(words) for run_id, words in content["changes"].items()})
