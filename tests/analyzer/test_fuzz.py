"""Any text and any value at every parser and every endpoint: a value, or a refusal of one sentence; never a crash."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import orjson
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfloop_analyzer.answers import to_json
from perfloop_analyzer.catalog.signals import CatalogFile
from perfloop_analyzer.config import SourceConfig, parse_url
from perfloop_analyzer.dictionaries import OptimizationAnalyzer
from perfloop_analyzer.documents import read_document
from perfloop_analyzer.errors import BadAnswer, ConfigError
from perfloop_analyzer.followup import trial_of
from perfloop_analyzer.identifiers import IDENTIFIER, slug
from perfloop_analyzer.incidents import Topology, group_incidents
from perfloop_analyzer.pipeline import unpack
from perfloop_analyzer.ports import Health, Query, Result
from perfloop_analyzer.prometheus_api import PrometheusSource
from perfloop_analyzer.prometheus_api.decode import decode_range, find_remarks
from perfloop_analyzer.prometheus_api.refusals import error_sentence
from perfloop_analyzer.published import Published
from perfloop_analyzer.recommend import Context, load_rules, recommend
from perfloop_analyzer.recommend.recommendation import from_dict
from perfloop_analyzer.recommend.rewriting import is_supported
from perfloop_analyzer.recommend.rules import RulesFile
from perfloop_analyzer.series import Grid
from perfloop_analyzer.server import WebSettings, build_web
from perfloop_analyzer.source_auth import parse_header
from perfloop_analyzer.store import Database
from perfloop_base.promql import find_problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from perfloop_analyzer.findings import Finding

GRID = Grid(1000.0, 10.0, 8)
# Texts with lone surrogates, control characters, bidirectional marks, separators and what URLs and formulas obey.
ODD = (
    *("", "..", "../..", "a/b", "%2F", "a b", "=1+1", "<b>", "{x}", "'\"", "s" * 10_000),
    *("\ud800", "\x1b[31m", "\u202e", "\x00"),
)
TEXTS = st.one_of(st.sampled_from(ODD), st.text(st.characters(codec=None), max_size=30))
NUMBERS = st.one_of(st.floats(), st.integers(), st.just(10**400))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)
BOUNDED = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class _Nothing:
    """No measured values."""

    def now(self, *_: str) -> None:
        """Return nothing."""

    def peak(self, *_: str) -> None:
        """Return nothing."""

    def course(self, *_: object) -> None:
        """Return nothing."""

    def window(self, *_: object) -> None:
        """Return nothing."""

    def past(self, *_: object) -> None:
        """Return nothing."""

    def series(self, *_: str) -> int:
        """Return that there is none."""
        return 0


@BOUNDED
@given(st.one_of(st.binary(max_size=200), VALUES.map(lambda value: json.dumps(value).encode())))
def test_any_body_is_a_batch_or_a_bad_answer(body: bytes) -> None:
    """What a proxy, a broken server or an attacker sends in Prometheus's place."""
    with contextlib.suppress(BadAnswer):
        decode_range(body, "up", GRID)
    assert find_remarks(body).isprintable()
    assert error_sentence(body, 500).isprintable()


ROWS = st.lists(st.one_of(VALUES, st.tuples(NUMBERS, st.one_of(TEXTS, NUMBERS)).map(list)), max_size=9)


@BOUNDED
@given(st.lists(st.fixed_dictionaries({"metric": VALUES, "values": st.one_of(VALUES, ROWS)}), max_size=3))
def test_any_series_are_rows_of_the_grid_or_a_bad_answer(series: list[Any]) -> None:
    """Times before, after and between the grid's, no numbers, too many columns."""
    with contextlib.suppress(BadAnswer):
        found = {"status": "success", "data": {"resultType": "matrix", "result": series}}
        batch = decode_range(json.dumps(found).encode(), "up", GRID)
        assert batch.values.shape == (len(series), GRID.points)
        assert not np.isinf(batch.values).any()


def test_a_deep_or_wide_answer_is_refused() -> None:
    """Nesting of a hundred thousand levels, and more series than memory."""
    for body in (b"[" * 100_000, b'{"data":' * 50_000, b'{"data":{"resultType":"matrix","result":' + b"[" * 9_999):
        with pytest.raises(BadAnswer):
            decode_range(body, "up", GRID)
    wide = {"data": {"resultType": "matrix", "result": [{"metric": {}, "values": []}] * 100}}
    with pytest.raises(BadAnswer, match="100 series of 8 points are more than 700 values"):
        decode_range(json.dumps(wide).encode(), "up", GRID, 700)


@BOUNDED
@given(VALUES)
def test_any_stored_value_is_read_or_refused(value: Any) -> None:
    """Rows that another program wrote, and baselines."""
    with contextlib.suppress(ValueError, TypeError):
        from_dict(value)
    unpack({"cpu": value if isinstance(value, dict) else {"series": value, "step": value, "expected": value}})


WHOLE: dict[str, Any] = {
    "id": "a", "rule": "r", "service": "s", "component": "c", "category": "x", "priority": "high", "title": "t",
    "action": "a", "effort": "low", "cost": "none", "affects": ["x"], "evidence": [{"signal": "cpu_used_ratio"}],
    "values": {"stood_until": 5.0},
}  # fmt: skip


@BOUNDED
@given(st.sampled_from([*WHOLE, "improvement", "rivals", "created", "state"]), VALUES)
def test_any_field_of_a_stored_recommendation_is_read_or_refused(name: str, value: Any) -> None:
    """What was read can be written, measured and shown as JSON."""
    with contextlib.suppress(ValueError, TypeError):
        recommendation = from_dict(WHOLE | {name: value})
        trial_of(recommendation, {"cpu_used_ratio": None})  # type: ignore[dict-item] # only looked up
        assert json.loads(to_json(recommendation.as_dict()))


@BOUNDED
@given(TEXTS)
def test_any_text_of_a_flag_a_query_or_a_model_is_judged(text: str) -> None:
    """URLs, headers, PromQL and what a language model says."""
    for read in (parse_url, parse_header):
        with contextlib.suppress(ValueError):
            read(text)
    find_problem(text)
    assert is_supported(text, from_dict(WHOLE | {"evidence": []})) in {True, False}


@BOUNDED
@given(VALUES)
def test_any_file_is_a_catalogue_or_a_sentence(tmp_path: Path, value: Any) -> None:
    """Of catalogues and rules; YAML reads what JSON writes."""
    path = tmp_path / "file.yml"
    path.write_text(json.dumps({"signals": value, "rules": value}))
    for model in (CatalogFile, RulesFile):
        with contextlib.suppress(ConfigError):
            read_document(model, path)


NAMES = st.sampled_from(["cpu", "error_rate", "api_response_time_ms", "cache_hit_rate_percent", "x"])


@BOUNDED
@given(st.one_of(VALUES, st.fixed_dictionaries({"metrics": st.dictionaries(NAMES, VALUES), "system_metrics": VALUES})))
def test_any_dictionary_is_analyzed(value: Any) -> None:
    """A user's own numbers, of whatever shape."""
    if isinstance(value, dict):
        answer = OptimizationAnalyzer().analyze_performance_data(value)
        score = answer["system_health_score"]
        assert score is None or 0 <= score <= 100


@BOUNDED
@given(st.lists(TEXTS, min_size=2, max_size=6, unique=True))
def test_ids_are_safe_and_unique(build: Any, names: list[str]) -> None:
    """Whatever the labels: one id for each service, and each is a path segment of a URL as it is."""
    findings = [build.finding(service=name, labels={"service": name, "pool": name}) for name in names]
    incidents = group_incidents(findings, Topology(), lambda _: 1.0)
    recommendations = recommend(incidents, load_rules(), Context(_Nothing(), 0.0))
    for made in ({one.id for one in incidents}, {one.id for one in recommendations}):
        assert len(made) == len(names)
        assert all(IDENTIFIER.fullmatch(one) and quote(one, safe="") == one and ".." not in one for one in made)


def test_ids_of_usual_services_stay_as_they_were(build: Any) -> None:
    """What databases and bookmarks hold."""
    assert slug("shop") == "shop"
    assert slug("team-a.shop_2") == "team-a.shop_2"
    (incident,) = group_incidents([build.finding()], Topology(), lambda _: 1.0)
    assert incident.id == "shop-database-4c78e227"
    assert slug("team/shop") == "team-shop-9b4be564"


def _result(finding: Finding, text: str, number: float) -> Result:
    shown = replace(finding, service=text, title=text, value=number, expected=number, score=number, labels={text: text})
    incidents = group_incidents([shown], Topology(), lambda _: 1.0)
    recommendations = recommend(incidents, load_rules(), Context(_Nothing(), 0.0))
    health = (Health(text, 0.0, {text: 100.0}),)
    return Result(1.0, health, (shown,), incidents, recommendations, recommendations, failures={text: text})


PATHS = (
    "/", "/report", "/metrics", "/-/ready", "/openapi.json", "/api/v1/health", "/api/v1/findings", "/api/v1/incidents",
    "/api/v1/thresholds", "/api/v1/recommendations", "/api/v1/recommendations?standing=true",
)  # fmt: skip


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    """A database in memory."""
    with contextlib.closing(Database("sqlite://")) as opened:
        yield opened


@BOUNDED
@given(text=TEXTS, number=st.floats())
def test_no_label_and_no_number_breaks_an_endpoint(build: Any, database: Database, text: str, number: float) -> None:
    """Every page and endpoint answers 200, and what a reader or a terminal obeys is written as an escape."""
    published = Published()
    published.publish(_result(build.finding(), text, number))
    assert published.result is not None
    database.write_findings(published.result.findings, 1.0)
    database.merge(published.result.recommendations, 1.0)
    client = TestClient(build_web(published, database, WebSettings("token")), raise_server_exceptions=True)
    for path in PATHS:
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.text)
        if "json" in answer.headers["content-type"]:
            orjson.loads(answer.content)
        elif "html" in answer.headers["content-type"]:
            assert not {"\x1b", "\u202e", "\x00"} & set(answer.content.decode())
    for one in published.result.recommendations:
        assert client.get(f"/api/v1/recommendations/{one.id}").json()["id"] == one.id


@BOUNDED
@given(identifier=TEXTS, step=TEXTS, body=st.binary(max_size=50), header=st.binary(max_size=30))
def test_any_request_is_answered_or_refused(
    database: Database, identifier: str, step: str, body: bytes, header: bytes
) -> None:
    """Ids, steps, parameters, tokens and bodies from anybody: 200 or 4xx."""
    client = TestClient(build_web(Published(), database, WebSettings("token")))
    one = quote(identifier.encode("utf-8", "surrogatepass"), safe="")
    other = quote(step.encode("utf-8", "surrogatepass"), safe="")
    sent = {b"authorization": header.translate(None, b"\r\n\x00").strip()}
    answers = [
        client.get(f"/api/v1/recommendations/{one}"),
        client.get(f"/api/v1/recommendations?state={one}&standing={other}"),
        client.post(f"/api/v1/recommendations/{one}/{other}", content=body, headers=sent),  # type: ignore[arg-type]
        client.post(f"/api/v1/recommendations/{one}/accept", headers={"authorization": "Bearer token"}),
    ]
    assert all(answer.status_code < 500 for answer in answers), [answer.text for answer in answers]


async def test_a_database_of_a_wide_range_of_queries_survives_odd_labels() -> None:
    """A query text of another encoding reaches no server half-way."""
    async with PrometheusSource(SourceConfig("http://127.0.0.1:9", retries=0)) as source:
        answers = await source.query([Query("odd", "up{a='\u202e'}")], GRID)
    assert "does not answer" in answers.failures["odd"]
    assert math.isclose(source.skew, 0.0)
