"""The page at `/` and the report: their words, their links, how recommendations are changed, and what is drawn."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from perfloop_analyzer.catalog import Limit, load_catalog
from perfloop_analyzer.catalog.loading import Limits
from perfloop_analyzer.findings import AVAILABILITY, Severity
from perfloop_analyzer.firing import Firing
from perfloop_analyzer.incidents import Topology, group_incidents
from perfloop_analyzer.ports import Health, Result
from perfloop_analyzer.published import Published
from perfloop_analyzer.recommend import Improvement, Recommendation
from perfloop_analyzer.recommend.recommendation import STATES
from perfloop_analyzer.reporters.html import PAGE_POLICY, Commands, Desk, Record, next_steps, render_page, render_report
from perfloop_analyzer.reporters.leads import ANALYSIS, BOARDS, SERVICE, STACK, Leads
from perfloop_analyzer.reporters.pictures import ENOUGH_PLOTS, draw_plots
from perfloop_analyzer.series import Batch, Grid
from perfloop_base.thresholds import read_thresholds
from perfloop_base.web.headers import page_policy

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

MINUS = "\N{MINUS SIGN}"
LINKS = {"grafana": "http://127.0.0.1:3000", "prometheus": "http://127.0.0.1:9090"}
IMPROVEMENT = Improvement(0.56, 0.558, 0.562, "api_response_time_p95", "amdahl", "As computed")
ADVICE = Recommendation(
    *("id-1", "r", "shop", "database", "database", "high", "T", "do", "low", "none"),
    (),
    (),
    ("API (25%)",),
    IMPROVEMENT,
)
COMMANDS = Commands(flags=("--web.url=http://127.0.0.1:1", "--web.token-file=/my home/token"))


def _result(build: Any, state: str = "open") -> Result:
    """A slow database behind a slow API."""
    api = build.finding(
        signal="api_response_time_p95",
        component="api",
        title="API response time",
        expr="rate(x[1m])",
        window=(0.0, 9.0),
    )
    findings = (build.finding(), api)
    incidents = group_incidents(findings, Topology(), lambda _finding: 1.0)
    health = (Health("shop", 78.0, {"db_query_time_p95": 21.75, "api_response_time_p95": 0.25}),)
    return Result(1000.0, health, findings, incidents, (replace(ADVICE, state=state),))


def _page(build: Any, desk: Desk | None = None, state: str = "open") -> str:
    return render_page(Published(_result(build, state)), 1005.0, desk)


def test_page_names_causes_and_leaves_out_penalties_that_round_to_zero(build: Any) -> None:
    """The words of the page: components by their names, whole points, other causes with their share."""
    page = _page(build)
    assert f"Database query time {MINUS}22" in page
    assert f"{MINUS}0" not in page
    assert "<b>database</b> of <b>shop</b>" in page
    assert "API of shop (" in page
    assert "Other possible cause: API (25%)" in page
    assert "api response time p95 -56%." in page


def test_page_shows_the_command_that_a_recommendation_needs(build: Any) -> None:
    """Complete and quoted: accept what is open, implement what is accepted; nothing where changes are not possible."""
    flags = "--web.url=http://127.0.0.1:1 &#39;--web.token-file=/my home/token&#39;"
    assert f"<code>perfloop analyzer accept id-1 {flags}</code>" in _page(build, Desk(COMMANDS))
    assert f"<code>perfloop analyzer implement id-1 {flags}</code>" in _page(build, Desk(COMMANDS), "accepted")
    for page in (_page(build), _page(build, Desk(COMMANDS), "implemented")):
        assert "perfloop analyzer" not in page


def test_a_recommendation_has_a_button_for_each_step_that_its_state_allows(build: Any) -> None:
    """With a token; the command is there too, for whoever has no script. Without a token there is no button."""
    desk = Desk(COMMANDS, token_place="/my home/token")
    for state in STATES:
        assert re.findall(r'<button[^>]* data-step="(\w+)"', _page(build, desk, state)) == next_steps(state)
    assert next_steps("open") == ["accept", "implement", "dismiss"]
    page = _page(build, desk)
    assert '<p class="command fallback">' in page
    assert "/my home/token" in page
    assert "<button" not in _page(build, Desk(COMMANDS))


def test_the_page_shows_the_state_that_the_database_has(build: Any) -> None:
    """What was accepted since the last cycle is accepted; what was decided and stands no more is listed below."""
    other = replace(ADVICE, id="id-2", title="Older", state="dismissed", updated=5.0)
    page = _page(build, Desk(COMMANDS, [replace(ADVICE, state="accepted"), other], token_place="t"))
    assert "<small>(accepted)</small>" in page
    assert 'id="recommendation-id-2"' in page.partition('id="decided"')[2]
    assert "Unknown: the database is locked." in _page(build, Desk(stored_problem="the database is locked"))


def test_the_policy_allows_the_script_and_style_of_the_page_and_no_others(build: Any) -> None:
    """Both are static; a script in a label is text."""
    page = _page(build, Desk(COMMANDS, token_place="t"))
    assert page_policy(page, "connect-src 'self'") == PAGE_POLICY
    assert "unsafe" not in PAGE_POLICY
    assert re.search(r"\son\w+=|style=", page) is None
    evil = replace(ADVICE, title="<script>alert(1)</script>", state="dismissed")
    assert page_policy(_page(build, Desk(COMMANDS, [evil], token_place="t")), "connect-src 'self'") == PAGE_POLICY


def test_an_old_result_says_nothing_of_now(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page and report: no score, no all-clear, only what was found and when."""
    quiet = Published()
    quiet.publish(Result(1000.0, (Health("shop", 100.0, {}),)))
    loud = Published()
    loud.publish(_result(build))
    now = time.monotonic()
    monkeypatch.setattr("perfloop_analyzer.published.time.monotonic", lambda: now + 95.0)
    pages = [render_page(quiet, 0.0), render_page(loud, 0.0)]
    pages += [
        render_report(_result(build), {}, Record(is_stale=True)),
        render_report(Result(1000.0), {}, Record(is_stale=True)),
    ]
    for page in pages:
        assert "No result since 1970-01-01 00:16:40 UTC" in page
        assert "within its limits" not in page
        assert "healthy" not in page
        assert 'class="score' not in page
        assert "Unknown: no result since" in page
    assert "None then. Whether there is one now is not known." in pages[0]


def test_a_service_that_does_not_answer_is_shown_as_down(build: Any) -> None:
    """In its card and in its incident."""
    gone = build.finding(
        signal=AVAILABILITY, component=AVAILABILITY, kind="red", severity=Severity.CRITICAL, value=0.0, limit=1.0
    )
    incidents = group_incidents((gone,), Topology(), lambda _finding: 1.0)
    health = (Health("overall", 0.0, {AVAILABILITY: 100.0}), Health("shop", 0.0, {AVAILABILITY: 100.0}))
    page = render_page(Published(Result(1000.0, health, (gone,), incidents)), 1005.0)
    assert '<div class="score bad">down</div><p class="bad">Does not answer: its score is 0.</p>' in page
    assert "<b>shop does not answer.</b>" in page


def _addresses(page: str) -> list[str]:
    return [unescape(address) for address in re.findall(r'href="(http[^"]*)"', page)]


def test_incidents_findings_and_recommendations_lead_to_boards_and_runbook(build: Any, checkout: Path) -> None:
    """With the service and the time; without addresses nothing is a link."""
    catalog = load_catalog((), Limits(read_thresholds(checkout / "prometheus" / "thresholds.yml")))
    published = Published(_result(build), catalog=catalog)
    addresses = _addresses(render_page(published, 1005.0, Desk(links=LINKS)))
    assert "http://127.0.0.1:9090/user/runbook.html#DatabaseQueryTimeHigh" in addresses
    assert "http://127.0.0.1:9090/user/runbook.html#ApiResponseTimeHigh" in addresses
    boards = {urlsplit(address).path: parse_qs(urlsplit(address).query) for address in addresses if "/d/" in address}
    assert boards["/d/database-cache"]["var-service"] == ["shop"]
    assert boards["/d/service"] == {"from": ["-800000"], "to": ["now"], "var-service": ["shop"]}
    assert boards["/d/analysis"]["var-signal"] == ["api_response_time_p95"]
    assert any(parse_qs(urlsplit(one).query).get("g0.expr") == ["rate(x[1m])"] for one in addresses)
    assert _addresses(_page(build)) == []


def test_links_name_boards_and_variables_that_exist(checkout: Path) -> None:
    """Their uids and variables are those of the generated boards."""
    for board in {*BOARDS.values(), SERVICE, ANALYSIS, STACK}:
        found = json.loads((checkout / "grafana" / "dashboards" / f"{board.uid}.json").read_text(encoding="utf-8"))
        assert (found["uid"], found["title"]) == (board.uid, board.name)
        names = {variable["name"] for variable in found["templating"]["list"]}
        assert ({board.variable} if board.variable else set()) | ({"signal"} if board is ANALYSIS else set()) <= names


def test_runbooks_of_signals_have_a_section(checkout: Path) -> None:
    """Every alert that a signal names, from thresholds.yml or the catalogue."""
    catalog = load_catalog((), Limits(read_thresholds(checkout / "prometheus" / "thresholds.yml")))
    sections = set(re.findall(r"^## (\w+)$", (checkout / "prometheus" / "runbook.md").read_text(), re.MULTILINE))
    guides = {signal.name: signal.guide for signal in catalog if signal.guide}
    assert len(guides) >= 15
    assert set(guides.values()) <= sections


def test_a_finding_leads_to_its_plot(build: Any) -> None:
    """From the page into the report, and within the report; a finding without a series has no plot."""
    result, grid = _result(build), Grid(900.0, 10.0, 11)
    batches = {"db_query_time_p95": Batch("db_query_time_p95", grid, ({"service": "shop"},), np.full((1, 11), 0.15))}
    page = render_page(Published(result, batches=batches), 1005.0)
    report = render_report(result, batches, Record())
    [anchor] = re.findall(r'<a href="report#(plot-\w+)">Plot</a>', page)
    assert f'id="{anchor}"' in report
    assert f'href="#{anchor}"' in report


def test_an_alert_that_fires_leads_to_its_runbook(build: Any) -> None:
    """In the report."""
    firing = Firing(({"alertname": "A", "severity": "critical", "service": "shop", "signal": "db_query_time_p95"},), "")
    record = Record(firing=firing, catalog=[build.signal()], links=LINKS)
    addresses = _addresses(render_report(Result(1000.0), {}, record))
    assert "http://127.0.0.1:9090/user/runbook.html#A" in addresses
    assert any(one.startswith("http://127.0.0.1:3000/d/database-cache?") for one in addresses)
    assert Leads(LINKS).of_alert({"alertname": "B"})[0].words == "Runbook: B"
    silence = Leads({"inbox": "http://i"}).of_alert({"alertname": "B", "service": 'a"b', "severity": "critical"})[0].url
    assert parse_qs(urlsplit(silence).query)["filter"] == ['{alertname="B",service="a\\"b"}']


def test_where_there_is_an_inbox_it_has_the_pages_of_alertmanager() -> None:
    """Debian's Alertmanager has none."""
    both = {"alertmanager": "http://m", "analyzer": "http://a", "inbox": "http://i"}
    assert [lead.url for lead in Leads(both).programs()] == ["http://i/", "http://i/alerts"]
    assert [lead.url for lead in Leads({"alertmanager": "http://m"}).programs()] == ["http://m/"]


def test_the_report_draws_series_with_limit_and_onset(build: Any) -> None:
    """A series with a finding has its picture: gaps stay gaps, the limit and the onset are in it, text is escaped."""
    batch = Batch("x", Grid(0.0, 1.0, 6), ({"service": "a<b>"},), np.array([[1.0, 2.0, np.nan, 3.0, 4.0, 5.0]]))
    finding = build.finding(signal="x", labels={"service": "a<b>"}, service="a<b>", limit=6.0, onset=3.0)
    [plot], left_out = draw_plots(Result(5.0, findings=(finding,)), {"x": batch}, [])
    assert plot.picture.count("<polyline") == 2
    assert plot.picture.count("stroke-dasharray") == 2
    assert "a&lt;b&gt;" in plot.picture
    assert "a<b>" in plot.title
    assert (plot.words, plot.mood, left_out) == ("now 5, limit 6", "warning", 0)


def test_what_lowers_the_score_is_drawn_first_then_what_is_near_its_limit(build: Any) -> None:
    """The worst finding first; of a signal without one the series nearest to its limit, with its unit."""
    grid = Grid(0.0, 1.0, 3)
    shop = {"service": "shop"}
    batches = {
        "a_far": Batch("a_far", grid, (shop,), np.full((1, 3), 0.001)),
        "b_near": Batch(
            "b_near", grid, ({**shop, "route": "/a"}, {**shop, "route": "/b"}), np.array([[0.01] * 3, [0.09] * 3])
        ),
        "c_bad": Batch("c_bad", grid, (shop,), np.full((1, 3), 0.15)),
        "d_worse": Batch("d_worse", grid, (shop,), np.full((1, 3), 0.3)),
        "e_gone": Batch("e_gone", grid, (shop,), np.full((1, 3), np.nan)),
        "f_below": Batch("f_below", grid, (shop,), np.full((1, 3), 0.85)),
    }
    catalog = [build.signal(name=name, title=name) for name in ("a_far", "b_near", "c_bad", "d_worse")]
    catalog.append(
        build.signal(name="f_below", title="f_below", direction="below", unit="ratio", limit=Limit(warning=0.8))
    )
    worse = build.finding(signal="d_worse", title="d_worse", severity=Severity.CRITICAL)
    findings = (build.finding(signal="c_bad", title="c_bad"), worse)
    drawn, left_out = draw_plots(Result(2.0, (), findings), batches, catalog)
    assert [plot.title for plot in drawn] == [
        *("d_worse, shop", "c_bad, shop", "f_below, shop", "b_near, shop (/b)", "a_far, shop"),
    ]
    assert drawn[3].words == "now 90 ms, limit 100 ms"
    assert left_out == 1
    many = {f"s{n}": Batch(f"s{n}", grid, (shop,), np.full((1, 3), 1.0)) for n in range(50)}
    drawn, left_out = draw_plots(Result(2.0), many, [])
    assert (len(drawn), left_out) == (ENOUGH_PLOTS, 50 - ENOUGH_PLOTS)


def test_a_report_whose_database_does_not_answer_says_so(build: Any) -> None:
    """Instead of an empty history."""
    page = render_report(_result(build), {}, Record(stored_problem="the database is locked"))
    assert page.count("Unknown: the database is locked.") == 2
    assert "No findings." not in page
