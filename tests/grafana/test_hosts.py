"""System and Hosts by query: each finds what the exporter exports; a host that is down reads down; the rest is true."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.wire.contract import read_contract
from tests.wire.promql import metric_names
from tests.wire.test_names import read_catalogue, read_dashboards, read_rules

if TYPE_CHECKING:
    from pathlib import Path

    from tests.grafana.boards import Panel
    from tests.grafana.machines import Machines

pytestmark = [pytest.mark.xdist_group("hosts"), pytest.mark.timeout(600)]
BOARDS = ("system", "fleet")
# Queries that find nothing although their series are there, because nothing is wrong or nothing has happened.
NOTHING_WRONG = (
    r"== 1",
    r"== 0",
    r"timeouts_total",
    r" > 0\)?$",
    # A state in which no process is.
    r'state="[DIRTZ]"',
    # The interfaces of a virtual machine have no speed, and those of the fixtures no traffic.
    r"node_network_speed_bytes",
    # No flush, no discard, no segment sent while the test looked.
    r"/ \(sum by .* > 0\)",
)
# Families that no board shows, each with its reason.
NOT_SHOWN = {
    r"node_(os|uname)_\w+|node_(cpu|disk|network)_info|node_cpu_(bug|flag)_info|"
    r"node_network_(address|altnames)_info|node_disk_(device_mapper|filesystem)_info": "names of things",
    r"node_network_(address_assign_type|device_id|dormant|flags|iface_\w+)": "numbers of the kernel's own, of no state",
    r"node_network_(name_assign_type|net_dev_group|protocol_type)": "numbers of the kernel's own, of no state",
    r"node_network_\w+_compressed_total": "only of dial-up lines",
    r"node_disk_ata_\w+": "what a disk is, not how it works",
    r"node_disk_(discarded_sectors|discards_merged)_total": "beside the number of discards and their time",
    r"node_filesystem_(free_bytes|mount_info)": "what may be used is shown: avail, not free",
    r"node_cpu_(guest_seconds_total|isolated|online)": "already in user; how it was set up",
    r"node_cpu_frequency_(avg_|max_|min_)?hertz|node_cpu_scaling_(frequency_min_hertz|governor)": (
        "the frequency at which a core runs is shown"
    ),
    r"node_schedstat_(running_seconds|timeslices)_total": "time by mode, and context switches, are shown",
    r"node_swap_(priority|size_bytes|used_bytes)": "swap is shown of the whole host",
    r"node_textfile_(mtime_seconds|scrape_error)": "about files of the user's own",
    r"node_time_(clocksource_\w+|zone_offset_seconds)": "how the clock was set up",
    r"node_timex_(status|loop_time_constant|tick_seconds|tai_offset_seconds|pps_\w+)": "the clock's inner workings",
    r"node_entropy_pool_size_bits": "always 256 on kernels that run today",
    r"node_hwmon_(chip_names|sensor_label)|node_hwmon_\(.*": "names; the pattern stands for what sensors there are",
    r"node_nf_conntrack_stat_(found|ignore|insert|search_restart)": "counters of the kernel that name no fault",
    r"node_network_carrier_(down|up)_changes_total": "shown together",
    r"node_(memory|netstat|sockstat|vmstat)_\\w\+": "patterns: those that matter are shown",
    r"perfloop_gpu_(info|memory_(used|total)_bytes|energy_joules_total)": "the share of memory, and watts, are shown",
    r"perfloop_threshold(_override)?": "limits: drawn on the panels themselves",
    r"perfloop_exporter_(build_info|connections)|promhttp_\w+_in_flight": "of the moment of a scrape",
    r"node_(bcache|bcachefs|bonding|btrfs|dmi|dmmultipath|edac|ethtool|fibrechannel|infiniband|interrupts|ipvs)\w*": (
        "of equipment that few hosts have: alerts watch what breaks"
    ),
    r"node_(kernel_hung|md|mountstats|network_route|nfs|nfsd|nvme|power_supply|rapl|selinux|softirqs|systemd)\w*": (
        "of equipment that few hosts have: alerts watch what breaks"
    ),
    r"node_(tape|watchdog|xfs|zfs)\w*": "of equipment that few hosts have: alerts watch what breaks",
    r"node_network_(\w*(advertised|supported)\w*|autonegotiate)": "what an interface can do, not how it works",
    r"node_filesystem_purgeable_bytes": "only of macOS and ZFS",
    r"node_scrape_collector_unreadable": "beside the success of each collector, and logged",
    r"process_.*|python_.*": "of the process: those that matter are shown",
    r"container_(memory_failcnt|cpu_user_seconds_total)": "beside what is shown",
    r"container_pressure_\w+": "shown by a pattern",
}


@pytest.fixture
def shown(panels: list[Panel]) -> list[Panel]:
    """The panels of the two boards."""
    return [panel for panel in panels if panel.board in BOARDS]


def ask_panel(machines: Machines, panels: list[Panel], title: str, position: int = 0, instance: str = ".*") -> Any:
    """What a query of a panel finds for the chosen host."""
    (panel,) = (panel for panel in panels if panel.title == title)
    return machines.ask(panel.expressions[position], instance)


def test_every_query_finds_its_series(machines: Machines, shown: list[Panel]):
    """Where every series that a query reads is scraped from some host, the query finds something."""
    known = set(machines.prometheus.get("/api/v1/label/__name__/values").json()["data"])
    silent, asked = [], 0
    for panel in shown:
        for expression in panel.expressions:
            if not metric_names(expression) <= known:
                continue
            asked += 1
            if not machines.ask(expression) and not any(re.search(one, expression) for one in NOTHING_WRONG):
                silent.append(f"{panel}: {expression}")
    assert silent == []
    assert asked > 130


def test_every_query_reads_what_is_scraped(machines: Machines, shown: list[Panel]):
    """Between them, a host that runs and the collectors' own fixtures have every series that the two boards read."""
    known = set(machines.prometheus.get("/api/v1/label/__name__/values").json()["data"])
    read = {name for panel in shown for expression in panel.expressions for name in metric_names(expression)}
    assert sorted(read - known - {"perfloop_otlp_exports_total"}) == []  # of an exporter that sends by OTLP


def test_every_family_of_the_exporter_is_shown(checkout: Path):
    """What is exported is on a board or under an alert, or the list above says why not."""
    expressions = [
        *(expression for _, expression in read_dashboards(checkout)),
        *(expression for _, expression in read_catalogue(checkout)),
        *(rule["expr"] for rule in read_rules(checkout)),
    ]
    read = {name for expression in expressions for name in metric_names(expression)}
    families = [metric for metric in read_contract()["exporter"] if not any(map(metric.covers_series, read))]
    unseen = [metric.name for metric in families if not any(re.fullmatch(one, metric.name) for one in NOT_SHOWN)]
    assert unseen == []


@pytest.mark.parametrize("state", ["frozen", "dead"])
def test_a_host_that_is_down_has_no_figure_but_down(machines: Machines, shown: list[Panel], state: str):
    """With it alone chosen no figure shows its last value, and each says down."""
    instance = getattr(machines, state)
    figures = [panel for panel in shown if panel.board == "system" and panel.kind == "stat"]
    assert len(figures) == 12
    for panel in figures:
        value, down = (machines.ask(expression, instance) for expression in panel.expressions)
        assert value == [], str(panel)
        assert [one["value"][1] for one in down] == ["1"], str(panel)


def test_what_is_down_is_counted_beside_the_figure_of_the_others(machines: Machines, shown: list[Panel]):
    """With all hosts chosen the figure is that of those that answer."""
    value, down = (ask_panel(machines, shown, "CPU used", position) for position in (0, 1))
    assert 0 <= float(value[0]["value"][1]) <= 1
    assert [one["value"][1] for one in down] == ["2"]


def test_a_host_that_is_down_has_its_row(machines: Machines, shown: list[Panel]):
    """The table of all hosts has it first, as down, with the time since it was seen, and without any last value."""
    (table,) = (panel for panel in shown if panel.title == "All hosts")
    state, seen, *figures = (machines.ask(expression) for expression in table.expressions)
    down = {one["metric"]["instance"] for one in state if one["value"][1] == "1"}
    assert down == {machines.frozen, machines.dead}
    assert {one["metric"]["instance"] for one in state} == down | {machines.running, machines.equipped}
    ages = {one["metric"]["instance"]: float(one["value"][1]) for one in seen}
    assert all(0 <= ages[instance] < 600 for instance in (*down, machines.running))
    assert [column for column in figures if {one["metric"]["instance"] for one in column} & down] == []
    assert [position for position, column in enumerate(figures) if not column] == []


def test_the_hosts_that_are_down_are_counted(machines: Machines, shown: list[Panel]):
    """Two up, two down."""
    counts = [ask_panel(machines, shown, title)[0]["value"][1] for title in ("Hosts up", "Hosts down")]
    assert counts == ["2", "2"]


def test_the_table_of_collectors_never_reads_all_well_for_a_dead_host(machines: Machines, shown: list[Panel]):
    """It has a row for the host itself."""
    found = ask_panel(machines, shown, "Collectors without a result", instance=machines.dead)
    assert [(one["metric"]["collector"], one["value"][1]) for one in found] == [("all", "3")]


def test_a_clock_that_follows_no_server_has_no_offset(machines: Machines, shown: list[Panel]):
    """Its offset is 0 and says nothing: a figure would be green."""
    for instance in (machines.running, machines.equipped):
        (synchronised,) = machines.ask(f'node_timex_sync_status{{instance="{instance}"}}')
        found = ask_panel(machines, shown, "Clock offset", instance=instance)
        assert bool(found) == (synchronised["value"][1] == "1")


def test_an_interface_without_a_state_is_not_down(machines: Machines, shown: list[Panel]):
    """The loopback carries traffic; the kernel knows no state of it."""
    states = {
        one["metric"]["device"]: one["value"][1]
        for one in ask_panel(machines, shown, "Interfaces", instance=machines.running)
    }
    unknown = machines.ask(f'node_network_info{{instance="{machines.running}", operstate="unknown"}}')
    assert {states[one["metric"]["device"]] for one in unknown} <= {"2"}
    up = machines.ask(f'node_network_up{{instance="{machines.running}"}} == 1')
    assert {states[one["metric"]["device"]] for one in up} <= {"1"}


def test_no_variable_of_these_boards_is_a_service(boards: dict[str, dict[str, Any]]):
    """`service` is what serves requests, on every board; a host is `instance`."""
    names = {uid: {one["name"] for one in boards[uid]["templating"]["list"]} for uid in BOARDS}
    assert all("service" not in found for found in names.values())
    assert "instance" in names["system"]


def test_each_panel_leads_on(shown: list[Panel]):
    """A series, a figure, a table: each has a link to the host, or to all of them."""
    silent = [str(panel) for panel in shown if not panel.defaults.get("links") and "/d/system" not in str(panel.json)]
    assert silent == []
