"""The command line and the process."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from perfloop_base.errors import ConfigError, ExitCode
from perfloop_exporter import cli

if TYPE_CHECKING:
    from tests.exporter.conftest import StartExporter

PROMISED = (
    "node_cpu_seconds_total",
    "node_memory_MemAvailable_bytes",
    "node_load1",
    "node_disk_io_time_seconds_total",
    "node_network_receive_bytes_total",
    "node_filesystem_avail_bytes",
)


def test_every_page_answers_and_sigterm_ends_it_cleanly(start_exporter: StartExporter):
    """Metrics, health, readiness and the landing page respond; after SIGTERM the exit code is 0."""
    exporter = start_exporter()

    metrics = exporter.get()

    assert [name for name in PROMISED if f"\n{name}" not in metrics] == []
    assert 'perfloop_threshold{signal="api_response_time_p95",severity="warning"} 1.0\n' in metrics
    assert 'node_scrape_collector_success{collector="cpu"} 1\n' in metrics
    assert exporter.get("/-/healthy") == "perfloop exporter is healthy\n"
    assert exporter.get("/-/ready") == "perfloop exporter is ready\n"
    assert 'href="/metrics"' in exporter.get("/")
    assert exporter.stop() == ExitCode.OK


def test_a_taken_port_is_reported_in_one_sentence(start_exporter: StartExporter):
    """A second exporter on the same port exits with PORT_TAKEN; the message has the address."""
    first = start_exporter()

    second = subprocess.run(
        [sys.executable, "-m", "perfloop_exporter", f"--web.listen-address={first.address}"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert second.returncode == ExitCode.PORT_TAKEN
    assert second.stderr.count("\n") == 1
    assert f"of {first.address} is taken by another program" in second.stderr


def test_all_problems_of_the_flags_are_reported_together():
    """Every unknown flag and every invalid value is reported."""
    flags = ["--collector.nothing", "--colector.cpu=1", "--web.telemetry-path=metrics", "--web.max-requests=-1"]

    with pytest.raises(ConfigError) as caught:
        cli.build_parser().parse_args([*flags, "--collector.cpu.deadline=never", "--web.listen-address=9100"])

    assert caught.value.problems == (
        "unknown flag: '--collector.nothing'",
        "unknown flag: '--colector.cpu=1'; did you mean --collector.cpu?",
        "--web.listen-address: '9100' is not an address: "  # noqa: ISC004  # one sentence
        "write HOST:PORT with a port from 0 to 65535, and an IPv6 host in square brackets",
        "--web.telemetry-path: 'metrics' does not begin with /",
        "--web.max-requests: '-1' is too small: the minimum is 0",
        "--collector.cpu.deadline: 'never' is not a duration: "  # noqa: ISC004  # one sentence
        "write numbers with units, such as 500ms, 10s, 5m or 1h30m",
    )


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], {"cpu": True, "loadavg": True}),
        (["--no-collector.cpu"], {"cpu": False, "loadavg": True}),
        (["--collector.disable-defaults", "--collector.cpu"], {"cpu": True, "loadavg": False}),
    ],
)
def test_collectors_are_enabled_as_in_node_exporter(flags: list[str], expected: dict[str, bool]):
    """--collector.X, --no-collector.X and --collector.disable-defaults have node_exporter's semantics."""
    enabled = cli.read_settings(cli.build_parser().parse_args(flags)).collectors.enabled

    assert expected == {name: name in enabled for name in expected}
