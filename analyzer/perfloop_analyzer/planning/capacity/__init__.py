"""Capacity: the highest rate that keeps the objectives, from load tests and from live traffic.

`assess` is all that a plan calls. Files: `traffic` reads the points of a day; `demand` and `response` fit a resource's
use and the response time to the rate; `observed` finds where objectives broke; `scalability` is the Universal
Scalability Law; `live` puts these together, `tested` reads what load tests found, `goals` compares with the goals.
"""

from __future__ import annotations

from perfloop_analyzer.planning.capacity.assess import Assessment, assess
from perfloop_analyzer.planning.capacity.model import Capacity, Curve, Goal, Objectives

__all__ = ["Assessment", "Capacity", "Curve", "Goal", "Objectives", "assess"]
