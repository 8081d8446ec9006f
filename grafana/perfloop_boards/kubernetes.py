"""The Kubernetes board: what does not run, what is short of CPU or memory, what is requested for nothing, and the mesh.

Its series are those of kube-state-metrics, of cAdvisor in the kubelet, and of a service mesh's proxies. Pods are shown
as workloads, by the names that Kubernetes gives them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_base.kubernetes import by_workload
from perfloop_boards.board import Board, Row, choice, evenly
from perfloop_boards.limits import FIRST_IS_BAD, FIRST_WARNS, percent
from perfloop_boards.links import of_label, to_board
from perfloop_boards.panels import About, lines, number
from perfloop_boards.queries import WINDOW, Query, chosen, equal, or_zero, rate, ratio, selector
from perfloop_boards.tables import Column, rows
from perfloop_boards.watches import Watch

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

IN = chosen("namespace")
OF = chosen("service")
CONTAINERS = (*IN, 'container!=""', 'container!="POD"', 'pod!=""')
BY = ("container",)
NAME = "{{workload}} · {{container}}"
NOTHING = "no cluster"
NO_CLUSTER = "No data of a cluster: kube-state-metrics and the kubelet (/metrics/cadvisor) are not scraped."
NO_MESH = "No data of a service mesh: the proxies of Istio or Linkerd are not scraped."
EACH = "sum by (namespace, pod, container)"
CLUSTER = Watch(answering="count(kube_pod_owner) > 0", down='count(up{job="kube-state-metrics"} == 0)')
ADVICE = (to_board("Open the recommendations", "recommendations"),)
OF_SERVICE = (to_board("Open this service", "service", service=of_label("service")),)


def _size(kind: str, resource: str) -> str:
    """Return a request or a limit, under its name of kube-state-metrics 2 and that of 1."""
    old = {"cpu": "cpu_cores", "memory": "memory_bytes"}[resource]
    series = f"kube_pod_container_resource_{kind}"
    return f"({series}{selector(*IN, equal('resource', resource))} > 0 or {series}_{old}{selector(*IN)} > 0)"


def _used(resource: str) -> str:
    if resource == "cpu":
        return rate("container_cpu_usage_seconds_total", *CONTAINERS, by=("namespace", "pod", "container"))
    return f"max by (namespace, pod, container) (container_memory_working_set_bytes{selector(*CONTAINERS)})"


def _share(resource: str, kind: str) -> str:
    size = f"max by (namespace, pod, container) ({_size(kind, resource)})"
    return by_workload(f"{_used(resource)} / on (namespace, pod, container) {size}", BY)


def _count(expr: str) -> Query:
    return Query(or_zero(f"sum({expr})"))


def _figures() -> Row:
    waiting = f"kube_pod_status_phase{selector(*IN, equal('phase', 'Pending'))}"
    restarts = f"increase(kube_pod_container_status_restarts_total{selector(*IN)}[5m])"
    killed = f"kube_pod_container_status_last_terminated_reason{selector(*IN, equal('reason', 'OOMKilled'))}"
    pressed = 'kube_node_status_condition{condition=~"(Memory|Disk|PID)Pressure", status="true"}'
    unready = 'kube_node_status_condition{condition="Ready", status=~"false|unknown"}'
    evicted = f"kube_pod_status_reason{selector(*IN, equal('reason', 'Evicted'))}"
    one = "max by (namespace, pod, container)"
    return Row(
        4,
        evenly(
            _number(
                "Pending pods",
                "Pods that wait for a node, an image or a volume. Good: 0, but for a rollout.",
                _count(f"max by (namespace, pod) ({waiting})"),
            ),
            _number(
                "Restarts", "Restarts of containers in five minutes. Good: 0.", _count(f"round({one} ({restarts}))")
            ),
            _number(
                "OOM kills",
                "Containers that were restarted in five minutes after the kernel killed them at "
                "their memory limit. Good: 0.",
                _count(f"{one} ({restarts} > bool 0.5) and on (namespace, pod, container) ({killed} == 1)"),
            ),
            _number(
                "Evicted pods",
                "Pods that a node evicted and nobody has deleted yet. Good: 0.",
                _count(f"max by (namespace, pod) ({evicted})"),
            ),
            _number(
                "Node pressure",
                "Nodes that are short of memory, disk or process ids. Good: 0.",
                _count(f"max by (node) ({pressed})"),
            ),
            number(
                About("Nodes not ready", "Nodes whose kubelet does not report. Good: 0.", "none", NOTHING, decimals=0),
                _count(f"max by (node) ({unready})"),
                FIRST_IS_BAD,
                watch=CLUSTER,
            ),
        ),
    )


def _number(title: str, good: str, query: Query) -> AnyPanel:
    return number(About(title, good, "none", NOTHING, decimals=0), query, FIRST_WARNS, watch=CLUSTER)


def _waiting() -> AnyPanel:
    reasons = f"kube_pod_container_status_waiting_reason{selector(*IN)} == 1"
    unplaced = (
        f"label_replace(kube_pod_status_unschedulable{selector(*IN)} == 1 or "
        f"kube_pod_status_scheduled{selector(*IN, equal('condition', 'false'))} == 1, "
        '"reason", "Unschedulable", "", "")'
    )
    shown = by_workload(f"max by (namespace, pod, reason) ({reasons} or {unplaced})", ("reason",), "sum")
    return rows(
        About(
            "Waiting pods",
            "Pods that do not start, by what keeps them. Good: none. ContainerCreating for a minute is usual.",
            "none",
            "No pod waits, or no cluster is scraped.",
            links=ADVICE,
        ),
        [Query(shown, instant=True)],
        [
            Column("namespace", "Namespace"),
            Column("workload", "Workload"),
            Column("reason", "Reason"),
            Column("Value #A", "Pods", unit="none", width=80),
        ],
        sort="Pods",
    )


def _replicas() -> AnyPanel:
    missing = (
        f"label_replace(kube_deployment_spec_replicas{selector(*IN)} - kube_deployment_status_replicas_available, "
        '"workload", "$1", "deployment", "(.+)") or '
        f"label_replace(kube_statefulset_replicas{selector(*IN)} - kube_statefulset_status_replicas_ready, "
        '"workload", "$1", "statefulset", "(.+)")'
    )
    return lines(
        About(
            "Missing replicas",
            "Replicas that are asked for and not available. Good: 0.",
            "none",
            NO_CLUSTER,
            links=ADVICE,
        ),
        [Query(f"max by (namespace, workload) ({missing}) > 0 or 0 * count(kube_pod_owner)", "{{workload}}")],
    )


def _throttling(limits: Limits) -> AnyPanel:
    limit = limits.alert("KubernetesCpuThrottled")
    part = f"rate(container_cpu_cfs_throttled_periods_total{selector(*CONTAINERS)}[{WINDOW}])"
    whole = f"(rate(container_cpu_cfs_periods_total{selector(*CONTAINERS)}[{WINDOW}]) > 0)"
    return lines(
        About(
            "CPU throttling by workload",
            f"Share of CPU periods in which a container was stopped. Good: under {percent(limit.first)}. Above: raise "
            "its limit, or set none.",
            "percentunit",
            "No container has a CPU limit.",
            links=ADVICE,
        ),
        [Query(by_workload(f"{part} / {whole}", BY), NAME)],
        limit,
    )


def _memory(limits: Limits) -> AnyPanel:
    limit = limits.alert("KubernetesMemoryNearLimit")
    return lines(
        About(
            "Memory of the limit by workload",
            f"Good: under {percent(limit.first)}. At 100%, the kernel kills the container.",
            "percentunit",
            "No container has a memory limit.",
            links=ADVICE,
        ),
        [Query(_share("memory", "limits"), NAME)],
        limit,
    )


def _requested(resource: str, title: str, unit: str) -> AnyPanel:
    asked = f"max by (namespace, pod, container) ({_size('requests', resource)})"
    running = f"kube_pod_container_status_running{selector(*IN)} == 1"
    return lines(
        About(
            title,
            "Of all containers that run. What is requested is set aside, used or not: far above the peak of what is "
            "used it is waste, see Recommendations.",
            unit,
            "No container requests any.",
            links=ADVICE,
        ),
        [
            Query(f"sum({asked} and on (namespace, pod, container) {running})", "requested"),
            Query(f"sum({_used(resource)})", "used"),
        ],
    )


def _autoscalers(limits: Limits) -> AnyPanel:
    limit = limits.alert("KubernetesAutoscalerAtMaximum")
    of = selector(*IN)
    shown = (
        f"kube_horizontalpodautoscaler_status_desired_replicas{of} / kube_horizontalpodautoscaler_spec_max_replicas or "
        f"label_replace(kube_hpa_status_desired_replicas{of} / kube_hpa_spec_max_replicas, "
        '"horizontalpodautoscaler", "$1", "hpa", "(.+)")'
    )
    return lines(
        About(
            "Replicas of the autoscaler's maximum",
            "What each autoscaler wants, of the most that it may have. Good: under 100%. At 100%, more load finds no "
            "more replicas.",
            "percentunit",
            "No HorizontalPodAutoscaler is there.",
            links=ADVICE,
        ),
        [Query(f"max by (namespace, horizontalpodautoscaler) ({shown})", "{{horizontalpodautoscaler}}")],
        limit,
    )


def _volumes(limits: Limits) -> AnyPanel:
    limit = limits.alert("KubernetesVolumeNearlyFull")
    of = selector(*IN)
    return lines(
        About(
            "Volumes used",
            f"Good: under {percent(limit.first)}. Above {percent(limit.last)}, writes will soon fail.",
            "percentunit",
            "No persistent volume is mounted.",
            links=ADVICE,
        ),
        [
            Query(
                "max by (namespace, persistentvolumeclaim) (1 - "
                f"kubelet_volume_stats_available_bytes{of} / kubelet_volume_stats_capacity_bytes)",
                "{{persistentvolumeclaim}}",
            )
        ],
        limit,
    )


def _mesh(limits: Limits) -> Row:
    panels = (_mutual_tls(), _retries(limits), _refused(limits), _proxies(limits))
    return Row(7, [(6, panel) for panel in panels], title="Service mesh", collapsed=True)


def _mutual_tls() -> AnyPanel:
    all_of = rate("mesh_server_requests_total", *OF, 'security!="unknown"', by=("service",))
    secured = rate("mesh_server_requests_total", *OF, 'security=~"mutual_tls|true"', by=("service",))
    return lines(
        About(
            "Requests over mutual TLS",
            "Good: 100%, where every caller is in the mesh. A fall: a caller without a proxy, or a policy that became "
            "permissive.",
            "percentunit",
            NO_MESH,
            links=OF_SERVICE,
        ),
        [Query(ratio(secured, all_of), "{{service}}")],
    )


def _retries(limits: Limits) -> AnyPanel:
    limit = limits.alert("MeshRetriesExhausted")
    asked = rate("mesh_client_requests_total", *OF, by=("service",))
    given_up = rate("mesh_client_requests_total", *OF, 'response_flags=~"(.+,)?URX(,.+)?"', by=("service",))
    routed = rate("mesh_routed_requests_total", *OF, by=("service",))
    failed = rate("mesh_retries_exhausted_total", *OF, by=("service",))
    return lines(
        About(
            "Exhausted retries",
            f"Share of requests that failed after all their retries. Good: 0. Above {percent(limit.first)}, the "
            "service does not recover between two tries.",
            "percentunit",
            NO_MESH,
            links=OF_SERVICE,
        ),
        [Query(f"{ratio(given_up, asked)} or {ratio(failed, routed)}", "{{service}}")],
        limit,
    )


def _refused(limits: Limits) -> AnyPanel:
    limit = limits.alert("MeshCircuitOpen")
    asked = rate("mesh_client_requests_total", *OF, by=("service",))
    refused = rate("mesh_client_requests_total", *OF, 'response_flags=~"(.+,)?(UO|UH)(,.+)?"', by=("service",))
    return lines(
        About(
            "Requests refused by circuits",
            "Share that the proxies of callers refused: the queue is full, or no endpoint is healthy. Good: 0.",
            "percentunit",
            NO_MESH,
            links=OF_SERVICE,
        ),
        [Query(ratio(refused, asked), "{{service}}")],
        limit,
    )


def _proxies(limits: Limits) -> AnyPanel:
    limit = limits.alert("MeshProxySaturated")
    of = selector(*IN, 'container=~"istio-proxy|linkerd-proxy"')
    part = f"rate(container_cpu_cfs_throttled_periods_total{of}[{WINDOW}])"
    whole = f"(rate(container_cpu_cfs_periods_total{of}[{WINDOW}]) > 0)"
    return lines(
        About(
            "CPU throttling of proxies",
            f"Good: under {percent(limit.first)}. Above, every request of the service waits for its proxy.",
            "percentunit",
            NO_MESH,
            links=ADVICE,
        ),
        [Query(by_workload(f"{part} / {whole}", BY), NAME)],
        limit,
    )


def build(limits: Limits) -> Board:
    """The Kubernetes board of a configuration."""
    return Board(
        uid="kubernetes",
        title="Kubernetes",
        question="What does not run in the cluster, what is short of CPU or memory, and what is requested for nothing?",
        related=("fleet", "service"),
        variables=(
            choice("namespace", "Namespace", "kube_pod_info"),
            choice("service", "Service", "http_server_request_duration_seconds_count"),
        ),
        rows=(
            _figures(),
            Row(7, evenly(_waiting(), _replicas())),
            Row(8, evenly(_throttling(limits), _memory(limits))),
            Row(
                7,
                evenly(
                    _requested("cpu", "CPU requested and used", "none"),
                    _requested("memory", "Memory requested and used", "bytes"),
                ),
            ),
            Row(7, evenly(_autoscalers(limits), _volumes(limits))),
            _mesh(limits),
        ),
    )
