"""The benchmark of forecasts: it reads what others have published, and a method that is worse misses its bar."""

from __future__ import annotations

import argparse
import gzip
import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _importable(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Benchmarks import each other from their own directory."""
    monkeypatch.syspath_prepend(str(checkout / "benchmarks"))


@pytest.fixture
def series() -> Any:
    """The module that reads and generates traffic."""
    return importlib.import_module("traffic_series")


@pytest.fixture
def forecast() -> Any:
    """The benchmark."""
    return importlib.import_module("forecast")


def test_values_by_the_step(series: Any, tmp_path: Path) -> None:
    """Requests within a step become requests per second; a missing line is not known."""
    lines = [f"2026-01-01 00:{at:02d}:00,{at * 60}" for at in range(50) if at != 7]
    path = tmp_path / "elb.csv"
    path.write_text("\n".join(["timestamp,value", *lines]))
    found = series.read(path)
    assert (found.name, found.step) == ("elb", 60.0)
    np.testing.assert_array_equal(found.rates, [np.nan if at == 7 else at for at in range(50)])
    assert series.read(path, as_rates=True).rates[2] == 120


def test_a_line_for_each_request(series: Any, tmp_path: Path) -> None:
    """A trace, gzipped, with times finer than microseconds: the first and the last step are cut off."""
    moments = [f"2023-11-16 18:17:{at % 60:02d}.9799600,4808,10" for at in range(45)]
    path = tmp_path / "trace.csv.gz"
    path.write_bytes(gzip.compress("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *moments]).encode()))
    found = series.read(path)
    assert (found.name, found.step) == ("trace", 15.0)
    np.testing.assert_array_equal(found.rates, [1.0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no CSV of times with values or requests"),
        ("timestamp,value\nnever,1\n", "is no CSV of times"),
        ("timestamp,value\n2026-01-01,x\n", "is no CSV of times"),
        ("timestamp,value\n2026-01-01,1\n", "has 1 lines: 30 are the fewest"),
    ],
)
def test_what_is_no_traffic(series: Any, tmp_path: Path, text: str, words: str) -> None:
    """One sentence with the file."""
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(SystemExit, match=words):
        series.read(path)
    path.write_text("timestamp,value\n" + "2026-01-01,1\n" * 40)
    with pytest.raises(SystemExit, match="has no column"):
        series.read(path, column="requests")


def test_generated_traffic_is_the_same_for_a_seed(series: Any) -> None:
    """Seven kinds, none negative."""
    first, second = (list(series.generate(1, 5)) for _ in range(2))
    assert len(first) == len(series.KINDS)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.rates, other.rates)
        assert one.rates.min() >= 0


def test_a_rhythm_is_forecast_better_than_by_a_line(forecast: Any, series: Any, capsys: Any) -> None:
    """Against predict_linear the bar is met; the table names both, and the bounds' share."""
    clock = np.arange(21 * 288)
    rng = np.random.default_rng(1)
    rates = rng.poisson(300 * 20 * np.exp(np.sin(2 * np.pi * clock / 288))) / 300.0
    arguments = argparse.Namespace(only=[forecast.LINEAR], origins=2, each=True)
    day = next(task for task in forecast.TASKS if task.name == "day")
    good, score = forecast.judge([series.Traffic("web", 300.0, rates)], day, arguments)
    assert good
    assert score.median < 1
    assert score.held + score.below + score.above == pytest.approx(1)
    printed = capsys.readouterr().out
    assert "predict_linear" in printed
    assert "x the best peer" in printed


def test_a_worse_median_misses_the_bar(forecast: Any, capsys: Any) -> None:
    """Three per cent are more than a tie."""

    def scores(median: float) -> Any:
        return forecast.Score({"web": median}, 0.9, 0.05, 0.05)

    task = forecast.TASKS[0]
    assert forecast._report(task, {forecast.OURS: scores(1.01), "peer": scores(1.0)}, "", each=False)
    assert not forecast._report(task, {forecast.OURS: scores(1.03), "peer": scores(1.0)}, "", each=False)
    assert "MISSED" in capsys.readouterr().out
