"""One colour, one meaning, on every board. Named colours follow Grafana's dark and light themes."""

from __future__ import annotations

# Status. These four are reserved for status: no series is drawn in them for any other reason, nor in one that looks
# like them: a brown as strong as Grafana's orange reads as a warning.
GOOD = "green"
WARNING = "orange"
BAD = "red"
UNKNOWN = "text"

# Things. The same thing has the same colour wherever it is drawn. None of them is in Grafana's palette, which draws
# what has no name beforehand: two series of a panel never share a colour.
TRAFFIC = "#5B95F5"
CALLER = "#A68A64"  # what the caller did wrong
OFFERED = "#8A93A2"
ERRORS = "semi-dark-red"
BROKEN = "dark-red"  # errors within a response
FAST = "super-light-purple"  # the median
SLOW = "#B070DC"  # the 95th percentile
SLOWEST = "#FF7FB0"  # the 99th percentile
CLIENT = "#12B5C9"  # the same latency, seen from the load generator
DATABASE = "#1F9E89"
VECTOR = "#5DB7A8"
CACHE = "#C45AB3"
MODEL = "#7E8FF2"
OTHER = "#8A93A2"
CPU = "semi-dark-blue"
MEMORY = "#1F9E89"
DISK = "#A68A64"
NETWORK = "#8FB8F2"
EXPECTED = "#8A93A2"  # the upper edge of what the analyzer expected
EXPECTED_LEAST = "#5F6B7A"  # its lower edge

# Values of labels that are known: each has its colour wherever it is drawn. A key ends the name of the series.
PARTS = {
    "prometheus": "#7E8FF2",
    "alertmanager": "#FF7FB0",
    "grafana": "#C45AB3",
    "node": "#C7A96B",
    "demo": TRAFFIC,
    "loadgen": "#12B5C9",
    "analyzer": SLOW,
    "inbox": "#5DB7A8",
    "victoriametrics": "#A9CF54",
}
CHANNELS = {"email": "#12B5C9", "slack": SLOW, "pagerduty": "#FF7FB0", "webhook": "#8A93A2"}
CATEGORIES = {
    "api": TRAFFIC,
    "database": DATABASE,
    "caching": CACHE,
    "llm": MODEL,
    "infrastructure": CPU,
    "code": SLOW,
    "monitoring": OTHER,
}
# How a request of a load test ends badly: the common ways, shades of red by what they say of the service, no two alike.
BAD_ENDS = {
    "timeout": "dark-red",  # too slow
    "connect_timeout": "#8F3B3B",
    "wrong_status": ERRORS,  # answered, but wrongly
    "check_failed": "#FF7FB0",
    "connection_refused": "light-red",  # not let in
    "connection_reset": "#D98880",
    "closed_before_answer": "super-light-red",  # broken off
    "closed_mid_answer": "#B5793C",
    "cut_off": "#8A93A2",  # under way when the run ended
}
OUTCOMES = {"complete": TRAFFIC, "partial": CALLER, "skipped": SLOW, "failed": "dark-red"}
