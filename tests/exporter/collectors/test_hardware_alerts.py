"""Alerts on RAID, bonds, memory errors and units fire on what the collectors export of a machine that has the fault."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from prometheus_client.samples import Sample

FIXTURES = Path(__file__).parent / "fixtures"
# In the way of node-mixin's rules: the collector whose machine has the fault, the expression, and what it finds there.
CASES = {
    "RaidDegraded": (
        "mdadm",
        'node_md_disks_required - ignoring (state) node_md_disks{state="active"} > 0',
        [{"device": "md1"}, {"device": "md2"}],
    ),
    "RaidDiskFailed": (
        "mdadm",
        'sum by (device) (node_md_disks{state="failed"}) > 0',
        [{"device": "md1"}],
    ),
    "BondDegraded": (
        "bonding",
        "sum by (master) (node_bonding_slaves - node_bonding_active) != 0",
        [{"master": "bond0"}],
    ),
    "MemoryErrors": (
        "edac",
        "sum by (controller) (node_edac_uncorrectable_errors_total) > 0",
        [{"controller": "1"}],
    ),
    "UnitFailed": (
        "systemd",
        'sum by (name) (node_systemd_unit_state{state="failed"}) == 1',
        [{"name": "backup.service"}],
    ),
    "PoolDegraded": (
        "zfs",
        'sum by (zpool) (node_zfs_zpool_state{state!="online"}) > 0',
        [{"zpool": "old"}],
    ),
    "PathFailed": ("dmmultipath", "sum by (device) (node_dmmultipath_device_paths_failed) > 0", [{"device": "mpatha"}]),
}


def series(sample: Sample) -> dict[str, str]:
    """Return a sample as promtool's input: the same value for some minutes."""
    labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
    return {"series": f"{sample.name}{{{labels}}}", "values": f"{sample.value:g}x20"}


@pytest.mark.parametrize("alert", CASES)
def test_an_alert_fires_on_the_machine_with_the_fault(alert: str, promtool: str, tmp_path: Path) -> None:
    """It fires for what is broken, and for nothing else."""
    machine, expression, expected = CASES[alert]
    text = (FIXTURES / machine / "expected.prom").read_text()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    rules: dict[str, Any] = {"groups": [{"name": "g", "rules": [{"alert": alert, "expr": expression, "for": "5m"}]}]}
    test: dict[str, Any] = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [series(sample) for sample in samples],
                "alert_rule_test": [
                    {"eval_time": "10m", "alertname": alert, "exp_alerts": [{"exp_labels": one} for one in expected]}
                ],
            }
        ],
    }
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test))

    done = subprocess.run(
        [promtool, "test", "rules", "test.yml"], check=False, cwd=tmp_path, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr
