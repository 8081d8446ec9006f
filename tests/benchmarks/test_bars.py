"""Benchmarks judge their figures: a missed bar is exit code 1, a met one 0."""

from __future__ import annotations

import ast
import gzip
import importlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Load = Callable[[str], Any]


@pytest.fixture
def load(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Import a benchmark by its name."""
    monkeypatch.syspath_prepend(str(checkout / "benchmarks"))
    return importlib.import_module


def streams(first_token: float) -> dict[str, Any]:
    """The load generator's view of a run whose server sent first tokens after 0.1 s."""
    quantiles = {"quantiles_seconds": {"p50": first_token, "p99": first_token}, "count": 3}
    return {"first_token": quantiles, "gap": {"quantiles_seconds": {"p50": 0.1, "p99": 0.1}, "count": 3}}


@pytest.mark.parametrize(("measured", "code"), [(0.1, 0), (0.3, 1)])
def test_streams(load: Load, measured: float, code: int) -> None:
    """Times to the first token that are off by more than the tolerance miss the bar."""
    theirs = {name: {"p50": 0.1, "p99": 0.1, "count": 3} for name in ("first_token", "gap")}
    assert load("loadgen_streams").judge(streams(measured), theirs) == code


@pytest.mark.parametrize(("seconds", "code"), [(0.9, 0), (1.1, 1)])
def test_query_cost(load: Load, seconds: float, code: int) -> None:
    """A panel that takes more than a second misses the bar."""
    assert load("grafana_query_cost")._report([(seconds, "board: panel", 1)]) == code


@pytest.mark.parametrize(("found", "code"), [(20, 0), (18, 1)])
def test_faults(load: Load, found: int, code: int) -> None:
    """Fewer than 95 % of the faults found miss the bar."""
    outcomes = {"slow": [{"found": at < found, "recommended": True, "seconds": 1.0} for at in range(20)]}
    assert load("analyzer_faults").report(outcomes) == code


@pytest.mark.parametrize(("median", "fast"), [(29.0, 1), (31.0, 0)])
def test_alerting_latency(load: Load, median: float, fast: int) -> None:
    """Only a critical alert with Perfloop's own intervals has a bar, of 30 s."""
    latency = load("alerting_latency")
    row = {"severity": "critical", "intervals": "perfloop", "median": median}
    assert latency.is_fast(row) == bool(fast)
    assert latency.is_fast(row | {"intervals": "kube-prometheus intervals"})
    assert latency.is_fast(row | {"severity": "warning"})


@pytest.mark.parametrize(
    ("kind", "samples", "missed"),
    [
        ("memory", [100.0 + at for at in range(100)], True),  # MiB: one more with each sample
        ("memory", [50.0] * 30 + [100.0 + at % 3 for at in range(70)], False),  # a cache that fills at first
        ("descriptors", [20.0 + at % 2 for at in range(100)], False),
        ("descriptors", [20.0 + at // 10 for at in range(100)], True),
        ("series", [500.0 + at for at in range(100)], True),
        ("files", [9.0] * 7, False),  # too few to judge
    ],
)
def test_endurance(load: Load, kind: str, samples: list[float], *, missed: bool) -> None:
    """What grows to the end of the run misses its bar; what fills during the warm-up or goes up and down does not."""
    watched = load("endurance_watch")
    part = watched.Part("part", lambda: None)
    part.samples[kind] = [sample * watched.MIB for sample in samples] if kind == "memory" else samples
    endurance = load("endurance")
    facts = {"cycles": 10.0, "cycles wanted": 10.0}
    sentences = endurance.judge(list(watched.measure_growth(part)), [], facts, {"part": 0})
    assert missed == bool(sentences)
    assert all(sentence.startswith(f"part: {kind} grew by ") for sentence in sentences)


def test_endurance_counts_its_work(load: Load) -> None:
    """Work that was not done, failed, or needed a restart misses a bar; so do cycles that are missing."""
    work = load("endurance_work").Work("scrapes", 100, lambda _: None, done=90, errors=["OSError: no"] * 2)
    facts = {"cycles": 9.0, "cycles wanted": 10.0}
    assert load("endurance").judge([], [work], facts, {"inbox": 1, "demo": 0}) == [
        "scrapes: 90 of 100 done",
        "scrapes: 2 of 90 failed, the first with OSError: no",
        "inbox was restarted 1 times by itself",
        "9 of 10 cycles of the analyzer done",
    ]


def test_every_benchmark_with_a_bar_returns_its_verdict(checkout: Path) -> None:
    """A benchmark that prints a missed bar ends with what `main` returns, and `main` returns more than 0."""
    silent = []
    for path in sorted((checkout / "benchmarks").glob("*.py")):
        text = path.read_text()
        if "missed" not in text or path.stem in {"run_all", "analyzer_change_points"}:
            continue
        tree = ast.parse(text)
        constant = [node for node in ast.walk(tree) if isinstance(node, ast.Return) and _always_zero(node)]
        ends = "sys.exit(main())" in text
        conditional = any(isinstance(n, ast.Return) and isinstance(n.value, ast.IfExp) for n in ast.walk(tree))
        silent += [] if ends and conditional and not constant else [path.name]
    assert silent == []


def _always_zero(node: ast.Return) -> bool:
    return isinstance(node.value, ast.Constant) and node.value.value == 0


def test_run_all_reports_what_failed(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make bench` runs the rest after a missed bar, names it at the end, and exits 1."""
    run_all = load("run_all")
    (tmp_path / "a_slow.py").write_text("raise SystemExit(1)\n")
    (tmp_path / "b_fast.py").write_text("")
    monkeypatch.setattr(run_all, "HERE", tmp_path)
    assert run_all.main([]) == 1
    assert capsys.readouterr().out.endswith("failed, or missed a bar: a_slow.py\n")
    assert run_all.main(["b_fast"]) == 0


def runs(noise: str, count: int) -> list[tuple[str, str]]:
    """The value of each run of one machine, with its time, in an order that is not that of time."""
    from compare_noise import generate

    values = enumerate(generate(noise, count))
    return sorted(
        ((f"{value:.6f}", f"2026-01-01 00:{at // 60:02}:{at % 60:02}.000") for at, value in values), reverse=True
    )


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_compare_calibration(load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str) -> None:
    """Recorded runs are put in the order of time and meet both bars; a rule that is often wrong misses them."""
    calibration = load("compare_calibration")
    path = tmp_path / f"quiet.{ending}"
    with gzip.open(path, "wt") if ending.endswith("gz") else path.open("w") as file:
        file.write("value,runtime,starttime,VM_id\n")
        file.writelines(f"{value},1.0,{began},7\n" for value, began in runs("normal 1 %", 300))
    [series] = calibration.read_suite(path)
    assert series != sorted(series)
    row = calibration.judge_suite("quiet", [series])
    assert (row.pairs, row.problems()) == (59, [])
    assert "| quiet | 1." in "\n".join(calibration.table([row]))
    row.false["perfloop"], row.found["perfloop"] = 1, 50
    assert [problem.partition(": ")[2] for problem in row.problems()] == [
        "1 of 59 pairs without a change called changed",
        "+10 % found in 50 of 59 pairs",
    ]


def test_compare_calibration_of_machines_that_are_measured_once(load: Load, tmp_path: Path) -> None:
    """Where every machine is a new one, the next run is the next machine's."""
    path = tmp_path / "fresh.csv"
    lines = [f"{value},1.0,{began},{number}" for number, (value, began) in enumerate(runs("normal 1 %", 40))]
    path.write_text("\n".join(["value,runtime,starttime,VM_id", *lines]))
    [series] = load("compare_calibration").read_suite(path)
    assert len(series) == 40


@pytest.mark.parametrize(("changed", "wrong", "missed"), [(0, 0, 0), (2, 10, 0), (3, 0, 1), (0, 11, 1), (200, 200, 2)])
def test_compare_live(load: Load, changed: int, wrong: int, missed: int) -> None:
    """Of 200 pairs two may be called changed, and of those that are slower ten may be called the same."""
    judge = load("compare_live").judge
    same = Counter({"worse": changed, "cannot tell": 200 - changed})
    slower = Counter({"same": wrong, "worse": 200 - wrong})
    assert len(judge(same, slower, 200)) == missed
