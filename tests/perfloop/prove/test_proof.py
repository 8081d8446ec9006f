"""The outcome of a proof from its blocks, and its bundle."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from perfloop.prove.blocks import Block
from perfloop.prove.bundle import NotWrittenError, write_bundle
from perfloop.prove.proof import Proof, conclude
from perfloop.prove.sides import WITH, WITHOUT
from perfloop.prove.traffic import Route, Tokens, Traffic
from perfloop_analyzer.catalog import Signal
from perfloop_analyzer.recommend import Improvement, Recommendation

if TYPE_CHECKING:
    from pathlib import Path

CATALOG = [
    Signal(name="db_query_time_p95", title="Query time", expr="q", component="database", kind="red", unit="seconds"),
    Signal(
        name="cache_hit_ratio", title="Hits", expr="h", component="cache", kind="red", unit="ratio", direction="below"
    ),
    Signal(name="cpu_used_ratio", title="CPU", expr="c", component="cpu", kind="use", unit="ratio"),
]
TRAFFIC = Traffic("shop", 1000.0, 1300.0, (Route("GET", "/", 10.0, 0.1, 500.0),), (Tokens("small", 20, 5),))
QUERY, HITS, CPU = ("db_query_time_p95", "system=sqlite"), ("cache_hit_ratio", ""), ("cpu_used_ratio", "")


def _recommendation(**changes: Any) -> Recommendation:
    improvement = Improvement(0.6, 0.5, 0.7, "db_query_time_p95", "f", "why", "Query time of shop")
    evidence = ({"signal": "db_query_time_p95", "labels": {"service": "shop", "system": "sqlite"}},)
    words = dict.fromkeys(("id", "rule", "component", "category", "action", "effort", "cost"), "x")
    fields: dict[str, Any] = {
        **words,
        "service": "shop",
        "priority": "high",
        "title": "Faster <b>queries</b>",
        "affects": (),
        "evidence": evidence,
        "improvement": improvement,
        "values": {"signal": "db_query_time_p95"},
    }
    return Recommendation(**fields | changes)


def _blocks(requests: int = 400, verdict: str = "passed") -> list[Block]:
    return [
        Block(
            pair,
            side,
            at,
            at + 30.0,
            {"GET /": requests},
            40.0,
            {"GET /": p95},
            {"GET /": 0.0},
            verdict,
            ("CPU was full",),
        )
        for pair in range(4)
        for side, at, p95 in ((WITHOUT, 100.0 * pair, 0.5 + pair / 100), (WITH, 100.0 * pair + 50, 0.2))
    ]


def _values(*, other: bool = False) -> dict[tuple[str, str], list[float]]:
    slow, fast = [1.0, 1.1, 0.9, 1.05], [0.4, 0.41, 0.39, 0.42]
    found = {
        QUERY: [one for pair in zip(slow, fast, strict=True) for one in pair],
        ("db_query_time_p95", "system=other"): [0.1] * 8,
        HITS: [0.9, 0.9] * 4,
        CPU: [0.2, 0.4, 0.21, 0.41, 0.2, 0.41, 0.2, 0.4],
    }
    return {**found, QUERY: [0.1, 0.1] * 4} if other else found


def _conclude(blocks: list[Block], values: Any, recommendation: Recommendation | None = None) -> Proof:
    made = recommendation or _recommendation()
    return conclude(made, CATALOG, TRAFFIC, blocks, values, made_at=2000.0, source="requests.yml", scale=1.0)


def test_a_cure_is_proved_beside_what_was_expected() -> None:
    """Of the series that the evidence names; what else moved is a side effect, better or worse."""
    proof = _conclude(_blocks(), _values())
    assert proof.evaluation.verdict == "proved"
    assert proof.effect is not None
    assert proof.effect.gain == pytest.approx(0.6, abs=0.01)
    assert proof.is_inside is True
    assert [(one.name, one.effect.gain < 0) for one in proof.side_effects] == [("cpu_used_ratio", True)]
    client = proof.client["GET /"]
    assert client is not None
    assert client.gain == pytest.approx(0.61, abs=0.01)
    (route,) = proof.routes
    assert (route.replayed, route.is_same) == (10.0, True)


def test_a_change_of_something_else_is_refuted() -> None:
    """Whatever the expectation was."""
    proof = _conclude(_blocks(), _values(other=True))
    assert (proof.evaluation.verdict, proof.is_inside) == ("refuted", False)


def test_a_smaller_size_that_harms_callers_is_refuted() -> None:
    """However much smaller it is: what callers notice must not get worse, nor come up where it was not."""
    waste = _recommendation(category="waste")
    smaller = _values()
    assert _conclude(_blocks(), smaller, waste).evaluation.verdict == "proved"
    slower = smaller | {("db_query_time_p95", "system=other"): [0.1, 0.2, 0.11, 0.21, 0.1, 0.21, 0.1, 0.2]}
    harmed = _conclude(_blocks(), slower, waste).evaluation
    assert (harmed.verdict, "Query time by" in harmed.words) == ("refuted", True)
    assert _conclude(_blocks(), slower).evaluation.verdict == "proved"
    failing = smaller | {("db_query_time_p95", "system=other"): [0.0, 0.2] * 4}
    assert _conclude(_blocks(), failing, waste).evaluation.words.endswith("Query time 200 ms")


def test_another_load_and_a_weak_generator_prove_nothing() -> None:
    """With the reason."""
    assert _conclude(_blocks(300), _values()).evaluation.verdict == "undecided"
    assert "GET /" in _conclude(_blocks(300), _values()).evaluation.words
    invalid = _conclude(_blocks(verdict="invalid"), _values()).evaluation
    assert (invalid.verdict, "CPU was full" in invalid.words) == ("invalid", True)


def test_a_metric_without_values_is_undecided() -> None:
    """Not refuted: nothing was seen."""
    silent = _values() | {QUERY: [math.nan] * 8}
    del silent["db_query_time_p95", "system=other"]
    assert _conclude(_blocks(), silent).evaluation.verdict == "undecided"


def test_without_an_expectation_the_finding_itself_is_compared() -> None:
    """Of a rule whose gain could not be computed."""
    proof = _conclude(_blocks(), _values(), _recommendation(improvement=None))
    assert (proof.evaluation.verdict, proof.is_inside) == ("proved", None)


def test_the_bundle_is_a_page_and_a_document(tmp_path: Path) -> None:
    """The page escapes what it shows; the document is what the analyzer keeps, and more."""
    proof = _conclude(_blocks(), _values())
    page, document = write_bundle(proof, _values()[QUERY], tmp_path / "new")
    text = page.read_text()
    assert "Faster &lt;b&gt;queries&lt;/b&gt;" in text
    assert "<script" not in text
    assert "proved" in text
    assert "Model small: 20 tokens read and 5 written a call." in text
    read = json.loads(document.read_text())
    assert (read["verdict"], read["inside_expected"]) == ("proved", True)
    assert read["gain"] == read["proved"]["gain"]
    assert read["load"]["routes"][0]["is_same"] is True
    assert set(proof.as_record()) == {"verdict", "words", "gain", "low", "high", "started", "ended"}
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWrittenError, match="the proof cannot be written"):
        write_bundle(proof, _values()[QUERY], tmp_path / "file")
