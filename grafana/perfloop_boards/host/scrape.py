"""The exporter itself: how long a scrape takes, which collector is slow or fails, what the exporter costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Row
from perfloop_boards.host.selection import ALL_HOSTS, MACHINE, NO_HOST, OF_ALL, OF_HOST, level, named
from perfloop_boards.limits import seconds
from perfloop_boards.links import of_cell, to_board, to_runbook
from perfloop_boards.panels import About, lines
from perfloop_boards.queries import Query, equal
from perfloop_boards.tables import Column, rows
from perfloop_boards.watches import host_up

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

STATES = {
    "1": ("failed", colours.BAD),
    "2": ("absent", colours.UNKNOWN),
    "3": ("host is down", colours.BAD),
}
COLLECTOR = ("instance", "collector")


def _own(expr: str) -> str:
    """Return the series of exporters alone: other programs have them too."""
    return f"{expr} and on (instance) {named('node_boot_time_seconds')}"


def details(limits: Limits) -> Row:
    """Opened when figures of a host are missing or late."""
    panels = [(6, _duration(limits)), (6, _samples()), (6, _collectors()), (6, _cost())]
    more = [(8, _failed()), (8, _resources()), (8, _answers())]
    return Row(7, [*panels, *more], title="The exporter itself", collapsed=True)


def _duration(limits: Limits) -> AnyPanel:
    slow = limits.alert("ScrapeTooSlow")
    return lines(
        About(
            "Scrape duration",
            f"Until Prometheus has the answer. Good: under {seconds(slow.first)}. A scrape that takes longer than its "
            "timeout counts as a host that is down.",
            "s",
            NO_HOST,
            links=(*OF_HOST, to_runbook("ScrapeTooSlow")),
        ),
        [Query(_own(named("scrape_duration_seconds")), "{{instance}}")],
        slow,
    )


def _samples() -> AnyPanel:
    return lines(
        About(
            "Samples of a scrape",
            "Good: level. A rise: more devices, containers or mounts than before; each costs memory in Prometheus.",
            "none",
            NO_HOST,
            links=OF_HOST,
        ),
        [Query(_own(named("scrape_samples_scraped")), "{{instance}}")],
    )


def _collectors() -> AnyPanel:
    return lines(
        About(
            "Time by collector",
            "The ten slowest. Good: milliseconds. A slow one: a filesystem or a driver that answers late; it has a "
            "deadline of its own, and the others do not wait.",
            "s",
            NO_HOST,
            links=OF_HOST,
        ),
        [Query(level("node_scrape_collector_duration_seconds", by=COLLECTOR), "{{collector}} · {{instance}}")],
    )


def _cost() -> AnyPanel:
    return lines(
        About(
            "CPU used by the exporter",
            "CPUs. Good: under 0.02 at a scrape every five seconds. Above: see the slowest collector, or scrape less "
            "often.",
            "none",
            NO_HOST,
            decimals=3,
            links=OF_HOST,
        ),
        [Query(_own(f"rate({named('process_cpu_seconds_total')}[$__rate_interval])"), "{{instance}}")],
    )


def _failed() -> AnyPanel:
    by = ", ".join(COLLECTOR)
    absent = f"max by ({by}) ({named('node_scrape_collector_absent')} == 1)"
    failed = f"max by ({by}) (1 - {named('node_scrape_collector_success')} == 1) unless on ({by}) {absent}"
    # Without this row a host that is down would have no collector that fails.
    down = f'label_replace(({host_up(*MACHINE)}) == 0, "collector", "all", "", "") + 3'
    host = (to_board("Show this host alone", "system", instance=of_cell("Host")), ALL_HOSTS)
    return rows(
        About(
            "Collectors without a result",
            "Good: none fails. Absent: the host has nothing of the kind. A failed one: the exporter's log names the "
            "file and the reason.",
            "none",
            "Every collector of the chosen hosts has a result.",
        ),
        [Query(f"{failed} or 2 * {absent} or {down}", instant=True)],
        [
            Column("instance", "Host", links=host),
            Column("collector", "Collector"),
            Column("Value #A", "State", unit="none", words=STATES, width=120),
        ],
        sort="Host",
    )


def _resources() -> AnyPanel:
    return lines(
        About(
            "Memory of the exporter",
            "Resident. Good: level, under 100 MB. A steady rise is a leak: restart it and report it with its version.",
            "bytes",
            NO_HOST,
            links=OF_HOST,
        ),
        [Query(_own(named("process_resident_memory_bytes")), "{{instance}}")],
    )


def _answers() -> AnyPanel:
    return lines(
        About(
            "Answers of the exporter",
            "Per second, by status, connections that it closed, and exports by OTLP that failed. Good: 200 alone. "
            "Others: too many scrapers at once, a scrape that took too long, or a receiver that refuses.",
            "reqps",
            NO_HOST,
            links=OF_ALL,
        ),
        [
            Query(
                f"sum by (code) (rate({named('promhttp_metric_handler_requests_total')}[$__rate_interval]))", "{{code}}"
            ),
            Query(
                f"sum by (reason) (rate({named('perfloop_exporter_dropped_connections_total')}[$__rate_interval]))",
                "closed: {{reason}}",
            ),
            Query(
                f"sum by (collector) (rate({named('node_scrape_collector_timeouts_total')}[$__rate_interval])) > 0",
                "late: {{collector}}",
            ),
            Query(
                "sum by (outcome) "
                f"(rate({named('perfloop_otlp_exports_total', equal('outcome', 'failed'))}[$__rate_interval])) > 0",
                "OTLP: {{outcome}}",
            ),
        ],
    )
