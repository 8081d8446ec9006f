"""CPU: time by mode, what waits for it, each core, the scheduler, processes and their limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Row
from perfloop_boards.host.selection import (
    MACHINE,
    NO_HOST,
    OF_ALL,
    OF_HOST,
    flow,
    leading,
    level,
    named,
    recorded,
)
from perfloop_boards.limits import Limit
from perfloop_boards.links import to_runbook
from perfloop_boards.panels import About, lines, stacked
from perfloop_boards.queries import Query, equal, rate

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

BUSY = 'mode!~"idle|iowait|steal"'
NO_PROCESSES = "Process states are not collected: start the exporter with --collector.processes."
# Out of process numbers nothing can start any more, not even a shell to look.
NUMBERS_GONE = Limit(warning=0.8, critical=0.95)
STATES = {
    "R": "running or ready",
    "S": "sleeping",
    "D": "waiting for I/O",
    "Z": "ended, not collected",
    "T": "stopped",
    "I": "idle kernel threads",
}


def modes() -> AnyPanel:
    """CPU time by mode, the panel of the signal."""
    return stacked(
        About(
            "CPU time by mode",
            "CPUs in use, by mode. user: programs; system: the kernel on their behalf; iowait: idle, with I/O "
            "pending; steal: taken by other guests.",
            "none",
            NO_HOST,
            links=OF_ALL,
        ),
        [
            Query(rate("node_cpu_seconds_total", *MACHINE, f'mode=~"{modes}"'), name, colour)
            for name, modes, colour in (
                ("user", "user|nice", colours.CPU),
                ("system", "system|irq|softirq", colours.NETWORK),
                ("iowait", "iowait", colours.DISK),
                ("steal", "steal", colours.ERRORS),
            )
        ],
    )


def waiting(limits: Limits) -> AnyPanel:
    """Load and pressure."""
    return lines(
        About(
            "CPU saturation",
            "Load per CPU, and the share of time in which some task waited for a CPU (pressure). Good: load "
            "under 1, pressure near 0.",
            "none",
            NO_HOST,
            links=(*OF_HOST, to_runbook("LoadHigh")),
        ),
        [
            Query(recorded("instance:node_load1_per_cpu:ratio"), "load per CPU · {{instance}}"),
            Query(recorded("instance:node_cpu_pressure:rate1m"), "pressure · {{instance}}"),
        ],
        limits.alert("LoadHigh"),
    )


def details() -> Row:
    """Cores, the scheduler and processes: opened when the CPU is the suspect."""
    panels = (_cores(), _switches(), _starts(), _ready(), _states(), _numbers(), _averages(), _queued())
    return Row(7, [(6, panel) for panel in panels], title="CPU: cores, scheduler and processes", collapsed=True)


def _cores() -> AnyPanel:
    core = ("instance", "cpu")
    busy = rate("node_cpu_seconds_total", *MACHINE, BUSY, by=core)
    return lines(
        About(
            "CPU used by core",
            "The ten busiest cores. Good: alike. One at 100% beside idle ones: a program with one thread, or one "
            "queue of the network card.",
            "percentunit",
            NO_HOST,
            links=OF_HOST,
        ),
        [Query(leading(busy, named("node_cpu_seconds_total", BUSY), *core), "CPU {{cpu}} · {{instance}}")],
    )


def _switches() -> AnyPanel:
    return lines(
        About(
            "Context switches, interrupts",
            "Per second. A rise without more traffic: threads that wait for each other, or a device that interrupts "
            "for every packet.",
            "none",
            NO_HOST,
            links=OF_HOST,
        ),
        [
            Query(flow("node_context_switches_total"), "context switches · {{instance}}"),
            Query(flow("node_intr_total"), "interrupts · {{instance}}"),
            Query(rate("node_softirqs_total", *MACHINE, by=("vector",)), "softirq {{vector}}"),
        ],
    )


def _starts() -> AnyPanel:
    return lines(
        About(
            "Processes started",
            "Per second. A steady high rate: a script that starts programs in a loop, or a service that crashes and is "
            "started again.",
            "none",
            NO_HOST,
            links=OF_HOST,
        ),
        [Query(flow("node_forks_total"), "{{instance}}")],
    )


def _ready() -> AnyPanel:
    return lines(
        About(
            "Tasks ready and blocked",
            "Ready: runs, or waits for a CPU. Blocked: waits for I/O. Good: no more ready ones than CPUs, none "
            "blocked.",
            "none",
            NO_HOST,
            links=OF_HOST,
        ),
        [
            Query(level("node_procs_running"), "ready · {{instance}}"),
            Query(level("node_procs_blocked"), "blocked · {{instance}}"),
        ],
    )


def _states() -> AnyPanel:
    return lines(
        About(
            "Processes by state",
            "Of the chosen hosts together. Good: few wait for I/O, and the number of ended ones that their parent has "
            "not collected does not grow.",
            "none",
            NO_PROCESSES,
            links=OF_ALL,
        ),
        [
            *(
                Query(f"sum({named('node_processes_state', equal('state', state))})", name)
                for state, name in STATES.items()
            ),
            Query(
                f"sum({named('node_processes_threads_state', equal('thread_state', 'D'))})", "threads waiting for I/O"
            ),
        ],
    )


def _numbers() -> AnyPanel:
    return lines(
        About(
            "Process and file limits used",
            "Share in use of the process numbers, threads and open files that the kernel allows. Good: under 80%. At "
            "100% nothing can be started or opened.",
            "percentunit",
            NO_HOST,
            decimals=1,
            links=OF_HOST,
        ),
        [
            Query(
                f"{named('node_processes_pids')} / {named('node_processes_max_processes')}", "processes · {{instance}}"
            ),
            Query(
                f"{named('node_processes_threads')} / {named('node_processes_max_threads')}", "threads · {{instance}}"
            ),
            Query(f"{named('node_filefd_allocated')} / {named('node_filefd_maximum')}", "open files · {{instance}}"),
        ],
        NUMBERS_GONE,
    )


def _averages() -> AnyPanel:
    return lines(
        About(
            "Load average",
            "Tasks that run, are ready, or wait for I/O, over 1, 5 and 15 minutes. Good: no more than CPUs. The first "
            "above the last: it is getting worse.",
            "none",
            NO_HOST,
            links=OF_HOST,
        ),
        [Query(level(f"node_load{minutes}"), f"{minutes} min · {{{{instance}}}}") for minutes in (1, 5, 15)],
    )


def _queued() -> AnyPanel:
    core = ("instance", "cpu")
    return lines(
        About(
            "Wait for a CPU by core",
            "Seconds per second that ready tasks waited for their turn. Good: under 1. Above, a core has more work "
            "than it can do.",
            "none",
            "This kernel keeps no scheduler statistics (CONFIG_SCHEDSTATS).",
            links=OF_HOST,
        ),
        [Query(flow("node_schedstat_waiting_seconds_total", by=core), "CPU {{cpu}} · {{instance}}")],
    )
