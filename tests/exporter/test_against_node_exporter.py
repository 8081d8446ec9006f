"""Side by side with the real node_exporter on this machine: the same names, types, labels and values.

node_exporter is searched on PATH and in .perfloop/bin, also as prometheus-node-exporter, else unpacked from Debian's
package into .perfloop; where that is not available, this test is skipped.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
import urllib.request
from typing import TYPE_CHECKING, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from perfloop.stack import programs
from perfloop.stack.errors import ProgramError
from perfloop_exporter.collectors.catalogue import SPECS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.exporter.conftest import StartExporter

COLLECTOR_FLAG = re.compile(r"^ *--(?:\[no-\])?collector\.([a-z_]+) ", re.MULTILINE)
# Debian leaves out the loopback device, mounts below /mnt, and counts zram: the same patterns for both.
PATTERNS = (
    "--collector.netdev.device-exclude=^(veth|br-)",
    r"--collector.filesystem.mount-points-exclude=^/(dev|proc|sys|run/.+|mnt/.+|var/lib/docker/.+)($|/)",
    r"--collector.diskstats.device-exclude=^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d*$",
    "--collector.netclass.ignored-devices=^(veth|br-)",
    "--collector.arp.device-exclude=^(veth|br-)",
)
# Added by releases after Debian's 1.5, or, as some fields of /proc/meminfo, by no release: only the exporter has them.
NEWER_NAMES = re.compile(
    r"node_memory_(Balloon|FileHugePages|FilePmdMapped|Hugetlb|KReclaimable|SecPageTables)_bytes|"
    r"node_(filesystem_(mount_info|purgeable_bytes)|netstat_TcpExt_(TCPOFOQueue|TCPRcvQDrop)|scrape_collector_(timeouts_total|absent|unreadable)"
    r"|softnet_(cpu_collision_total|received_rps_total|flow_limit_count_total|backlog_len)|cpu_(online|frequency_hertz)|pressure_irq_.*"
    r"|network_receive_nohandler_total|disk_ata_.*)"
)
NEWER_LABELS = {"rotational", "adminstate", "device_error"}
# Metrics of the exporters themselves.
SELF = re.compile(r"(go|process|promhttp|perfloop)_.*|node_exporter_build_info|node_scrape_collector_duration_seconds")
# These change from one moment to the next: only their names and labels can be compared.
RESTLESS = re.compile(
    r"node_(memory_.*|sockstat_.*|processes_.*|procs_.*|tcp_connection_states|udp_queues|filefd_allocated|entropy.*|load.*"
    r"|timex_.*|interrupts_total|nf_conntrack_entries|disk_io_now|arp_entries|netstat_.*|cpu_.*frequency.*|hwmon_.*|thermal_zone_temp)"
)
# Labels of processes, connections and neighbours that may have ended between the two scrapes.
COMING_AND_GOING = re.compile(r"node_(processes_(threads_)?state|tcp_connection_states|arp_entries)")
TOLERANCE = 0.1

Labels = frozenset[tuple[str, str]]


class Scrape(NamedTuple):
    """The result of a scrape: types by family, values by name and labels."""

    kinds: dict[str, str]
    values: dict[tuple[str, Labels], float]


def read(address: str) -> Scrape:
    """Scrape an exporter."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    kinds = dict(line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE "))
    values = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            kept = ((name, value) for name, value in sample.labels.items() if value and name not in NEWER_LABELS)
            values[sample.name, frozenset(kept)] = sample.value
    return Scrape({name: kind for name, kind in kinds.items() if not SELF.fullmatch(name)}, values)


@pytest.fixture
def node_exporter() -> str:
    """Return the path of the real node_exporter."""
    on_path = shutil.which("prometheus-node-exporter")
    try:
        return on_path or str(programs.ensure("node_exporter", programs.home()))
    except ProgramError as error:
        pytest.skip(f"nothing to compare with: {error}")


def shared_with(node_exporter: str) -> list[str]:
    """Return the collectors that both have: those of its help text, which Debian's release has fewer of."""
    page = subprocess.run([node_exporter, "--help"], capture_output=True, text=True, check=True)
    theirs = set(COLLECTOR_FLAG.findall(page.stdout + page.stderr))
    return sorted(spec.name for spec in SPECS if spec.name in theirs)


@pytest.fixture
def both(
    node_exporter: str, tmp_path: Path, free_port: int, start_exporter: StartExporter
) -> Iterator[tuple[Scrape, Scrape]]:
    """Scrape node_exporter and the exporter at nearly the same moment, with the same collectors and patterns."""
    (tmp_path / "job.prom").write_text("# HELP job_seconds A job.\n# TYPE job_seconds gauge\njob_seconds 12.5\n")
    flags = [
        "--collector.disable-defaults",
        f"--collector.textfile.directory={tmp_path}",
        "--collector.stat.softirq",
        "--collector.cpu.info",
        *PATTERNS,
        *(f"--collector.{name}" for name in shared_with(node_exporter)),
    ]
    command = [node_exporter, f"--web.listen-address=127.0.0.1:{free_port}", *flags]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            ours = start_exporter(*flags)
            wait_for(free_port)
            yield read(f"127.0.0.1:{free_port}"), read(ours.address)
        finally:
            process.kill()


def wait_for(port: int) -> None:
    """Wait until the port is open."""
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


def test_names_types_labels_and_values_are_node_exporters(both: tuple[Scrape, Scrape]) -> None:
    """Every series of node_exporter is exported with its type and value; further series are newer than Debian's."""
    theirs, ours = both

    assert {name: kind for name, kind in theirs.kinds.items() if ours.kinds.get(name) != kind} == {}
    assert {key for key in staying(theirs) if key not in ours.values} == set()
    newer = {name for name, labels in more(theirs, ours)}
    assert {name for name in newer if not NEWER_NAMES.fullmatch(name)} == set()
    assert {key: values for key, values in pairs(theirs, ours).items() if not is_near(key[0], *values)} == {}


def more(theirs: Scrape, ours: Scrape) -> set[tuple[str, Labels]]:
    """Return the exporter's further series, except `readonly` of unreadable filesystems, which Debian's leaves out."""
    failed = {
        labels
        for (name, labels), value in ours.values.items()
        if name == "node_filesystem_device_error" and value == 1 and (name, labels) in theirs.values
    }
    extra = {key for key in staying(ours) if key not in theirs.values}
    return extra - {("node_filesystem_readonly", labels) for labels in failed}


def staying(scrape: Scrape) -> set[tuple[str, Labels]]:
    """Return the series that do not depend on what runs at this moment."""
    return {key for key in scrape.values if not (SELF.fullmatch(key[0]) or COMING_AND_GOING.fullmatch(key[0]))}


def pairs(theirs: Scrape, ours: Scrape) -> dict[tuple[str, Labels], tuple[float, float]]:
    """Return both values of the series that do not change from moment to moment."""
    return {
        key: (value, ours.values[key])
        for key, value in theirs.values.items()
        if key in ours.values and not RESTLESS.fullmatch(key[0]) and not SELF.fullmatch(key[0])
    }


def is_near(name: str, theirs: float, ours: float) -> bool:
    """Return whether the values differ by no more than a busy machine counts within a second."""
    busy = name.startswith(("node_network_", "node_disk_", "node_filesystem_", "node_softnet_"))
    return abs(theirs - ours) <= TOLERANCE * max(abs(theirs), abs(ours)) + (1e6 if busy else 5)
