"""Planning: what a service can carry, what it will have to, how many replicas that takes, and what it costs.

Pure: answers of Prometheus in, a `Plan` out. `planning_watch` (outside) asks and calls.

How a part hangs in (capacity, traffic, scaling, costs):

1. Its queries: an `Ask` in its own package, added to `planning_watch.ASKS`. Answers arrive in `Answers`, by query name.
2. Its figure: a frozen dataclass with `as_dict()` and `figures(service)` (the role `Part`), or a note, one sentence
   that says why there is none. One call in `planning_watch.plan_service` sets the field of `ServicePlan`.
3. Its metrics: name, help and labels in `reporters.planned.PLANNED`; `figures` yields `Figure(name, labels, value)`.
"""

from __future__ import annotations
