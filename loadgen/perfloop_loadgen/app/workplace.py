"""Where the load of a test is sent from, and how much of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_base.clusters import find_problems, require_dask
from perfloop_base.errors import ConfigError
from perfloop_loadgen.config.load import BreakpointConfig
from perfloop_loadgen.shares import WHOLE, Share, named

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfloop_loadgen.app.crew import Crew
    from perfloop_loadgen.app.repeat import Repetition
    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.run_flags import ShareFlags, WorkerFlags

# A start that is further away than this was not meant.
_LONGEST_WAIT_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Workplace:
    """The senders of a load.

    Attributes:
        share: how much of the load is sent from here, where other processes send the rest without a coordinator.
        start_unix: when the load begins, in Unix seconds; None: as soon as it is ready.
        crew: makes the crew of each run; None: this process, or as many as the test's `workers`.
    """

    share: Share = WHOLE
    start_unix: float | None = None
    crew: Callable[[], Crew] | None = None

    @property
    def is_share(self) -> bool:
        """Return whether only a share of the load is sent from here: it is a part of a run."""
        return self.share != WHOLE

    def title(self, test: str) -> str:
        """Return what reports and the store call the part of a test: no other run of the test is compared with it."""
        return f"{test} (share {named(self.share)})"


HERE = Workplace()


def workplace_of(
    flags: ShareFlags,
    workers: WorkerFlags,
    configs: Sequence[LoadTestConfig],
    repetition: Repetition | None = None,
) -> Workplace:
    """Return where the load of the tests is sent from; the tests get what the flags say of their workers.

    Raises:
        ConfigError: with every flag that does not go with the others or with the tests.
    """
    problems = [*_of_start(flags, time.time()), *_of_tests(flags, configs, repetition), *_of_workers(workers)]
    if problems:
        raise ConfigError(problems)
    for config in configs:
        if workers.workers is not None:
            config.workers = workers.workers
        if workers.on_lost_worker is not None:
            config.on_lost_worker = "take-over" if workers.on_lost_worker == "take-over" else "invalid"
    return Workplace(flags.share or WHOLE, flags.start_at, _crew_of(workers) if workers.address else None)


def _crew_of(flags: WorkerFlags) -> Callable[[], Crew]:
    require_dask()
    from perfloop_loadgen.app.dask_crew import Cluster, DaskCrew

    cluster = Cluster.of(flags)
    return lambda: DaskCrew(cluster)


def _of_workers(flags: WorkerFlags) -> list[str]:
    return find_problems(flags.address, flags.ca_file, flags.cert_file, flags.key_file)


def _of_start(flags: ShareFlags, now: float) -> list[str]:
    if flags.start_at is None:
        return []
    wait = flags.start_at - now
    if wait <= 0:
        return [f"--start-at: that moment passed {-wait:.3g} s ago: the load would begin late"]
    if wait > _LONGEST_WAIT_SECONDS:
        return [f"--start-at: that moment is {wait / 86_400:.3g} days away: at most one day is waited"]
    return []


def _of_tests(flags: ShareFlags, configs: Sequence[LoadTestConfig], repetition: Repetition | None) -> list[str]:
    given = [name for name, value in (("--share", flags.share), ("--start-at", flags.start_at)) if value is not None]
    if not given:
        return []
    problems = []
    if len(configs) > 1:
        names = ", ".join(config.name for config in configs)
        problems.append(
            f"{given[0]} goes with one test, and there are {len(configs)} ({names}): choose one with --test"
        )
    if repetition is not None:
        problems.append(f"{given[0]} goes with one run: leave --repeat and --until-interval out")
    if any(isinstance(config.load, BreakpointConfig) for config in configs):
        problems.append(
            f"{given[0]} does not go with a breakpoint search, whose rates depend on what all shares measure"
        )
    return problems
