"""Every report of one real run, and what they agree on."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from pydantic import TypeAdapter

from perfloop_base.errors import ConfigError
from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.reporters.files import RENDERERS, write_reports
from perfloop_loadgen.summary.document import Document, from_json, report_schema, to_json

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = {
    "name": "a <b>bold</b> | test",
    "duration_seconds": 0.6,
    "concurrent_users": 2,
    "think_time_seconds": 0.01,
    "endpoints": [{"path": "/", "headers": {"Authorization": "Bearer top-secret"}}],
    "thresholds": ["p95 < 1 us", "errors < 1 %"],
}


@pytest.fixture
async def document(hello: Any) -> Document:
    """The document of a real run."""
    tester = LoadTester(LoadTestConfig.model_validate(CONFIG | {"base_url": hello.url}))
    summary = await tester.run_load_test()
    assert summary.total_requests == len(hello.requests)
    return tester.document(summary)


async def test_all_reports_agree_on_the_number_of_requests(document: Document, tmp_path: Path):
    """JSON, HTML, CSV and Markdown count the same requests, to the request."""
    files = {kind: tmp_path / f"report.{kind}" for kind in RENDERERS}
    assert write_reports(document, files) == []
    count = document.summary.total_requests
    assert json.loads(files["json"].read_bytes())["summary"]["total"]["total_requests"] == count
    assert f'data-value="{count}"' in files["html"].read_text()
    assert sum(int(row["requests"]) for row in csv.DictReader(files["csv"].read_text().splitlines())) == count
    assert f"| all | {count} | 0 |" in files["markdown"].read_text()
    assert sum(n for _, n in document.distribution) == count


async def test_json_comes_back_as_it_was_written(document: Document, tmp_path: Path):
    """The document read back is the document; what is not one is refused in a sentence."""
    path = tmp_path / "r.json"
    path.write_bytes(to_json(document))
    assert from_json(path) == document
    path.write_text('{"run_id": 1}')
    with pytest.raises(ConfigError, match="is not a report of this program"):
        from_json(path)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        from_json(tmp_path / "none.json")


def test_the_published_schema_of_the_report_is_current(checkout: Path):
    """docs/schemas/load_test_report.schema.json is what `python -m perfloop_loadgen schema` prints."""
    published = json.loads((checkout / "docs" / "schemas" / "load_test_report.schema.json").read_text())
    assert published == json.loads(json.dumps(report_schema()))
    assert TypeAdapter(dict[str, Any]).validate_python(published)["title"] == "Document"


async def test_the_page_needs_nothing_but_itself(document: Document):
    """No script, no address outside, every name escaped, no credential, six plots."""
    page = RENDERERS["html"](document).decode()
    assert "<script" not in page
    assert not re.findall(r"(?:src|href)=", page)
    assert "<b>bold" not in page
    assert "top-secret" not in page
    assert "&lt;secret&gt;" in page or r"\u003csecret\u003e" in page
    assert page.count("<figure>") == 6
    assert "measured" in page
    assert re.search(r"<dt>Late starts</dt><dd>\d+</dd>\s*<dt>Dropped</dt><dd>0</dd>", page)


async def test_junit_has_a_case_for_each_gate(document: Document):
    """The verdict and both gates; the one that failed says what it measured."""
    suite = ET.parse(io.BytesIO(RENDERERS["junit"](document))).getroot()
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert list(cases) == ["verdict", "p95 < 1 us", "errors < 1 %"]
    assert cases["p95 < 1 us"].find("failure") is not None
    assert cases["errors < 1 %"].find("failure") is None
    assert suite.get("tests") == "3"


async def test_markdown_keeps_its_table(document: Document):
    """A test's own words cannot break the table or bring markup."""
    text = RENDERERS["markdown"](document).decode()
    assert "a &lt;b>bold&lt;/b> \\| test" in text


async def test_a_report_that_cannot_be_written_is_reported_and_the_others_are_kept(document: Document, tmp_path: Path):
    """A path below a file: one sentence, no partial file, the other report is there."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    files = {"json": blocked / "r.json", "csv": tmp_path / "r.csv"}
    problems = write_reports(document, files)
    assert len(problems) == 1
    assert str(problems[0]).startswith(f"--report.json: {blocked}/r.json cannot be written: ")
    assert files["csv"].exists()
