"""The commands `compare` and `ab`."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from perfloop_base.errors import ConfigError, ExitCode
from perfloop_loadgen.app.comparing import ab, compare_files
from perfloop_loadgen.config import LoadTestConfig
from perfloop_loadgen.config.model import GeneratorLimits
from perfloop_loadgen.summary.document import to_json
from tests.loadgen.conftest import build_document


def test_the_command_judges_files(tmp_path: Any, capsys: pytest.CaptureFixture[str]):
    """A regression ends with 1, no change with 0, another configuration is refused unless forced."""
    files = {name: tmp_path / f"{name}.json" for name in ("base", "same", "slow", "other")}
    files["base"].write_bytes(to_json(build_document(0.1, 1)))
    files["same"].write_bytes(to_json(build_document(0.1, 2)))
    files["slow"].write_bytes(to_json(build_document(0.2, 3)))
    files["other"].write_bytes(to_json(build_document(0.1, 4, profile="spike")))
    assert compare_files(files["base"], files["same"], 0.1, force=False) is ExitCode.OK
    assert compare_files(files["base"], files["slow"], 0.1, force=False) is ExitCode.FAILED
    assert "| p95_seconds | " in capsys.readouterr().out
    with pytest.raises(ConfigError, match="do not compare: the load shape differs"):
        compare_files(files["base"], files["other"], 0.1, force=False)
    assert compare_files(files["base"], files["other"], 0.1, force=True) is ExitCode.OK


async def test_ab_runs_both_sides_in_turn(
    hello: Any, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    """Two rounds against one service: A B A B, one table, and too few seconds for a significant change."""
    caplog.set_level(logging.INFO)
    config = LoadTestConfig(
        base_url=hello.url, duration_seconds=0.2, concurrent_users=1, think_time_seconds=0.02, endpoints=[{"path": "/"}]
    )
    config.generator_limits = GeneratorLimits(cpu_ratio=9, event_loop_lag_seconds=9)
    code = await ab(config, (hello.url, f"{hello.url}/"), 2, 0.1)
    assert code is ExitCode.INVALID
    rounds = [line for line in caplog.messages if line.startswith("round ")]
    assert [line.split(": ")[1] for line in rounds] == [hello.url, f"{hello.url}/"] * 2
    assert "| p95_seconds | - | - | - | - | too little data |" in capsys.readouterr().out
