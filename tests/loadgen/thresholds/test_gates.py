"""Gates: their grammar, what they see, and the verdict that follows."""

from __future__ import annotations

import pytest

from perfloop_base.errors import ConfigError
from perfloop_loadgen.app.gates import Gates
from perfloop_loadgen.config import LoadTestConfig
from perfloop_loadgen.config.model import GeneratorLimits
from perfloop_loadgen.samples.book import Book, Load
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.samples.tally import Tally
from perfloop_loadgen.summary.verdict import GateResult, Generator, Verdict
from perfloop_loadgen.thresholds.client_gates import ClientGate, judge
from perfloop_loadgen.thresholds.decide import decide, generator_faults, schedule_faults
from perfloop_loadgen.thresholds.expression import longest_response, parse_expression


def _tally() -> Tally:
    """A hundred requests of 1 to 100 ms; ninety-eight good, one timeout, one reset."""
    tally = Tally()
    for milliseconds in range(1, 101):
        tally.on_time.record(milliseconds * 1_000_000)
    tally.outcomes |= {"ok": 98, "timeout": 1, "connection_reset": 1}
    return tally


def _book() -> Book:
    book = Book(Labels(["GET /"]))
    book.add([_tally()], 10, 10, Load())
    return book


def test_the_longest_response_is_that_of_the_loosest_gate():
    """Of upper bounds of times alone, in seconds; a test that has none allows none."""
    assert longest_response(["p95 < 500 ms", "service_p99 <= 2 s", "min > 3 s", "errors < 5 %", "< 20"]) == 2
    assert longest_response(["errors < 5 %", "rate > 100"]) == 0
    assert longest_response([]) == 0


@pytest.mark.parametrize(
    ("text", "value", "passed"),
    [
        ("p95 < 0.5 s", 0.095, True),
        ("p95 < 90 ms", 0.095, False),
        ("p97.5 <= 99 ms", 0.098, True),
        ("service_p50 < 51ms", 0.05, True),
        ("lag_max < 1 us", 0, True),
        ("avg < 60 ms", 0.0505, True),
        ("min >= 1e-4", 0.001, True),
        ("errors < 1 %", 0.02, False),
        ("timeouts <= 1 %", 0.01, True),
        ("dropped < 1 %", 0, True),
        ("rate > 9 /s", 10, True),
        ("requests >= 100", 100, True),
    ],
)
def test_a_gate_sees_what_was_measured(text: str, value: float, passed: bool):  # noqa: FBT001 - a table's column
    """Each metric of the grammar against a run whose numbers are known."""
    result = judge(ClientGate(parse_expression(text)), _book(), 10)
    assert result.value == pytest.approx(value, rel=2e-3)
    assert result.passed is passed
    assert result.samples == 100


@pytest.mark.parametrize("text", ["ttft_p95 < 1 s", "goodput > 1", "drift < 10 %"])
def test_a_gate_without_data_has_no_answer(text: str):
    """Streams in a run without streams, drift in a run of one point: neither passed nor failed."""
    assert judge(ClientGate(parse_expression(text)), _book(), 10).passed is None


def test_an_endpoint_that_was_never_asked_has_no_data():
    """A gate on a row that is not there."""
    assert judge(ClientGate(parse_expression("p95 < 1"), "GET /other"), _book(), 10).passed is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("p95", "must read like"),
        ("p95 = 3", "must read like"),
        ("p101 < 3", "there is no metric 'p101'"),
        ("latency < 3", "there is no metric 'latency'"),
        ("p95 < 3 h", "the unit 'h' is none of"),
        ("p95 < 1.2.3", "'1.2.3' is not a number"),
    ],
)
def test_a_gate_that_cannot_be_read_is_refused(text: str, sentence: str):
    """Each mistake of grammar: one sentence."""
    with pytest.raises(ConfigError, match=sentence):
        parse_expression(text)


def test_every_bad_gate_of_a_file_is_reported():
    """An unknown metric, an unknown endpoint and a promql gate with a metric of its own, together."""
    thresholds = ["x < 1", {"expect": "p95 < 1 s", "endpoint": "GET /none"}, {"expect": "p95 < 3", "promql": "up"}]
    with pytest.raises(ConfigError) as caught:
        Gates.of(LoadTestConfig.model_validate({"thresholds": thresholds}))
    first, second, third = caught.value.problems
    assert "there is no metric 'x'" in first
    assert "expect of a promql gate is a sign and a bound" in second
    assert "'GET /none': there is no such endpoint" in third


def test_promql_gates_ask_the_local_stack_by_default(monkeypatch: pytest.MonkeyPatch):
    """Without prometheus_url the gates are evaluated by the local Prometheus, at the port of its variable."""
    monkeypatch.setenv("PERFLOOP_PROMETHEUS_PORT", "9999")
    config = LoadTestConfig.model_validate({"thresholds": [{"expect": "< 3", "promql": "up"}]})
    assert Gates.of(config).prometheus_url == "http://127.0.0.1:9999"
    config.prometheus_url = "http://prometheus.example"
    assert Gates.of(config).prometheus_url == "http://prometheus.example"


def test_three_verdicts():
    """Passed, failed with its reason, invalid when a gate had no data or the generator was the limit."""
    good, bad = GateResult("p95 < 1 s", passed=True, value=0.5), GateResult("errors < 1 %", passed=False, value=0.02)
    silent = GateResult("ttft_p95 < 1 s", passed=None, value=None)
    assert decide(_tally(), [good], []) == (Verdict.PASSED, [])
    assert decide(_tally(), [good, bad], []) == (Verdict.FAILED, ["the gate 'errors < 1 %' measured 0.02"])
    assert decide(_tally(), [good, silent], [])[0] is Verdict.INVALID
    assert decide(_tally(), [good, bad], ["CPU"])[0] is Verdict.INVALID
    assert decide(Tally(), [], [])[0] is Verdict.INVALID


def test_a_run_without_one_good_answer_has_failed():
    """No gate is needed to see that a dead service did not pass."""
    tally = Tally()
    tally.outcomes["connection_refused"] = 5
    verdict, reasons = decide(tally, [], [])
    assert verdict is Verdict.FAILED
    assert reasons == ["not one of 5 requests was answered as expected (mostly connection_refused)"]


@pytest.mark.parametrize(
    ("generator", "outcome", "dropped", "sentence"),
    [
        (Generator(cpu_ratio=0.97), "ok", 0, "the generator used 97% of its core"),
        (Generator(event_loop_lag_p99_seconds=0.2), "ok", 0, "event loop was late by 200 ms"),
        (Generator(), "ok", 2, "98 of 100 planned requests were sent"),
        (Generator(), "no_ports", 0, "the generator ran out of local ports"),
        (Generator(), "no_file_descriptors", 0, "the generator ran out of file descriptors"),
    ],
)
def test_a_generator_that_was_the_limit_says_so(generator: Generator, outcome: str, dropped: int, sentence: str):
    """Each limit of the generator makes one sentence."""
    tally = Tally()
    tally.outcomes |= {outcome: 98}
    tally.dropped = dropped
    limits = GeneratorLimits()
    faults = generator_faults(limits, generator, tally) + schedule_faults(limits, tally)
    assert len(faults) == 1
    assert sentence in faults[0]


def test_a_sound_generator_has_no_faults():
    """Nothing to say about a run within its limits."""
    tally = Tally()
    tally.outcomes |= {"ok": 98}
    assert generator_faults(GeneratorLimits(), Generator(cpu_ratio=0.5), tally) == []
    assert schedule_faults(GeneratorLimits(), tally) == []


@pytest.mark.parametrize(
    ("value", "unit", "measured"),
    [
        (0.04819, "seconds", "48.19 ms"),
        (1.5, "seconds", "1.5 s"),
        (0.0123, "ratio", "1.23%"),
        (88.0, "per_second", "88/s"),
        (3.0, "number", "3"),
        (None, "seconds", "no data"),
    ],
)
def test_what_a_gate_measured_has_its_unit(value: float | None, unit: str, measured: str):
    """Times in ms or s, ratios in percent, rates per second, counts bare."""
    assert GateResult("gate", passed=None, value=value, unit=unit).measured == measured
