"""Changes that Prometheus shows: each once, when it was made, and nothing that was none."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from perfloop_analyzer.change_watch import ChangeWatch, change_queries
from perfloop_analyzer.changes import CHANGE_QUERIES, POINTS, STEP_SECONDS, Change, observe
from perfloop_analyzer.config import SourceConfig
from perfloop_analyzer.errors import StoreError
from perfloop_analyzer.incidents import Topology, group_incidents
from perfloop_analyzer.ports import Responses
from perfloop_analyzer.prometheus_api import PrometheusSource
from perfloop_analyzer.series import Batch, Grid
from perfloop_analyzer.store import Database
from tests.support.history import serve_history, write_history

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

END = 1_790_000_010.0
_, GRID = change_queries(END)
MINUTE = 60.0
NONE = float("nan")


def _ago(minutes: float) -> float:
    return GRID.end - minutes * MINUTE


def _batch(signal: str, rows: Mapping[tuple[tuple[str, str], ...], Callable[[float], float]]) -> dict[str, Batch]:
    values = np.array([[value(moment) for moment in GRID.times()] for value in rows.values()])
    return {signal: Batch(signal, GRID, tuple(dict(labels) for labels in rows), values)}


def _info(version: str, name: str = "shop_build_info", **labels: str) -> tuple[tuple[str, str], ...]:
    return tuple({"__name__": name, "job": "services", "service": "shop", "version": version, **labels}.items())


def _between(first: float, last: float, value: float = 1.0) -> Callable[[float], float]:
    """A value from so many minutes ago to so many."""
    return lambda moment: value if _ago(first) <= moment <= _ago(last) else NONE


def _seen(batches: Mapping[str, Batch]) -> list[tuple[str, str, str, float]]:
    return [(one.kind, one.service, one.title, (GRID.end - one.at) / MINUTE) for one in observe(batches)]


def test_a_version_that_replaces_another_is_a_deployment() -> None:
    """Where both run for a while, as in a rolling update, it is made when the first of the new ones is there."""
    rows = {_info("1.3"): _between(20, 4), _info("1.4"): _between(5, 0)}
    assert _seen(_batch("change/versions", rows)) == [("deployment", "shop", "went from 1.3 to 1.4", 5.0)]


def test_a_rollback_is_a_deployment_too() -> None:
    """The old version comes back."""

    def first(moment: float) -> float:
        return 1.0 if moment < _ago(10) or moment >= _ago(3) else NONE

    rows = {_info("1.3"): first, _info("1.4"): _between(10, 3.25)}
    titles = [title for _, _, title, _ in _seen(_batch("change/versions", rows))]
    assert titles == ["went from 1.3 to 1.4", "went from 1.4 to 1.3"]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param({_info("1.3"): _between(8, 0)}, id="a service that was not there before"),
        pytest.param(
            {_info("1.3"): lambda m: 1.0 if m < _ago(9) or m > _ago(4) else NONE}, id="a service that was down"
        ),
        pytest.param({_info("1.3"): _between(20, 0), _info("1.4"): _between(20, 0)}, id="two versions all the time"),
        pytest.param({_info("1.3"): _between(20, 0), _info("2", service="cart"): _between(5, 0)}, id="two services"),
        pytest.param({_info("", x="1"): _between(20, 5), _info("", x="2"): _between(5, 0)}, id="no version at all"),
    ],
)
def test_what_is_no_deployment(rows: Mapping[Any, Any]) -> None:
    """Nothing went from one version to another."""
    assert _seen(_batch("change/versions", rows)) == []


def test_revisions_images_and_what_a_service_is_built_with() -> None:
    """Each in its own words; of an image the tag, of a revision its beginning."""
    kube = {"__name__": "kube_pod_container_info", "job": "ksm", "namespace": "prod", "container": "cart"}
    images = [tuple((kube | {"image": f"registry.example/team/cart:{tag}"}).items()) for tag in ("7", "8")]
    rows = {
        images[0]: _between(20, 6.25),
        images[1]: _between(6, 0),
        _info("9", revision="a" * 40): _between(20, 9.25),
        _info("9", revision="b" * 40): _between(9, 0),
        _info("3.11.2", "python_info", service="mail"): _between(20, 3.25),
        _info("3.12.1", "python_info", service="mail"): _between(3, 0),
    }
    assert _seen(_batch("change/versions", rows)) == [
        ("deployment", "shop", f"went from {'a' * 12} to {'b' * 12}", 9.0),
        ("deployment", "cart", "went from cart:7 to cart:8", 6.0),
        ("deployment", "mail", "python went from 3.11.2 to 3.12.1", 3.0),
    ]


def _start(instance: str = "shop:1", name: str = "process_start_time_seconds") -> tuple[tuple[str, str], ...]:
    return (("__name__", name), ("job", "services"), ("service", "shop"), ("instance", instance))


def test_a_later_start_time_is_a_restart_at_that_time() -> None:
    """Also where the service was not scraped for a while in between."""
    started = _ago(7) + 3.0
    rows = {_start(): lambda m: _ago(900) if m < _ago(8) else started if m >= _ago(6) else NONE}
    assert _seen(_batch("change/starts", rows)) == [("restart", "shop", "process restarted", pytest.approx(6.95))]


def test_restarts_that_come_together_are_one() -> None:
    """One after the other, as an update does it; an instance that is new by its name counts as well."""
    rows = {
        _start(f"shop:{n}"): lambda m, n=n: _ago(900) if m < _ago(6 - n / 2) else _ago(6 - n / 2) - 1.0
        for n in range(3)
    }
    assert [title for _, _, title, _ in _seen(_batch("change/starts", rows))] == ["3 processes restarted"]
    pods = {_start("old"): _between(20, 5.25, _ago(900)), _start("new"): _between(5, 0, _ago(5.1))}
    assert [title for _, _, title, _ in _seen(_batch("change/starts", pods))] == ["process started (new)"]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(lambda m: _ago(900) + (1.0 if m > _ago(5) else 0.0), id="a clock that was corrected"),
        pytest.param(lambda m: _ago(900) + (3600.0 if m > _ago(5) else 0.0), id="a clock that was set"),
        pytest.param(lambda m: _ago(300) if m > _ago(5) else _ago(900), id="an older process in its place"),
        pytest.param(lambda m: _ago(900) - (m > _ago(5)), id="an earlier start time"),
    ],
)
def test_a_start_time_that_only_moved_is_no_restart(value: Callable[[float], float]) -> None:
    """Nothing can have been started before it was last scraped."""
    assert _seen(_batch("change/starts", {_start(): value})) == []


def test_another_number_of_instances_is_a_change_once_it_holds() -> None:
    """A ramp is one change from its beginning to its end; a moment is none."""
    labels = (("job", "services"), ("service", "shop"))
    ramp = {labels: lambda m: 2.0 + (m >= _ago(6)) + (m >= _ago(5))}
    assert _seen(_batch("change/instances", ramp)) == [("scale", "shop", "from 2 to 4 instances", 6.0)]
    moment = {labels: lambda m: 3.0 if m == _ago(6) else 2.0}
    assert _seen(_batch("change/instances", moment)) == []
    kube = {(("namespace", "prod"), ("deployment", "cart")): lambda m: 5.0 if m >= _ago(2) else 1.0}
    assert _seen(_batch("change/replicas", kube)) == [("scale", "cart", "from 1 to 5 replicas", 2.0)]


def test_a_loaded_configuration_is_a_change_unless_the_program_started() -> None:
    """A program loads its configuration when it starts: that is no change of its own."""
    name = (("__name__", "prometheus_config_last_reload_success_timestamp_seconds"), ("service", "prometheus"))
    reloads = _batch("change/reloads", {name: lambda m: _ago(4) if m >= _ago(4) else _ago(90)})
    assert _seen(reloads) == [("configuration", "prometheus", "configuration loaded", 4.0)]
    process = (("__name__", "process_start_time_seconds"), ("service", "prometheus"))
    starts = _batch("change/starts", {process: lambda m: _ago(4.1) if m >= _ago(4) else _ago(90)})
    assert [kind for kind, *_ in _seen({**reloads, **starts})] == ["restart"]


def test_a_load_test_begins_goes_through_its_phases_and_ends() -> None:
    """A search, which has a phase for each of its steps, only begins and ends."""
    run = (("test", "checkout"), ("run_id", "7"))
    runs = _batch("change/runs", {run: _between(9, 2, _ago(9) - 1.0)})
    phases = {(*run, ("phase", "ramp")): _between(9, 7), (*run, ("phase", "hold")): _between(6, 2)}
    seen = _seen({**runs, **_batch("change/phases", phases)})
    assert [(title, round(minutes)) for _, _, title, minutes in seen] == [
        ("load test checkout began", 9),
        ("load test checkout went to its phase hold", 6),
        ("load test checkout ended", 2),
    ]
    steps = {(*run, ("phase", f"{rate}/s")): _between(9 - rate, 8 - rate) for rate in range(8)}
    assert len(_seen({**runs, **_batch("change/phases", steps)})) == 2


def test_a_deployment_explains_the_restart_that_it_makes() -> None:
    """Of one service; another one's restart at that time is its own."""
    versions = _batch("change/versions", {_info("1"): _between(20, 5.25), _info("2"): _between(5, 0)})
    other = (("__name__", "process_start_time_seconds"), ("service", "mail"))
    rows = {one: lambda m: _ago(5.1) if m >= _ago(5) else _ago(900) for one in (_start(), other)}
    seen = {(kind, service) for kind, service, *_ in _seen({**versions, **_batch("change/starts", rows)})}
    assert seen == {("deployment", "shop"), ("restart", "mail")}


SERIES: Mapping[str, Callable[[float], float | None]] = {
    'shop_build_info{job="services",service="shop",instance="a",version="1.3"}': lambda m: 1.0 if m < _ago(5) else None,
    'shop_build_info{job="services",service="shop",instance="a",version="1.4"}': lambda m: (
        1.0 if m >= _ago(5) else None
    ),
    'process_start_time_seconds{job="services",service="mail",instance="b"}': lambda m: _ago(8) if m > _ago(8) else 1e9,
    'up{job="services",service="cart",instance="c"}': lambda _: 1.0,
    'up{job="services",service="cart",instance="d"}': lambda m: 1.0 if m >= _ago(12) else None,
    'alertmanager_config_last_reload_success_timestamp_seconds{service="am"}': lambda m: (
        _ago(3) if m > _ago(3) else 1e9
    ),
    'loadgen_run_start_timestamp_seconds{test="gate",run="r",run_id="7"}': lambda m: _ago(2) if m > _ago(2) else None,
}


@pytest.fixture(scope="module")
def source_url(prometheus_binary: str, promtool: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prometheus in whose past each kind of change was made once."""
    times = [GRID.end - 1500 + 5 * step for step in range(304)]
    text = write_history(SERIES, times)
    with serve_history(prometheus_binary, promtool, tmp_path_factory.mktemp("changes"), text) as client:
        yield str(client.base_url)


def _ask(url: str, at: float) -> Responses:
    async def ask() -> Responses:
        async with PrometheusSource(SourceConfig(url=url)) as source:
            return await source.query(*change_queries(at))

    return asyncio.run(ask())


def test_a_real_prometheus_answers_every_query(source_url: str) -> None:
    """Each change once, with its service, within two steps of its moment; a staleness of minutes changes nothing."""
    responses = _ask(source_url, END)
    assert set(responses.batches) == set(CHANGE_QUERIES)
    assert not responses.failures
    seen = {(one.kind, one.service): ((GRID.end - one.at) / MINUTE, one.title) for one in observe(responses.batches)}
    expected = {
        ("deployment", "shop"): (5, "went from 1.3 to 1.4"),
        ("restart", "mail"): (8, "process restarted"),
        ("scale", "cart"): (12, "from 1 to 2 instances"),
        ("configuration", "am"): (3, "configuration loaded"),
        ("load_test", "loadgen"): (2, "load test gate began"),
    }
    assert {key: title for key, (_, title) in seen.items()} == {key: title for key, (_, title) in expected.items()}
    for key, (minutes, _) in expected.items():
        assert seen[key][0] == pytest.approx(minutes, abs=2 * STEP_SECONDS / MINUTE), key


def test_a_change_that_is_seen_again_is_recorded_once(source_url: str, tmp_path: Path) -> None:
    """From look to look, over a restart of the analyzer, and beside what people recorded."""
    database = Database(f"sqlite:///{tmp_path / 's.db'}")
    database.record_change(Change("people-1", _ago(1), "shop", "change", "new query"))
    for at in (END - 60.0, END - 30.0, END, END + 47.0):
        watch = ChangeWatch(database)
        known = watch.note(_ask(source_url, at), at)
    assert len(known) == len(database.changes(0.0)) == 6
    assert [one.at for one in known] == sorted((one.at for one in known), reverse=True)
    database.close()


class _Broken:
    """A store that cannot be written at first."""

    def __init__(self) -> None:
        self.works = False
        self.kept: list[Change] = []

    def changes(self, since: float) -> tuple[Change, ...]:
        if not self.works:
            raise StoreError("the database is locked")
        return tuple(one for one in self.kept if one.at >= since)

    def record_change(self, change: Change) -> None:
        self.kept.append(change)


def test_what_could_not_be_recorded_is_recorded_later() -> None:
    """A database that was away loses no change, and none is there twice."""
    store: Any = _Broken()
    watch = ChangeWatch(store)
    rows = {_info("1.3"): _between(20, 4.25), _info("1.4"): _between(4, 0)}
    responses = Responses(_batch("change/versions", rows), {})
    for _ in range(2):
        with pytest.raises(StoreError):
            watch.note(responses, END)
    assert len(watch.unwritten) == 1
    store.works = True
    assert len(watch.note(None, END + 3600.0)) == 1
    assert len(store.kept) == 1
    assert watch.unwritten == ()


def _causes(build: Any, changes: Sequence[Change], topology: Topology | None = None) -> dict[str, Any]:
    database = build.finding(onset=1000.0)
    other = build.finding(service="cart", signal="cart_time", component="database", onset=1000.0)
    api = build.finding(service="web", signal="web_time", component="api", onset=1000.0)
    graph = topology or Topology({"web": frozenset({"shop", "cart"})})
    (incident,) = group_incidents([database, other, api], graph, lambda _one: 2.0, None, changes)
    return {cause.service: cause for cause in incident.causes}


def _change(at: float, kind: str = "deployment", service: str = "shop") -> Change:
    return Change("x", at, service, kind, "went from 1.3 to 1.4")


def test_a_change_just_before_raises_a_cause_and_is_its_evidence(build: Any) -> None:
    """Of two alike the one that was changed comes first; one that was changed long before is not raised."""
    plain = _causes(build, [])
    assert plain["shop"].score == pytest.approx(plain["cart"].score, abs=1e-4)
    raised = _causes(build, [_change(960.0)])
    assert next(iter(raised)) == "shop"
    assert raised["shop"].score > 1.5 * raised["cart"].score
    assert raised["shop"].began == "began 40 s after shop went from 1.3 to 1.4"
    assert raised["shop"].change.as_dict()["at"] == 960.0
    for before in (1000.0 - 601.0, 1000.0 + 31.0):
        unmoved = _causes(build, [_change(before)])
        assert unmoved["shop"].score == plain["shop"].score
        assert unmoved["shop"].change is None


def test_the_nearer_change_counts_more(build: Any) -> None:
    """Up to twice as much."""
    scores = [_causes(build, [_change(at)])["shop"].score for at in (500.0, 700.0, 900.0, 1000.0)]
    assert scores == sorted(scores)
    assert scores[0] < scores[-1] <= 2 * _causes(build, [])["shop"].score


def test_load_tests_and_changes_of_called_services_are_named_and_raise_nothing(build: Any) -> None:
    """They are evidence: the load of everything, and what a caller waits for."""
    plain = _causes(build, [])
    loaded = _causes(build, [replace(_change(990.0, "load_test", "loadgen"), title="load test gate began")])
    assert loaded["cart"].began == "began 10 s after load test gate began"
    assert loaded["cart"].score == pytest.approx(plain["cart"].score)
    called = _causes(build, [_change(999.5, service="cart")])
    assert called["web"].began == "began when cart went from 1.3 to 1.4"
    assert called["web"].score < plain["web"].score + 1e-9


def test_the_grid_is_the_same_for_the_same_moments() -> None:
    """Its moments are multiples of the step: what is seen again is seen at the same moment."""
    for at in (END, END + 7.3, END + 3601.0):
        _, grid = change_queries(at)
        assert isinstance(grid, Grid)
        assert grid.points == POINTS
        assert grid.end % STEP_SECONDS == 0.0
        assert 0.0 <= at - grid.end < STEP_SECONDS
