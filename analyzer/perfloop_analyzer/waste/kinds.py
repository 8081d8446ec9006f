"""The kinds of waste: what is asked of the history, how a size is found, and what a person is recommended.

In queries `$step` is the time between two points of the history and `$window` the rate window. Every question gives the
highest value of each step: a peak between two points counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perfloop_analyzer.waste import sizing
from perfloop_base.kubernetes import by_workload, with_workload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.waste.sizing import Sizing

CONTAINER = ("service", "namespace", "workload", "container")
FILES = 'fstype!~"tmpfs|overlay|squashfs|ramfs"'


def per_container(expr: str) -> str:
    """Return PromQL with one series a container, however it is named: the same name as in catalog/sizes.yml.

    In a cluster a container is one of a workload: those of its pods are one.
    """
    named = (
        f'label_replace(label_join({expr}, "container", ";", "container", "container_name", "name", "id"), '
        '"container", "$1", "container", ";{0,3}([^;]+).*")'
    )
    return f"max by ({', '.join(CONTAINER)}) ({with_workload(named)})"


def highest(expr: str) -> str:
    """Return PromQL for the highest value of each step of an expression that is asked once a rate window."""
    return f"max_over_time(({expr})[$step:$window])"


@dataclass(frozen=True, slots=True)
class Price:
    """The price that a size has in prices.yml, and how much of what is priced one unit of the size is."""

    resource: str
    per_unit: float = 1.0
    name: str = ""  # the label whose value has a price of its own


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of waste.

    Attributes:
        rule: Its name, as the rules of recommendations have one.
        resource: What `perfloop_waste_ratio` calls it.
        size: The signal of the catalogue that has the size.
        component: What the recommendation is about.
        by: The labels that name a thing, of the size's series and of the use's.
        use: PromQL for the use.
        others: PromQL for what may forbid it, by the names that the sizing knows.
        sizing: How much is enough.
        least_share, least_amount: Less to be saved is no waste; a share of the size, and in its unit.
        forbidden_by: Components; with a finding about one of them the service needs what it has.
        harmed: The signals of the catalogue, beside response times and errors, that a change must not make worse.
        excludes: The rules whose recommendations for the same service would leave too little together with this one.
        replaces: The rule whose recommendation about the same thing this one replaces; empty for none.
        counters: The questions whose 0 says nothing: see `learn_uses`.
        copies: The question how many there are of it, each of that size; empty where it is the only one.
        superseded_by: The signal of a size that counts instead where a thing has it: what a pod requests is set aside,
            what it may use beyond that is not.
    """

    rule: str
    resource: str
    size: str
    component: str
    by: tuple[str, ...]
    use: str
    sizing: Sizing
    title: str
    action: str
    others: Mapping[str, str] = field(default_factory=dict)
    price: Price | None = None
    effort: str = "low"
    least_share: float = 0.2
    least_amount: float = 0.0
    forbidden_by: frozenset[str] = frozenset()
    harmed: tuple[str, ...] = ()
    excludes: frozenset[str] = frozenset()
    replaces: str = ""
    counters: frozenset[str] = frozenset()
    copies: str = ""
    superseded_by: str = ""


CPU_USED = 'sum without (cpu) (rate(container_cpu_usage_seconds_total{container!="POD"}[$window]))'
MEMORY_USED = 'max_over_time(container_memory_working_set_bytes{container!="POD"}[$step])'
THROTTLED = (
    'increase(container_cpu_cfs_throttled_periods_total{container!="POD"}[$step]) '
    "/ (increase(container_cpu_cfs_periods_total[$step]) > 0)"
)
KILLED = 'increase(container_oom_events_total{container!="POD"}[$step])'
# Of a pod whose last container was killed, and that was restarted since: where the kernel's counter is not there.
KILLED_IN_POD = (
    "increase(kube_pod_container_status_restarts_total[$step]) "
    'and on (namespace, pod, container) kube_pod_container_status_last_terminated_reason{reason="OOMKilled"} == 1'
)
COPIES = by_workload("kube_pod_container_status_running == 1", ("container",), "count")
CPU_OF_SERVICE = "sum by (service) (rate(process_cpu_seconds_total[$window]))"
BUSY = 'sum by (service) (rate(node_cpu_seconds_total{mode!="idle"}[$window]))'
TAKEN = "sum by (service) (node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes)"
REQUESTS = "sum by (service) (rate(http_server_request_duration_seconds_count[$window]))"
HITS = (
    "(sum by (service, cache) (rate(cache_hits_total[$step])) or sum by (service, cache) (rate(cache_requests_total"
    "[$step])) * 0)"
)
LOOKUPS = "sum by (service, cache) (rate(cache_requests_total[$step]))"

KINDS: tuple[Kind, ...] = (
    Kind(
        rule="waste_container_cpu",
        resource="container_cpu",
        size="container_cpu_limit_cores",
        component="cpu",
        by=CONTAINER,
        use=per_container(highest(CPU_USED)),
        others={"throttled": per_container(THROTTLED)},
        sizing=sizing.cpu_limit,
        title="Waste: lower the CPU limit of {where}",
        action="Set the CPU limit to {new} (docker update --cpus, resources.limits.cpu, CPUQuota=), now {size}. A "
        "program that sizes itself by it (threads, workers) starts fewer then.",
        price=Price("core_hour"),
        least_amount=0.1,
        forbidden_by=frozenset({"cpu", "api"}),
        harmed=("container_cpu_throttled_ratio",),
        counters=frozenset({"use"}),
        superseded_by="container_cpu_request_cores",
    ),
    Kind(
        rule="waste_container_memory",
        resource="container_memory",
        size="container_memory_limit_bytes",
        component="memory",
        by=CONTAINER,
        use=per_container(MEMORY_USED),
        others={"killed": per_container(KILLED), "ended": per_container(KILLED_IN_POD)},
        sizing=sizing.memory_limit,
        title="Waste: lower the memory limit of {where}",
        action="Set the memory limit to {new} (docker update --memory, resources.limits.memory, MemoryMax=), now "
        "{size}. A program that sizes itself by it (the heap of a JVM, caches, workers) takes less then.",
        price=Price("memory_gib_hour", 2.0**-30),
        least_amount=64.0 * 2**20,
        forbidden_by=frozenset({"memory", "availability"}),
        harmed=("container_kills_per_second",),
        counters=frozenset({"use"}),
        superseded_by="container_memory_request_bytes",
    ),
    # What is requested is set aside for the pod on its node, whether it is used or not.
    Kind(
        rule="waste_cpu_request",
        resource="cpu_request",
        size="container_cpu_request_cores",
        component="cpu",
        by=CONTAINER,
        use=per_container(highest(CPU_USED)),
        others={"throttled": per_container(THROTTLED), "copies": COPIES},
        sizing=sizing.cpu_request,
        title="Waste: request less CPU for {where}",
        action="Set the CPU request to {new}, now {size}, in each of its pods. The scheduler sets requests aside on a "
        "node: what is not used of them no other pod can request.",
        price=Price("core_hour"),
        least_amount=0.05,
        forbidden_by=frozenset({"cpu", "api"}),
        harmed=("container_cpu_throttled_ratio",),
        counters=frozenset({"use"}),
        copies="copies",
    ),
    Kind(
        rule="waste_memory_request",
        resource="memory_request",
        size="container_memory_request_bytes",
        component="memory",
        by=CONTAINER,
        use=per_container(MEMORY_USED),
        others={"killed": per_container(KILLED), "ended": per_container(KILLED_IN_POD), "copies": COPIES},
        sizing=sizing.memory_request,
        title="Waste: request less memory for {where}",
        action="Set the memory request to {new}, now {size}, in each of its pods. What a pod uses beyond its request "
        "makes it the first to be evicted when its node runs short.",
        price=Price("memory_gib_hour", 2.0**-30),
        least_amount=32.0 * 2**20,
        forbidden_by=frozenset({"memory", "availability"}),
        harmed=("container_kills_per_second",),
        counters=frozenset({"use"}),
        copies="copies",
    ),
    Kind(
        rule="waste_machine_cpu",
        resource="machine_cpu",
        size="cpu_cores",
        component="cpu",
        by=("service",),
        use=highest(BUSY),
        sizing=sizing.machine_cores,
        title="Waste: run {where} on fewer cores",
        action="Choose machines with {new} in all, now {size}; with the memory below, since both are sold together.",
        price=Price("core_hour"),
        effort="medium",
        least_share=0.4,
        least_amount=2.0,
        forbidden_by=frozenset({"cpu", "api"}),
        counters=frozenset({"use"}),
    ),
    Kind(
        rule="waste_machine_memory",
        resource="machine_memory",
        size="memory_total_bytes",
        component="memory",
        by=("service",),
        use=highest(TAKEN),
        others={"killed": "sum by (service) (increase(node_vmstat_oom_kill[$step]))"},
        sizing=sizing.machine_memory,
        title="Waste: run {where} on less memory",
        action="Choose machines with {new} in all, now {size}; with the cores that they come with. What is free now is "
        "the page cache of files that are read again and again.",
        price=Price("memory_gib_hour", 2.0**-30),
        effort="medium",
        least_share=0.4,
        least_amount=2.0 * 2**30,
        forbidden_by=frozenset({"memory", "disk"}),
        counters=frozenset({"use"}),
    ),
    Kind(
        rule="waste_replicas",
        resource="replicas",
        size="replicas",
        component="load",
        by=("service",),
        use=highest(CPU_OF_SERVICE),
        others={
            "one": highest("max by (service) (rate(process_cpu_seconds_total[$window]))"),
            "rate": highest(REQUESTS),
            "limit": "min by (service) (container_spec_cpu_quota / container_spec_cpu_period > 0)",
        },
        sizing=sizing.replica_count,
        title="Waste: run fewer replicas of {where}",
        action="Run {new} replicas, now {size}. Where the load has a busy hour, let an autoscaler add them for it.",
        price=Price("replica_hour", name="service"),
        least_amount=1.0,
        forbidden_by=frozenset({"cpu", "api", "availability"}),
        excludes=frozenset({"waste_container_cpu", "waste_container_memory"}),
        counters=frozenset({"use", "one"}),
    ),
    Kind(
        rule="waste_pool",
        resource="connection_pool",
        size="db_pool_size",
        component="database",
        by=("service", "pool"),
        use='max by (service, pool) (max_over_time(db_client_connection_count{state="used"}[$step]))',
        others={
            "timeouts": "sum by (service, pool) (increase(db_client_connection_timeouts_total[$step]))",
            "waiting": highest("sum by (service, pool) (rate(db_client_connection_wait_time_seconds_sum[$window]))"),
        },
        sizing=sizing.pool_connections,
        title="Waste: make the connection pool {pool} of {service} smaller",
        action="Set the most connections of the pool to {new}, now {size}, in each process. Each connection that is "
        "open takes memory of the database server, and one of the connections that it allows.",
        least_share=0.5,
        least_amount=10.0,
        forbidden_by=frozenset({"database", "api"}),
        harmed=("db_pool_waiting", "db_query_time_p95"),
    ),
    Kind(
        rule="waste_disk",
        resource="disk",
        size="filesystem_size_bytes",
        component="disk",
        by=("service", "instance", "mountpoint"),
        use=f"max by (service, instance, mountpoint) (max_over_time((node_filesystem_size_bytes{{{FILES}}} "
        f"- node_filesystem_avail_bytes{{{FILES}}})[$step:$window]))",
        sizing=sizing.disk_bytes,
        title="Waste: use a smaller volume for {mountpoint} of {service}",
        action="Move the data to a volume of {new}, now {size}; begin with a copy, most volumes cannot "
        "be made smaller.",
        price=Price("disk_gib_month", 2.0**-30),
        effort="high",
        least_share=0.5,
        least_amount=20.0 * 2**30,
        forbidden_by=frozenset({"disk"}),
        counters=frozenset({"use"}),
    ),
    Kind(
        rule="waste_cache",
        resource="cache",
        size="cache_misses_per_second",
        component="cache",
        by=("service", "cache"),
        use=HITS,
        others={"lookups": LOOKUPS, "share": f"{HITS} / ({LOOKUPS} > {sizing.LEAST_CACHE_RATE})"},
        sizing=sizing.useless_cache,
        title="Waste: fix or remove the cache {cache} of {service}",
        action="Look first whether its keys contain something unique to a request, or its TTL is shorter than the time "
        "between two uses: then it only has to be fixed. Else remove it: each lookup costs time, and it costs memory.",
        effort="medium",
        replaces="low_hit_ratio",
        counters=frozenset({"lookups"}),
    ),
    Kind(
        rule="waste_gpu",
        resource="gpu",
        size="gpus",
        component="gpu",
        by=("service", "instance", "gpu"),
        use="max by (service, instance, gpu) (max_over_time(perfloop_gpu_used_ratio[$step])) "
        "or max by (service, instance, gpu) (max_over_time(DCGM_FI_DEV_GPU_UTIL[$step])) / 100",
        sizing=sizing.idle_gpu,
        title="Waste: give back GPU {gpu} of {service}",
        action="Stop what holds it, and give the GPU or its machine back; or move the model to one that is used.",
        price=Price("gpu_hour", name="model"),
        effort="medium",
        forbidden_by=frozenset({"gpu", "model"}),
    ),
)


def question(kind: Kind, name: str = "use") -> str:
    """Return what the answer about one thing of a kind is called."""
    return f"{kind.rule}:{name}"


def questions(kind: Kind) -> dict[str, str]:
    """Return the PromQL of a kind by the name of its answer."""
    return {question(kind, name): expr for name, expr in {"use": kind.use, **kind.others}.items()}
