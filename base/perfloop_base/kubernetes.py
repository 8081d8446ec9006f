"""PromQL over pods: which workload a pod belongs to, by the name that Kubernetes gives it.

kube-state-metrics and cAdvisor say `namespace` and `pod`. Pods come and go, so that what is compared over days is the
workload. A pod of a Deployment is named `<workload>-<hash of the template>-<five characters>`, one of a DaemonSet or a
Job `<workload>-<five characters>`, one of a StatefulSet `<workload>-<number>`; the characters are those of
k8s.io/apimachinery/pkg/util/rand, which has no vowels. The name is a first guess that costs Prometheus no join: who
owns the pod is read from kube_pod_owner where that is there.
"""

from __future__ import annotations

_SAFE = "bcdfghjklmnpqrstvwxz2456789"
# RE2 and Python's re read it alike.
WORKLOAD_OF_POD = f"(.+?)(?:-[{_SAFE}]{{6,10}})?-(?:[{_SAFE}]{{5}}|[0-9]+)"
WORKLOAD = "workload"
# Until Kubernetes 1.16 cAdvisor's labels were pod_name and container_name.
_POD = 'label_replace({expr}, "pod", "$1", "pod_name", "(.+)")'


def with_workload(expr: str) -> str:
    """Return PromQL with the label `workload` on every series that has a pod; aggregate it before it is compared.

    A pod whose name has none of the forms is its own workload.
    """
    named = _POD.format(expr=expr)
    whole = f'label_replace({named}, "{WORKLOAD}", "$1", "pod", "(.+)")'
    return f'label_replace({whole}, "{WORKLOAD}", "$1", "pod", "{WORKLOAD_OF_POD}")'


def by_workload(expr: str, by: tuple[str, ...] = (), aggregate: str = "max") -> str:
    """Return PromQL over pods as one series a workload, by further labels; `aggregate` is PromQL's, such as `sum`.

    The service of the result is that of no exporter: kube-state-metrics and the kubelet have their own.
    """
    labels = ", ".join(("namespace", WORKLOAD, *by))
    return f"{aggregate} by ({labels}) ({with_workload(expr)})"
