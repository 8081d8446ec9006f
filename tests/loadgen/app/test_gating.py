"""The gate: real runs, a stored baseline, one exit code, reports for a pipeline."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import closing
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from perfloop_base.errors import ConfigError, ExitCode
from perfloop_loadgen.app.certifying import measure_noise, write_certificate
from perfloop_loadgen.app.comparing import Options
from perfloop_loadgen.app.gating import GatePlan, gate
from perfloop_loadgen.app.memory import Keeping
from perfloop_loadgen.app.repeat import runs_of
from perfloop_loadgen.compare.noise import certify
from perfloop_loadgen.config.load import BreakpointConfig
from perfloop_loadgen.config.model import GeneratorLimits
from perfloop_loadgen.errors import UnusableRunError
from perfloop_loadgen.store.location import standing_url
from perfloop_loadgen.store.runs import Retention, open_for_writing
from tests.loadgen.app.test_interleaving import delayed, quick, until
from tests.loadgen.conftest import serving
from tests.loadgen.known_runs import build_runs

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop_loadgen.config import LoadTestConfig

OPTIONS = Options(measures=("p50",))


async def with_baseline(config: LoadTestConfig, runs: int = 5) -> None:
    """Store runs as the baseline."""
    with closing(open_for_writing(standing_url(), Retention())) as store:
        ids = [store.save(document).run_id async for document in runs_of(config, runs)]
        store.set_baseline("main", ids)


async def run_gate(config: LoadTestConfig, options: Options = OPTIONS, plan: GatePlan | None = None) -> ExitCode:
    """Run it as the command does."""
    return await gate([config], plan or GatePlan("main"), options, Keeping(standing_url()))


async def test_a_slower_build_fails_and_the_same_passes_or_is_undecided(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Many times the delay is a regression in every report; without a change nothing is called one."""
    delay = {"now": 0.03}
    async with serving(delayed(delay)) as service:
        config = quick(service.url)
        await with_baseline(config)
        assert await run_gate(config) in {ExitCode.OK, ExitCode.UNDECIDED}
        capsys.readouterr()
        delay["now"] = 0.5
        files = {kind: tmp_path / kind for kind in ("markdown", "junit", "json")}
        assert await run_gate(config, Options(measures=("p50",), reports=files)) is ExitCode.FAILED
    assert "### load test: worse: p50 of all +" in capsys.readouterr().out
    assert files["markdown"].read_text().startswith("### load test: worse: p50 of all +")
    suite = ET.fromstring(files["junit"].read_bytes()).find("testsuite")
    assert suite is not None
    assert (suite.get("failures"), suite.get("errors")) == ("2", "0")
    [outcome] = json.loads(files["json"].read_text())
    assert (outcome["result"], outcome["code"], outcome["baseline"]) == ("worse", 1, "main")
    with closing(open_for_writing(standing_url(), Retention())) as store:
        assert len(store.runs("load test")) == 15


async def test_what_would_make_it_worthless_is_said_before_anything_runs(hello: Any):
    """No baseline, one of another test, a search, a test without end: each one sentence, and no request is sent."""
    config = quick(hello.url)
    with pytest.raises(
        ConfigError, match=r"^load test: there is no baseline main of this test \(baselines: none\); set it with `"
    ):
        await run_gate(config)
    with closing(open_for_writing(standing_url(), Retention())) as store:
        runs = [store.save(run) for run in build_runs(0.1, 5, 1)]
        store.set_baseline("main", [run.run_id for run in runs])
    with pytest.raises(
        ConfigError, match=r"^t: the baseline main does not compare: the .* differs: .* \(--force compares anyway\)"
    ):
        await run_gate(config.model_copy(update={"name": "t"}))
    with pytest.raises(ConfigError, match=r"^t: only a test that ends can be gated: give it a duration$"):
        await run_gate(config.model_copy(update={"name": "t", "duration_seconds": 0}))
    with pytest.raises(ConfigError, match=r"^t: a breakpoint search has no baseline"):
        await run_gate(config.model_copy(update={"name": "t", "load": BreakpointConfig(shape="breakpoint")}))
    assert hello.requests == []


async def test_a_gate_finer_than_the_noise_does_not_begin(hello: Any):
    """The certificate is of this test: the sentence comes before the runs."""
    config = quick(hello.url)
    await with_baseline(config, 2)
    with closing(open_for_writing(standing_url(), Retention())) as store:
        [one, other] = store.baseline("main")
    noisy = build_runs(
        0.1, 10, 1, spread=0.2, config=one.config, host=one.host, generator_version=one.generator_version
    )
    write_certificate(certify(noisy))
    sent = len(hello.requests)
    with pytest.raises(ConfigError, match="is finer than this machine's own noise"):
        await run_gate(config)
    assert len(hello.requests) == sent
    assert one.run_id != other.run_id


async def test_a_test_that_fails_by_its_own_thresholds_fails_the_gate(hello: Any, capsys: pytest.CaptureFixture[str]):
    """Whatever the comparison says."""
    config = quick(hello.url)
    await with_baseline(config)
    strict = config.model_copy(update={"thresholds": ["p50 < 1 us"]})
    assert await run_gate(strict) is ExitCode.FAILED
    assert "### load test: failed" in capsys.readouterr().out


async def test_an_invalid_run_is_made_again(
    hello: Any, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
):
    """As many valid runs as were asked for, and the result names the one that is left out."""
    config = quick(hello.url)
    await with_baseline(config, 1)
    verdicts = request.getfixturevalue("first_run_is_invalid")
    assert await run_gate(config, plan=GatePlan("main", repeat=2)) is ExitCode.UNDECIDED
    assert len(verdicts) == 3
    page = capsys.readouterr().out
    assert "(1 against 2 runs)" in page
    assert "is left out: a neighbour kept the core busy" in page


async def test_runs_that_stay_invalid_make_it_invalid(hello: Any):
    """None of ten was valid: the generator was the limit."""
    config = quick(hello.url)
    await with_baseline(config)
    strict = config.model_copy(update={"generator_limits": GeneratorLimits(cpu_ratio=1e-9)})
    assert await run_gate(strict) is ExitCode.INVALID


async def test_what_is_undecided_may_pass(hello: Any):
    """With one run of the baseline nothing is proved: its own code, or 0 where that is asked for."""
    config = quick(hello.url)
    await with_baseline(config, 1)
    assert await run_gate(config, plan=GatePlan("main", repeat=2)) is ExitCode.UNDECIDED
    assert await run_gate(config, plan=GatePlan("main", repeat=2, undecided_is_ok=True)) is ExitCode.OK


async def test_a_signal_stops_it(hello: Any):
    """SIGINT in the middle of a run: stopped, and the run so far is stored as that."""
    config = quick(hello.url)
    await with_baseline(config, 1)
    long = config.model_copy(update={"name": config.name, "duration_seconds": 0.3})
    running = asyncio.ensure_future(run_gate(long, plan=GatePlan("main", repeat=50)))
    before = len(hello.requests)
    await until(lambda: len(hello.requests) > before + 20)
    os.kill(os.getpid(), signal.SIGINT)
    assert await asyncio.wait_for(running, 20) is ExitCode.STOPPED


async def test_the_noise_of_a_test_is_measured(hello: Any):
    """Runs against one service; an invalid one is no measurement."""
    certificate = await measure_noise(quick(hello.url), 8)
    assert certificate.runs == 8
    assert {row.measure for row in certificate.rows} >= {"p50", "rate"}
    config = quick(hello.url)
    config.generator_limits = GeneratorLimits(cpu_ratio=1e-9)
    with pytest.raises(
        UnusableRunError, match=r"^the noise cannot be measured: 0 of 16 runs of load test were valid \(the last one: "
    ):
        await measure_noise(config, 8)
