"""Two documents side by side."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from perfloop_loadgen.app.comparing import ab, compare_files
from perfloop_loadgen.compare.runs import Finding, compare, obstacles
from perfloop_loadgen.config import LoadTestConfig
from perfloop_loadgen.config.gates import GeneratorLimits
from perfloop_loadgen.errors import ConfigError, ExitCode
from perfloop_loadgen.samples.book import Book, Load, Point
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.summary import summarize
from perfloop_loadgen.summary.document import Document, Host, to_json
from perfloop_loadgen.summary.verdict import Generator, Verdict


def _document(p95: float, seed: int, **changes: Any) -> Document:
    chance = random.Random(seed)

    def point(second: int) -> Point:
        value = p95 * chance.lognormvariate(0, 0.05)
        return Point(float(second), 1.0, 100, 0, value / 2, value, value * 1.5, 0.0, Load(users=5))

    document = Document(
        run_id="x",
        profile="constant_users",
        base_url="http://127.0.0.1:1",
        started_at="2026-01-01T00:00:00+00:00",
        summary=summarize("t", Book(Labels(["GET /"])), 30),
        generator=Generator(),
        timeline=[point(second) for second in range(40)],
        distribution=[],
        config={"concurrent_users": 5},
    )
    return replace(document, **changes)


@pytest.mark.parametrize(
    ("factor", "finding"),
    [(1.0, Finding.SAME), (1.06, Finding.WORSE), (1.5, Finding.REGRESSED), (0.5, Finding.BETTER)],
)
def test_the_finding_follows_size_and_certainty(factor: float, finding: Finding):
    """No change, a certain one below the tolerance, one above it, and one for the better."""
    rows = {row.name: row for row in compare([_document(0.1, 1)], [_document(0.1 * factor, 2)], 0.1)}
    assert rows["p95_seconds"].finding is finding
    assert rows["requests_per_second"].finding is Finding.SAME


def test_more_errors_are_a_regression():
    """From no error to one in fifty."""
    worse = _document(0.1, 2)
    total = replace(worse.summary.total, total_requests=100, failed_requests=2)
    worse = replace(worse, summary=replace(worse.summary, total=total))
    rows = {row.name: row for row in compare([_document(0.1, 1)], [worse], 0.1)}
    assert rows["error_ratio"].finding is Finding.REGRESSED


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"profile": "spike"}, "the load shape differs"),
        ({"host": Host(name="other")}, "the generator's host differs"),
        ({"config": {"concurrent_users": 50}}, "the configuration differs"),
        ({"generator": Generator(workers=3)}, "the number of workers differs"),
    ],
)
def test_what_cannot_be_compared_is_refused(changes: dict[str, Any], sentence: str):
    """Each thing that differs besides the service is named."""
    found = obstacles(_document(0.1, 1), _document(0.1, 2, **changes))
    assert len(found) == 1
    assert found[0].startswith(sentence)


def test_another_service_or_name_does_compare():
    """The address, the name and the gates may differ."""
    other = _document(0.1, 2, config={"concurrent_users": 5, "base_url": "http://b", "thresholds": ["p95 < 1 s"]})
    assert obstacles(_document(0.1, 1), other) == []


def test_an_invalid_run_is_no_baseline():
    """A run whose generator was the limit compares with nothing."""
    base = _document(0.1, 1)
    base = replace(base, summary=replace(base.summary, verdict=Verdict.INVALID, reasons=["CPU"]))
    assert obstacles(base, _document(0.1, 2)) == ["the base run was invalid: CPU"]


def test_the_command_judges_files(tmp_path: Any, capsys: pytest.CaptureFixture[str]):
    """A regression ends with 1, no change with 0, another configuration is refused unless forced."""
    places = {name: tmp_path / f"{name}.json" for name in ("base", "same", "slow", "other")}
    places["base"].write_bytes(to_json(_document(0.1, 1)))
    places["same"].write_bytes(to_json(_document(0.1, 2)))
    places["slow"].write_bytes(to_json(_document(0.2, 3)))
    places["other"].write_bytes(to_json(_document(0.1, 4, profile="spike")))
    assert compare_files(places["base"], places["same"], 0.1, force=False) is ExitCode.OK
    assert compare_files(places["base"], places["slow"], 0.1, force=False) is ExitCode.FAILED
    assert "| p95_seconds | " in capsys.readouterr().out
    with pytest.raises(ConfigError, match="do not compare: the load shape differs"):
        compare_files(places["base"], places["other"], 0.1, force=False)
    assert compare_files(places["base"], places["other"], 0.1, force=True) is ExitCode.OK


async def test_ab_runs_both_sides_in_turn(hello: Any, capsys: pytest.CaptureFixture[str]):
    """Two rounds against one service: A B A B, one table, and too few seconds to be sure of anything."""
    config = LoadTestConfig(
        base_url=hello.url, duration_seconds=0.2, concurrent_users=1, think_time_seconds=0.02, endpoints=[{"path": "/"}]
    )
    config.generator_limits = GeneratorLimits(cpu_ratio=9, event_loop_lag_seconds=9)
    code = await ab(config, (hello.url, f"{hello.url}/"), 2, 0.1)
    told = capsys.readouterr()
    assert code is ExitCode.INVALID
    assert told.err.count("round ") == 4
    assert "| p95_seconds | - | - | - | - | too little data |" in told.out
