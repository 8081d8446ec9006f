"""Where each thing of a page leads: the board that shows it, the runbook that says what to do, its queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

from perfloop_analyzer.catalog.overrides import ROUTE_SEPARATOR
from perfloop_analyzer.findings import AVAILABILITY
from perfloop_analyzer.links import TRACES
from perfloop_analyzer.reporters.pictures import anchor_of
from perfloop_base.quantities import quantity
from perfloop_base.traces import trace_link

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.incidents import Incident
    from perfloop_analyzer.recommend import Recommendation


class Board(NamedTuple):
    """A board of Grafana: its uid, what people call it, and its variable that holds a service."""

    uid: str
    name: str
    variable: str = ""


SERVICE = Board("service", "Service", "service")
STACK = Board("stack", "Monitoring stack")
DATABASE = Board("database-cache", "Database and cache", "service")
SYSTEM = Board("system", "System")
MODEL = Board("llm", "LLM", "service")
# The board that shows a component; the Service board shows all others.
BOARDS: Mapping[str, Board] = {
    **dict.fromkeys(("cache", "database", "vector"), DATABASE),
    **dict.fromkeys(("cpu", "disk", "gpu", "memory", "network", "storage"), SYSTEM),
    "load": Board("load-test", "Load test"),
    "model": MODEL,
    AVAILABILITY: STACK,
}
ANALYSIS = Board("analysis", "Analysis", "service")
_PROGRAM_NAMES = {"demo": "Demo service", "loadgen": "Load generator"}
_SILENCED_BY = ("alertname", "service", "instance")
MOST_TRACES = 3  # of one recommendation or incident
BEFORE_SECONDS = 1800.0  # so long before something began a board starts to show it


class Lead(NamedTuple):
    """One link: its words and its address."""

    words: str
    url: str


@dataclass(frozen=True, slots=True)
class Leads:
    """Makes the links of one page.

    Attributes:
        links: Where a browser reaches the other programs, by program; what is missing is not linked to.
        catalog: The signals, which know their section of the runbook.
        until: The end of what is shown, in Unix seconds; None for now, on a page that goes on.
        report: The address of the report that has the plots; empty in the report itself.
        plots: The anchors of its plots.
    """

    links: Mapping[str, str] = field(default_factory=dict)
    catalog: Sequence[Signal] = ()
    until: float | None = None
    report: str = ""
    plots: frozenset[str] = frozenset()

    def of_incident(self, incident: Incident) -> list[Lead]:
        """Return the board of the probable cause, and those of the services."""
        cause = incident.causes[0]
        boards = [self._board(BOARDS.get(cause.component, SERVICE), cause.service, incident.started)]
        callers = [name for name in incident.services if self._serves(name, incident)]
        boards += [self._board(SERVICE, name, incident.started) for name in callers]
        runbooks = [lead for finding in incident.findings for lead in self.runbook(self._guide(finding.signal))]
        traces = self.traces({"traces": [one.as_dict() for one in finding.traces]} for finding in incident.findings)
        return _unique([*_flat(boards), *runbooks[:1], *traces])

    def of_finding(self, finding: Finding) -> list[Lead]:
        """Return the plot of the signal, the board that shows it, its analysis, its runbook, and its query."""
        labels = finding.labels
        extra = {"instance": labels["instance"]} if finding.component in BOARDS and labels.get("instance") else {}
        board = BOARDS.get(finding.component, SERVICE)
        extra = extra if board is SYSTEM else {}
        found = [
            self._board(board, finding.service, finding.onset, **extra),
            self._board(ANALYSIS, finding.service, finding.onset, signal=finding.signal),
        ]
        queries = self.query(finding.expr, *finding.window)
        anchor = anchor_of(finding.signal, finding.labels)
        plot = [Lead("Plot", f"{self.report}#{anchor}")] if anchor in self.plots else []
        return [*plot, *_flat(found), *self.runbook(self._guide(finding.signal)), *queries]

    def of_recommendation(self, recommendation: Recommendation) -> list[Lead]:
        """Return the board of the component that it is about, and the section of the runbook of its first evidence."""
        evidence = [item for item in recommendation.evidence if isinstance(item.get("signal"), str)]
        board = BOARDS.get(recommendation.component, SERVICE)
        found = [self._board(board, recommendation.service, recommendation.created)]
        runbooks = [lead for item in evidence for lead in self.runbook(self._guide(item["signal"]))]
        return _unique([*_flat(found), *runbooks[:1], *self.traces(recommendation.evidence)])

    def of_alert(self, labels: Mapping[str, str]) -> list[Lead]:
        """Return the runbook of an alert that fires, the board that shows its signal, and the form that silences it."""
        signal = next((one for one in self.catalog if one.name == labels.get("signal")), None)
        board = BOARDS.get(signal.component, SERVICE) if signal else None
        found = [self._board(board, labels.get("service", ""), None)] if board else []
        return [*self.runbook(labels.get("alertname", "")), *_flat(found), *self._silence(labels)]

    def of_service(self, service: str) -> list[Lead]:
        """Return the Service board."""
        return _flat([self._board(SERVICE, service, None)])

    def runbook(self, alert: str) -> list[Lead]:
        """Return the section of the runbook about an alert, which Prometheus serves."""
        if not alert or "prometheus" not in self.links:
            return []
        return [Lead(f"Runbook: {alert}", f"{self.links['prometheus']}/user/runbook.html#{quote(alert)}")]

    def query(self, expr: str, start: float, end: float) -> list[Lead]:
        """Return Prometheus's own page with an expression over a time."""
        if not expr or "prometheus" not in self.links or end <= start:
            return []
        moment = datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%d %H:%M:%S")
        asked = {"g0.expr": expr, "g0.tab": 0, "g0.range_input": f"{end - start:.0f}s", "g0.end_input": moment}
        return [Lead("Query", f"{self.links['prometheus']}/graph?{urlencode(asked)}")]

    def traces(self, evidence: Iterable[Mapping[str, Any]]) -> list[Lead]:
        """Return the traces that the evidence names, where the trace store shows them."""
        named = [one for item in evidence for one in item.get("traces", ()) if isinstance(one, Mapping)]
        found = [(str(one.get("trace_id", "")), one.get("seconds")) for one in named]
        leads = [
            Lead(f"Trace of {quantity(seconds, 'seconds')}" if isinstance(seconds, float) else "Trace", url)
            for trace_id, seconds in found
            if (url := self._trace(trace_id))
        ]
        return _unique(leads)[:MOST_TRACES]

    def _trace(self, trace_id: str) -> str:
        return trace_link(self.links.get(TRACES, ""), trace_id)

    def programs(self) -> list[Lead]:
        """Return the pages of the other programs; those of Alertmanager are in the inbox, where there is one."""
        left_out = {"analyzer", TRACES, *(["alertmanager"] if self._inbox else [])}
        names = [name for name in self.links if name not in left_out]
        found = [Lead(_PROGRAM_NAMES.get(name, name.capitalize()), f"{self.links[name]}/") for name in names]
        return found + ([Lead("Alerts and silences", f"{self._inbox}/alerts")] if self._inbox else [])

    @property
    def _inbox(self) -> str:
        return self.links.get("inbox", "")

    def _silence(self, labels: Mapping[str, str]) -> list[Lead]:
        """Return the form of a silence: the inbox's, as Debian's Alertmanager has no pages."""
        named = {name: labels[name] for name in _SILENCED_BY if labels.get(name)}
        if not named or not self._inbox:
            return []
        matchers = ",".join(f"{name}={_quoted(value)}" for name, value in named.items())
        return [Lead("Silence", f"{self._inbox}/silences/new?{urlencode({'filter': f'{{{matchers}}}'})}")]

    def _board(self, board: Board, service: str, since: float | None, **variables: str) -> Lead | None:
        if "grafana" not in self.links:
            return None
        start = None if since is None else since - BEFORE_SECONDS
        if start is None and self.until is not None:
            start = self.until - 2 * BEFORE_SECONDS
        asked = {
            "from": "now-1h" if start is None else f"{1000 * start:.0f}",
            "to": "now" if self.until is None else f"{1000 * self.until:.0f}",
        }
        named = {board.variable: service} if board.variable and service else {}
        asked |= {f"var-{name}": value for name, value in (named | variables).items()}
        words = f"{board.name} board of {service}" if named and board is not ANALYSIS else f"{board.name} board"
        return Lead(words, f"{self.links['grafana']}/d/{board.uid}?{urlencode(asked)}")

    def _guide(self, signal: str) -> str:
        name = signal.partition(ROUTE_SEPARATOR)[0]
        return next((one.guide for one in self.catalog if one.name in (signal, name)), "")

    @staticmethod
    def _serves(service: str, incident: Incident) -> bool:
        return any(finding.service == service and finding.component == "api" for finding in incident.findings)


def _flat(leads: Sequence[Lead | None]) -> list[Lead]:
    return [lead for lead in leads if lead is not None]


def _unique(leads: Sequence[Lead]) -> list[Lead]:
    return list(dict.fromkeys(leads))


def _quoted(value: str) -> str:
    """Return a label's value as a matcher has it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
