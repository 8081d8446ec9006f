"""The table of what Prometheus scrapes: which targets are down, for how long, and the page or board of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.links import CLICKED, TIME, Link, of_cell, to_board, to_runbook, to_silence
from perfloop_boards.panels import About
from perfloop_boards.queries import WINDOW, Query, equal, selector
from perfloop_boards.tables import Column, rows
from perfloop_boards.watches import SERVICE_JOBS

if TYPE_CHECKING:
    from perfloop_boards.limits import Limit
    from perfloop_boards.panels import AnyPanel

CHOSEN = 'job=~"$job"'
JOB = selector(CHOSEN)
BY = "job, service, instance"
# What was scraped within the hour and is no target any more, without one that took its place. Runs of load tests end.
_PAST = selector(CHOSEN, 'job!="loadgen"')
GONE = f"max by (job, service) (last_over_time(up{_PAST}[1h])) unless on (job, service) up"
OF_PROGRAMS = 'program!~"demo|exporter"'
STATE = {"-1": ("gone", colours.BAD), "0": ("down", colours.BAD), "1": ("up", colours.GOOD)}
# A page that is given by a board's address is called by the board's name. What follows the question mark, as the time
# range of a board, changes nothing on the page of a program.
PAGES = {
    "/^/d/service.*/": ("Service board", colours.UNKNOWN),
    "/^/d/system.*/": ("System board", colours.UNKNOWN),
    r"/^(https?:.*)\?$/": ("$1", colours.UNKNOWN),
}


def _with_page(series: str, page: str, label: str) -> str:
    return f'label_replace({series}, "page", "{page}", "{label}", "(.+)")'


def _newest(programs: str, *labels: str) -> str:
    """Return the addresses of programs, the newest where one has moved; the analyzer, which says them, may be down."""
    said = f"max_over_time(timestamp(perfloop_link_info{selector(programs)})[1h:1m])"
    return f"topk by ({', '.join(labels)}) (1, max by ({', '.join((*labels, 'url'))}) ({said}))"


def _pages() -> str:
    """Return the page of each program by its job; not every build of Alertmanager has pages, but the inbox has its."""
    own = f'label_replace({_newest(OF_PROGRAMS, "program")}, "job", "$1", "program", "(.+)")'
    alerts = f'label_replace({_newest(equal("program", "inbox"))}, "url", "$1/alerts", "url", "(.+)")'
    return f'(label_replace({alerts}, "job", "alertmanager", "", "") or on (job) {own}) * 0 + 1'


def _states() -> str:
    host = _with_page(f"up{selector(CHOSEN, equal('job', 'node'))}", "/d/system?var-instance=$1&", "instance")
    serves = f"up{selector(CHOSEN, SERVICE_JOBS)} or up{JOB} and on (service) service:http_server_requests:rate1m"
    service = _with_page(f"({serves})", "/d/service?var-service=$1&", "service")
    program = _with_page(f"(up{JOB} * on (job) group_left (url) ({_pages()}))", "$1?", "url")
    known = f"{host} or {service} or {program} or on (job, instance) up{JOB}"
    return f"max by ({BY}, page) ({known}) or 0 * ({GONE}) - 1"


def _of_each(series: str, joined: str = "max") -> Query:
    return Query(f"{joined} by ({BY}) ({series}) and on (job, instance) up{JOB}", instant=True)


def targets(scrape: Limit) -> AnyPanel:
    """Return the table of all targets of the chosen jobs, those that are gone or down first."""
    since = 'time() - ALERTS_FOR_STATE{alertname="TargetDown"} and on (job, instance) up == 0'
    silence = to_silence(alertname="TargetDown", instance=of_cell("Instance"))
    to_alerts = to_board("Open the history of its alert", "alerts", alertname="TargetDown")
    alone = to_board("Show this job alone", "stack", job=CLICKED)
    return rows(
        About(
            "Targets",
            "Those that are down come first: they did not answer the last scrape. Gone: scraped within the last hour "
            "and no target any more. Good: all up. A click leads to the page of a program, or to the board of what it "
            "monitors.",
            "none",
            "No target of this job.",
        ),
        [
            Query(f"sort({_states()})", instant=True),
            _of_each(since),
            _of_each("scrape_duration_seconds"),
            _of_each("scrape_samples_post_metric_relabeling"),
            _of_each(f"rate(process_cpu_seconds_total[{WINDOW}])", "sum"),
            _of_each("process_resident_memory_bytes", "sum"),
        ],
        [
            Column("job", "Job", width=120, links=(alone,)),
            Column("service", "Service", width=140),
            Column("instance", "Instance"),
            Column(
                "Value #A",
                "State",
                unit="none",
                words=STATE,
                width=80,
                links=(to_runbook("TargetDown"), silence, to_alerts),
            ),
            Column("Value #B", "Down for", unit="s", width=110),
            Column("Value #C", "Scrape", unit="s", limit=scrape, width=100),
            Column("Value #D", "Samples", unit="short", width=90),
            Column("Value #E", "CPUs", unit="none", width=80),
            Column("Value #F", "Memory", unit="bytes", width=100),
            Column("page", "Page", words=PAGES, links=(Link("Open it", f"{CLICKED}{TIME}", new_tab=True),)),
        ],
        sort="State",
        rising=True,
    )
