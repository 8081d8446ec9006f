"""The simulation that judges autoscaling: its queue against Erlang's formula, its rivals by hand, and what it reads."""

from __future__ import annotations

import gzip
import importlib
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from perfloop_base.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def modules(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The benchmark and its parts."""
    monkeypatch.syspath_prepend(str(checkout / "benchmarks"))
    names = ("autoscaling", "autoscaling_fleet", "autoscaling_loads", "autoscaling_scalers")
    return {name.removeprefix("autoscaling_"): importlib.import_module(name) for name in names}


def _poisson(modules: dict[str, Any], rate: float, seconds: float, slots: int = 1, warm: float = 0.0) -> Any:
    rng = np.random.default_rng(5)
    arrivals = np.cumsum(rng.exponential(1 / rate, round(rate * seconds)))
    work = rng.exponential(1.0, len(arrivals))
    return modules["loads"].Load("made", arrivals, work, slots, 0.5, True, warm)  # noqa: FBT003


def test_the_queue_is_erlangs(modules: dict[str, Any]) -> None:
    """Eight slots of four replicas at 75 %: as many wait, and as long, as the formula says."""
    load = _poisson(modules, rate=6.0, seconds=20_000.0, slots=2)
    fleet = modules["fleet"].Fleet(load, ready=4)
    fleet.advance(load.end + 100.0)
    blocked = 1.0
    for count in range(1, 9):
        blocked = 6.0 * blocked / (count + 6.0 * blocked)
    chance = blocked / (1 - 6.0 / 8 * (1 - blocked))
    assert np.mean(fleet.waits > 0) == pytest.approx(chance, rel=0.05)
    assert np.mean(fleet.waits) == pytest.approx(chance / (8 - 6.0), rel=0.08)
    assert fleet.paid == pytest.approx(4 * (load.end + 100.0))


def test_replicas_start_late_and_are_paid_from_the_beginning(modules: dict[str, Any]) -> None:
    """Those that start are given up first; one that is given up takes nothing new."""
    fleet = modules["fleet"].Fleet(_poisson(modules, 1.0, 100.0), ready=1)
    fleet.advance(10.0)
    fleet.scale(4, lambda: 30.0)
    assert (fleet.ready, fleet.replicas) == (1, 4)
    fleet.scale(3, lambda: 30.0)
    fleet.advance(39.0)
    assert (fleet.ready, fleet.replicas) == (1, 3)
    fleet.advance(41.0)
    assert (fleet.ready, fleet.replicas) == (3, 3)
    fleet.scale(1, lambda: 30.0)
    assert fleet.ready == 1
    assert fleet.paid == pytest.approx(10 + 29 * 3 + 2 * 3)


def test_a_minute_is_outside_when_more_than_a_twentieth_is_late(modules: dict[str, Any]) -> None:
    """One late request of twenty is not, two are; requests that are never served are late."""
    arrivals = np.arange(0.0, 600.0, 3.0)
    load = modules["loads"].Load("made", arrivals, np.ones(200), 1, 0.5, True, 0.0)  # noqa: FBT003
    waits = np.zeros(200)
    waits[::20] = math.inf
    assert modules["fleet"].violated_share(load, waits) == 0.0
    waits[1::20] = 9.0
    assert modules["fleet"].violated_share(load, waits) > 0.6


def _seen(modules: dict[str, Any], **changed: Any) -> Any:
    usual = {
        "at": 1000.0,
        "rate": 10.0,
        "work": 1.0,
        "use": 0.7,
        "waiting": 0,
        "running": 0,
        "ready": 10,
        "starting": 0,
    }
    return modules["fleet"].Observation(**(usual | changed))


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        ({"use": 0.7}, 10),
        ({"use": 0.76}, 10),
        ({"use": 0.84}, 12),
        ({"use": 1.0}, 15),
        ({"use": 1.0, "ready": 6, "starting": 4}, 10),
        ({"use": 1.0, "ready": 9, "starting": 1}, 13),
        ({"use": 1.0, "ready": 1}, 2),
    ],
    ids=["at target", "tolerated", "more", "full", "starting ones unused", "one starts", "few"],
)
def test_the_rival_does_what_the_autoscaler_does(modules: dict[str, Any], seen: dict[str, Any], wanted: int) -> None:
    """The ratio with its tolerance, and replicas that start counted as unused."""
    assert modules["scalers"].Hpa(0.7)(_seen(modules, **seen)) == wanted


def test_the_rival_scales_down_by_the_highest_of_five_minutes(modules: dict[str, Any]) -> None:
    """And up by no more than double or four."""
    hpa = modules["scalers"].Hpa(0.7)
    numbers = [hpa(_seen(modules, at=15.0 * step, use=0.7 if step == 0 else 0.35)) for step in range(25)]
    assert numbers == [10] * 21 + [5] * 4
    assert modules["scalers"].Keda(0.01)(_seen(modules, ready=3, rate=10.0)) == 7


def test_a_rival_counts_with_its_best_setting_for_a_cost(modules: dict[str, Any]) -> None:
    """By a line between two settings; one that costs more and is worse is left out; below the cheapest is nothing."""
    module, outcome = modules["autoscaling"], modules["fleet"].Outcome
    runs = [
        module.Run("HPA", "", outcome(*pair, 0.0, 0)) for pair in ((0.3, 5.0), (0.1, 9.0), (0.2, 10.0), (0.0, 20.0))
    ]
    found = [module.outside_at(runs, hours) for hours in (4.0, 5.0, 7.0, 9.0, 10.0, 15.0, 20.0, 99.0)]
    assert found == pytest.approx([math.inf, 0.3, 0.2, 0.1, 0.1, 0.05, 0.0, 0.0])


FILES = {
    "azure.csv": "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    + "".join(f"2023-11-16 18:{at // 60:02}:{at % 60:02}.5,374,44\n" for at in range(900)),
    "burst.csv": "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    + "".join(f"{at * 2},ChatGPT,100,80,180,API log\n" for at in range(900)),
    "mooncake.jsonl": "".join(
        json.dumps({"timestamp": at * 500, "input_length": 6000, "output_length": 40, "hash_ids": [1]}) + "\n"
        for at in range(900)
    ),
    "moments.csv": "timestamp\n" + "".join(f"{at / 3}\n" for at in range(900)),
    "rates.csv": "timestamp,value\n" + "".join(f"2024-01-01T00:{at:02}:00Z,{10 + at}\n" for at in range(60)),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_every_kind_of_trace_is_read(modules: dict[str, Any], tmp_path: Path, name: str, *, packed: bool) -> None:
    """With tokens where it has any, else with service times of a web service."""
    path = tmp_path / (name + (".gz" if packed else ""))
    text = FILES[name].encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    load = modules["loads"].read_load(path, 24.0, None, np.random.default_rng(1))
    assert load.name == name.split(".", maxsplit=1)[0]
    assert load.shows_line == (name in {"azure.csv", "burst.csv", "mooncake.jsonl"})
    assert (np.diff(load.arrivals) >= 0).all()
    assert load.arrivals[0] == 0.0
    if name == "azure.csv":
        assert load.work[0] == pytest.approx(374 / 10_000 + 44 / 40)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a,b\n1,2\n", "is no trace"),
        ("timestamp,value\n1,x\n2,3\n", "row 2: could not convert string to float: 'x'"),
        ("timestamp,value\nsoon,1\n", "row 2: Invalid isoformat string: 'soon'"),
        ("timestamp,value\n5,1\n5,2\n", "its moments do not go on"),
        ("timestamp\n1\n2\n", "has 2 requests; 400 are the fewest to judge by"),
        ("timestamp\n" + "5\n" * 500, "its requests come within 0 s; 240 s are the least"),
        ("timestamp,value\n1\n", "row 2: list index out of range"),
    ],
)
def test_what_is_no_trace_is_refused(modules: dict[str, Any], tmp_path: Path, text: str, sentence: str) -> None:
    """One sentence with the file."""
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        modules["loads"].read_load(tmp_path / "t.csv", 24.0, None, np.random.default_rng(1))


def test_the_command_prints_each_autoscaler_and_its_verdict(
    modules: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a short trace; a file that is none is exit code 1 with a sentence."""
    rng = np.random.default_rng(2)
    moments = np.sort(rng.uniform(0, 1500, 6000))
    lines = "".join(f"{moment:.3f},500,{tokens}\n" for moment, tokens in zip(moments, rng.integers(20, 300, 6000)))  # noqa: B905
    (tmp_path / "t.csv").write_text("timestamp,input_tokens,output_tokens\n" + lines)
    main = modules["autoscaling"].main
    assert main([str(tmp_path / "t.csv")]) in {0, 1}
    printed = capsys.readouterr().out
    for words in ("HPA", "KEDA", "oracle", "perfloop  as shipped", "bar met on"):
        assert words in printed
    assert main([str(tmp_path / "missing.csv")]) == 1
    assert "missing.csv: cannot be read" in capsys.readouterr().err
