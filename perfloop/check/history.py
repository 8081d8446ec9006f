"""The stored load tests as checks need them: the runs, what each confirmed, and the baselines."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from perfloop.check.findings import UnansweredError
from perfloop_base.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from perfloop_loadgen.store.runs import RunStore
    from perfloop_loadgen.store.stored import Baseline, StoredRun

_NEWEST = 500
_SEARCH = "breakpoint"  # the profile of a search for the highest rate


@dataclass(frozen=True, slots=True)
class History:
    """Stored runs, the newest first; baselines; and the rate that each search confirmed, by its run's id.

    Attributes:
        count_thresholds: Returns how many thresholds a run had, by its id; without any nearly no run can fail.
    """

    runs: Sequence[StoredRun] = ()
    baselines: Sequence[Baseline] = ()
    confirmed: Mapping[str, float] | None = None
    count_thresholds: Callable[[str], int] = lambda _: 0

    def could_fail(self, run: StoredRun) -> bool:
        """Return whether a run had a threshold that it could have broken; a search for the highest rate always has.

        Raises:
            UnansweredError: It cannot be read.
        """
        return run.profile == _SEARCH or self.count_thresholds(run.run_id) > 0

    def rate_of(self, run: StoredRun) -> float:
        """Return the rate that a run held, in requests per second: of a search the one that it confirmed."""
        return (self.confirmed or {}).get(run.run_id, 0.0) if run.profile == _SEARCH else run.rate


def read_history(url: str, file: Path | None) -> History:
    """Return what is stored; nothing where no run ever was.

    Raises:
        UnansweredError: Runs are not stored, or cannot be read.
        ImportError: A library of the load generator is not installed.
    """

    @cache
    def count_thresholds(run_id: str) -> int:
        with _store(url, file) as store:
            return len(store.get(run_id).summary.gates) if store is not None else 0

    with _store(url, file) as store:
        if store is None:
            return History()
        runs = store.runs(limit=_NEWEST)
        return History(runs, store.baselines(), _confirmed(store, runs), count_thresholds)


@contextmanager
def _store(url: str, file: Path | None) -> Iterator[RunStore | None]:
    from perfloop_loadgen.app.remembered import opened
    from perfloop_loadgen.app.store_flags import StoreFlags

    try:
        with opened(StoreFlags(url, file)) as store:
            yield store
    except (ConfigError, StoreError, OSError) as error:
        sentence = " ".join(str(error).split())
        raise UnansweredError(f"the stored load tests cannot be read: {sentence}") from error


def _confirmed(store: RunStore, runs: Sequence[StoredRun]) -> Mapping[str, float]:
    searches = [run for run in runs if run.profile == _SEARCH and run.passed]
    rates = {run.run_id: store.get(run.run_id).confirmed_rate for run in searches[:10]}
    return {run_id: rate for run_id, rate in rates.items() if rate is not None}
