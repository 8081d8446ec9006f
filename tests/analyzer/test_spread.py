"""Many series in blocks: in one process, in threads or on a Dask cluster, the published output is the same."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from perfloop_analyzer.catalog import load_catalog
from perfloop_analyzer.cli import main
from perfloop_analyzer.config import RunConfig
from perfloop_analyzer.detectors import spread as spreading
from perfloop_analyzer.detectors.spread import Here, Threads, slices
from perfloop_analyzer.errors import ConfigError
from perfloop_analyzer.loop import Loop
from perfloop_analyzer.pipeline import Knowledge
from perfloop_analyzer.ports import Responses
from perfloop_analyzer.published import Published
from perfloop_analyzer.recommend import load_rules
from perfloop_analyzer.reporters.metrics import ResultCollector
from perfloop_analyzer.series import Batch, Grid
from perfloop_analyzer.spread_config import SpreadConfig
from perfloop_analyzer.store import Database
from perfloop_base.clusters import parse_cluster
from perfloop_base.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from perfloop_analyzer.detectors.spread import Spread

NOW, STEP, POINTS = 1.7e9, 15.0, 240
SIGNALS = ("api_response_time_p95", "db_query_time_p95", "cpu_used_ratio", "cache_hit_ratio", "availability")
DASK = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="Dask is not installed: pip install 'perfloop[dask]'"
)


class City:
    """A source with many services, some in trouble; some series are late, steady, or have gaps."""

    def __init__(self, rows: int, seed: int = 1) -> None:
        self._rows = rows
        self._seed = seed
        self._table = {one.query("1m"): one.name for one in load_catalog()}

    async def query(self, queries: Sequence[Any], grid: Grid) -> Responses:
        """Answer what is asked for."""
        # Days of history are learned in one place: of one signal they are enough to see the season at work.
        known = SIGNALS if grid.step <= STEP else SIGNALS[2:3]
        found = {query.signal: self._batch(query.signal, grid) for query in queries if query.signal in known}
        return Responses({name: batch for name, batch in found.items() if len(batch)}, {})

    async def scrape_interval(self) -> float | None:
        """Return nothing."""

    def _batch(self, signal: str, grid: Grid) -> Batch:
        rng = np.random.default_rng([self._seed, SIGNALS.index(signal), grid.points])
        shape = (self._rows, grid.points)
        level = {"cache_hit_ratio": 0.95, "availability": 1.0, "cpu_used_ratio": 0.4}.get(signal, 0.05)
        values = level * (1 + 0.02 * rng.standard_normal(shape) + 0.1 * np.sin(np.arange(grid.points) / 9.0))
        values[::7] = level  # steady
        values[rng.random(shape) < 0.01] = np.nan
        values[3::11, : grid.points // 3] = np.nan  # began late
        trouble = np.flatnonzero(rng.random(self._rows) < 0.05)
        since = rng.integers(10, 60, len(trouble))
        for row, points in zip(trouble, since, strict=True):
            values[row, -points:] *= 0.5 if signal == "cache_hit_ratio" else 3.0
        labels = tuple({"service": f"s{row % 40}", "instance": f"i{row}"} for row in range(self._rows))
        return Batch(signal, grid, labels, values)


async def _publish(rows: int, spread: Spread, seed: int = 1) -> tuple[str, list[str]]:
    """Return the whole published output of three cycles: the JSON form of the last result, and every metric of it."""
    database = Database("sqlite://")
    catalog = [one for one in load_catalog() if one.name in SIGNALS]
    config = RunConfig(step_seconds=STEP, rate_window="1m")
    loop = Loop(config, City(rows, seed), database, Knowledge(catalog, load_rules()))
    loop.spread_over(spread)
    for number in range(3):
        result = await loop.cycle(NOW + 10.0 * number)
        assert result is not None, loop.published.error
    database.close()
    published = Published()
    published.publish(result)
    samples = [
        f"{one.name}{one.labels}{one.value!r}"
        for family in ResultCollector(published).collect()
        for one in family.samples
        if not one.name.startswith("perfloop_analyzer_")
    ]
    assert len(samples) > 100
    assert result.findings
    return repr(result.as_dict()), samples


@given(rows=st.integers(20, 70), size=st.integers(1, 80), seed=st.integers(1, 5))
@settings(max_examples=5, deadline=None, phases=[Phase.explicit, Phase.generate])  # each example is six cycles
def test_the_size_of_blocks_changes_nothing(rows: int, size: int, seed: int) -> None:
    """A row's result depends on no other row of its block, to the last bit."""
    whole = asyncio.run(_publish(rows, Here(), seed))
    before, spreading.ROWS = spreading.ROWS, size
    try:
        assert asyncio.run(_publish(rows, Here(), seed)) == whole
    finally:
        spreading.ROWS = before


@pytest.mark.parametrize("count", [2, 5])
async def test_threads_publish_what_one_does(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole output of three cycles, findings that stand included."""
    monkeypatch.setattr(spreading, "ROWS", 16)
    threads = Threads(count)
    assert await _publish(120, threads) == await _publish(120, Here())
    threads.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Callable[..., Any]]:
    """A Dask cluster of two processes, and how an analyzer joins it."""
    import distributed

    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1"
    ) as workers:
        from perfloop_analyzer.dask_spread import DaskSpread

        def join(here: Spread | None = None) -> Any:
            return DaskSpread(SpreadConfig(dask=workers.scheduler_address), here or Here())

        join.workers = workers  # type: ignore[attr-defined]
        yield join


@DASK
async def test_a_cluster_publishes_what_one_process_does(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, over workers that are given by address."""
    monkeypatch.setattr(spreading, "ROWS", 16)

    joined = await asyncio.to_thread(cluster, OneBlock())
    assert await _publish(120, joined) == await _publish(120, Here())
    assert joined.problem == ""
    await asyncio.to_thread(joined.close)


class OneBlock(Here):
    """What is done here: nothing but what is one block."""

    def map(self, work: Callable[..., Any], blocks: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Do one block."""
        assert len(blocks) < 2, "the cluster does not work"
        return super().map(work, blocks)


@DASK
def test_a_cluster_that_is_lost_costs_no_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its workers are killed: the same work is done here, and it is said why."""
    import distributed

    from perfloop_analyzer.dask_spread import DaskSpread

    monkeypatch.setattr("perfloop_analyzer.dask_spread.WORK_SECONDS", 3.0)
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",
        host="127.0.0.1",
        processes=False,
        protocol="tcp",
    ) as workers:
        joined = DaskSpread(SpreadConfig(dask=workers.scheduler_address), Here())
        blocks = [(np.full(3, float(number)),) for number in range(8)]
        assert joined.map(np.sum, blocks) == [3.0 * number for number in range(8)]
        workers.scale(0)
        workers.sync(workers._correct_state)
        assert joined.map(np.sum, blocks) == [3.0 * number for number in range(8)]
        assert "this process works alone" in joined.problem
        joined.close()


@DASK
def test_a_cluster_without_workers_is_refused_in_one_sentence() -> None:
    """Nothing is half started: the analyzer says what is missing, and how to get it."""
    import distributed

    from perfloop_analyzer.dask_spread import DaskSpread

    with (
        distributed.LocalCluster(
            n_workers=0, dashboard_address="127.0.0.1:0", host="127.0.0.1", processes=False, protocol="tcp"
        ) as empty,
        pytest.raises(ConfigError, match="the cluster has no workers: `dask worker tcp://"),
    ):
        DaskSpread(SpreadConfig(dask=empty.scheduler_address), Here())


@pytest.mark.parametrize(
    "text", ["8786", "http://host:8786", "tcp://", "tcp://host", "tcp://host:0", "tcp://h:1/x", ""]
)
def test_what_is_no_scheduler_is_refused(text: str) -> None:
    """One sentence with the value and the rule."""
    with pytest.raises(ValueError, match="not the address of a Dask scheduler"):
        parse_cluster(text)


def test_flags_that_do_not_fit_are_all_named() -> None:
    """Certificates without tls://, tls:// without certificates, files that are not there."""
    from pathlib import Path

    assert SpreadConfig(dask="tcp://h:1", ca_file=Path("x")).problems() == [
        "--dask.tls-ca-file goes with --dask tls://HOST:PORT"
    ]
    found = SpreadConfig(dask="tls://h:1", ca_file=Path("/absent")).problems()
    assert found == ["--dask tls://h:1 needs --dask.tls-cert-file", "--dask.tls-ca-file: /absent cannot be read"]
    assert SpreadConfig().problems() == []
    assert SpreadConfig(threads=3).thread_count() == 3
    assert SpreadConfig().thread_count() >= 1


def test_slices_are_all_rows() -> None:
    """Each once, in order, and none where there are none."""
    for count in (0, 1, 1023, 1024, 1025, 5000):
        rows = [row for part in slices(count) for row in range(part.start, part.stop)]
        assert rows == list(range(count))


def test_an_absent_cluster_ends_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody listens there: exit code and one sentence."""
    code = main(["once", "--prometheus.url=http://127.0.0.1:9", "--dask=tcp://127.0.0.1:9"])
    assert code == ExitCode.USAGE
    assert "--dask" in capsys.readouterr().err
