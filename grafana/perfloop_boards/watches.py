"""What a figure depends on, as PromQL: with it a figure has three states, its value, no data, or down.

A figure asks for now. While everything that it depends on is down it has no value, whatever the last one was; while
some of it is down, the number of those stands beside the value of the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from perfloop_boards.queries import chosen, selector

SERVICE = selector(*chosen("service"))
_SERVED = f"service:http_server_requests:rate1m{SERVICE}"
_UP = f"max by (service) (up{SERVICE})"


@dataclass(frozen=True, slots=True)
class Watch:
    """The targets that a figure depends on.

    Attributes:
        answering: a query with a result while at least one of them answers.
        down: a query for how many of them do not; without a result where all do.
        word: what stands in the figure's place for one that is down.
    """

    answering: str
    down: str
    word: str = "down"

    def guard(self, expr: str) -> str:
        """Return the expression, without a result while nothing that it depends on answers."""
        return f"({expr}) and on () ({self.answering})"


# A service counts from its first request on: one that is gone from the targets for an hour at most, one that is a
# target and does not answer for a day (no figure of it can be older).
SERVICES = Watch(
    answering=f"({_UP} > 0) and on (service) present_over_time({_SERVED}[1d])",
    down=(
        f"count((present_over_time({_SERVED}[1h]) unless on (service) ({_UP} >= 0)) "
        f"or (({_UP} == 0) and on (service) present_over_time({_SERVED}[1d])))"
    ),
)
HOSTS = Watch(
    answering='up{job="node", instance=~"$instance"} > 0',
    down='count(up{job="node", instance=~"$instance"} == 0)',
)
# A result that is too old is no longer published: a frozen analyzer, one whose cycles fail and one that is gone all end
# the score.
_RESULT = 'max(perfloop_health_score{service="overall"})'
ANALYZER = Watch(
    answering=_RESULT,
    down=f'count(max(up{{job="analyzer"}}) unless on () {_RESULT})',
    word="analyzer down",
)


def component(job: str) -> Watch:
    """Return the watch of one component of the stack, by the name of its job."""
    up = f'max(up{{job="{job}"}})'
    return Watch(answering=f"{up} > 0", down=f"count({up} == 0)", word=f"{job} down")
