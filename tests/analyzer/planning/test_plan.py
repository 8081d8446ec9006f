"""What planning asks and keeps, and that everything it publishes is in the wire contract."""

from __future__ import annotations

import numpy as np
import pytest

from perfloop_analyzer.config import AnalysisConfig
from perfloop_analyzer.configuration import load_knowledge
from perfloop_analyzer.planning.asks import Ask
from perfloop_analyzer.planning.capacity.asked import CAPACITY_ASKS, HOUR, LONG, NOW
from perfloop_analyzer.planning.figures import Figure
from perfloop_analyzer.planning.plan import Plan, ServicePlan
from perfloop_analyzer.planning_watch import ASKS, PlanningWatch, queries_of
from perfloop_analyzer.ports import Responses
from perfloop_analyzer.reporters.planned import PLANNED, plan_families
from perfloop_analyzer.series import Batch
from tests.wire.contract import read_contract

AT = 1_790_000_000.0
CATALOG = load_knowledge(AnalysisConfig()).by_name()


def _answer(ask: Ask, at: float) -> Responses:
    grid = ask.grid(at)
    batches = {name: Batch(name, grid, ({"service": "shop"},), np.full((1, grid.points), 5.0)) for name in ask.queries}
    return Responses(batches, {})


def _names(watch: PlanningWatch, at: float) -> set[str]:
    return {ask.name for ask in watch.due(at)}


def test_each_question_is_asked_in_its_own_time():
    """All at first, the frequent ones each minute, the day each quarter of an hour; all after a clock was set back."""
    watch = PlanningWatch()
    assert {ask.name for ask in ASKS} <= _names(watch, AT)
    for ask in watch.due(AT):
        watch.note(ask, Responses({}, {}), AT)
    assert not {ask.name for ask in CAPACITY_ASKS} & _names(watch, AT + 59)
    assert NOW.name in _names(watch, AT + 60)
    assert LONG.name not in _names(watch, AT + 60)
    assert LONG.name in _names(watch, AT + 900)
    assert {ask.name for ask in CAPACITY_ASKS} <= _names(watch, AT - 100)


def test_old_answers_say_nothing_of_now():
    """Answers are used for four times the time between two of them; failures are listed with their reason."""
    watch = PlanningWatch()
    for ask in CAPACITY_ASKS:
        watch.note(ask, _answer(ask, AT), AT)
    watch.note(NOW, Responses({}, {"plan_rate": "it took too long"}), AT + 60)
    plan = watch.plan(CATALOG, AT + 60)
    assert [one.service for one in plan.services] == ["shop"]
    assert plan.services[0].rate == 5
    assert plan.failures == {"plan_rate": "it took too long"}
    assert plan.as_dict()["not_answered"] == plan.failures
    assert watch.plan(CATALOG, AT + 240).services == ()


def test_ranges_are_no_shorter_than_the_step():
    """A rate over the time between two points misses nothing; one over the usual window is not shortened."""
    ask = Ask("x", {"a": "rate(a[$step])", "b": "rate(b[$window])"}, 60.0, 300.0, 10)
    assert {query.expr for query in queries_of(ask, "1m")} == {"rate(a[5m])", "rate(b[1m])"}
    assert {query.expr for query in queries_of(ask, "10m")} == {"rate(a[10m])", "rate(b[10m])"}
    assert ask.grid(AT + 17).end % 300 == 0
    assert ask.grid(AT).points == 10


def test_names_of_answers_are_unique():
    """Answers are kept by name: two questions of one name would be one."""
    names = [name for ask in ASKS for name in ask.queries]
    assert len(names) == len(set(names))
    assert f"{HOUR}rate" in names


@pytest.mark.parametrize("name", sorted(PLANNED))
def test_what_is_published_is_in_the_contract(name: str):
    """Of each family the name, the help and the labels."""
    found = [one for one in read_contract()["analyzer"] if one.name == f"perfloop_{name}"]
    assert len(found) == 1
    text, labels = PLANNED[name]
    assert (found[0].type, found[0].help) == ("gauge", text)
    assert found[0].allows(set(labels))


def test_an_unknown_figure_is_an_error():
    """A figure without a declared name is a programming error: it is not dropped in silence."""
    plan = Plan(AT, (ServicePlan("shop"),), (Figure("unheard_of", {}, 1.0),))
    with pytest.raises(KeyError, match="unheard_of"):
        list(plan_families(plan))
