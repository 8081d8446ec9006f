"""What a figure depends on, as PromQL: with it a figure has three states, its value, no data, or down.

A figure asks for now. While everything that it depends on is down it has no value, whatever the last one was; while
some of it is down, the number of those is beside the value of the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from perfloop_boards.queries import chosen, equal, selector

# The jobs of services, as the alert ServiceDown has them; a service may have a job of its own.
SERVICE_JOBS = 'job=~"demo|services"'


@dataclass(frozen=True, slots=True)
class Watch:
    """The targets that a figure depends on.

    Attributes:
        answering: a query with a result while at least one of them answers.
        down: a query for how many of them do not; without a result where all do.
        word: what is in the figure's place for one that is down.
    """

    answering: str
    down: str
    word: str = "down"

    def guard(self, expr: str) -> str:
        """Return the expression, without a result while nothing that it depends on answers."""
        return f"({expr}) and on () ({self.answering})"


def host_up(*matchers: str) -> str:
    """Return the query of every host: 1 while its exporter answers, 0 while it does not, by instance.

    A host is a target of the job `node`, and whatever exports the time of its start: for a day after it last did, or
    for an hour where it is no target any more.
    """
    up, started = f"up{selector(*matchers)}", f"node_boot_time_seconds{selector(*matchers)}"
    nodes = f"up{selector(*matchers, equal('job', 'node'))}"
    target = f"{nodes} or {up} and on (job, instance) present_over_time({started}[1d])"
    gone = f"present_over_time({started}[1h]) unless on (instance) {up}"
    return f"max by (instance) ({target} or 0 * ({gone}))"


def service_up(*matchers: str) -> str:
    """Return the query of every service: 1 while an instance of it answers, 0 while none does, by service.

    A service is a target of the jobs of services for as long as it is one. A target of another job counts from its
    first request on, for a day after the last one. A service whose targets are gone, as those that were found by a name
    that no longer resolves, counts as down for an hour: by then it was removed on purpose.
    """
    up, served = f"up{selector(*matchers)}", f"service:http_server_requests:rate1m{selector(*matchers)}"
    target = f"up{selector(*matchers, SERVICE_JOBS)} or {up} and on (service) present_over_time({served}[1d])"
    gone = f"present_over_time({served}[1h]) unless on (service) {up}"
    return f"max by (service) ({target} or 0 * ({gone}))"


def _hosts(*matchers: str) -> Watch:
    up = host_up(*matchers)
    return Watch(answering=f"{up} > 0", down=f"count({up} == 0)")


SERVICE_UP = service_up(*chosen("service"))
SERVICES = Watch(answering=f"{SERVICE_UP} > 0", down=f"count({SERVICE_UP} == 0)")
HOSTS = _hosts(*chosen("instance"))
ALL_HOSTS = _hosts()
# A result that is too old is no longer published: a frozen analyzer, one whose cycles fail and one that is gone all end
# the score.
_RESULT = 'max(perfloop_health_score{service="overall"})'
ANALYZER = Watch(
    answering=_RESULT,
    down=f'count(max(up{{job="analyzer"}}) unless on () {_RESULT})',
    word="analyzer down",
)


# For tables of what the analyzer finds: when it last had a result, in milliseconds, while it has none; NaN where it
# never had one.
_LAST_RESULT = "max(last_over_time(perfloop_analyzer_last_success_timestamp_seconds[7d]) > 0) * 1000"
_SILENT = f"({_LAST_RESULT} or vector(NaN)) unless on () {_RESULT}"
ANALYZER_DOWN = "Analyzer is down: no result since"


def or_silent(expr: str, label: str, *, time: bool = False) -> str:
    """Return a query of findings, with one more row while the analyzer has no result: the table says so itself.

    Args:
        expr: the findings; nothing while the analyzer is silent.
        label: the label whose cell says that it is down.
        time: whether the value is a time in milliseconds, which is then that of the last result; else it has none.
    """
    silent = _SILENT if time else f"({_SILENT}) * NaN"
    return f'{expr} or label_replace({silent}, "{label}", "{ANALYZER_DOWN}", "", "")'


def component(job: str) -> Watch:
    """Return the watch of one component of the stack, by the name of its job."""
    up = f'max(up{{job="{job}"}})'
    return Watch(answering=f"{up} > 0", down=f"count({up} == 0)", word=f"{job} down")
