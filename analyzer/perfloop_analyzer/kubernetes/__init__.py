"""Kubernetes: which workload a series belongs to, and what a recommendation is in Kubernetes's own words.

Pure: answers of Prometheus in, names and patches out. `kubernetes_watch` (outside) asks who owns which pod.
"""

from __future__ import annotations

from perfloop_analyzer.kubernetes.advice import advise
from perfloop_analyzer.kubernetes.owners import (
    OWNER_QUERIES,
    Autoscaler,
    Directory,
    Workload,
    is_of_pods,
    read_directory,
)
from perfloop_analyzer.kubernetes.patches import Patch

__all__ = ["OWNER_QUERIES", "Autoscaler", "Directory", "Patch", "Workload", "advise", "is_of_pods", "read_directory"]
