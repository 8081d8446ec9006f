"""The page at `/` and the report: what is wrong and what to do, readable by a person without Grafana."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from perfloop_analyzer.findings import component_name
from perfloop_analyzer.firing import Firing
from perfloop_analyzer.recommend import gain_words, measured_words, money_words, proved_words
from perfloop_analyzer.recommend.money import amount_words
from perfloop_analyzer.recommend.recommendation import PEOPLES_STEPS, STEPS
from perfloop_analyzer.reporters.formatting import (
    clock,
    less_words,
    mood,
    shown_penalties,
    worst_first,
)
from perfloop_analyzer.reporters.leads import Leads
from perfloop_analyzer.reporters.pictures import draw_plots, drawn_findings
from perfloop_analyzer.series import service_of
from perfloop_base.pages import style
from perfloop_base.quantities import quantity, span
from perfloop_base.templating import load_templates
from perfloop_base.visible import visible
from perfloop_base.web.headers import page_policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jinja2 import Environment

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.ports import Result
    from perfloop_analyzer.published import Published
    from perfloop_analyzer.recommend import Recommendation
    from perfloop_analyzer.series import Batch

MOST_DECIDED = 50
SHOWN = frozenset({"detector", "title", "before", "after", "limit", "unit", "p_value", "expr"})
STEP_WORDS = {"accept": "Accept", "implement": "Mark as implemented", "dismiss": "Dismiss", "reopen": "Reopen"}
# A state that a person left, or that an earlier version gave to what ended by itself.
_UNDECIDED = frozenset({"open", "expired"})
_NEWS_SECONDS = 3600.0  # for so long it is shown that a trouble ended by itself
_TEMPLATES = Path(__file__).with_name("templates")
_STYLE = Markup(style((_TEMPLATES / "own.css").read_text(encoding="utf-8")))  # noqa: S704 - our own file
_SCRIPT = Markup((_TEMPLATES / "script.html").read_text(encoding="utf-8"))  # noqa: S704 - our own file
# Of the parts, not of a rendered page: what could ever be injected into one is not allowed to run.
PAGE_POLICY = page_policy(_STYLE + _SCRIPT, "connect-src 'self'")


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands that change recommendations, complete as a person runs them.

    Attributes:
        program: What comes before the step, such as `perfloop analyzer`.
        flags: What comes after the id; where the analyzer, its token or its database is.
        enabled: Whether changes are possible at all.
    """

    program: str = "perfloop analyzer"
    flags: tuple[str, ...] = ()
    enabled: bool = True

    def step(self, step: str, identifier: str) -> str:
        """Return the command that moves one recommendation on."""
        return " ".join((self.program, step, shlex.join((identifier, *self.flags))))


@dataclass(frozen=True, slots=True)
class Desk:
    """What the page needs besides the results: the stored recommendations, and how they are changed from it.

    Attributes:
        commands: The commands that change them.
        stored: The stored recommendations.
        stored_problem: Why they cannot be read; empty where they can.
        token_place: Where the bearer token for changes is; empty where the analyzer has none, and takes no changes.
        links: Where a browser reaches the other programs, by program.
        has_reports: Whether there are pages of scheduled reports.
    """

    commands: Commands = field(default_factory=lambda: Commands(enabled=False))
    stored: Sequence[Recommendation] = ()
    stored_problem: str = ""
    token_place: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    has_reports: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """What a report shows besides the newest result.

    Attributes:
        past: Earlier findings.
        stored: The stored recommendations.
        firing: The alerts that fire.
        catalog: The signals with their limits.
        links: Where a browser reaches the other programs, by program.
        is_stale: Whether the result is too old to describe the present.
        is_served: Whether the analyzer's page is beside it.
        stored_problem: Why the database cannot be read; empty where it can.
    """

    past: Sequence[Any] = ()
    stored: Sequence[Any] = ()
    firing: Firing = field(default_factory=Firing)
    catalog: Sequence[Signal] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    is_stale: bool = False
    is_served: bool = False
    stored_problem: str = ""


def render_page(published: Published, now: float, desk: Desk | None = None) -> str:
    """Return the page, which refreshes itself; `now` is in Unix seconds."""
    desk = desk or Desk()
    current = published.current
    result = current and _with_states(current, desk.stored)
    standing = {one.id for one in result.recommendations} if result else set()
    decided = [one for one in desk.stored if _is_decided(one, now) and one.id not in standing]
    return _render(
        "page.html",
        result=result,
        serving=_serving(published.batches, published.catalog),
        age=published.age(now),
        is_stale=published.is_stale,
        error=published.error,
        post=published.post.as_dict(),
        notes=[
            words for words in (published.pace.words, published.spread_problem) if words and published.post.is_leader
        ],
        keeper=published.keeper,
        configuration_problem=published.configuration_problem,
        commands=desk.commands,
        can_change=bool(desk.token_place),
        token_place=desk.token_place,
        has_reports=desk.has_reports,
        decided=sorted(decided, key=lambda one: -one.updated)[:MOST_DECIDED],
        stored_problem=desk.stored_problem,
        leads=Leads(
            desk.links,
            published.catalog,
            report="report",
            plots=drawn_findings(result, published.batches) if result else frozenset(),
        ),
        script=_SCRIPT,
    )


def render_report(
    result: Result, batches: Mapping[str, Batch], record: Record, commands: Commands | None = None
) -> str:
    """Return the report: one HTML file that loads no other."""
    result = _with_states(result, record.stored)
    plots, left_out = draw_plots(result, batches, record.catalog)
    return _render(
        "report.html",
        result=result,
        serving=_serving(batches, record.catalog),
        plots=plots,
        left_out=left_out,
        past=record.past,
        stored=record.stored,
        stored_problem=record.stored_problem,
        alerts=[_Alert(alert) for alert in record.firing.alerts],
        alerts_problem=record.firing.problem,
        is_stale=record.is_stale,
        is_served=record.is_served,
        commands=commands or Commands(enabled=False),
        can_change=False,
        leads=Leads(record.links, record.catalog, result.at, plots=frozenset(plot.anchor for plot in plots)),
    )


def _is_decided(one: Recommendation, now: float) -> bool:
    if one.healed_by_itself:
        return now - one.updated < _NEWS_SECONDS
    return one.state not in _UNDECIDED


def _with_states(result: Result, stored: Sequence[Recommendation]) -> Result:
    """Return the result with the states that its recommendations have now: a person may have decided since."""
    states = {one.id: one.state for one in stored}
    current = tuple(replace(one, state=states.get(one.id, one.state)) for one in result.recommendations)
    return replace(result, recommendations=current)


def _serving(batches: Mapping[str, Batch], catalog: Sequence[Signal]) -> set[str]:
    """Return the services that answer requests, which the Service board shows."""
    return {
        service_of(labels, signal.service)
        for signal in catalog
        if signal.component == "api" and signal.name in batches
        for labels in batches[signal.name].labels
    }


class _Alert(dict[str, str]):
    """An alert's labels; one that is missing reads as empty."""

    def __missing__(self, key: str) -> str:
        return ""


def shown_text(value: object) -> object:
    """Return a text with what does not print as escapes: it may come from a label."""
    return visible(value, newlines=True) if isinstance(value, str) and not isinstance(value, Markup) else value


def checkable(evidence: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the evidence that has all that is shown of it; a stored one may be of another version."""
    return [
        item for item in evidence if set(item) >= SHOWN and _are_numbers(item[name] for name in ("before", "after"))
    ]


def _are_numbers(values: Iterable[object]) -> bool:
    return all(isinstance(value, int | float) for value in values)


def next_steps(state: str) -> list[str]:
    """Return the steps that a person may take from a state."""
    return [step for step in PEOPLES_STEPS if state in STEPS[step][0]]


def _render(template: str, **values: object) -> str:
    return _environment().get_template(template).render(style=_STYLE, **values)


@cache
def _environment() -> Environment:
    """Return the compiled templates, once for all pages."""
    environment = load_templates(_TEMPLATES, shown_text)
    environment.tests["down_in"] = lambda cause, incident: any(
        finding.is_down and finding.service == cause.service for finding in incident.findings
    )
    environment.filters.update(
        checkable=checkable,
        clock=clock,
        component_name=component_name,
        gain_words=gain_words,
        measured_words=measured_words,
        money_words=money_words,
        amount_words=amount_words,
        less_words=less_words,
        proved_words=proved_words,
        mood=mood,
        next_steps=next_steps,
        quantity=quantity,
        shown_penalties=shown_penalties,
        span=span,
        step_words=STEP_WORDS.__getitem__,
        worst_first=worst_first,
        zip=zip,
    )
    return environment
