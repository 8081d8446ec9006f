"""Containers against their limits, as the exporter and cAdvisor see them: panels of the system board."""

from __future__ import annotations

from perfloop_boards import colours
from perfloop_boards.limits import FIRST_WARNS, Limit, percent, signal_limit
from perfloop_boards.panels import About, lines
from perfloop_boards.queries import Query, chosen, rate, selector

MACHINE = chosen("service", "instance")
OF = selector(*MACHINE)
EACH = ("instance", "id")
NO_CONTAINER = "The exporter sees no container limits here: it runs outside any, or without access to its cgroup."
MEMORY = signal_limit("memory_used_ratio")
HELD_BACK = Limit(warning=0.25, critical=0.5)

CONTAINER_CPU = lines(
    About(
        "How much CPU do they take?",
        "CPUs in use by each. A line that is cut off flat has met its limit: see held back.",
        "none",
        NO_CONTAINER,
    ),
    [Query(rate("container_cpu_usage_seconds_total", *MACHINE, by=EACH), "{{id}} · {{instance}}")],
)
CONTAINER_HELD = lines(
    About(
        "Are they held back?",
        "Share of periods in which a container wanted more CPU than its limit. Good: 0. "
        f"Above {percent(HELD_BACK.warning)}: raise the limit.",
        "percentunit",
        "No container has a CPU limit.",
    ),
    [
        Query(
            f"{rate('container_cpu_cfs_throttled_periods_total', *MACHINE, by=EACH)}"
            f" / ({rate('container_cpu_cfs_periods_total', *MACHINE, by=EACH)} > 0)",
            "{{id}} · {{instance}}",
        )
    ],
    HELD_BACK,
)
CONTAINER_MEMORY = lines(
    About(
        "How full is their memory?",
        f"Working set of the limit. Good: under {percent(MEMORY.warning)}. "
        "At 100 % the kernel kills the largest process in it.",
        "percentunit",
        "No container has a memory limit.",
    ),
    [
        Query(
            f"sum by (instance, id) (container_memory_working_set_bytes{OF})"
            f" / (sum by (instance, id) (container_spec_memory_limit_bytes{OF}) > 0)",
            "{{id}} · {{instance}}",
        )
    ],
    MEMORY,
)
KILLED = lines(
    About(
        "Was anything killed for memory?",
        "Processes killed by the kernel in five minutes. Good: 0. Each is a request that broke off: raise the limit.",
        "none",
        NO_CONTAINER,
    ),
    [
        Query(f"sum by (instance) (increase(container_oom_events_total{OF}[5m]))", "in a container", colours.ERRORS),
        Query(f"sum by (instance) (increase(node_vmstat_oom_kill{OF}[5m]))", "on the machine", colours.SLOW),
    ],
    FIRST_WARNS,
)
