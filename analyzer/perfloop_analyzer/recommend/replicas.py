"""How many replicas a service should have: the autoscaler's ratio, so that use falls to the target.

desired = ceil(replicas x use / target), with no change while use is within a tenth of the target (Kubernetes'
Horizontal Pod Autoscaler's rule and tolerance); use is the CPU that the service's own processes take, as a share of
one replica's cores.
"""

from __future__ import annotations

import math

TARGET = 0.7
TOLERANCE = 0.1


def desired_replicas(replicas: float, cores_used: float, cores_of_one: float) -> int:
    """Return the number that brings each replica's CPU to the target."""
    use = cores_used / (replicas * cores_of_one)
    if abs(use / TARGET - 1.0) <= TOLERANCE:
        return round(replicas)
    return max(1, math.ceil(replicas * use / TARGET))
